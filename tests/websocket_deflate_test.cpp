// permessage-deflate: what is agreed, what goes over the wire, and what a hostile peer cannot do with it.
#include <catch2/catch_test_macros.hpp>
#include <memory>
#include <string>
#include <utility>

#include "protocols/websocket/connection.h"
#include "protocols/websocket/head.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"
#include "websocket_fixtures.h"

using namespace twinloop;
using namespace twinloop::detail;
using namespace twinloop::websocket_test;
using namespace std::chrono_literals;
using namespace std::string_literals;

namespace {

constexpr WebSocketKind kText = WebSocketKind::text;
constexpr WebSocketKind kBinary = WebSocketKind::binary;

RequestHead with_extensions(const std::string& value) {
  RequestHead head;
  head.headers.emplace_back("Sec-WebSocket-Extensions", value);
  return head;
}

// What a server answers to an offer; "none" when it takes none, "malformed" when it is none.
std::string answer_to(const std::string& offer, const WebSocketCompression& wish = {}) {
  const auto offers = parse_extensions(with_extensions(offer));
  if (!offers) return "malformed";
  std::string answer;
  return accept_offer(*offers, wish, answer) ? answer : "none";
}

bool client_takes(const std::string& answer, const WebSocketCompression& wish = {}) {
  const auto extensions = parse_extensions(with_extensions(answer));
  return extensions && accept_answer(*extensions, wish);
}

struct Ends {
  Ends(WebSocketConnection one, WebSocketConnection other) noexcept
      : client(std::move(one)), server(std::move(other)) {}
  WebSocketConnection client;
  WebSocketConnection server;
};

Future<Ends> shake_hands(WebSocketOptions client_options, WebSocketOptions server_options) {
  auto [a, b] = make_pair_streams();
  Future<WebSocketConnection> accepting = websocket_accept(std::move(b), std::move(server_options));
  WebSocketConnection client = co_await websocket_connect(std::move(a), "ws://test/", std::move(client_options));
  WebSocketConnection server = co_await std::move(accepting);
  co_return Ends(std::move(client), std::move(server));
}

WebSocketOptions compressed(const WebSocketCompression& how = WebSocketCompression().set_threshold(0)) {
  return WebSocketOptions().set_compression(how);
}

// A server whose client is the test, which may say compressed frames.
struct Raw {
  Raw(IOStream one, WebSocketConnection other) noexcept : peer(std::move(one)), server(std::move(other)) {}
  IOStream peer;
  WebSocketConnection server;
};

Raw make_raw(const DeflateAgreement& agreed = {}, std::size_t max_message = 1 << 20) {
  auto [a, b] = make_pair_streams();
  ConnectionSetup setup(Role::server);
  setup.deflate = agreed;
  const WebSocketOptions options = compressed().set_max_message_size(max_message);
  return {std::move(a),
          WebSocketConnection(std::make_unique<WebSocketConnection::Impl>(std::move(b), std::move(setup), options))};
}

std::string compressed_frame(int first, const std::string& payload) {
  std::string bytes = frame(first, payload);
  bytes[0] = static_cast<char>(bytes[0] | 0x40);
  return bytes;
}

std::string deflated(std::string_view message) { return Deflater(DeflateSettings(), false).compress(message); }

Future<Errc> failure_of(WebSocketConnection& ws) {
  const auto read = co_await as_result(ws.read_message());
  co_return read.ok() ? Errc::end : read.reason();
}

std::string sentence(int number) {
  return "message number " + std::to_string(number) + " says much the same as the others do, once more";
}

}  // namespace

// ---- the handshake

TEST_CASE("a server takes the first offer that it understands in every word") {
  CHECK(answer_to("permessage-deflate") == "permessage-deflate");
  CHECK(answer_to("permessage-deflate; client_max_window_bits") == "permessage-deflate");
  CHECK(answer_to("permessage-deflate; client_max_window_bits=10") == "permessage-deflate; client_max_window_bits=10");
  CHECK(answer_to("permessage-deflate; server_max_window_bits=\"9\"") ==
        "permessage-deflate; server_max_window_bits=9");
  CHECK(answer_to("permessage-deflate; server_no_context_takeover; client_no_context_takeover") ==
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
  CHECK(answer_to("permessage-deflate; unknown, permessage-deflate") == "permessage-deflate");
  CHECK(answer_to("x-webkit-deflate-frame, permessage-deflate; server_max_window_bits=12") ==
        "permessage-deflate; server_max_window_bits=12");
  CHECK(answer_to("") == "none");
}

TEST_CASE("an offer with a parameter that is unknown, wrong or said twice is not taken") {
  for (const char* bad :
       {"permessage-deflate; unknown", "permessage-deflate; unknown=1", "permessage-bzip2",
        "permessage-deflate; server_no_context_takeover=1", "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=7", "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=08", "permessage-deflate; server_max_window_bits=1x",
        "permessage-deflate; client_max_window_bits=0", "permessage-deflate; client_max_window_bits=99",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=9"}) {
    CAPTURE(bad);
    CHECK(answer_to(bad) == "none");
  }
  for (const char* bad : {"permessage-deflate;", "permessage-deflate; a=", "permessage-deflate; a=\"", "a b", "; a",
                          "permessage-deflate; server_max_window_bits=\"1 0\"", "a; =b"}) {
    CAPTURE(bad);
    CHECK(answer_to(bad) == "malformed");
  }
}

TEST_CASE("a server's own wishes are in its answer") {
  const auto wish = WebSocketCompression().set_server_no_context_takeover(true).set_server_max_window_bits(11);
  CHECK(answer_to("permessage-deflate", wish) ==
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=11");
  const auto small = WebSocketCompression().set_client_max_window_bits(9);
  CHECK(answer_to("permessage-deflate", small) == "permessage-deflate");  // the client did not say that it could
  CHECK(answer_to("permessage-deflate; client_max_window_bits", small) ==
        "permessage-deflate; client_max_window_bits=9");
}

TEST_CASE("a client takes only an answer to what it offered") {
  CHECK(client_takes("permessage-deflate"));
  CHECK(client_takes("permessage-deflate; server_no_context_takeover; client_max_window_bits=9"));
  CHECK_FALSE(client_takes("permessage-deflate; client_max_window_bits"));
  CHECK_FALSE(client_takes("permessage-deflate; unknown"));
  CHECK_FALSE(client_takes("permessage-deflate, permessage-deflate"));
  CHECK_FALSE(client_takes("permessage-bzip2"));
  const auto strict = WebSocketCompression().set_server_no_context_takeover(true).set_server_max_window_bits(10);
  CHECK(deflate_offer(strict) ==
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=10; client_max_window_bits");
  CHECK_FALSE(client_takes("permessage-deflate", strict));
  CHECK_FALSE(client_takes("permessage-deflate; server_no_context_takeover", strict));
  CHECK_FALSE(client_takes("permessage-deflate; server_no_context_takeover; server_max_window_bits=11", strict));
  CHECK(client_takes("permessage-deflate; server_no_context_takeover; server_max_window_bits=9", strict));
}

TEST_CASE("without both ends' wish nothing is compressed") {
  run([]() -> Future<void> {
    Ends neither = co_await shake_hands({}, {});
    CHECK_FALSE(neither.client.compressed());
    Ends client_only = co_await shake_hands(compressed(), {});
    CHECK_FALSE(client_only.client.compressed());
    Ends server_only = co_await shake_hands({}, compressed());
    CHECK_FALSE(server_only.server.compressed());
    Ends both = co_await shake_hands(compressed(), compressed());
    CHECK(both.client.compressed());
    CHECK(both.server.compressed());
  });
}

// ---- messages

TEST_CASE("messages come back the same in every form of context takeover and every window") {
  run([]() -> Future<void> {
    for (const bool server_forgets : {false, true}) {
      for (const bool client_forgets : {false, true}) {
        for (int bits = 8; bits <= 15; ++bits) {
          const auto how = WebSocketCompression()
                               .set_threshold(0)
                               .set_server_no_context_takeover(server_forgets)
                               .set_client_no_context_takeover(client_forgets)
                               .set_server_max_window_bits(bits)
                               .set_client_max_window_bits(23 - bits);
          Ends ends = co_await shake_hands(compressed(how), compressed());
          std::string big;
          for (int i = 0; i < 2000; ++i) big += sentence(i);
          for (const std::string& text : {sentence(1), ""s, "x"s, sentence(2), big, sentence(3)}) {
            Future<void> up = ends.client.write_message(text, kText);
            const auto at_server = co_await ends.server.read_message_view();
            CHECK(at_server->data == text);
            Future<void> down = ends.server.write_message(at_server->data, kBinary);
            const auto back = co_await ends.client.read_message();
            CHECK(back->data == text);
            co_await std::move(up);
            co_await std::move(down);
          }
        }
      }
    }
  });
}

TEST_CASE("an end that remembers sends the same message in fewer bytes the second time") {
  run([]() -> Future<void> {
    for (const bool forgets : {false, true}) {
      DeflateAgreement agreed;
      agreed.server_no_context_takeover = forgets;
      Raw ends = make_raw(agreed);
      std::size_t sizes[2];
      for (std::size_t& size : sizes) {
        co_await ends.server.write_message(sentence(7));
        const std::string answer = co_await ends.peer.read_some();
        CHECK(static_cast<unsigned char>(answer[0]) == 0xc1);
        size = answer.size();
      }
      CHECK(sizes[0] < sentence(7).size());
      CHECK((forgets ? sizes[1] == sizes[0] : sizes[1] < sizes[0] / 3));
    }
  });
}

TEST_CASE("a message below the threshold is sent as it is") {
  run([]() -> Future<void> {
    Ends ends = co_await shake_hands(compressed(WebSocketCompression().set_threshold(100)), compressed());
    co_await ends.client.write_message(std::string(99, 'x'));
    const std::size_t plain = ends.client.unsent();
    CHECK(plain == 2 + 4 + 99);
    const auto message = co_await ends.server.read_message();
    co_await ends.client.write_message(std::string(100, 'x'));
    CHECK(ends.client.unsent() < 30);
    const auto other = co_await ends.server.read_message();
    CHECK(other->data == std::string(100, 'x'));
  });
}

TEST_CASE("a compressed message may come in fragments, and beside plain ones") {
  run([]() -> Future<void> {
    Raw ends = make_raw();
    const std::string whole = deflated(sentence(1));
    std::string bytes = compressed_frame(0x01, whole.substr(0, 1));
    for (std::size_t i = 1; i < whole.size(); ++i) bytes += frame(0x00, whole.substr(i, 1));
    bytes += frame(0x80, "");
    co_await ends.peer.write(bytes + frame(0x81, "plain"));
    const auto first = co_await ends.server.read_message();
    CHECK(first->data == sentence(1));
    const auto second = co_await ends.server.read_message();
    CHECK(second->data == "plain");
  });
}

TEST_CASE("the RFC's examples of compressed messages are understood") {
  run([]() -> Future<void> {
    Raw ends = make_raw();
    co_await ends.peer.write(compressed_frame(0x81, "\xf2\x48\xcd\xc9\xc9\x07\x00"s));
    co_await ends.peer.write(compressed_frame(0x81, "\xf2\x00\x11\x00\x00"s));  // refers to the first
    co_await ends.peer.write(
        compressed_frame(0x81, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"s));           // not compressed
    co_await ends.peer.write(compressed_frame(0x81, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"s));  // a last block
    co_await ends.peer.write(
        compressed_frame(0x81, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"s));  // two blocks
    for (int i = 0; i < 5; ++i) {
      const auto message = co_await ends.server.read_message();
      CHECK(message->data == "Hello");
    }
  });
}

TEST_CASE("RSV1 is refused where nothing was agreed, on control frames and on continuations") {
  run([]() -> Future<void> {
    for (const int first : {0x89, 0x8a, 0x88}) {
      Raw ends = make_raw();
      co_await ends.peer.write(compressed_frame(first, ""));
      const Errc reason = co_await failure_of(ends.server);
      CHECK(reason == Errc::protocol);
    }
    Raw ends = make_raw();
    co_await ends.peer.write(compressed_frame(0x01, deflated("x")) + compressed_frame(0x80, ""));
    const Errc reason = co_await failure_of(ends.server);
    CHECK(reason == Errc::protocol);
  });
}

// ---- hostile peers

TEST_CASE("a compression bomb is closed with 1009, and takes no more memory than the limit") {
  run([]() -> Future<void> {
    Raw ends = make_raw({}, 100'000);
    std::string bomb = deflated(std::string(64 << 20, '\0'));
    CHECK(bomb.size() < 100'000);
    co_await ends.peer.write(compressed_frame(0x82, bomb));
    const Errc reason = co_await failure_of(ends.server);
    CHECK(reason == Errc::overflow);
    const std::string answer = co_await ends.peer.read_until_close();
    CHECK(answer.substr(2, 2) == "\x03\xf1"s);
  });
}

TEST_CASE("what does not decompress is closed with 1007, and so is text that decompresses to no UTF-8") {
  run([]() -> Future<void> {
    for (const std::string& payload :
         {"\xff\xff\xff"s, "\x06garbage"s, deflated("\xed\xa0\x80"), deflated("cut \xe2\x82")}) {
      Raw ends = make_raw();
      co_await ends.peer.write(compressed_frame(0x81, payload));
      const Errc reason = co_await failure_of(ends.server);
      CHECK(reason == Errc::protocol);
      const std::string answer = co_await ends.peer.read_until_close();
      CHECK(answer.substr(2, 2) == "\x03\xef"s);
    }
  });
}

// ---- broadcast

TEST_CASE("a prepared message is compressed once, and what follows it on each connection is understood") {
  run([]() -> Future<void> {
    const auto how = WebSocketCompression().set_threshold(0);
    std::string text;
    for (int i = 0; i < 100; ++i) text += sentence(i);
    const PreparedMessage message(text, kText, how);
    for (const bool forgets : {false, true}) {
      auto client_wish = WebSocketCompression().set_threshold(0).set_server_no_context_takeover(forgets);
      Ends ends = co_await shake_hands(compressed(client_wish), compressed());
      Ends plain = co_await shake_hands({}, compressed());
      for (int round = 0; round < 3; ++round) {
        co_await ends.server.write_message(sentence(round));
        co_await ends.server.write_message(message);
        CHECK(ends.server.unsent() < text.size() / 4);
        co_await ends.server.write_message(sentence(round) + text.substr(0, 500));
        const auto before = co_await ends.client.read_message();
        CHECK(before->data == sentence(round));
        const auto shared = co_await ends.client.read_message();
        CHECK(shared->data == text);
        const auto behind = co_await ends.client.read_message();
        CHECK(behind->data == sentence(round) + text.substr(0, 500));
        co_await plain.server.write_message(message);
        const auto as_it_is = co_await plain.client.read_message();
        CHECK(as_it_is->data == text);
      }
    }
    Ends small = co_await shake_hands(compressed(WebSocketCompression().set_server_max_window_bits(10)), compressed());
    co_await small.server.write_message(message);
    const auto shared = co_await small.client.read_message();
    CHECK(shared->data == text);
  });
}

TEST_CASE("many compressed messages under way at once do not disturb each other") {
  run([]() -> Future<void> {
    DeflateAgreement forgetful;
    forgetful.client_no_context_takeover = forgetful.server_no_context_takeover = true;
    Raw one = make_raw(forgetful);
    Raw other = make_raw(forgetful);
    const std::string first = deflated(sentence(1));
    const std::string second = deflated(sentence(2));
    auto reading = one.server.read_message();
    auto reading_too = other.server.read_message();
    co_await one.peer.write(compressed_frame(0x01, first.substr(0, 10)));
    co_await moment();
    co_await other.peer.write(compressed_frame(0x01, second.substr(0, 10)));
    co_await moment();
    co_await one.peer.write(frame(0x80, first.substr(10)));
    co_await other.peer.write(frame(0x80, second.substr(10)));
    const auto message = co_await std::move(reading);
    CHECK(message->data == sentence(1));
    const auto message_too = co_await std::move(reading_too);
    CHECK(message_too->data == sentence(2));
  });
}
