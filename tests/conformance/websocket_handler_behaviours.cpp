// WebSockets as routes of a web application, over a pair and over TCP.  Named after Tornado's websocket_test.py where that has one.
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "fixtures.h"
#include "tests/websocket_fixtures.h"
#include "twinloop/timing.h"
#include "twinloop/websocket_handler.h"
#include "web_fixtures.h"

namespace twinloop::testing {
namespace {

using namespace std::chrono_literals;
using websocket_test::frame;

struct Place {
  const char* name;
  const char* url;
  Needs needs;
};

constexpr Place kPlaces[] = {{"a pair", "pair:websocket-handlers", Needs::http},
                             {"tcp", "http://127.0.0.1:0", Needs::tcp | Needs::listen}};

// Where a client of the application speaks WebSocket.
Future<WebSocketConnection> join(std::string url, std::string path, WebSocketOptions options = {}) {
  IOStream stream = co_await connect(stream_url(url));
  co_return co_await websocket_connect(std::move(stream), "ws://test" + path, std::move(options));
}

Future<std::string> text_of(WebSocketConnection& ws) {
  auto message = co_await ws.read_message();
  expect(message.has_value(), "there is a message");
  co_return std::move(message->data);
}

Future<void> expect_close(WebSocketConnection& ws, std::uint16_t code) {
  const auto message = co_await ws.read_message();
  expect(!message.has_value(), "there is no further message");
  expect_equal(ws.close_code(), code);
}

// What handlers write down, and what they wait for.
struct Notes {
  std::string told;
  Promise<void> closed;
  Future<void> on_close = closed.get_future();
  Promise<void> gate;
  Future<void> opened = gate.get_future();
};

class Echo : public WebSocketHandler {
 public:
  explicit Echo(Notes& notes) : notes_(notes) {}
  Future<void> prepare() override {
    co_await moment();
    notes_.told += "prepare ";
    set_header("X-Prepared", "yes");
    if (get_argument("refuse", "no") == "yes") throw HTTPError(401);
  }
  Future<void> open() override {
    for (const std::string& each : path_args()) notes_.told += "[" + each + "] ";
    co_await moment();
    notes_.told += "open ";
  }
  Future<void> on_message(WebSocketMessage message) override {
    if (message.data == "throw") throw std::runtime_error("as it was told");
    if (message.data == "close") close(1001, "goodbye").ignore();
    co_await moment();
    notes_.told += message.data + " ";
    co_await write_message(message.data, message.kind);
  }
  void on_close() override {
    notes_.told += "on_close " + std::to_string(close_code()) + close_reason();
    notes_.closed.set_value();
  }
  std::string select_subprotocol(const std::vector<std::string>& offered) override {
    return offered.size() == 2 ? offered[1] : "";
  }

 private:
  Notes& notes_;
};

// Waits in open() or in on_message() for what does not come.
class Waits : public WebSocketHandler {
 public:
  Waits(Notes& notes, bool in_open) : notes_(notes), in_open_(in_open) {}
  Future<void> open() override {
    if (in_open_) co_await std::move(notes_.opened);
    notes_.told += "open ";
  }
  Future<void> on_message(WebSocketMessage message) override {
    notes_.told += message.data + " ";
    if (!in_open_) co_await std::move(notes_.opened);
    notes_.told += "behind ";
  }
  void on_close() override {
    notes_.told += "on_close ";
    notes_.closed.set_value();
  }

 private:
  Notes& notes_;
  bool in_open_;
};

// Waits for what does not come, unless its client goes.
class DropsItself : public WebSocketHandler {
 public:
  DropsItself(Notes& notes, bool in_open) : notes_(notes), in_open_(in_open) {}
  Future<void> open() override {
    if (in_open_) co_await wait();
    notes_.told += "open ";
  }
  Future<void> on_message(WebSocketMessage) override { return wait(); }
  void on_close() override { notes_.told += "on_close "; }

 private:
  struct Frame {
    explicit Frame(Notes& all) : notes(all) {}
    Frame(const Frame&) = delete;
    Frame& operator=(const Frame&) = delete;
    ~Frame() { notes.told += "dropped "; }
    Notes& notes;
  };
  Future<void> wait() {
    const Frame frame(notes_);
    set_cancel_on_connection_close(true);
    notes_.told += "waits ";
    co_await sleep_for(1h);
  }
  Notes& notes_;
  bool in_open_;
};

// Waits in prepare().
class Prepares : public WebSocketHandler {
 public:
  explicit Prepares(Notes& notes) : notes_(notes) {}
  Future<void> prepare() override {
    notes_.told += "prepare ";
    co_await std::move(notes_.opened);
  }
  Future<void> on_message(WebSocketMessage) override { co_return; }

 private:
  Notes& notes_;
};

// Whose server begins to drain within the handshake.
class Drains : public WebSocketHandler {
 public:
  Drains(Application& app, Future<void>& draining) : app_(app), draining_(draining) {}
  std::string select_subprotocol(const std::vector<std::string>&) override {
    draining_ = app_.drain(10s);
    return {};
  }
  Future<void> on_message(WebSocketMessage) override { co_return; }

 private:
  Application& app_;
  Future<void>& draining_;
};

class FailsToOpen : public WebSocketHandler {
 public:
  explicit FailsToOpen(bool later) : later_(later) {}
  Future<void> open() override {
    if (!later_) throw std::runtime_error("not today");
    return fail();
  }
  Future<void> on_message(WebSocketMessage) override { co_return; }

 private:
  Future<void> fail() {
    co_await moment();
    throw std::runtime_error("not today");
  }
  bool later_;
};

class Compresses : public WebSocketHandler {
 public:
  std::optional<WebSocketCompression> get_compression_options() override { return WebSocketCompression(); }
  Future<void> on_message(WebSocketMessage message) override { co_await write_message(message.data, message.kind); }
};

Future<void> live(const Place& place) {
  Notes notes;
  Application app;
  app.add<Echo>("/echo/(.*)", std::ref(notes));
  const std::string url = co_await app.listen(place.url);
  WebSocketConnection ws = co_await join(url, "/echo/a%20room");
  expect_equal(*ws.head().find("X-Prepared"), "yes");
  for (const char* text : {"1", "2", "3"}) co_await ws.write_message(text);
  for (const char* text : {"1", "2", "3"}) {
    const std::string got = co_await text_of(ws);
    expect_equal(got, text);
  }
  co_await ws.close(4000, "bye");
  co_await std::move(notes.on_close);
  expect_equal(notes.told, "prepare [a room] open 1 2 3 on_close 4000bye");
}

const std::string kUpgradeFields = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";
const std::string kUpgrade = kUpgradeFields + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

Future<void> refuse(const Place& place) {
  Notes notes;
  Application app;
  app.add<Echo>("/echo", std::ref(notes));
  const std::string url = co_await app.listen(place.url);
  const WebReply plain = co_await fetch(stream_url(url), request("GET", "/echo"));
  expect_equal(plain.status, 426);
  const WebReply post = co_await fetch(stream_url(url), request("POST", "/echo", "", "x"));
  expect_equal(post.status, 405);
  IOStream heading = co_await connect(stream_url(url));
  co_await heading.write(request("HEAD", "/echo"));
  const WebReply head = co_await read_reply(heading, false);
  expect_equal(head.status, 405);
  const WebReply keyless = co_await fetch(stream_url(url), request("GET", "/echo", kUpgradeFields));
  expect_equal(keyless.status, 400);
  const std::string foreign = kUpgrade + "Origin: http://elsewhere.example\r\n";
  const WebReply origin = co_await fetch(stream_url(url), request("GET", "/echo", foreign));
  expect_equal(origin.status, 403);
  const auto prepared = co_await as_result(join(url, "/echo?refuse=yes"));
  expect(prepared.failure().message().find("401") != std::string::npos, prepared.failure().message());
  const auto missing = co_await as_result(join(url, "/nothing"));
  expect(missing.failure().message().find("404") != std::string::npos, missing.failure().message());
  expect(notes.told.find("open") == std::string::npos, notes.told);
}

// Says what it was asked with, and answers with headers of its own.
class Headers : public WebSocketHandler {
 public:
  void set_default_headers() override { set_header("X-Extra-Response-Header", "Extra-Response-Value"); }
  Future<void> prepare() override {
    set_header("X-Test-Hello", request().headers().get("X-Test-Hello"));
    co_return;
  }
  Future<void> open() override {
    int refused = 0;
    try {
      set_header("X-Late", "yes");
    } catch (const Error& error) {
      refused = error.reason() == Errc::protocol ? 1 : 0;
    }
    co_await write_message(std::string(request().headers().get("X-Test-Hello")) + std::to_string(refused));
  }
  Future<void> on_message(WebSocketMessage) override { co_return; }
};

Future<void> pass_headers(const Place& place) {
  Application app;
  app.add<Headers>("/");
  const std::string url = co_await app.listen(place.url);
  WebSocketConnection ws = co_await join(url, "/", WebSocketOptions().add_header("X-Test-Hello", "hello"));
  expect_equal(*ws.head().find("X-Test-Hello"), "hello");
  expect_equal(*ws.head().find("X-Extra-Response-Header"), "Extra-Response-Value");
  const std::string text = co_await text_of(ws);
  expect_equal(text, "hello1");
}

Future<void> choose_a_subprotocol(const Place& place) {
  Notes notes;
  Application app;
  app.add<Echo>("/echo", std::ref(notes));
  const std::string url = co_await app.listen(place.url);
  WebSocketConnection ws =
      co_await join(url, "/echo", WebSocketOptions().add_protocol("badproto").add_protocol("goodproto"));
  expect_equal(ws.selected_subprotocol(), "goodproto");
}

Future<void> close_with_a_reason(const Place& place) {
  const RecordedLog log;
  Notes notes;
  Application app;
  app.add<Echo>("/echo", std::ref(notes));
  const std::string url = co_await app.listen(place.url);
  WebSocketConnection ws = co_await join(url, "/echo");
  co_await ws.write_message("close");
  co_await expect_close(ws, 1001);
  expect_equal(ws.close_reason(), "goodbye");
  co_await std::move(notes.on_close);
  expect_equal(notes.told, "prepare open close on_close 1001");
  expect_equal(log.count(LogLevel::error), 0);
}

Future<void> fail_in_a_handler(const Place& place) {
  const RecordedLog log;
  Notes notes;
  Application app;
  app.add<Echo>("/echo", std::ref(notes));
  app.add<FailsToOpen>("/open", false);
  app.add<FailsToOpen>("/open_later", true);
  const std::string url = co_await app.listen(place.url);
  WebSocketConnection ws = co_await join(url, "/echo");
  co_await ws.write_message("throw");
  co_await expect_close(ws, 1011);
  co_await std::move(notes.on_close);
  for (const char* path : {"/open", "/open_later"}) {
    WebSocketConnection other = co_await join(url, path);
    co_await expect_close(other, 1011);
  }
  expect(log.mentions("as it was told"), log.text());
  expect(log.mentions("not today"), log.text());
}

Future<void> notice_the_gone(const Place& place) {
  for (const bool in_open : {true, false}) {
    Notes notes;
    Application app;
    app.add<Waits>("/wait", std::ref(notes), in_open);
    const std::string url = co_await app.listen(place.url);
    WebSocketConnection ws = co_await join(url, "/wait");
    if (!in_open) co_await ws.write_message("first");
    if (!in_open) co_await ws.write_message("second");
    while (!in_open && notes.told != "open first ") co_await moment();
    ws.abort();
    co_await std::move(notes.on_close);
    expect_equal(notes.told, in_open ? "on_close " : "open first on_close ");
    notes.gate.set_value();
    co_await app.drain(10s);
    expect(notes.told.find("second") == std::string::npos, notes.told);
  }
}

Future<void> drop_for_the_gone(const Place& place) {
  for (const bool in_open : {true, false}) {
    Notes notes;
    Application app;
    app.add<DropsItself>("/wait", std::ref(notes), in_open);
    const std::string url = co_await app.listen(place.url);
    WebSocketConnection ws = co_await join(url, "/wait");
    if (!in_open) co_await ws.write_message("first");
    while (!notes.told.ends_with("waits ")) co_await moment();
    ws.abort();
    while (app.server().stats().active > 0) co_await moment();
    expect_equal(notes.told, in_open ? "waits on_close dropped " : "open waits on_close dropped ");
  }
}

Future<void> wait_for_open(const Place& place) {
  Notes notes;
  Application app;
  app.add<Waits>("/wait", std::ref(notes), true);
  const std::string url = co_await app.listen(place.url);
  WebSocketConnection ws = co_await join(url, "/wait");
  co_await ws.write_message("message");
  for (int i = 0; i < 10; ++i) co_await moment();
  expect_equal(notes.told, "");
  notes.gate.set_value();
  Future<void> closing = ws.close();
  co_await std::move(closing);
  co_await std::move(notes.on_close);
  expect_equal(notes.told, "open message behind on_close ");
}

Future<void> drain(const Place& place) {
  Notes notes;
  Application app;
  app.add<Echo>("/echo", std::ref(notes));
  const std::string url = co_await app.listen(place.url);
  WebSocketConnection ws = co_await join(url, "/echo");
  co_await ws.write_message("1");
  const std::string got = co_await text_of(ws);
  expect_equal(got, "1");
  Future<void> draining = app.drain(10s);
  co_await expect_close(ws, 1001);
  co_await std::move(draining);
  expect_equal(notes.told, "prepare open 1 on_close 1001");
}

Future<void> drain_in_prepare(const Place& place) {
  Notes notes;
  Application app;
  app.add<Prepares>("/prepare", std::ref(notes));
  const std::string url = co_await app.listen(place.url);
  IOStream client = co_await connect(stream_url(url));
  co_await client.write(request("GET", "/prepare", kUpgrade));
  while (notes.told.empty()) co_await moment();
  Future<void> draining = app.drain(1h);
  notes.gate.set_value();
  const WebReply reply = co_await read_reply(client);
  expect_equal(reply.status, 503);
  co_await client.peer_ended();
  client.close();
  co_await std::move(draining);
}

// A request of which only a part has come when the server begins to drain.
Future<void> drain_in_front_of_the_request(const Place& place) {
  Notes notes;
  Application app;
  app.add<Echo>("/echo", std::ref(notes));
  const std::string url = co_await app.listen(place.url);
  IOStream client = co_await connect(stream_url(url));
  const std::string asked = request("GET", "/echo", kUpgrade);
  co_await client.write(asked.substr(0, 20));
  co_await sleep_for(10ms);
  Future<void> draining = app.drain(1h);
  co_await client.write(asked.substr(20));
  const WebReply reply = co_await read_reply(client);
  expect_equal(reply.status, 503);
  expect_equal(notes.told, "prepare ");
  client.close();
  co_await std::move(draining);
}

Future<void> drain_in_the_handshake(const Place& place) {
  Application app;
  Future<void> draining;
  app.add<Drains>("/", std::ref(app), std::ref(draining));
  const std::string url = co_await app.listen(place.url);
  WebSocketConnection ws = co_await join(url, "/");
  co_await expect_close(ws, 1001);
  co_await std::move(draining);
}

// It is told to go, and is cut off at the limit.
Future<void> drain_to_the_limit(const Place& place) {
  Notes notes;
  Application app;
  app.add<Echo>("/echo", std::ref(notes));
  const std::string url = co_await app.listen(place.url);
  IOStream client = co_await connect(stream_url(url));
  co_await client.write(request("GET", "/echo", kUpgrade));
  co_await client.read_until("\r\n\r\n");
  while (notes.told != "prepare open ") co_await moment();
  Future<void> draining = app.drain(20ms);
  const std::string close = co_await client.read_bytes(4);
  expect(close.substr(0, 1) == "\x88" && close.substr(2) == "\x03\xe9", "a Close with 1001");
  co_await std::move(draining);
  expect_equal(app.server().stats().active, 0u);
  expect_equal(notes.told, "prepare open on_close 1006");
  const std::string rest = co_await client.read_until_close();
  expect(rest.find("\x88") == std::string::npos, "one Close");
}

// Its handler is in the middle of a message, or of open(), then.
Future<void> drain_to_the_limit_of_a_handler(const Place& place) {
  for (const bool in_open : {false, true}) {
    Notes notes;
    Application app;
    app.add<Waits>("/", std::ref(notes), in_open);
    const std::string url = co_await app.listen(place.url);
    IOStream client = co_await connect(stream_url(url));
    co_await client.write(request("GET", "/", kUpgrade) + frame(0x81, "m"));
    co_await client.read_until("\r\n\r\n");
    while (!in_open && notes.told != "open m ") co_await moment();
    co_await app.drain(5ms);
    expect_equal(notes.told, in_open ? "on_close " : "open m on_close ");
  }
}

// Never in the middle of anything when the end comes, so that on_close waits until all has been read that came whole.
class Hears : public Echo {
 public:
  explicit Hears(Notes& notes) : Echo(notes), notes_(notes) {}
  Future<void> prepare() override { return Future<void>::ready(); }
  Future<void> open() override {
    notes_.told += "open ";
    return Future<void>::ready();
  }
  Future<void> on_message(WebSocketMessage message) override {
    notes_.told += message.data + " ";
    return Future<void>::ready();
  }

 private:
  Notes& notes_;
};

// Whoever is cut off within a frame, wherever: on_message for what came whole, on_close once, and nothing is left.
Future<void> cut_at_each_byte(const Place& place) {
  const std::string whole = frame(0x81, "m");
  const std::string bytes = whole + frame(0x89, "ping") + frame(0x02, std::string(130, 'x')) + frame(0x80, "y");
  Notes notes;
  Application app;
  app.add<Hears>("/", std::ref(notes));
  const std::string url = co_await app.listen(place.url);
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    notes.told.clear();
    notes.closed = Promise<void>();
    notes.on_close = notes.closed.get_future();
    IOStream client = co_await connect(stream_url(url));
    co_await client.write(request("GET", "/", kUpgrade) + bytes.substr(0, at));
    co_await client.shutdown_write();
    co_await std::move(notes.on_close);
    const bool told = at >= whole.size();
    expect(notes.told == (told ? "open m on_close 1006" : "open on_close 1006"),
           "cut at " + std::to_string(at) + ": " + notes.told);
    const std::string answers = co_await client.read_until_close();
    expect(answers.starts_with("HTTP/1.1 101 "), answers);
  }
  while (app.server().stats().active > 0) co_await moment();
}

Future<void> compress(const Place& place) {
  Application app;
  app.add<Compresses>("/echo");
  const std::string url = co_await app.listen(place.url);
  WebSocketConnection ws = co_await join(url, "/echo", WebSocketOptions().set_compression());
  expect(ws.compressed(), "both ask for it");
  const std::string text(5000, 'x');
  co_await ws.write_message(text);
  const std::string back = co_await text_of(ws);
  expect(back == text, "it comes back as it was");
  WebSocketConnection plain = co_await join(url, "/echo");
  expect(!plain.compressed(), "one of them does not");
}

struct Case {
  const char* sentence;
  Future<void> (*run)(const Place& place);
};

const Case kCases[] = {
    {"async_prepare, path_args, coroutine: prepare, open, each message, then on_close", live},
    {"http_request, check_origin: what is no upgrade gets its status, and prepare may refuse", refuse},
    {"websocket_headers, websocket_header_echo: headers go both ways, and none behind the upgrade", pass_headers},
    {"subprotocols: the handler chooses", choose_a_subprotocol},
    {"server_close_reason: the handler closes with a code and a reason", close_with_a_reason},
    {"error_in_on_message, error_in_open, error_in_async_open: it is logged and the client told 1011",
     fail_in_a_handler},
    {"a client that goes while its handler waits is told to it at once, and nothing is called any more",
     notice_the_gone},
    {"set_cancel_on_connection_close: what waits is dropped when the client goes", drop_for_the_gone},
    {"open_coroutine: no message before open has ended", wait_for_open},
    {"drain says 1001 to the clients", drain},
    {"drain answers 503 where prepare has not ended", drain_in_prepare},
    {"drain answers 503 where the request has not come whole", drain_in_front_of_the_request},
    {"drain says 1001 behind a handshake that was under way", drain_in_the_handshake},
    {"drain cuts off at its limit who was told 1001 and stays", drain_to_the_limit},
    {"a handler that is cut off at a drain's limit has its on_close, also within open() and on_message()",
     drain_to_the_limit_of_a_handler},
    {"frames that are cut off at any byte: on_close once, with 1006", cut_at_each_byte},
    {"get_compression_options: compressed where both want it", compress},
};

const std::vector<std::unique_ptr<Registration>> registered = [] {
  std::vector<std::unique_ptr<Registration>> all;
  for (const Case& each : kCases) {
    for (const Place& place : kPlaces) {
      all.push_back(
          std::make_unique<Registration>(std::string("websocket handler: ") + each.sentence + ", over " + place.name,
                                         place.needs | Needs::http, [run = each.run, &place] { return run(place); }));
    }
  }
  return all;
}();

}  // namespace
}  // namespace twinloop::testing
