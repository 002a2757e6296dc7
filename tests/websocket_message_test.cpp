// WebSockets as messages: assembling, checking, ending, over in-process pipes and a clock that jumps.  One end is mostly the test
// itself, which says its frames byte by byte.
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "protocols/websocket/connection.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"
#include "websocket_fixtures.h"

using namespace twinloop;
using namespace twinloop::detail;
using namespace twinloop::websocket_test;
using namespace std::chrono_literals;
using namespace std::string_literals;
using Catch::Matchers::ContainsSubstring;
using twinloop::testing::cancel_everywhere;
using twinloop::testing::Faults;

namespace {

constexpr WebSocketKind kText = WebSocketKind::text;
constexpr WebSocketKind kBinary = WebSocketKind::binary;

WebSocketConnection connection(IOStream stream, Role role, const WebSocketOptions& options = {}) {
  return WebSocketConnection(
      std::make_unique<WebSocketConnection::Impl>(std::move(stream), ConnectionSetup(role), options));
}

struct Ends {
  Ends(WebSocketConnection one, WebSocketConnection other) noexcept
      : client(std::move(one)), server(std::move(other)) {}
  WebSocketConnection client;
  WebSocketConnection server;
};

Ends make_ends(const WebSocketOptions& options = {}) {
  auto [a, b] = make_pair_streams();
  return {connection(std::move(a), Role::client, options), connection(std::move(b), Role::server, options)};
}

// The client is the test.
struct Raw {
  Raw(IOStream one, WebSocketConnection other) noexcept : peer(std::move(one)), server(std::move(other)) {}
  IOStream peer;
  WebSocketConnection server;
};

Raw make_raw(const WebSocketOptions& options = {}) {
  auto [a, b] = make_pair_streams();
  return {std::move(a), connection(std::move(b), Role::server, options)};
}

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + i / 251);
  return text;
}

// What a server makes of a client's bytes, and the close code that it then says.
Future<std::string> reaction_to(std::string bytes, WebSocketOptions options = {}) {
  Raw ends = make_raw(options);
  Future<std::string> told = story(ends.server);
  co_await ends.peer.write(std::move(bytes));
  co_await ends.peer.shutdown_write();
  std::string text = co_await std::move(told);
  const std::string answer = co_await ends.peer.read_until_close();
  if (answer.size() < 4) co_return text;
  co_return text.append(" ").append(
      std::to_string(static_cast<unsigned char>(answer[2]) << 8 | static_cast<unsigned char>(answer[3])));
}

std::string reaction(const std::string& bytes, const WebSocketOptions& options = {}) {
  IOLoop loop(std::make_unique<twinloop::testing::ManualBackend>());
  std::string told = loop.run_sync(&reaction_to, bytes, options);
  loop.wind_down(30s);
  return told;
}

Future<void> echo(WebSocketConnection& ws) {
  for (;;) {
    const std::optional<WebSocketMessageView> message = co_await ws.read_message_view();
    if (!message) co_return;
    co_await ws.write_message(message->data, message->kind);
  }
}

const std::string kClose = close_frame(1000);

}  // namespace

// ---- messages

TEST_CASE("text and bytes of every length class come back as they went") {
  run([]() -> Future<void> {
    Ends ends = make_ends();
    Future<void> echoing = echo(ends.server);
    for (const std::size_t size : {0U, 1U, 125U, 126U, 127U, 65'535U, 65'536U, 1'000'000U}) {
      for (const WebSocketKind kind : {kText, kBinary}) {
        const std::string data = kind == kText ? std::string(size, 'x') : pattern(size);
        Future<void> written = ends.client.write_message(data, kind);
        const auto message = co_await ends.client.read_message();
        co_await std::move(written);
        CHECK(message.has_value());
        CHECK(message->data == data);
        CHECK(message->kind == kind);
      }
    }
    co_await ends.client.close();
    co_await std::move(echoing);
    CHECK(ends.server.close_code() == 1000);
  });
}

TEST_CASE("a carrier that moves a few bytes at a time, and often none, carries the same messages") {
  run([]() -> Future<void> {
    for (unsigned seed = 1; seed <= 6; ++seed) {
      auto [a, b] = make_pair_transports();
      const Faults slow = Faults().seed(seed).max_read(seed).max_write(seed * 7).would_block(30);
      auto client = connection(IOStream(twinloop::testing::make_faulty_transport(std::move(a), slow)), Role::client);
      auto server = connection(IOStream(twinloop::testing::make_faulty_transport(std::move(b), slow)), Role::server);
      Future<void> echoing = echo(server);
      for (const std::size_t size : {0U, 3U, 126U, 5000U}) {
        const std::string data = pattern(size);
        Future<void> written = client.write_message(data, kBinary);
        const auto message = co_await client.read_message();
        co_await std::move(written);
        CHECK(message->data == data);
      }
      co_await client.close(1000, "done");
      co_await std::move(echoing);
      CHECK(server.close_reason() == "done");
    }
  });
}

TEST_CASE("frames split at each byte, with a ping inside a fragmented message, mean the same") {
  const std::string bytes = frame(0x01, "h\xc3") + frame(0x89, "ping") + frame(0x00, "") + frame(0x80, "\xa9llo") +
                            frame(0x82, std::string(300, 'b')) + kClose;
  const std::string expected = "t:h\xc3\xa9llo b:" + std::string(300, 'b') + " end";
  IOLoop loop(std::make_unique<twinloop::testing::ManualBackend>());
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    const std::string told = loop.run_sync([&]() -> Future<std::string> {
      Raw ends = make_raw();
      Future<std::string> telling = story(ends.server);
      co_await ends.peer.write(bytes.substr(0, cut));
      co_await moment();
      co_await moment();
      co_await ends.peer.write(bytes.substr(cut));
      std::string text = co_await std::move(telling);
      const std::string answer = co_await ends.peer.read_until_close();
      co_return text + (answer == frame(0x8a, "ping", false) + close_frame(1000, false) ? "" : " wrong answer");
    });
    REQUIRE(told == expected);
  }
}

TEST_CASE("a message sent in parts is one message, and pings go between") {
  run([]() -> Future<void> {
    Ends ends = make_ends();
    Future<std::string> telling = story(ends.server);
    co_await ends.client.write_part("h\xc3", kText, false);
    co_await ends.client.ping("x");
    const Result<void> other = co_await as_result(ends.client.write_message("other"));
    CHECK(other.reason() == Errc::busy);
    co_await ends.client.write_part("\xa9", kText, true);
    const Result<void> cut = co_await as_result(ends.client.write_part("\xc3", kText, true));
    CHECK(cut.reason() == Errc::protocol);
    co_await ends.client.write_message("whole");
    co_await ends.client.close();
    const std::string told = co_await std::move(telling);
    CHECK(told == "t:h\xc3\xa9 t:whole end");
  });
}

TEST_CASE("a view is the message where it lies, until the next read") {
  run([]() -> Future<void> {
    Raw ends = make_raw();
    co_await ends.peer.write(frame(0x82, "one") + frame(0x02, "t") + frame(0x80, "wo") + kClose);
    const auto first = co_await ends.server.read_message_view();
    CHECK(first->data == "one");
    const auto second = co_await ends.server.read_message_view();
    CHECK(second->data == "two");
    const auto last = co_await ends.server.read_message_view();
    CHECK_FALSE(last.has_value());
  });
}

TEST_CASE("what nobody asks for is not read") {
  run([]() -> Future<void> {
    Raw ends = make_raw();
    const std::string message = frame(0x82, pattern(60'000));
    Future<void> flood = [](IOStream& peer, std::string bytes) -> Future<void> {
      for (int i = 0; i < 100; ++i) co_await peer.write(bytes);
    }(ends.peer, message);
    for (int i = 0; i < 200; ++i) co_await moment();
    CHECK_FALSE(flood.done());
    CHECK(ends.server.stream().buffered() <= 64 * 1024);
    for (int i = 0; i < 100; ++i) {
      const auto read = co_await ends.server.read_message();
      CHECK(read->data.size() == 60'000);
    }
    co_await std::move(flood);
  });
}

TEST_CASE("pings are answered, and the Close is, while nobody reads") {
  run([]() -> Future<void> {
    Raw ends = make_raw();
    co_await ends.peer.write(frame(0x89, "are you there"));
    const std::string pong = co_await ends.peer.read_bytes(15);
    CHECK(pong == frame(0x8a, "are you there", false));
    co_await ends.peer.write(close_frame(4001));
    co_await ends.server.closed();
    CHECK(ends.server.close_code() == 4001);
    const std::string rest = co_await ends.peer.read_until_close();
    CHECK(rest == close_frame(4001, false));
  });
}

TEST_CASE("a second read at the same time fails with busy, and the first goes on") {
  run([]() -> Future<void> {
    Ends ends = make_ends();
    auto reading = ends.server.read_message();
    const auto second = co_await as_result(ends.server.read_message());
    CHECK(second.reason() == Errc::busy);
    co_await ends.client.write_message("x");
    const auto message = co_await std::move(reading);
    CHECK(message->data == "x");
  });
}

TEST_CASE("dropping a read at any moment loses no message") {
  run([]() -> Future<void> {
    for (int turns = 0; turns < 12; ++turns) {
      Ends ends = make_ends();
      {
        auto dropped = ends.server.read_message();
        co_await ends.client.write_message("first");
        for (int i = 0; i < turns; ++i) co_await moment();
      }
      co_await ends.client.write_message("second");
      const auto first = co_await ends.server.read_message();
      CHECK(first->data == "first");
      const auto second = co_await ends.server.read_message_view();
      CHECK(second->data == "second");
    }
  });
}

TEST_CASE("a conversation that is cancelled anywhere leaves nothing behind") {
  IOLoop loop;
  loop.run_sync([]() -> Future<void> {
    co_await cancel_everywhere([]() -> Future<void> {
      Ends ends = make_ends(WebSocketOptions().set_ping(10s));
      Future<void> echoing = echo(ends.server);
      co_await ends.client.write_message("hello");
      const auto answer = co_await ends.client.read_message();
      co_await ends.client.close(1000, "bye");
      co_await std::move(echoing);
    });
  });
}

// ---- what is refused

TEST_CASE("what RFC 6455 forbids is answered with 1002, at the byte that shows it") {
  for (const int reserved : {3, 4, 5, 6, 7, 11, 12, 13, 14, 15}) {
    CHECK(reaction(std::string(1, static_cast<char>(0x80 | reserved))) == "protocol 1002");
  }
  for (const int bit : {0x10, 0x20, 0x40}) {
    for (const int opcode : {0, 1, 2, 8, 9, 10}) {
      CHECK(reaction(std::string(1, static_cast<char>(0x80 | bit | opcode))) == "protocol 1002");
    }
  }
  CHECK(reaction(frame(0x82, "unmasked", false)) == "protocol 1002");
  CHECK(reaction(frame(0x80, "continues nothing")) == "protocol 1002");
  CHECK(reaction(frame(0x01, "a") + frame(0x82, "b")) == "protocol 1002");
  CHECK(reaction(frame(0x09, "fragmented ping")) == "protocol 1002");
  CHECK(reaction(frame(0x89, std::string(126, 'p'))) == "protocol 1002");
  CHECK(reaction("\x82\xfe\x00\x7d"s) == "protocol 1002");
  CHECK(reaction("\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff"s) == "protocol 1002");
  CHECK(reaction("\x82\xff\x80\x00\x00\x00\x00\x01\x00\x00"s) == "protocol 1002");
}

TEST_CASE("a client refuses a server that masks") {
  run([]() -> Future<void> {
    auto [a, b] = make_pair_streams();
    WebSocketConnection client = connection(std::move(a), Role::client);
    co_await b.write(frame(0x82, "masked"));
    const auto read = co_await as_result(client.read_message());
    CHECK(read.reason() == Errc::protocol);
    CHECK_THAT(read.failure().message(), ContainsSubstring("a server's frame is masked"));
    CHECK(client.close_code() == 1006);
  });
}

TEST_CASE("each close code is taken, or refused with 1002, as the RFC's table has it") {
  const auto answer_to = [](int code) {
    return reaction(frame(0x88, {static_cast<char>(code >> 8), static_cast<char>(code)}));
  };
  for (const int good :
       {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999}) {
    CHECK(answer_to(good) == "end " + std::to_string(good));
  }
  for (const int bad : {0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535}) {
    CHECK(answer_to(bad) == "protocol 1002");
  }
  CHECK(reaction(frame(0x88, "")) == "end");
  CHECK(reaction(frame(0x88, "\x03")) == "protocol 1002");
  CHECK(reaction(frame(0x88, "\x03\xe8\xff")) == "protocol 1007");
  CHECK(reaction(frame(0x88, "\x03\xe8" + std::string(123, 'r'))) == "end 1000");
}

TEST_CASE("text that is no UTF-8 is answered with 1007, before its message has ended") {
  for (const std::string& bad :
       std::vector<std::string>{"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xed\xa0\x80",
                                "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
                                "\xf5\x80\x80\x80", "\xfe", "\xff", "\xc3(", "\xe2\x82(", "\xf0\x9f\x98("}) {
    CHECK(reaction(frame(0x01, "good " + bad)) == "protocol 1007");
    CHECK(reaction(frame(0x81, std::string(40, 'a') + bad)) == "protocol 1007");
    CHECK(reaction(frame(0x01, "a") + frame(0x00, bad)) == "protocol 1007");
  }
  for (const std::string& cut : std::vector<std::string>{"\xc3", "\xe2\x82", "\xf0\x9f\x98"}) {
    CHECK(reaction(frame(0x81, cut)) == "protocol 1007");
    CHECK(reaction(frame(0x01, cut) + frame(0x80, "")) == "protocol 1007");
  }
  const std::string good =
      "\x7f \xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf \xf0\x90\x80\x80 \xf4\x8f\xbf\xbf"s;
  CHECK(reaction(frame(0x81, good) + kClose) == "t:" + good + " end 1000");
  CHECK(reaction(frame(0x82, "\xff") + kClose) == "b:\xff end 1000");
}

TEST_CASE("the first byte that makes a text wrong ends it, though its frame goes on") {
  run([]() -> Future<void> {
    Raw ends = make_raw();
    auto reading = ends.server.read_message();
    std::string long_frame = frame(0x81, "\xed\xa0" + std::string(1000, 'x'));
    co_await ends.peer.write(long_frame.substr(0, 10));
    const auto read = co_await as_result(std::move(reading));
    CHECK(read.reason() == Errc::protocol);
  });
}

TEST_CASE("a message beyond the limit is answered with 1009, as soon as a header announces it") {
  const WebSocketOptions small = WebSocketOptions().set_max_message_size(10);
  CHECK(reaction(frame(0x82, "0123456789") + kClose, small) == "b:0123456789 end 1000");
  CHECK(reaction(frame(0x82, "0123456789a"), small) == "overflow 1009");
  CHECK(reaction(frame(0x82, std::string(1 << 20, 'x')).substr(0, 14), small) == "overflow 1009");
  CHECK(reaction(frame(0x02, "012345") + frame(0x80, "67890"), small) == "overflow 1009");
  CHECK(reaction(frame(0x02, "012345") + frame(0x00, "") + frame(0x80, "6789") + kClose, small) ==
        "b:0123456789 end 1000");
}

TEST_CASE("what may not be said is refused here, and nothing is sent") {
  run([]() -> Future<void> {
    Ends ends = make_ends(WebSocketOptions().set_max_write_buffer_size(1000));
    const Result<void> text = co_await as_result(ends.client.write_message("\xff"));
    CHECK(text.reason() == Errc::protocol);
    const Result<void> ping = co_await as_result(ends.client.ping(std::string(126, 'p')));
    CHECK(ping.reason() == Errc::limit);
    for (const int code : {0, 999, 1005, 1006, 1015, 5000}) {
      const Result<void> close = co_await as_result(ends.client.close(static_cast<std::uint16_t>(code)));
      CHECK(close.reason() == Errc::protocol);
    }
    const Result<void> reason = co_await as_result(ends.client.close(1000, std::string(124, 'r')));
    CHECK(reason.reason() == Errc::protocol);
    const Result<void> big = co_await as_result(ends.client.write_message(std::string(1001, 'x')));
    CHECK(big.reason() == Errc::limit);
    co_await ends.client.write_message("fine");
    const auto message = co_await ends.server.read_message();
    CHECK(message->data == "fine");
  });
}

// ---- how it ends

TEST_CASE("both ends know who closed and why") {
  run([]() -> Future<void> {
    Ends ends = make_ends();
    Future<std::string> telling = story(ends.server);
    co_await ends.client.close(4242, "enough");
    const std::string told = co_await std::move(telling);
    CHECK(told == "end");
    CHECK(ends.server.close_code() == 4242);
    CHECK(ends.server.close_reason() == "enough");
    CHECK(ends.client.close_code() == 4242);
    const Result<void> late = co_await as_result(ends.server.write_message("late"));
    CHECK(late.reason() == Errc::end);
    const auto none = co_await ends.client.read_message();
    CHECK_FALSE(none.has_value());
    co_await ends.client.close();
  });
}

TEST_CASE("a read that waits ends without a message when this end closes") {
  run([]() -> Future<void> {
    Ends ends = make_ends();
    auto reading = ends.client.read_message();
    co_await ends.server.write_message("on its way");
    co_await ends.client.close();
    const auto message = co_await std::move(reading);
    CHECK_FALSE(message.has_value());
  });
}

TEST_CASE("both ends close at once") {
  run([]() -> Future<void> {
    Ends ends = make_ends();
    Future<void> one = ends.client.close(1001, "going");
    Future<void> other = ends.server.close(4000, "too");
    co_await std::move(one);
    co_await std::move(other);
    CHECK(ends.client.close_code() == 4000);
    CHECK(ends.server.close_code() == 1001);
    CHECK_FALSE(ends.client.error());
    CHECK_FALSE(ends.server.error());
  });
}

TEST_CASE("messages in front of the Close arrive, those in flight the other way are thrown away") {
  run([]() -> Future<void> {
    Ends ends = make_ends();
    for (int i = 0; i < 3; ++i) co_await ends.client.write_message(std::to_string(i));
    for (int i = 0; i < 3; ++i) co_await ends.server.write_message(pattern(20'000), kBinary);
    Future<void> closing = ends.client.close();
    const std::string told = co_await story(ends.server);
    CHECK(told == "t:0 t:1 t:2 end");
    co_await std::move(closing);
  });
}

TEST_CASE("a peer that does not answer the Close is given up after the timeout") {
  run([]() -> Future<void> {
    Raw ends = make_raw();
    const TimePoint before = IOLoop::current().clock();
    const Result<void> closed = co_await as_result(ends.server.close());
    CHECK(closed.reason() == Errc::timeout);
    CHECK(IOLoop::current().clock() - before >= 5s);
    CHECK(IOLoop::current().clock() - before < 6s);
    CHECK(ends.server.close_code() == 1006);
  });
}

TEST_CASE("a connection that ends without a Close is truncated") {
  CHECK(reaction(frame(0x82, "all") + frame(0x02, "half")) == "b:all truncated");
  CHECK(reaction("") == "truncated");
}

TEST_CASE("a peer that goes is noticed though its message is not asked for") {
  run([]() -> Future<void> {
    Raw ends = make_raw();
    co_await ends.peer.write(frame(0x82, "unread"));
    Future<void> closed = ends.server.closed();
    co_await moment();
    CHECK_FALSE(closed.done());
    co_await ends.peer.shutdown_write();
    co_await std::move(closed);
    const auto message = co_await ends.server.read_message();
    CHECK(message->data == "unread");
    const auto end = co_await as_result(ends.server.read_message());
    CHECK(end.reason() == Errc::truncated);
  });
}

TEST_CASE("destroying a connection says Close, behind what was written") {
  run([]() -> Future<void> {
    Ends ends = make_ends();
    ends.client.write_message("last words").ignore();
    ends.client = WebSocketConnection();
    const std::string told = co_await story(ends.server);
    CHECK(told == "t:last words end");
    CHECK(ends.server.close_code() == 1000);
  });
}

TEST_CASE("an abort says nothing") {
  run([]() -> Future<void> {
    Ends ends = make_ends();
    auto reading = ends.client.read_message();
    ends.client.abort();
    const auto read = co_await as_result(std::move(reading));
    CHECK(read.reason() == Errc::local);
    const std::string told = co_await story(ends.server);
    CHECK((told == "truncated" || told == "reset"));
  });
}

TEST_CASE("a loop that closes ends what waits on a connection") {
  std::optional<WebSocketConnection> client;
  std::optional<WebSocketConnection> server;
  Future<std::optional<WebSocketMessage>> reading;
  Future<void> closing;
  {
    IOLoop loop(std::make_unique<twinloop::testing::ManualBackend>());
    auto [a, b] = make_pair_streams();
    client.emplace(connection(std::move(a), Role::client, WebSocketOptions().set_ping(10s)));
    server.emplace(connection(std::move(b), Role::server));
    reading = client->read_message();
    closing = server->close();
  }
  CHECK(reading.take_result().reason() == Errc::loop_closed);
  CHECK(closing.take_result().reason() == Errc::loop_closed);
}

// ---- pings

TEST_CASE("a silent peer is asked, and given up when it does not answer") {
  run([]() -> Future<void> {
    Raw ends = make_raw(WebSocketOptions().set_ping(30s, 20s));
    const TimePoint before = IOLoop::current().clock();
    const auto read = co_await as_result(ends.server.read_message());
    CHECK(read.reason() == Errc::idle_timeout);
    CHECK(IOLoop::current().clock() - before >= 50s);
    CHECK_THAT(read.failure().message(), ContainsSubstring("ping timed out"));
    const std::string said = co_await ends.peer.read_until_close();
    CHECK(said.substr(0, 2) == "\x89\x00"s);
  });
}

TEST_CASE("a peer that answers is kept for ever") {
  run([]() -> Future<void> {
    Ends ends = make_ends(WebSocketOptions().set_ping(30s, 20s));
    auto reading = ends.server.read_message();
    co_await sleep_for(std::chrono::hours(1));
    CHECK_FALSE(reading.done());
    CHECK_FALSE(ends.client.is_closed());
  });
}

TEST_CASE("pings and pongs are told, with what they carry") {
  run([]() -> Future<void> {
    Ends ends = make_ends();
    std::string told;
    Promise<void> ponged;
    Future<void> heard = ponged.get_future();
    ends.server.set_on_ping([&](std::string payload) { told += "ping " + payload; });
    ends.client.set_on_pong([&](std::string payload) {
      told += ", pong " + payload;
      ponged.set_value();
    });
    co_await ends.client.ping("here");
    co_await std::move(heard);
    CHECK(told == "ping here, pong here");
  });
}

TEST_CASE("a peer that pings and does not read makes no answers pile up") {
  run([]() -> Future<void> {
    Raw ends = make_raw();
    std::string pings;
    for (int i = 0; i < 100; ++i) pings += frame(0x89, std::string(125, 'p'));
    for (int i = 0; i < 100; ++i) co_await ends.peer.write(pings);
    for (int i = 0; i < 100; ++i) co_await moment();
    CHECK(ends.server.unsent() <= 66 * 1024);
    co_await ends.peer.write(frame(0x89, "the last") + kClose);
    const std::string answers = co_await ends.peer.read_until_close();
    CHECK(answers.size() < 400 * 1024);
    CHECK(answers.ends_with(close_frame(1000, false)));
  });
}

TEST_CASE("pings from inside a callback may end the connection") {
  run([]() -> Future<void> {
    Ends ends = make_ends();
    ends.server.set_on_ping([&](const std::string&) { ends.server = WebSocketConnection(); });
    co_await ends.client.ping();
    const auto end = co_await ends.client.read_message();
    CHECK_FALSE(end.has_value());
  });
}

// ---- back-pressure and broadcast

TEST_CASE("a write waits while a slow peer does not read, and beyond the limit is refused whole") {
  run([]() -> Future<void> {
    Raw ends = make_raw(WebSocketOptions().set_max_write_buffer_size(300'000));
    Future<void> first = ends.server.write_message(std::string(200'000, 'a'));
    CHECK_FALSE(first.done());
    const Result<void> second = co_await as_result(ends.server.write_message(std::string(200'000, 'b')));
    CHECK(second.reason() == Errc::limit);
    CHECK(ends.server.unsent() < 300'000);
    const std::string got = co_await ends.peer.read_bytes(200'010);
    CHECK(got.find('b') == std::string::npos);
    co_await std::move(first);
    co_await ends.server.write_message("again");
    const std::string again = co_await ends.peer.read_bytes(7);
    CHECK(again == frame(0x81, "again", false));
  });
}

namespace {

// Takes everything, and notes where the long pieces lie.
class Swallowing final : public Transport {
 public:
  explicit Swallowing(std::vector<const std::byte*>& places) : places_(places) {}
  IoResult read(Bytes) override { return IoResult::would_block(); }
  IoResult write(std::span<const ConstBytes> pieces) override {
    std::size_t count = 0;
    for (const ConstBytes piece : pieces) {
      if (piece.size() > 1000) places_.push_back(piece.data());
      count += piece.size();
    }
    return IoResult::done(count);
  }
  IoResult shutdown_write() override { return IoResult::done(); }
  void close(std::error_code) noexcept override {}
  void want(bool, bool) override {}
  void set_listener(TransportListener*) noexcept override {}
  bool close_may_lose_output() const noexcept override { return false; }

 private:
  std::vector<const std::byte*>& places_;
};

}  // namespace

TEST_CASE("a prepared message goes to a hundred peers without being copied") {
  run([]() -> Future<void> {
    const PreparedMessage message(std::string(50'000, 'x'));
    std::vector<const std::byte*> places;
    std::vector<WebSocketConnection> peers;
    for (int i = 0; i < 100; ++i) {
      peers.push_back(connection(IOStream(std::make_unique<Swallowing>(places)), Role::server));
      peers.back().write_message(message).ignore();
    }
    for (WebSocketConnection& each : peers) co_await each.flush();
    CHECK(places.size() == 100);
    CHECK(std::set<const std::byte*>(places.begin(), places.end()).size() == 1);
  });
}

TEST_CASE("a prepared message reaches a hundred peers, and a client masks it") {
  run([]() -> Future<void> {
    const PreparedMessage message(std::string(50'000, 'x'));
    std::vector<Raw> peers;
    for (int i = 0; i < 100; ++i) {
      peers.push_back(make_raw());
      peers.back().server.write_message(message).ignore();
    }
    for (Raw& each : peers) {
      const std::string got = co_await each.peer.read_bytes(50'004);
      CHECK(got == frame(0x81, std::string(50'000, 'x'), false));
    }
    auto [a, b] = make_pair_streams();
    WebSocketConnection client = connection(std::move(a), Role::client);
    co_await client.write_message(message);
    const std::string masked = co_await b.read_bytes(50'008);
    CHECK((static_cast<unsigned char>(masked[1]) & 0x80) != 0);
  });
}
