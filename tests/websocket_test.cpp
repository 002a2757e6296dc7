// WebSockets in motion: bytes both ways and every ending, over in-process pipes and a clock that jumps; then once over real
// sockets.
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <span>
#include <string>
#include <utility>

#include "protocols/websocket/handshake.h"
#include "protocols/websocket/websocket_transport.h"
#include "twinloop/net.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"
#include "websocket_fixtures.h"

using namespace twinloop;
using namespace twinloop::detail;
using namespace twinloop::websocket_test;
using namespace std::chrono_literals;
using namespace std::string_literals;
using Catch::Matchers::ContainsSubstring;
using twinloop::testing::Faults;

namespace {

IOStream websocket(std::unique_ptr<Transport> lower, Role role, bool in_band_end = false) {
  WebSocketSetup setup(role);
  if (in_band_end) setup.session = WebSocketSession(kStreamProtocol);
  setup.description = "ws://test";
  return IOStream(std::make_unique<WebSocketTransport>(std::move(lower), std::move(setup)));
}

struct Ends {
  Ends(IOStream one, IOStream other) noexcept : client(std::move(one)), server(std::move(other)) {}
  IOStream client;
  IOStream server;
};

Ends make_ends(bool in_band_end = false) {
  auto [a, b] = make_pair_transports();
  return {websocket(std::move(a), Role::client, in_band_end), websocket(std::move(b), Role::server, in_band_end)};
}

// The client is the test itself, which says its frames byte by byte.
Ends make_raw_client() {
  auto [a, b] = make_pair_transports();
  return {IOStream(std::move(a)), websocket(std::move(b), Role::server)};
}

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + i / 251);
  return text;
}

// Who writes down what a transport tells.
struct Notices final : TransportListener {
  void on_ready(bool readable, bool) override { told += readable ? "r" : "w"; }
  void on_peer_end() override { told += "e"; }
  void on_failure(std::error_code) override { told += "f"; }
  std::string told;
};

// Waits for the failure of a server that is sent these bytes, and gives what the client sees of it.
Future<std::string> reaction_to(std::string bytes, Errc expected) {
  Ends ends = make_raw_client();
  co_await ends.client.write(std::move(bytes));
  const Result<std::string> read = co_await as_result(ends.server.read_bytes(1000));
  CHECK(read.reason() == expected);
  CHECK(ends.server.is_closed());
  co_return co_await ends.client.read_until_close();
}

Future<void> echo(IOStream stream) {
  for (;;) co_await stream.write(co_await stream.read_some());
}

}  // namespace

// A server that asks after 30 s of silence, and waits 20 s for an answer; its client is the test.
Ends make_asking_server() {
  auto [a, b] = make_pair_transports();
  WebSocketSetup setup(Role::server);
  setup.description = "ws://test";
  setup.ping = {30s, 20s};
  return {IOStream(std::move(a)), IOStream(std::make_unique<WebSocketTransport>(std::move(b), std::move(setup)))};
}

constexpr std::string_view kPing("\x89\x00", 2);

// ---- bytes

TEST_CASE("a megabyte goes both ways at once, and both halves end") {
  run([]() -> Future<void> {
    Ends ends = make_ends();
    const std::string bytes = pattern(1 << 20);
    Future<void> up = send_and_end(ends.client, bytes);
    Future<void> down = send_and_end(ends.server, bytes);
    Future<std::string> received = ends.client.read_until_close();
    const std::string above = co_await ends.server.read_until_close();
    const std::string below = co_await std::move(received);
    co_await std::move(up);
    co_await std::move(down);
    CHECK(above == bytes);
    CHECK(below == bytes);
  });
}

TEST_CASE("a carrier that moves a few bytes at a time, and often none, carries the same") {
  run([]() -> Future<void> {
    for (unsigned seed = 1; seed <= 6; ++seed) {
      auto [a, b] = make_pair_transports();
      const Faults slow = Faults().seed(seed).max_read(seed).max_write(seed * 7).would_block(30);
      const bool in_band = seed % 2 == 0;
      IOStream client = websocket(twinloop::testing::make_faulty_transport(std::move(a), slow), Role::client, in_band);
      IOStream server = websocket(twinloop::testing::make_faulty_transport(std::move(b), slow), Role::server, in_band);
      const std::string bytes = pattern(20'000);
      Future<void> up = send_and_end(client, bytes);
      Future<void> down = send_and_end(server, bytes);
      Future<std::string> received = client.read_until_close();
      const std::string above = co_await server.read_until_close();
      const std::string below = co_await std::move(received);
      CHECK(above == bytes);
      CHECK(below == bytes);
    }
  });
}

TEST_CASE("what is written in one turn is one message, and 64 KiB are the most") {
  run([]() -> Future<void> {
    Ends ends = make_raw_client();
    co_await ends.server.write("one ");
    co_await ends.server.write("two");
    const std::string small = co_await ends.client.read_bytes(9);
    CHECK(small == frame(0x82, "one two", false));
    Future<void> writing = ends.server.write(std::string(70'000, 'x'));
    const std::string large = co_await ends.client.read_bytes(10);
    CHECK(large == "\x82\x7f\0\0\0\0\0\x01\0\0"s);
    const std::string rest = co_await ends.client.read_bytes(65536 + 4 + 4464);
    CHECK(rest.substr(65536, 4) == "\x82\x7e\x11\x70"s);
    co_await std::move(writing);
  });
}

TEST_CASE("empty messages are nothing, and fragments are bytes like all others") {
  run([]() -> Future<void> {
    Ends ends = make_raw_client();
    co_await ends.client.write(frame(0x82, "") + frame(0x02, "a") + frame(0x00, "") + frame(0x80, "b") +
                               frame(0x82, "c"));
    const std::string text = co_await ends.server.read_bytes(3);
    CHECK(text == "abc");
  });
}

TEST_CASE("a ping in the middle of a message is answered; of a flood only the latest") {
  run([]() -> Future<void> {
    Ends ends = make_raw_client();
    co_await ends.client.write(frame(0x02, "half ") + frame(0x89, "there?") + frame(0x8a, "unasked"));
    const std::string pong = co_await ends.client.read_bytes(8);
    CHECK(pong == frame(0x8a, "there?", false));
    std::string flood;
    for (int i = 100; i < 200; ++i) flood += frame(0x89, std::to_string(i));
    co_await ends.client.write(flood + frame(0x80, "whole"));
    const std::string last = co_await ends.client.read_bytes(5);
    CHECK(last == frame(0x8a, "199", false));
    const std::string text = co_await ends.server.read_bytes(10);
    CHECK(text == "half whole");
  });
}

// ---- orderly ends

TEST_CASE("a silent peer is asked whether it is there, and one that answers may be silent for ever") {
  run([]() -> Future<void> {
    Ends ends = make_asking_server();
    const TimePoint begun = IOLoop::current().clock();
    for (int i = 0; i < 10; ++i) {
      const std::string ping = co_await ends.client.read_bytes(2);
      CHECK(ping == kPing);
      co_await ends.client.write(frame(0x8a, ""));
    }
    const Duration passed = IOLoop::current().clock() - begun;
    CHECK(passed >= 10 * 30s);
    CHECK(passed < 10 * 30s + 1s);  // an answer begins a new period of silence
    CHECK_FALSE(ends.server.is_closed());
    co_await ends.client.write(frame(0x82, "awake"));
    const std::string text = co_await ends.server.read_bytes(5);
    CHECK(text == "awake");
  });
}

TEST_CASE("a peer that does not answer a ping fails the stream with idle_timeout") {
  run([]() -> Future<void> {
    Ends ends = make_asking_server();
    const TimePoint begun = IOLoop::current().clock();
    const Result<std::string> read = co_await as_result(ends.server.read_some());
    CHECK(read.reason() == Errc::idle_timeout);
    CHECK(IOLoop::current().clock() - begun == 50s);
    const std::string said = co_await ends.client.read_bytes(3);
    CHECK(said == std::string(kPing) + "\x88");  // it may be there after all, and then hears why
  });
}

TEST_CASE("a peer that takes its time to read is asked behind what waits for it, and not given up unasked") {
  run([]() -> Future<void> {
    Ends ends = make_asking_server();
    const std::string bytes = pattern(500'000);
    Future<std::string> reading = ends.server.read_some();
    Future<void> writing = ends.server.write(bytes);
    co_await sleep_for(45s);
    const std::string before_ping = co_await ends.client.read_until(kPing);
    co_await ends.client.write(frame(0x8a, ""));
    Future<std::string> rest = ends.client.read_until_close();
    co_await std::move(writing);
    co_await sleep_for(25s);
    CHECK_FALSE(reading.done());
    CHECK_FALSE(ends.server.is_closed());
  });
}

TEST_CASE("a peer that sends is not asked, and neither is one whose bytes nobody reads") {
  run([]() -> Future<void> {
    Ends ends = make_asking_server();
    for (int i = 0; i < 10; ++i) {
      co_await ends.client.write(frame(0x82, "news"));
      const std::string news = co_await ends.server.read_bytes(4);
      co_await sleep_for(29s);
    }
    const std::string flood = pattern(200'000);  // more than the stream reads ahead and the pipe holds
    Future<void> flooding = ends.client.write(frame(0x82, flood));
    co_await sleep_for(300s);
    CHECK_FALSE(ends.server.is_closed());
    const std::string received = co_await ends.server.read_bytes(flood.size());
    CHECK(received == flood);
    co_await std::move(flooding);
    const std::size_t unasked = ends.client.buffered();
    CHECK(unasked == 0);
  });
}

TEST_CASE("a half-closed end goes on receiving until the other has said all") {
  run([]() -> Future<void> {
    Ends ends = make_ends();
    co_await send_and_end(ends.client, "request");
    const std::string request = co_await ends.server.read_until_close();
    CHECK(request == "request");
    CHECK(ends.server.input_ended());
    CHECK_FALSE(ends.server.is_closed());
    co_await send_and_end(ends.server, "response");
    const std::string response = co_await ends.client.read_until_close();
    CHECK(response == "response");
    CHECK_FALSE(ends.client.is_closed());
  });
}

TEST_CASE("a peer's Close is noticed while nobody reads") {
  run([]() -> Future<void> {
    Ends ends = make_ends();
    ends.client.close();
    co_await ends.server.peer_ended();
    CHECK(ends.server.error() == make_error_code(Errc::end));
  });
}

TEST_CASE("1000, 1001 and a Close without a code are the end of the stream") {
  run([]() -> Future<void> {
    for (const std::string& close : {close_frame(1000), close_frame(1001), frame(0x88, "")}) {
      Ends ends = make_raw_client();
      co_await ends.client.write(frame(0x82, "bye") + close + frame(0x82, "what follows a Close is nothing"));
      const std::string text = co_await ends.server.read_until_close();
      CHECK(text == "bye");
      ends.server.close();
      const std::string answer = co_await ends.client.read_until_close();
      CHECK(answer == close_frame(1000, false));
    }
  });
}

TEST_CASE("closing says Close(1000); after both Closes the server ends the connection") {
  run([]() -> Future<void> {
    Ends ends = make_raw_client();
    co_await ends.server.write("all");
    ends.server.close();
    const std::string heard = co_await ends.client.read_bytes(9);
    CHECK(heard == frame(0x82, "all", false) + close_frame(1000, false));
    CHECK_FALSE(ends.client.input_ended());
    co_await ends.client.write(close_frame(1000));
    const std::string rest = co_await ends.client.read_until_close();
    CHECK(rest.empty());
  });
}

TEST_CASE("the server ends the connection after both Closes also while its stream is kept") {
  run([]() -> Future<void> {
    Ends ends = make_raw_client();
    co_await ends.server.shutdown_write();
    co_await ends.client.write(close_frame(1000));
    const std::string heard = co_await ends.client.read_until_close();
    CHECK(heard == close_frame(1000, false));
    CHECK_FALSE(ends.server.is_closed());
  });
}

TEST_CASE("a handler that goes on writing after the peer's Close has ten seconds") {
  run([]() -> Future<void> {
    Ends ends = make_raw_client();
    co_await ends.client.write(close_frame(1000));
    co_await ends.server.peer_ended();
    co_await sleep_for(std::chrono::seconds(9));
    co_await ends.server.write("late");
    co_await sleep_for(std::chrono::seconds(2));
    const std::string heard = co_await ends.client.read_until_close();
    CHECK(heard == frame(0x82, "late", false) + close_frame(1000, false));
    ends.server.write("too late").ignore();
    const Result<void> flushed = co_await as_result(ends.server.flush());
    CHECK(flushed.reason() == Errc::end);
  });
}

TEST_CASE("with twinloop.stream an empty message ends a sending side, and pings are answered after it") {
  run([]() -> Future<void> {
    Ends ends = make_ends(true);
    co_await send_and_end(ends.client, "request");
    const std::string request = co_await ends.server.read_until_close();
    CHECK(request == "request");
    co_await send_and_end(ends.server, "response");
    const std::string response = co_await ends.client.read_until_close();
    CHECK(response == "response");

    auto [a, b] = make_pair_transports();
    IOStream client(std::move(a));
    IOStream server = websocket(std::move(b), Role::server, true);
    co_await client.write(frame(0x82, "") + frame(0x89, "x"));
    const std::string text = co_await server.read_until_close();
    CHECK(text.empty());
    const std::string pong = co_await client.read_bytes(3);
    CHECK(pong == frame(0x8a, "x", false));
    co_await client.write(frame(0x89, "y"));
    const std::string again = co_await client.read_bytes(3);
    CHECK(again == frame(0x8a, "y", false));
    server.close();
    const std::string rest = co_await client.read_until_close();
    CHECK(rest == frame(0x82, "", false) + close_frame(1000, false));
  });
}

// ---- failures

TEST_CASE("malformed frames fail the stream and are answered with Close(1002), text with 1003") {
  run([]() -> Future<void> {
    const std::string reserved = co_await reaction_to("\xf2\x80"s, Errc::protocol);
    CHECK(reserved == close_frame(1002, false));
    const std::string unmasked = co_await reaction_to(frame(0x82, "x", false), Errc::protocol);
    CHECK(unmasked == close_frame(1002, false));
    const std::string continuation = co_await reaction_to(frame(0x80, "x"), Errc::protocol);
    CHECK(continuation == close_frame(1002, false));
    const std::string text = co_await reaction_to(frame(0x81, "hello"), Errc::protocol);
    CHECK(text == close_frame(1003, false));
    const std::string bad_close = co_await reaction_to(frame(0x88, "x"), Errc::protocol);
    CHECK(bad_close == close_frame(1002, false));
    const std::string bad_text = co_await reaction_to(frame(0x88, "\x03\xe8\xff"), Errc::protocol);
    CHECK(bad_text == close_frame(1007, false));
  });
}

TEST_CASE("a Close with an error's code is that error, and is answered in kind") {
  run([]() -> Future<void> {
    const std::string broke = co_await reaction_to(close_frame(1002), Errc::protocol);
    CHECK(broke == close_frame(1002, false));
    const std::string crashed = co_await reaction_to(close_frame(1011), Errc::reset);
    CHECK(crashed == close_frame(1011, false));
    const std::string own = co_await reaction_to(close_frame(4000), Errc::reset);
    CHECK(own == close_frame(4000, false));
  });
}

TEST_CASE("what came before a malformed frame can still be read") {
  run([]() -> Future<void> {
    Ends ends = make_raw_client();
    co_await ends.client.write(frame(0x82, "before") + "\xff"s);
    co_await ends.server.closed();
    const std::string text = co_await ends.server.read_bytes(6);
    CHECK(text == "before");
    CHECK(ends.server.error() == make_error_code(Errc::protocol));
  });
}

TEST_CASE("a connection that ends without a Close is truncated, within a frame or between two") {
  run([]() -> Future<void> {
    for (const std::string& bytes :
         {frame(0x82, "whole"), frame(0x82, "whole") + "\x82", frame(0x82, "whole but cut").substr(0, 11)}) {
      Ends ends = make_raw_client();
      co_await send_and_end(ends.client, bytes);
      co_await ends.server.closed();
      CHECK(ends.server.error() == make_error_code(Errc::truncated));
      const std::string text = co_await ends.server.read_bytes(5);
      CHECK(text == "whole");
    }
  });
}

TEST_CASE("an aborted connection is reset, and no Close pretends otherwise") {
  run([]() -> Future<void> {
    Ends ends = make_ends();
    co_await ends.client.write("x");
    co_await ends.client.flush();
    ends.client.abort();
    co_await ends.server.closed();
    CHECK(ends.server.error() == make_error_code(Errc::reset));
  });
}

TEST_CASE("a transport that is closed for a reason tells it to the peer") {
  run([]() -> Future<void> {
    for (const auto& [reason, code] :
         {std::pair(Errc::overflow, 3009), std::pair(Errc::limit, 1009), std::pair(Errc::loop_closed, 1001)}) {
      auto [a, b] = make_pair_transports();
      IOStream client(std::move(a));
      WebSocketTransport server(std::move(b), WebSocketSetup(Role::server));
      server.close(reason);
      const std::string heard = co_await client.read_bytes(4);
      CHECK(heard == close_frame(static_cast<std::uint16_t>(code), false));
    }
  });
}

namespace {

// How a server's stream tells of an end that the peer's bytes made it choose, behind the answer that it had accepted.
Future<void> expect_told(IOStream& client, IOStream& server, Errc reason, std::uint16_t code) {
  co_await server.write("answer");
  const Result<std::string> read = co_await as_result(server.read_until("\n", 100));
  CHECK(read.reason() == reason);
  const std::string heard = co_await client.read_until_close();
  CHECK(heard == frame(0x82, "answer", false) + close_frame(code, false));
}

}  // namespace

TEST_CASE("a stream that fails by itself tells the peer why, behind what it had accepted") {
  run([]() -> Future<void> {
    for (const bool in_band_end : {false, true}) {
      for (const auto& [limit, reason, code] :
           {std::tuple(100'000, Errc::unsatisfiable_read, 1009), std::tuple(50, Errc::overflow, 3009)}) {
        auto [a, b] = make_pair_transports();
        IOStream client(std::move(a));
        WebSocketSetup setup(Role::server);
        if (in_band_end) setup.session = WebSocketSession(kStreamProtocol);
        const StreamOptions options = StreamOptions().max_buffer_size(static_cast<std::size_t>(limit));
        IOStream server(std::make_unique<WebSocketTransport>(std::move(b), std::move(setup)), options);
        co_await client.write(frame(0x82, std::string(200, 'x')) + close_frame(1000));
        co_await expect_told(client, server, reason, static_cast<std::uint16_t>(code));
      }
    }
  });
}

TEST_CASE("an idle stream that is given up tells the peer that it goes away") {
  run([]() -> Future<void> {
    Ends ends = make_raw_client();
    ends.server.set_idle_timeout(10ms);
    const std::string heard = co_await ends.client.read_bytes(4);
    CHECK(heard == close_frame(1001, false));
  });
}

TEST_CASE("a failure while output is blocked still sends the frame that was begun, and the Close behind it") {
  run([]() -> Future<void> {
    Ends ends = make_raw_client();
    ends.server.write(std::string(200'000, 'x')).ignore();
    co_await ends.client.write("\xff"s);
    co_await ends.server.closed();
    const std::string heard = co_await ends.client.read_until_close();
    CHECK(heard.ends_with("x" + close_frame(1002, false)));
    CHECK((heard.size() - 4) % (65536 + 10) == 0);
  });
}

// ---- the transport alone

TEST_CASE("what a transport holds leaves also while nobody wants to write") {
  run([]() -> Future<void> {
    auto [a, b] = make_pair_transports();
    WebSocketTransport client(std::move(a), WebSocketSetup(Role::client));
    IOStream server(std::move(b));
    const std::string bytes = pattern(65536);
    const ConstBytes piece = std::as_bytes(std::span(bytes));
    const IoResult taken = client.write(std::span(&piece, 1));
    CHECK(taken.count == bytes.size());
    CHECK(client.pending_output() == 14);
    co_await server.read_bytes(bytes.size() + 14);
    CHECK(client.pending_output() == 0);
  });
}

TEST_CASE("a transport tells of held input while that is wanted, and of the peer's end once and unasked") {
  run([]() -> Future<void> {
    auto [a, b] = make_pair_transports();
    WebSocketSetup setup(Role::server);
    setup.initial_input = frame(0x82, "held") + close_frame(1000);
    WebSocketTransport server(std::move(a), std::move(setup));
    Notices notices;
    server.set_listener(&notices);
    co_await sleep_for(std::chrono::milliseconds(1));
    CHECK(notices.told.empty());
    server.want(true, false);
    co_await sleep_for(std::chrono::milliseconds(1));
    CHECK(notices.told == "r");
    server.want(false, false);
    std::array<std::byte, 100> memory;
    CHECK(server.read(memory).count == 4);
    co_await sleep_for(std::chrono::milliseconds(1));
    CHECK(notices.told == "re");
    CHECK(server.read(memory).status == IoStatus::end);
    co_await sleep_for(std::chrono::milliseconds(1));
    CHECK(notices.told == "re");
  });
}

// ---- the real thing

TEST_CASE("a peer that breaks the protocol in the middle of a flood hears why, over real sockets") {
  IOLoop loop;
  loop.run_sync([]() -> Future<void> {
    Listener listener = co_await listen("ws://127.0.0.1:0");
    const std::string url = listener.url();
    IOLoop::current().spawn(serve(std::move(listener), &echo));
    IOStream client = co_await connect("tcp" + url.substr(2));
    co_await client.write(
        "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
    co_await client.read_until("\r\n\r\n");
    client.write("\xff" + std::string(3'000'000, 'x')).ignore();
    const std::string heard = co_await client.read_bytes(4);
    CHECK(heard == close_frame(1002, false));
    const std::string rest = co_await client.read_until_close();
    CHECK(rest.empty());
  });
}

TEST_CASE("ws:// connects, echoes and ends over real sockets, at the path that is served") {
  IOLoop loop;
  loop.run_sync([]() -> Future<void> {
    Listener listener = co_await listen("ws://127.0.0.1:0/echo");
    const std::string url = listener.url();
    IOLoop::current().spawn(serve(std::move(listener), &echo));
    IOStream stream = co_await connect(url);
    const std::string bytes = pattern(300'000);
    Future<void> writing = stream.write(bytes);
    const std::string back = co_await stream.read_bytes(bytes.size());
    co_await std::move(writing);
    CHECK(back == bytes);
    co_await stream.finish();
    const std::string elsewhere = url.substr(0, url.rfind('/')) + "/other";
    const Result<IOStream> refused = co_await as_result(connect(elsewhere));
    CHECK(refused.reason() == Errc::protocol);
    CHECK_THAT(refused.failure().message(), ContainsSubstring("404 Not Found"));
  });
}
