// WebSockets as messages, over a pair and over TCP: what Tornado's websocket_test.py asks for, with this library's meaning.  Each
// behaviour is named after its test there.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fixtures.h"
#include "twinloop/net.h"
#include "twinloop/timing.h"
#include "twinloop/websocket_connection.h"

namespace twinloop::testing {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

constexpr WebSocketKind kText = WebSocketKind::text;
constexpr WebSocketKind kBinary = WebSocketKind::binary;

struct Carrier {
  const char* name;
  const char* url;  // null: a pair
  Needs needs;
};

constexpr Carrier kCarriers[] = {{"a pair", nullptr, Needs::http},
                                 {"tcp", "tcp://127.0.0.1:0", Needs::tcp | Needs::listen}};

struct Streams {
  Streams(IOStream one, IOStream other) noexcept : client(std::move(one)), server(std::move(other)) {}
  IOStream client;
  IOStream server;
};

Future<Streams> open_streams(const Carrier& carrier) {
  if (carrier.url == nullptr) {
    auto [a, b] = make_pair_streams();
    co_return Streams(std::move(a), std::move(b));
  }
  Listener listener = co_await listen(carrier.url);
  Future<IOStream> accepting = listener.accept();
  IOStream client = co_await connect(listener.url());
  IOStream server = co_await std::move(accepting);
  co_return Streams(std::move(client), std::move(server));
}

struct Ends {
  Ends(WebSocketConnection one, WebSocketConnection other) noexcept
      : client(std::move(one)), server(std::move(other)) {}
  WebSocketConnection client;
  WebSocketConnection server;
};

Future<Ends> open_ends(const Carrier& carrier, WebSocketOptions ours = {}, WebSocketOptions theirs = {}) {
  Streams streams = co_await open_streams(carrier);
  Future<WebSocketConnection> accepting = websocket_accept(std::move(streams.server), std::move(theirs));
  WebSocketConnection client = co_await websocket_connect(std::move(streams.client), "ws://test/", std::move(ours));
  WebSocketConnection server = co_await std::move(accepting);
  co_return Ends(std::move(client), std::move(server));
}

// A message that must be there.
Future<std::string> text_of(WebSocketConnection& ws) {
  auto message = co_await ws.read_message();
  expect(message.has_value(), "there is a message");
  co_return std::move(message->data);
}

Future<void> expect_end(WebSocketConnection& ws) {
  const auto message = co_await ws.read_message();
  expect(!message.has_value(), "there is no further message");
}

Future<void> echo(WebSocketConnection& ws) {
  for (;;) {
    const std::optional<WebSocketMessageView> message = co_await ws.read_message_view();
    if (!message) co_return;
    co_await ws.write_message(message->data, message->kind);
  }
}

// ---- the handshake

std::string request(const std::string& headers) { return "GET / HTTP/1.1\r\nHost: test\r\n" + headers + "\r\n"; }

const std::string kUpgrade =
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
    "dGhlIHNhbXBsZSBub25jZQ==\r\n";

// What a server says to a request: its first line, in which the status is.
Future<std::string> answer_to(const Carrier& carrier, std::string bytes, WebSocketOptions options = {}) {
  Streams streams = co_await open_streams(carrier);
  Future<WebSocketConnection> accepting = websocket_accept(std::move(streams.server), std::move(options));
  co_await streams.client.write(std::move(bytes));
  std::string line = co_await streams.client.read_until("\r\n");
  const Result<WebSocketConnection> accepted = co_await as_result(std::move(accepting));
  expect_equal(accepted.ok(), line.starts_with("HTTP/1.1 101"));
  if (!accepted.ok()) expect_equal(name(accepted.reason()), "protocol");
  co_return line;
}

Future<void> expect_status(const Carrier& carrier, std::string bytes, std::string status,
                           WebSocketOptions options = {}) {
  const std::string line = co_await answer_to(carrier, std::move(bytes), std::move(options));
  expect(line.starts_with("HTTP/1.1 " + status), line);
}

Future<void> refuse_requests(const Carrier& carrier) {
  co_await expect_status(carrier, request(""), "426");
  co_await expect_status(carrier, request("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"),
                         "400");
  std::string old = kUpgrade;
  old.replace(old.find("13"), 2, "12");
  co_await expect_status(carrier, request(old), "426");
  co_await expect_status(carrier, "POST / HTTP/1.1\r\nHost: test\r\n" + kUpgrade + "\r\n", "405");
  co_await expect_status(carrier, request(kUpgrade + "Sec-WebSocket-Extensions: a=\r\n"), "400");
  co_await expect_status(carrier, "nonsense\r\n\r\n", "400");
  co_await expect_status(carrier, request(kUpgrade), "101");
}

Future<void> check_origins(const Carrier& carrier) {
  const auto from = [](const std::string& origin) { return request(kUpgrade + "Origin: " + origin + "\r\n"); };
  co_await expect_status(carrier, from("http://test"), "101");
  co_await expect_status(carrier, from("http://test:80"), "101");
  co_await expect_status(carrier, from("test"), "403");
  co_await expect_status(carrier, from("null"), "403");
  co_await expect_status(carrier, from("http://elsewhere.example"), "403");
  co_await expect_status(carrier, from("http://sub.test"), "403");
  const WebSocketOptions open = WebSocketOptions().add_origin("http://elsewhere.example");
  co_await expect_status(carrier, from("http://elsewhere.example"), "101", open);
}

// What a client makes of an answer.
Future<Failure> failure_of(const Carrier& carrier, std::string answer, WebSocketOptions options = {}) {
  Streams streams = co_await open_streams(carrier);
  Future<WebSocketConnection> connecting =
      websocket_connect(std::move(streams.client), "ws://test/path", std::move(options));
  const std::string asked = co_await streams.server.read_until("\r\n\r\n");
  expect(asked.starts_with("GET /path HTTP/1.1\r\nHost: test\r\n"), asked);
  co_await streams.server.write(std::move(answer));
  streams.server.close();
  const Result<WebSocketConnection> connection = co_await as_result(std::move(connecting));
  expect(!connection.ok(), "it is refused");
  co_return connection.failure();
}

int status_of(const Failure& failure) {
  if (!failure.exception()) return 0;
  try {
    std::rethrow_exception(failure.exception());
  } catch (const WebSocketError& error) {
    return error.http_status();
  } catch (...) {
    return 0;
  }
}

Future<void> report_failures(const Carrier& carrier) {
  const std::string nothing = "Content-Length: 0\r\n\r\n";
  const Failure missing = co_await failure_of(carrier, "HTTP/1.1 404 Not Found\r\n" + nothing);
  expect_equal(status_of(missing), 404);
  expect(missing.message().find("404 Not Found") != std::string::npos, missing.message());
  const Failure plain = co_await failure_of(carrier, "HTTP/1.1 200 OK\r\n" + nothing);
  expect_equal(status_of(plain), 200);
  const Failure moved = co_await failure_of(carrier, "HTTP/1.1 302 Found\r\nLocation: ws://elsewhere/\r\n" + nothing);
  expect_equal(status_of(moved), 302);
  const std::string wrong =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
      "x\r\n\r\n";
  const Failure key = co_await failure_of(carrier, wrong);
  expect_equal(status_of(key), 101);
  const Failure cut = co_await failure_of(carrier, "");
  expect_equal(name(reason_of(cut.code())), "truncated");
}

Future<void> pass_headers(const Carrier& carrier) {
  const WebSocketOptions ours = WebSocketOptions().add_header("X-Test", "hello");
  const WebSocketOptions theirs = WebSocketOptions().add_header("X-Answer", "there");
  Ends ends = co_await open_ends(carrier, ours, theirs);
  expect(ends.server.head().find("x-test") != nullptr, "the server sees the header");
  expect_equal(*ends.server.head().find("x-test"), "hello");
  expect_equal(*ends.client.head().find("x-answer"), "there");
  const WebSocketOptions bad = WebSocketOptions().add_header("X-Test", "a\r\nInjected: b");
  Streams streams = co_await open_streams(carrier);
  co_await expect_failure(websocket_connect(std::move(streams.client), "ws://test/", bad), Errc::protocol);
}

Future<void> agree_on_subprotocols(const Carrier& carrier) {
  const WebSocketOptions ours = WebSocketOptions().add_protocol("badproto").add_protocol("goodproto");
  Ends ends = co_await open_ends(carrier, ours, WebSocketOptions().add_protocol("goodproto"));
  expect_equal(ends.client.selected_subprotocol(), "goodproto");
  expect_equal(ends.server.selected_subprotocol(), "goodproto");
  Ends plain = co_await open_ends(carrier, {}, WebSocketOptions().add_protocol("goodproto"));
  expect_equal(plain.client.selected_subprotocol(), "");
  expect_equal(plain.server.selected_subprotocol(), "");
}

Future<void> fail_to_reach(const Carrier& carrier) {
  if (carrier.url == nullptr) co_return;
  Listener listener = co_await listen(carrier.url);
  const std::string url = "ws" + listener.url().substr(3);
  listener.close();
  co_await expect_failure(websocket_connect(url), Errc::refused);
  co_await expect_failure(websocket_connect("http://127.0.0.1:1/"), Errc::unknown_scheme);
}

Future<void> connect_by_url(const Carrier& carrier) {
  if (carrier.url == nullptr) co_return;
  Listener listener = co_await listen(carrier.url);
  Future<IOStream> accepting = listener.accept();
  Future<WebSocketConnection> connecting = websocket_connect("ws" + listener.url().substr(3) + "/chat?room=1");
  WebSocketConnection server = co_await websocket_accept(co_await std::move(accepting));
  WebSocketConnection client = co_await std::move(connecting);
  expect_equal(server.head().target, "/chat?room=1");
  co_await client.write_message("hello");
  const std::string text = co_await text_of(server);
  expect_equal(text, "hello");
}

Future<void> time_out_in_the_handshake(const Carrier& carrier) {
  Streams streams = co_await open_streams(carrier);
  const WebSocketOptions hasty = WebSocketOptions().set_connect(ConnectOptions().set_timeout(20ms));
  co_await expect_failure(websocket_connect(std::move(streams.client), "ws://test/", hasty), Errc::timeout);
}

// ---- messages

Future<void> echo_a_message(const Carrier& carrier) {
  Ends ends = co_await open_ends(carrier);
  Future<void> echoing = echo(ends.server);
  co_await ends.client.write_message("hello");
  const std::string text = co_await text_of(ends.client);
  expect_equal(text, "hello");
  co_await ends.client.close();
  co_await std::move(echoing);
  co_await expect_end(ends.client);
}

Future<void> keep_the_kind(const Carrier& carrier) {
  Ends ends = co_await open_ends(carrier);
  co_await ends.client.write_message("hello \xc3\xa9", kText);
  co_await ends.client.write_message("\xff\xfe", kBinary);
  const auto text = co_await ends.server.read_message();
  expect(text->is_text() && text->data == "hello \xc3\xa9", "a text is a text");
  const auto bytes = co_await ends.server.read_message();
  expect(!bytes->is_text() && bytes->data == "\xff\xfe", "bytes are bytes");
}

Future<void> fail_to_write_to_the_gone(const Carrier& carrier) {
  Ends ends = co_await open_ends(carrier);
  co_await ends.server.close();
  co_await expect_end(ends.client);
  co_await expect_failure(ends.client.write_message("hello"), Errc::end);
  co_await expect_failure(ends.server.write_message("hello"), Errc::end);
}

Future<void> close_with_data_unread(const Carrier& carrier) {
  Ends ends = co_await open_ends(carrier);
  for (int i = 0; i < 3; ++i) co_await ends.client.write_message(std::string(10'000, 'x'));
  ends.client = WebSocketConnection();
  for (int i = 0; i < 3; ++i) {
    const std::string text = co_await text_of(ends.server);
    expect_equal(text.size(), 10'000U);
  }
  co_await expect_end(ends.server);
}

Future<void> tell_the_reason(const Carrier& carrier) {
  for (const bool server_closes : {true, false}) {
    Ends ends = co_await open_ends(carrier);
    WebSocketConnection& closing = server_closes ? ends.server : ends.client;
    WebSocketConnection& told = server_closes ? ends.client : ends.server;
    Future<void> closed = closing.close(1001, "goodbye");
    co_await expect_end(told);
    expect_equal(told.close_code(), 1001);
    expect_equal(told.close_reason(), "goodbye");
    co_await std::move(closed);
    expect_equal(closing.close_code(), 1001);
  }
}

Future<void> close_at_once(const Carrier& carrier) {
  Ends ends = co_await open_ends(carrier);
  Future<void> one = ends.client.close(1000, "a");
  Future<void> other = ends.server.close(1001, "b");
  co_await std::move(one);
  co_await std::move(other);
  expect_equal(ends.client.close_reason(), "b");
  expect_equal(ends.server.close_reason(), "a");
}

Future<void> handle_one_at_a_time(const Carrier& carrier) {
  Ends ends = co_await open_ends(carrier);
  for (const char* text : {"1", "2", "3"}) co_await ends.client.write_message(text);
  for (const char* text : {"1", "2", "3"}) {
    const std::string got = co_await text_of(ends.server);
    expect_equal(got, text);
    co_await moment();
  }
  Future<void> closing = ends.client.close();
  co_await expect_end(ends.server);
  co_await std::move(closing);
}

Future<void> lose_nothing_when_dropped(const Carrier& carrier) {
  Ends ends = co_await open_ends(carrier);
  for (int number = 0; number < 20; ++number) {
    {
      Future<std::optional<WebSocketMessage>> dropped = ends.server.read_message();
      co_await ends.client.write_message(std::to_string(number));
      for (int turns = 0; turns < number % 5; ++turns) co_await moment();
    }
    const std::string text = co_await text_of(ends.server);
    expect_equal(text, std::to_string(number));
  }
  const auto late = co_await as_result(with_timeout(1ms, ends.server.read_message()));
  expect(late.reason() == Errc::timeout, "nothing came");
  co_await ends.client.write_message("after all");
  const std::string text = co_await text_of(ends.server);
  expect_equal(text, "after all");
}

Future<void> notice_the_gone(const Carrier& carrier) {
  Ends ends = co_await open_ends(carrier);
  Future<void> closed = ends.server.closed();
  ends.client.abort();
  co_await std::move(closed);
  const auto read = co_await as_result(ends.server.read_message());
  expect(!read.ok(), "an end without a Close is a failure");
  expect_equal(ends.server.close_code(), 1006);
}

Future<void> limit_messages(const Carrier& carrier) {
  Ends ends = co_await open_ends(carrier, {}, WebSocketOptions().set_max_message_size(1024));
  co_await ends.client.write_message(std::string(1024, 'a'));
  const std::string fits = co_await text_of(ends.server);
  expect_equal(fits.size(), 1024U);
  co_await ends.client.write_message(std::string(1025, 'a'));
  co_await expect_failure(ends.server.read_message(), Errc::overflow);
  co_await expect_end(ends.client);
  expect_equal(ends.client.close_code(), 1009);
  expect_equal(ends.client.close_reason(), "a message is longer than max_message_size");
}

// ---- pings

Future<void> ping_by_hand(const Carrier& carrier) {
  Ends ends = co_await open_ends(carrier);
  Signal ponged;
  std::string carried;
  ends.client.set_on_pong([&](std::string payload) {
    carried = std::move(payload);
    ponged.promise.set_value();
  });
  co_await expect_failure(ends.client.ping(std::string(126, 'x')), Errc::limit);
  co_await ends.client.ping(std::string(125, 'x'));
  co_await std::move(ponged.future);
  expect_equal(carried, std::string(125, 'x'));
}

Future<void> ping_by_itself(const Carrier& carrier) {
  for (const bool server_asks : {true, false}) {
    const WebSocketOptions silent;
    const WebSocketOptions asking = WebSocketOptions().set_ping(5ms, 10s);
    const WebSocketOptions& ours = server_asks ? silent : asking;
    const WebSocketOptions& theirs = server_asks ? asking : silent;
    Ends ends = co_await open_ends(carrier, ours, theirs);
    WebSocketConnection& asked = server_asks ? ends.client : ends.server;
    Signal third;
    int pings = 0;
    asked.set_on_ping([&](const std::string&) {
      if (++pings == 3) third.promise.set_value();
    });
    co_await std::move(third.future);
    expect(!ends.client.is_closed() && !ends.server.is_closed(), "both are there");
  }
}

Future<void> give_up_the_silent(const Carrier& carrier) {
  Streams streams = co_await open_streams(carrier);
  Future<WebSocketConnection> accepting =
      websocket_accept(std::move(streams.server), WebSocketOptions().set_ping(5ms, 20ms));
  co_await streams.client.write(request(kUpgrade));
  WebSocketConnection server = co_await std::move(accepting);
  co_await expect_failure(server.read_message(), Errc::idle_timeout);
  co_await streams.client.read_until("\r\n\r\n");
  const std::string said = co_await streams.client.read_until_close();
  expect_equal(said, "\x89\x00\x88\x10\x03\xe9ping timed out"s);
}

// ---- to many

Future<void> broadcast(const Carrier& carrier) {
  const PreparedMessage message(std::string(100'000, 'x'));
  std::vector<Ends> all;
  for (int i = 0; i < 10; ++i) all.push_back(co_await open_ends(carrier));
  for (Ends& each : all) each.server.write_message(message).ignore();
  for (Ends& each : all) {
    const std::string text = co_await text_of(each.client);
    expect(text == message.data(), "each gets all of it");
  }
}

Future<void> hold_a_slow_peer_to_the_limit(const Carrier& carrier) {
  Ends ends = co_await open_ends(carrier, {}, WebSocketOptions().set_max_write_buffer_size(1 << 20));
  const PreparedMessage message(std::string(100'000, 'x'));
  Errc reason = Errc::end;
  for (int i = 0; i < 200 && reason != Errc::limit; ++i) {
    Future<void> written = ends.server.write_message(message);
    if (written.done()) reason = reason_of(written.exception().code());
    co_await moment();
  }
  expect(reason == Errc::limit, "a peer that does not read is refused more");
  expect(ends.server.unsent() <= 1 << 20, "the limit holds");
}

// A pair with a plain carrier over it has no compression of its own: sizes are those of the frames.
Future<void> compress_where_both_ask(const Carrier& carrier) {
  const WebSocketOptions does_not;
  const WebSocketOptions asks = WebSocketOptions().set_compression(WebSocketCompression().set_threshold(0));
  for (const bool ours : {false, true}) {
    for (const bool theirs : {false, true}) {
      const WebSocketOptions& client = ours ? asks : does_not;
      const WebSocketOptions& server = theirs ? asks : does_not;
      Ends ends = co_await open_ends(carrier, client, server);
      expect_equal(ends.client.compressed(), ours && theirs);
      const std::string text(1000, 'x');
      co_await ends.client.write_message(text);
      expect_equal(ends.client.unsent() < 100, ours && theirs);
      const std::string got = co_await text_of(ends.server);
      expect(got == text, "it arrives as it was");
    }
  }
}

struct Case {
  const char* sentence;
  Future<void> (*run)(const Carrier& carrier);
};

constexpr Case kCases[] = {
    {"http_request, missing_websocket_key, bad_websocket_version: what is no upgrade is answered with its status",
     refuse_requests},
    {"check_origin: pages of this host may connect, others and subdomains only when named", check_origins},
    {"websocket_http_fail, _success, _redirect: the error carries the status, nothing is followed", report_failures},
    {"websocket_headers, websocket_header_echo: headers go both ways, and nothing else in them", pass_headers},
    {"subprotocols, subprotocols_not_offered: both know what was agreed", agree_on_subprotocols},
    {"websocket_network_fail: nobody there is refused, another scheme is unknown", fail_to_reach},
    {"websocket_connect takes an URL with a path and a query", connect_by_url},
    {"a server that does not answer the handshake is a timeout", time_out_in_the_handshake},
    {"websocket_gen: a message comes back, then the end", echo_a_message},
    {"binary_message, unicode_message: the kind and the characters are kept", keep_the_kind},
    {"error_in_closed_client_write_message, write_after_close: a write after the end fails with it",
     fail_to_write_to_the_gone},
    {"websocket_close_buffered_data: what was written before a close arrives", close_with_data_unread},
    {"server_close_reason, client_close_reason: both ends know code and reason", tell_the_reason},
    {"both ends may close at once", close_at_once},
    {"coroutine: messages are handled one at a time, in order", handle_one_at_a_time},
    {"a dropped read_message loses nothing", lose_nothing_when_dropped},
    {"a peer that is cut off is noticed though nobody reads, and read_message says so", notice_the_gone},
    {"large_message, size_limit: beyond the limit it is 1009 with the reason", limit_messages},
    {"manual_ping: the pong carries what the ping did, 126 bytes are refused", ping_by_hand},
    {"server_ping, client_ping, ping_sleep_time: a silent peer that answers is kept", ping_by_itself},
    {"client_ping_timeout: a peer that does not answer is told so and given up", give_up_the_silent},
    {"a prepared message reaches many", broadcast},
    {"a slow peer costs no more than max_write_buffer_size", hold_a_slow_peer_to_the_limit},
#if TWINLOOP_TESTS_DEFLATE
    {"message_sizes: only where both ask for it a message is compressed", compress_where_both_ask},
#endif
};

const std::vector<std::unique_ptr<Registration>> registered = [] {
  std::vector<std::unique_ptr<Registration>> all;
  for (const Case& each : kCases) {
    for (const Carrier& carrier : kCarriers) {
      all.push_back(
          std::make_unique<Registration>(std::string("websocket: ") + each.sentence + ", over " + carrier.name,
                                         carrier.needs, [run = each.run, &carrier] { return run(carrier); }));
    }
  }
  return all;
}();

}  // namespace
}  // namespace twinloop::testing
