#include "ways.h"

#include "twinloop/net.h"

namespace twinloop::testing {
namespace {

Future<Ends> open_pair(StreamOptions options) {
  auto [ours, peer] = make_pair_streams(options);
  co_return Ends{std::move(ours), std::move(peer)};
}

Way over_carrier(const Carrier& carrier) {
  const auto open = [&carrier](const StreamOptions& options) {
    return connect_ends(carrier, ConnectOptions().set_stream(options), ListenOptions().set_stream(options));
  };
  return {carrier.name, carrier.needs, open, Moves::whole, carrier.resets};
}

Future<Ends> open_faulty(Faults faults, StreamOptions options) { co_return make_faulty_ends(faults, options); }

Way over_faulty_pair(const char* name, const Faults& faults, Moves moves) {
  return {name, Needs::nothing, [faults](const StreamOptions& options) { return open_faulty(faults, options); }, moves};
}

std::vector<Way> all_ways() {
  std::vector<Way> all = {
      {"a pair", Needs::nothing, &open_pair},
      over_faulty_pair("a pair of single bytes", Faults().max_read(1).max_write(1), Moves::bytes),
      over_faulty_pair("a pair that holds input", Faults().hold_input(1000), Moves::parts),
      over_faulty_pair("a pair that blocks at random", Faults().max_read(700).max_write(900).would_block(30),
                       Moves::parts),
  };
  for (const Carrier& carrier : carriers()) {
    if (carrier.url != nullptr) all.push_back(over_carrier(carrier));
  }
  for (Way& way : secure_ways()) all.push_back(std::move(way));
  return all;
}

}  // namespace

const std::vector<Way>& ways() {
  static const std::vector<Way> all = all_ways();
  return all;
}

Ends make_faulty_ends(const Faults& faults, const StreamOptions& options, std::uint32_t seed) {
  auto [a, b] = make_pair_transports();
  return {IOStream(make_faulty_transport(std::move(a), Faults(faults).seed(seed)), options),
          IOStream(make_faulty_transport(std::move(b), Faults(faults).seed(seed + 1)), options)};
}

Future<Ends> open_ends(const Way& way, const StreamOptions& options) { return way.open(options); }

bool every_way(const Way&) { return true; }
bool in_bulk(const Way& way) { return way.moves != Moves::bytes; }
bool in_whole_calls(const Way& way) { return way.moves == Moves::whole; }
bool with_resets(const Way& way) { return way.resets; }

EveryWay::EveryWay(std::string_view sentence, bool (*those)(const Way&), Future<void> (*trial)(const Way&)) {
  for (const Way& way : ways()) {
    if (!those(way)) continue;
    const std::string name = std::string(sentence) + ", over " + way.name;
    const Registration registered(name, way.needs, [&way, trial] { return trial(way); });
  }
}

Future<void> until_buffered(IOStream& stream, std::size_t count, Location where) {
  const auto arrived = [&] { return stream.buffered() >= count; };
  co_await until(arrived, where);
}

Future<void> some_turns() {
  for (int i = 0; i < 5; ++i) co_await sleep_for(Duration::zero());
}

}  // namespace twinloop::testing
