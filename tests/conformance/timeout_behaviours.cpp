// What ends a stream whose peer has vanished, and what the system is told about the socket below.
#include <string>

#include "fixtures.h"
#include "twinloop/net.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kNetwork = Needs::tcp | Needs::listen;

struct Ends {
  IOStream near;
  IOStream far;
};

Ends make_ends(const StreamOptions& options = {}) {
  auto [near, far] = make_pair_streams(options);
  return {std::move(near), std::move(far)};
}

Future<Ends> connect_ends(std::string url, ConnectOptions connecting = {}, ListenOptions listening = {}) {
  Listener listener = co_await listen(std::move(url), std::move(listening));
  Future<IOStream> accepting = listener.accept();
  IOStream near = co_await connect(listener.url(), std::move(connecting));
  IOStream far = co_await std::move(accepting);
  co_return Ends{std::move(near), std::move(far)};
}

TimePoint now() { return IOLoop::current().clock(); }

// Long beside the pauses of a busy machine, and no time at all on a manual clock.
Duration idle_limit() { return has_manual_clock() ? Duration(10s) : Duration(1s); }

SocketOptions unusual_options() {
  return SocketOptions()
      .no_delay(false)
      .keep_alive(31s, 7s, 4)
      .user_timeout(12s)
      .send_buffer(65536)
      .receive_buffer(32768);
}

void expect_unusual(const IOStream& stream) {
  Result<SocketOptions> found = stream.socket_options();
  expect(found.ok(), found.ok() ? "" : found.failure().message());
  expect(found->no_delay() == false, "no_delay");
  expect(found->keep_alive() == SocketOptions::KeepAlive{31s, 7s, 4}, "keep_alive");
  expect(found->user_timeout() == Duration(12s), "user_timeout");
  expect(found->send_buffer() >= 65536u && found->send_buffer() <= 2 * 65536u, "send_buffer");
  expect(found->receive_buffer() >= 32768u && found->receive_buffer() <= 2 * 32768u, "receive_buffer");
}

}  // namespace

// ---- idle

BEHAVIOUR("a stream over which nothing goes for idle_timeout is closed with that reason, not sooner", Needs::nothing) {
  const Duration limit = has_manual_clock() ? Duration(10s) : Duration(20ms);
  const TimePoint begin = now();
  Ends ends = make_ends(StreamOptions().idle_timeout(limit));
  co_await expect_failure(ends.near.read_bytes(1), Errc::idle_timeout);
  expect(now() - begin >= limit, "not sooner");
  expect(reason_of(ends.near.error()) == Errc::idle_timeout, "error() says so");
  co_await expect_failure(ends.near.write("x"), Errc::idle_timeout);
}

BEHAVIOUR("bytes in either direction keep a stream from being idle", Needs::nothing) {
  const Duration limit = idle_limit();
  Ends ends = make_ends();
  ends.near.set_idle_timeout(limit);
  for (int i = 0; i < 6; ++i) {
    IOStream& writer = i < 3 ? ends.near : ends.far;
    IOStream& reader = i < 3 ? ends.far : ends.near;
    co_await writer.write("x");
    co_await reader.read_bytes(1);
    co_await sleep_for(limit * 4 / 10);
  }
  expect(!ends.near.is_closed(), "it was never idle for that long");
  co_await ends.near.closed();
  expect(reason_of(ends.near.error()) == Errc::idle_timeout, "now it was");
}

BEHAVIOUR("a peer that takes nothing more makes a stream idle, however much waits to be sent", Needs::nothing) {
  const Duration limit = has_manual_clock() ? Duration(10s) : Duration(20ms);
  Ends ends = make_ends();
  ends.near.set_idle_timeout(limit);
  co_await expect_failure(ends.near.write(std::string(1'000'000, 'x')), Errc::idle_timeout);
}

BEHAVIOUR("an idle timeout of zero takes it off", Needs::nothing) {
  const Duration limit = has_manual_clock() ? Duration(10s) : Duration(20ms);
  Ends ends = make_ends(StreamOptions().idle_timeout(limit));
  ends.near.set_idle_timeout(0s);
  co_await ends.far.closed();  // which has kept its own
  expect(!ends.near.is_closed(), "it has none");
}

BEHAVIOUR("what was received before an idle timeout stays readable", Needs::nothing) {
  Ends ends = make_ends();
  co_await ends.far.write("bytes");
  co_await ends.near.peek(5);
  ends.near.set_idle_timeout(1ms);
  co_await ends.near.closed();
  const std::string bytes = co_await ends.near.read_bytes(5);
  expect_equal(bytes, "bytes");
  co_await expect_failure(ends.near.read_bytes(1), Errc::idle_timeout);
}

BEHAVIOUR("an idle timeout is told in the order of every close, and the peer sees an end", Needs::nothing) {
  Ends ends = make_ends();
  ends.near.set_idle_timeout(1ms);
  bool told = false;
  ends.near.set_close_callback([&told] { told = true; });
  co_await ends.near.closed();
  expect(!told, "the futures first");
  co_await sleep_for(0s);
  expect(told, "then the callback");
  const std::string rest = co_await ends.far.read_until_close();
  expect(rest.empty(), "and an orderly end there");
}

BEHAVIOUR("a stream that is destroyed leaves no idle timer", Needs::nothing) {
  const std::size_t before = IOLoop::current().stats().pending_timers;
  {
    Ends ends = make_ends(StreamOptions().idle_timeout(1h));
    expect_equal(IOLoop::current().stats().pending_timers, before + 2);
    ends.near.close();
    expect_equal(IOLoop::current().stats().pending_timers, before + 1);
  }
  expect_equal(IOLoop::current().stats().pending_timers, before);
  co_return;
}

BEHAVIOUR("idle_timeout of a listener's streams is theirs over ws, too", kNetwork) {
  ListenOptions listening;
  listening.set_stream(StreamOptions().idle_timeout(200ms));
  Ends ends = co_await connect_ends("ws://127.0.0.1:0/", {}, std::move(listening));
  co_await ends.far.closed();
  expect(reason_of(ends.far.error()) == Errc::idle_timeout, "of the one that was accepted");
  co_await ends.near.peer_ended();
}

// ---- socket options

BEHAVIOUR("socket options set on a stream are in force", kNetwork) {
  Ends ends = co_await connect_ends("tcp://127.0.0.1:0");
  Result<SocketOptions> usual = ends.near.socket_options();
  expect(usual.ok() && usual->no_delay() == true && usual->keep_alive()->count == 0, "the usual ones");
  const Result<> set = ends.near.set_socket_options(unusual_options());
  expect(set.ok(), set.ok() ? "" : set.failure().message());
  expect_unusual(ends.near);
  const Result<> taken_off = ends.near.set_socket_options(SocketOptions().no_keep_alive());
  expect(taken_off.ok() && ends.near.socket_options()->keep_alive()->count == 0, "and off again");
}

BEHAVIOUR("socket options of connect and listen are in force on both ends", kNetwork) {
  Ends ends = co_await connect_ends("tcp://127.0.0.1:0", ConnectOptions().set_socket(unusual_options()),
                                    ListenOptions().set_socket(unusual_options()));
  expect_unusual(ends.near);
  expect_unusual(ends.far);
}

BEHAVIOUR("socket options reach the socket below a WebSocket", kNetwork) {
  Ends ends = co_await connect_ends("ws://127.0.0.1:0/", {}, ListenOptions().set_socket(unusual_options()));
  expect_unusual(ends.far);
  const Result<> set = ends.near.set_socket_options(unusual_options());
  expect(set.ok(), set.ok() ? "" : set.failure().message());
  expect_unusual(ends.near);
}

BEHAVIOUR("where there is no socket, its options are not_supported on a stream and mean nothing to connect",
          Needs::nothing) {
  Ends ends = co_await connect_ends("pair:options", ConnectOptions().set_socket(unusual_options()),
                                    ListenOptions().set_socket(unusual_options()));
  const Result<> set = ends.near.set_socket_options(SocketOptions().no_delay(true));
  expect(!set.ok() && set.reason() == Errc::not_supported, "set");
  expect(ends.near.socket_options().reason() == Errc::not_supported, "asked for");
}

BEHAVIOUR("a value that the system does not take is named", kNetwork) {
  Ends ends = co_await connect_ends("tcp://127.0.0.1:0");
  const Result<> set = ends.near.set_socket_options(SocketOptions().keep_alive(1s, 1s, 100'000));
  expect(!set.ok() && set.reason() == Errc::limit, set.ok() ? "it was taken" : set.failure().message());
  expect(set.failure().message().find("keep_alive") != std::string::npos, set.failure().message());
  const Result<IOStream> refused = co_await as_result(
      connect("tcp://127.0.0.1:9", ConnectOptions().set_socket(SocketOptions().keep_alive(1s, 1s, 100'000))));
  expect(!refused.ok(), "neither there");
}

BEHAVIOUR("socket options of a closed stream fail with its reason", kNetwork) {
  Ends ends = co_await connect_ends("tcp://127.0.0.1:0");
  ends.near.close();
  expect(ends.near.set_socket_options(SocketOptions().no_delay(true)).reason() == Errc::local, "set");
  expect(ends.near.socket_options().reason() == Errc::local, "asked for");
}
