// max_buffer_size bounds what was received and not read, in the stream and in the transports below it together.
#include <algorithm>
#include <string>
#include <utility>

#include "carriers.h"
#include "fixtures.h"
#include "twinloop/timing.h"

namespace twinloop::testing {
namespace {

constexpr Needs kNetwork = Needs::tcp | Needs::listen;
constexpr std::size_t kMost = 40'000;
constexpr std::size_t kHeld = 3'000;  // by a transport that misbehaves

bool all(const Carrier&) { return true; }

// What the carrier takes at once and may give in parts.
std::size_t fetch_of(const Carrier& carrier) {
  const bool tls = carrier.url != nullptr && (std::string_view(carrier.url).starts_with("tls") ||
                                              std::string_view(carrier.url).starts_with("wss"));
  return tls ? 33 * 1024 : 0;
}

// A stream with what lies below it in sight.
struct Watched {
  Watched(std::unique_ptr<Transport> transport, std::size_t fetch)
      : below(*transport), most(kMost + fetch), stream(std::move(transport), StreamOptions().max_buffer_size(kMost)) {}
  std::size_t held() const { return stream.buffered() + (stream.is_closed() ? 0 : below.pending_input()); }

  const Transport& below;
  std::size_t most;  // that it may hold
  IOStream stream;
};

std::unique_ptr<Transport> take_transport(IOStream& stream) {
  std::string unread;
  std::unique_ptr<Transport> transport = stream.detach(unread);
  expect(unread.empty(), "nothing has come yet");
  return transport;
}

Future<void> expect_bounded_to_the_end(const Watched& watched) {
  std::size_t most = watched.held();
  while (!watched.stream.is_closed()) {
    co_await moment();
    most = std::max(most, watched.held());
  }
  expect(most >= kMost, "it held what it may");
  expect(most <= watched.most, "it held " + std::to_string(most) + " bytes");
}

Future<void> expect_overflow(Watched watched, IOStream peer) {
  const std::string flood(10 * kMost, 'x');
  peer.write(flood).ignore();
  Future<std::string> line = watched.stream.read_until("\n");
  co_await expect_bounded_to_the_end(watched);
  co_await expect_failure(std::move(line), Errc::overflow);
}

Future<void> expect_reads_of_all(Watched watched, IOStream peer) {
  const std::string sent = numbered(10 * kMost);
  Future<void> writing = peer.write(std::string_view(sent));
  std::string received;
  while (received.size() < sent.size()) {
    received += co_await watched.stream.read_bytes(kMost);
    expect(watched.held() <= watched.most, "it held " + std::to_string(watched.held()) + " bytes");
  }
  expect(received == sent, "the same bytes");
  co_await std::move(writing);
}

Future<void> try_limits(const Carrier& carrier) {
  for (const auto expectation : {&expect_overflow, &expect_reads_of_all}) {
    Ends ends = co_await open_ends(carrier, {});
    co_await expectation(Watched(take_transport(ends.ours), fetch_of(carrier)), std::move(ends.peer));
    Ends others = co_await open_ends(carrier, {});
    std::unique_ptr<Transport> holding =
        make_faulty_transport(take_transport(others.ours), Faults().hold_input(kHeld).max_read(kHeld - 1));
    co_await expectation(Watched(std::move(holding), fetch_of(carrier) + kHeld), std::move(others.peer));
  }
}

// Nobody reads, which only ends where the peer does.
Future<void> try_read_ahead(const Carrier& carrier) {
  Ends ends = co_await open_ends(carrier, {});
  Watched watched(take_transport(ends.ours), fetch_of(carrier));
  Future<void> writing = ends.peer.write(std::string(10 * kMost, 'x'));
  for (int turn = 0; turn < 100; ++turn) {
    expect(watched.held() <= watched.most, "it held " + std::to_string(watched.held()) + " bytes");
    co_await moment();
  }
  expect(!watched.stream.is_closed(), "a peer that sends much is no failure while nobody reads");
}

}  // namespace

BEHAVIOUR("a stream and what lies below it hold no more than max_buffer_size, over every carrier", kNetwork) {
  co_await try_over(&all, &try_limits);
}

BEHAVIOUR("a stream that nobody reads holds no more than max_buffer_size, over every carrier", kNetwork) {
  co_await try_over(&all, &try_read_ahead);
}

}  // namespace twinloop::testing
