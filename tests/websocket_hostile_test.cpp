// WebSocket peers that mean harm or have died: frames cut off at each byte, and frames that come a byte at a time.  What malformed
// frames get is in websocket_message_test.cpp and websocket_frame_test.cpp, compression bombs in websocket_deflate_test.cpp.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <string>
#include <utility>
#include <vector>

#include "protocols/websocket/connection.h"
#include "protocols/websocket/websocket_transport.h"
#include "twinloop/net.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"
#include "websocket_fixtures.h"

using namespace twinloop;
using namespace twinloop::detail;
using namespace twinloop::websocket_test;
using namespace std::chrono_literals;

namespace {

enum class Ending : unsigned char { fin, reset };

// Frames of which each is the next of a conversation, and what has been told once all of it has come.
struct Said {
  std::string bytes;
  std::string story;
};

// Every kind of frame: all three lengths, fragments with a ping between, a pong, an empty message, a Close.
std::vector<Said> conversation(bool masked) {
  const std::string medium(300, 'm');
  const std::string large(70'000, 'l');
  return {
      {frame(0x81, "h\xc3\xa9llo", masked), "t:h\xc3\xa9llo "},
      {frame(0x89, "ping", masked), ""},
      {frame(0x82, medium, masked), "b:" + medium + " "},
      {frame(0x01, "fra", masked) + frame(0x89, "", masked) + frame(0x00, "g", masked) + frame(0x80, "ment", masked),
       "t:fragment "},
      {frame(0x8a, std::string(125, 'p'), masked), ""},
      {frame(0x82, "", masked), "b: "},
      {frame(0x82, large, masked), "b:" + large + " "},
      {close_frame(4000, masked), "end"}};
}

// Where to cut: at each byte, but within a large payload only near its ends.
std::vector<std::size_t> cuts(const std::string& bytes) {
  std::vector<std::size_t> all;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    if (at < 400 || at + 40 > bytes.size()) all.push_back(at);
  }
  return all;
}

Future<void> say(IOStream& peer, std::string bytes, Ending ending) {
  co_await peer.write(std::move(bytes));
  co_await peer.flush();
  if (ending == Ending::fin) co_return co_await peer.shutdown_write();
  for (int i = 0; i < 3; ++i) co_await moment();  // that what came before is seen
  peer.abort();
}

WebSocketConnection connection(IOStream stream, Role role, const WebSocketOptions& options = {}) {
  return WebSocketConnection(
      std::make_unique<WebSocketConnection::Impl>(std::move(stream), ConnectionSetup(role), options));
}

// What an end makes of a peer that says this and is gone.
Future<std::string> reaction(Role role, std::string bytes, Ending ending) {
  auto [peer, stream] = make_pair_streams();
  WebSocketConnection ws = connection(std::move(stream), role);
  Future<std::string> telling = story(ws);
  Future<void> saying = say(peer, std::move(bytes), ending);
  std::string told = co_await std::move(telling);
  (void)co_await as_result(std::move(saying));
  if (!ws.is_closed()) told += " and is not closed";
  co_return told + " " + std::to_string(ws.close_code());
}

Future<void> cut_everywhere(Role role, Ending ending) {
  const std::string how = ending == Ending::fin ? "truncated 1006" : "reset 1006";
  std::string before;
  std::string expected;
  for (const Said& each : conversation(role == Role::server)) {
    for (const std::size_t at : cuts(each.bytes)) {
      const std::string told = co_await reaction(role, before + each.bytes.substr(0, at), ending);
      INFO("cut at " << at << " behind " << before.size() << " bytes");
      if (told != expected + how) {
        CHECK(told.substr(0, 200) == (expected + how).substr(0, 200));
        co_return;
      }
    }
    before += each.bytes;
    expected += each.story;
  }
  const std::string whole = co_await reaction(role, before, ending);
  CHECK(whole == expected + " 4000");
}

IOStream bytes_over(std::unique_ptr<Transport> lower, Role role) {
  WebSocketSetup setup(role);
  setup.description = "ws://test";
  return IOStream(std::make_unique<WebSocketTransport>(std::move(lower), std::move(setup)));
}

// As a stream of bytes: what came before the cut is there, then it is truncated.
Future<void> cut_the_stream_everywhere(Role role) {
  const bool masked = role == Role::server;
  const std::string bytes = frame(0x82, "before", masked) + frame(0x89, "ping", masked) + frame(0x02, "a", masked) +
                            frame(0x80, std::string(200, 'b'), masked) + close_frame(1000, masked);
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    auto [a, b] = make_pair_transports();
    IOStream peer(std::move(a));
    IOStream stream = bytes_over(std::move(b), role);
    co_await send_and_end(peer, bytes.substr(0, at));
    const Result<std::string> read = co_await as_result(stream.read_bytes(1000));
    INFO("cut at " << at);
    CHECK(read.reason() == Errc::truncated);
    CHECK(stream.is_closed());
  }
}

// One byte, and a pause; for as long as it is let.
Future<void> drip(IOStream& peer, std::string bytes, Duration pause) {
  for (const char byte : bytes) {
    const Result<> written = co_await as_result(peer.write(std::string(1, byte)));
    if (!written.ok()) co_return;
    co_await sleep_for(pause);
  }
}

}  // namespace

TEST_CASE("a server whose client's frames are cut off at any byte has what came whole, then truncated") {
  run([] { return cut_everywhere(Role::server, Ending::fin); });
}

TEST_CASE("a client whose server's frames are cut off at any byte has what came whole, then truncated") {
  run([] { return cut_everywhere(Role::client, Ending::fin); });
}

TEST_CASE("either end whose peer is reset within a frame, at any byte, has what came whole, then reset") {
  run([] { return cut_everywhere(Role::server, Ending::reset); });
  run([] { return cut_everywhere(Role::client, Ending::reset); });
}

TEST_CASE("a stream of bytes whose frames are cut off at any byte is truncated, at either end") {
  run([] { return cut_the_stream_everywhere(Role::server); });
  run([] { return cut_the_stream_everywhere(Role::client); });
}

TEST_CASE(
    "frames that come a byte an hour are the same messages: a connection has no time to keep, only what came to hold") {
  run([]() -> Future<void> {
    auto [peer, stream] = make_pair_streams();
    WebSocketConnection ws = connection(std::move(stream), Role::server, WebSocketOptions().set_max_message_size(1000));
    Future<std::string> telling = story(ws);
    const std::string bytes =
        frame(0x81, "slow") + frame(0x89, "?") + frame(0x82, std::string(200, 'x')) + close_frame(1000);
    co_await drip(peer, bytes, std::chrono::hours(1));
    const std::string told = co_await std::move(telling);
    CHECK(told == "t:slow b:" + std::string(200, 'x') + " end");
    const std::string answers = co_await peer.read_until_close();
    CHECK(answers == frame(0x8a, "?", false) + close_frame(1000, false));
  });
}

TEST_CASE("a message whose fragments never end is refused at the limit, however slowly it comes") {
  run([]() -> Future<void> {
    auto [peer, stream] = make_pair_streams();
    WebSocketConnection ws = connection(std::move(stream), Role::server, WebSocketOptions().set_max_message_size(50));
    Future<std::string> telling = story(ws);
    std::string bytes = frame(0x02, "x");
    for (int i = 0; i < 100; ++i) bytes += frame(0x00, "x");
    Future<void> dripping = drip(peer, bytes, 1s);
    const std::string told = co_await std::move(telling);
    CHECK(told == "overflow");
    const std::string answer = co_await peer.read_until_close();
    CHECK(answer.substr(0, 4) == close_frame(1009, false).substr(0, 1) + answer.substr(1, 1) + "\x03\xf1");
  });
}

TEST_CASE("a peer that stops within a frame is asked, and given up; one that drips on is not silent") {
  run([]() -> Future<void> {
    auto [peer, stream] = make_pair_streams();
    WebSocketConnection ws = connection(std::move(stream), Role::server, WebSocketOptions().set_ping(30s, 20s));
    Future<std::string> telling = story(ws);
    const std::string bytes = frame(0x82, std::string(20, 'x'));
    co_await drip(peer, bytes.substr(0, 15), 29s);
    CHECK_FALSE(telling.done());
    const TimePoint before = IOLoop::current().clock();
    const std::string told = co_await std::move(telling);
    CHECK(told == "idle_timeout");
    CHECK(IOLoop::current().clock() - before < 80s);
  });
}

TEST_CASE("a peer that answers our Close with a frame that never ends is given up after the timeout") {
  run([]() -> Future<void> {
    auto [peer, stream] = make_pair_streams();
    WebSocketConnection ws = connection(std::move(stream), Role::server);
    Future<void> dripping = drip(peer, frame(0x82, std::string(1000, 'x')), 100ms);
    const TimePoint before = IOLoop::current().clock();
    const Result<void> closed = co_await as_result(ws.close());
    CHECK(closed.reason() == Errc::timeout);
    CHECK(IOLoop::current().clock() - before < 6s);
    co_await std::move(dripping);
  });
}

TEST_CASE("a server that answers the handshake a byte at a time is given up when the client's time is up") {
  run([]() -> Future<void> {
    auto [lower, peer] = make_pair_streams();
    const ConnectOptions connect = ConnectOptions().set_timeout(10s);
    const TimePoint before = IOLoop::current().clock();
    Future<void> dripping = drip(peer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n", 1s);
    const Result<WebSocketConnection> ws =
        co_await as_result(websocket_connect(std::move(lower), "ws://test/", WebSocketOptions().set_connect(connect)));
    CHECK(ws.reason() == Errc::timeout);
    CHECK(IOLoop::current().clock() - before == 10s);
    co_await std::move(dripping);
  });
}
