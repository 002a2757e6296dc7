#include "carriers.h"

#include <random>

namespace twinloop::testing {
namespace {

constexpr Needs kNetwork = Needs::tcp | Needs::listen;

// So that a few MiB are more than all of a connection's buffers take: left alone, the system lets them grow to tens of MiB.
SocketOptions small_buffers() { return SocketOptions().send_buffer(64 * 1024).receive_buffer(64 * 1024); }

// Ends and failures are passed on, too.
Future<void> pass(IOStream& from, IOStream& to) {
  const Result<std::uint64_t> moved = co_await as_result(pump(from, to));
  if (!moved.ok()) co_return to.abort();
  const Result<void> ended = co_await as_result(to.shutdown_write());
  if (!ended.ok()) to.abort();
}

// A file that no other process of these tests has.
const char* unix_url() {
  static const std::string url = "unix:/tmp/twinloop-closing-" + std::to_string(std::random_device()()) + ".socket";
  return url.c_str();
}

std::string at_port_of(const Carrier& carrier, const Listener& listener) {
  Url url = Url::parse(carrier.url).value();
  url.port = Url::parse(listener.url()).value().port;
  return url.to_string();
}

}  // namespace

const std::vector<Carrier>& carriers() {
  static const std::vector<Carrier> all = [] {
    std::vector<Carrier> list = {
        {"pair", Needs::nothing, nullptr, false},
        {"tcp", kNetwork, "tcp://127.0.0.1:0", false},
        {"ws", kNetwork, "ws://127.0.0.1:0/", true},
    };
    list.push_back({"unix", kNetwork, unix_url(), false});
    list.back().resets = false;
    for (const Carrier& carrier : secure_carriers()) list.push_back(carrier);
    return list;
  }();
  return all;
}

Future<Ends> open_ends(const Carrier& carrier, const StreamOptions& options_of_ours) {
  if (carrier.url == nullptr) {
    auto [ours, peer] = make_pair_streams(options_of_ours);
    co_return Ends{std::move(ours), std::move(peer)};
  }
  co_return co_await connect_ends(carrier, ConnectOptions().set_stream(options_of_ours));
}

Future<Ends> connect_ends(const Carrier& carrier, ConnectOptions connecting, ListenOptions listening) {
  carrier.secure(connecting, listening);
  connecting.set_socket(small_buffers());
  listening.set_socket(small_buffers());
  Listener listener = co_await listen(carrier.url, std::move(listening));
  Future<IOStream> accepting = listener.accept();
  IOStream ours = co_await connect(listener.url(), std::move(connecting));
  IOStream peer = co_await std::move(accepting);
  co_return Ends{std::move(ours), std::move(peer)};
}

bool is_plain(const Carrier& carrier) { return carrier.url != nullptr && !carrier.filter; }

bool is_on_tcp(const Carrier& carrier) {
  return carrier.url != nullptr && !std::string_view(carrier.url).starts_with("unix:");
}

bool is_websocket(const Carrier& carrier) {
  return carrier.url != nullptr && std::string_view(carrier.url).starts_with("ws");
}

Future<void> try_over(bool (*those)(const Carrier&), Future<void> (*trial)(const Carrier&)) {
  std::vector<std::pair<const char*, Future<void>>> trials;
  for (const Carrier& carrier : carriers()) {
    if (those(carrier)) trials.emplace_back(carrier.name, trial(carrier));
  }
  for (auto& [name, done] : trials) {
    const Result<void> result = co_await as_result(std::move(done));
    expect(result.ok(), std::string(name) + (result.ok() ? "" : ": " + result.failure().message()));
  }
}

Future<Ends> Relay::open_ends(const Carrier& carrier, const StreamOptions& options_of_ours) {
  ConnectOptions connecting;
  ListenOptions listening;
  carrier.secure(connecting, listening);
  connecting.set_stream(options_of_ours).set_socket(small_buffers());
  listening.set_socket(small_buffers());
  Listener listener = co_await listen(carrier.url, std::move(listening));
  Listener between = co_await listen("tcp://127.0.0.1:0", ListenOptions().set_socket(small_buffers()));
  Future<IOStream> accepting = listener.accept();
  Future<IOStream> connected = connect(at_port_of(carrier, between), std::move(connecting));
  near_ = co_await between.accept();
  far_ = co_await connect("tcp://" + Url::parse(listener.url()).value().authority(),
                          ConnectOptions().set_socket(small_buffers()));
  passing_.push_back(pass(near_, far_));
  passing_.push_back(pass(far_, near_));
  IOStream ours = co_await std::move(connected);
  IOStream peer = co_await std::move(accepting);
  co_return Ends{std::move(ours), std::move(peer)};
}

void Relay::stop() { passing_.clear(); }

void Relay::cut() {
  stop();
  near_.shutdown_write().ignore();
}

void Relay::send_garbage() {
  stop();
  near_.write(std::string(64, '\xff')).ignore();
}

}  // namespace twinloop::testing
