// A client that goes while its request is served: who is told, when, and what becomes of the answer (RULES: a FIN behind a complete
// request is only the end of its input, unless the handler asked to be told).
#include <string>
#include <vector>

#include "carriers.h"
#include "http_fixtures.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kNetwork = Needs::tcp | Needs::listen;

// What happened to a request, in order.
struct Diary {
  std::string text;
  Signal go;  // what the handler waits for
  Signal told;

  void note(std::string_view what) { text.append(text.empty() ? "" : ", ").append(what); }
  void note_gone(HTTPServerRequest& request) {
    note("gone (" + std::string(name(reason_of(request.close_reason()))) + ")");
    told.promise.set_value();
  }
};

Future<void> answer_and_note(HTTPServerRequest& request, Diary& diary) {
  const Result<void> answered = co_await as_result(request.respond(200, {}, "answer"));
  diary.note(answered.ok() ? "answered" : "refused (" + std::string(name(answered.reason())) + ")");
}

// Asks to be told, and answers when it is let go.
Future<void> wait_interested(HTTPServerRequest& request, Diary& diary) {
  request.set_close_callback([&request, &diary] { diary.note_gone(request); });
  co_await std::move(diary.go.future);
  co_await answer_and_note(request, diary);
}

Future<void> wait_uninterested(HTTPServerRequest& request, Diary& diary) {
  co_await std::move(diary.go.future);
  co_await answer_and_note(request, diary);
}

HTTPHandler with(Future<void> (*handler)(HTTPServerRequest&, Diary&), Diary& diary) {
  return [handler, &diary](HTTPServerRequest& request) { return handler(request, diary); };
}

Future<RawClient> open_and_ask(Site& site, std::string request, const char* url = kTcp) {
  RawClient client = co_await site.open(url);
  co_await client.send(request);
  co_await until(site.server(), somebody_is_served);
  co_return client;
}

}  // namespace

BEHAVIOUR("HTTP client goes: an end of input behind the request keeps no answer from it", kNetwork) {
  Diary diary;
  Site site(with(wait_uninterested, diary));
  RawClient client = co_await open_and_ask(site, get("/"));
  co_await client.stream().shutdown_write();
  co_await sleep_for(10ms);
  diary.go.promise.set_value();
  const Reply reply = co_await client.reply();
  expect_equal(reply.body, "answer");
  const std::string rest = co_await client.rest();
  expect_equal(rest, "");
  expect_equal(diary.text, "answered");
}

BEHAVIOUR("HTTP client goes: all complete requests in front of an end of input are answered", kNetwork) {
  Site site([](HTTPServerRequest& request) -> Future<void> {
    co_await sleep_for(1ms);
    co_await request.respond(200, {}, request.uri());
  });
  RawClient client = co_await site.open(kTcp);
  co_await client.send(get("/1") + get("/2") + get("/3") + "GET /4 HT");
  co_await client.stream().shutdown_write();
  for (const char* target : {"/1", "/2", "/3"}) {
    const Reply reply = co_await client.reply();
    expect_equal(reply.body, target);
  }
  const std::string rest = co_await client.rest();
  expect_equal(rest, "");
  expect_equal(site.server().stats().requests, 3u);
}

BEHAVIOUR("HTTP client goes: to a handler that asked, an end of input is a client that has gone", kNetwork) {
  Diary diary;
  Site site(with(wait_interested, diary));
  RawClient client = co_await open_and_ask(site, get("/"));
  co_await client.stream().shutdown_write();
  co_await std::move(diary.told.future);
  diary.go.promise.set_value();
  const std::string rest = co_await client.rest();
  expect_equal(rest, "");
  expect_equal(diary.text, "gone (end), refused (end)");
}

BEHAVIOUR("HTTP client goes: a handler that asked is told of a reset", kNetwork) {
  Diary diary;
  Site site(with(wait_interested, diary));
  RawClient client = co_await open_and_ask(site, get("/"));
  client.stream().abort();
  co_await std::move(diary.told.future);
  diary.go.promise.set_value();
  co_await until(site.server(), nobody_is_connected);
  expect_equal(diary.text, "gone (reset), refused (reset)");
}

namespace {

// What a handler notes whose client goes so, over that carrier.
Future<std::string> noted_over(const Carrier& carrier, Future<void> (*handler)(HTTPServerRequest&, Diary&),
                               void (*go)(IOStream& client)) {
  Diary diary;
  HTTPServer server(with(handler, diary));
  ConnectOptions connecting;
  ListenOptions listening;
  carrier.secure(connecting, listening);
  const std::string url =
      co_await server.listen(carrier.url != nullptr ? carrier.url : "pair:client-goes", std::move(listening));
  const std::size_t path = url.find("://");
  const bool secure = url.starts_with("https");
  const std::string below = url.starts_with("http") ? (secure ? "tls" : "tcp") + url.substr(path) : url;
  IOStream client = co_await connect(below, std::move(connecting));
  co_await client.write(get("/"));
  co_await until(server, somebody_is_served);
  go(client);
  co_await std::move(diary.told.future);
  diary.go.promise.set_value();
  co_await until(server, nobody_is_served);
  co_return diary.text;
}

// Asks to be told, and to be dropped.
Future<void> wait_to_be_dropped(HTTPServerRequest& request, Diary& diary) {
  struct Frame {
    explicit Frame(Diary& all) : diary(all) {}
    Frame(const Frame&) = delete;
    Frame& operator=(const Frame&) = delete;
    ~Frame() { diary.note("dropped"); }
    Diary& diary;
  };
  const Frame frame(diary);
  request.set_close_callback([&request, &diary] { diary.note_gone(request); });
  request.cancel_when_client_goes();
  co_await sleep_for(1h);
}

}  // namespace

BEHAVIOUR(
    "HTTP client goes: over every carrier a handler that asked is told of a close, and one that wants to is dropped",
    kNetwork) {
  const auto close = [](IOStream& client) { client.close(); };
  const auto abort = [](IOStream& client) { client.abort(); };
  for (const Carrier& carrier : carriers()) {
    const std::string_view name = carrier.name;
    if (name == "ws" || name == "wss") continue;
    const std::string told = co_await noted_over(carrier, wait_interested, close);
    expect_equal(told, "gone (end), refused (end)");
    const std::string dropped = co_await noted_over(carrier, wait_to_be_dropped, close);
    expect_equal(dropped, "gone (end), dropped");
    const std::string reset = co_await noted_over(carrier, wait_to_be_dropped, abort);
    expect(reset.starts_with("gone (") && reset.ends_with("), dropped"), std::string(name) + ": " + reset);
  }
}

BEHAVIOUR("HTTP client goes: the notice comes also when pipelined bytes are waiting", kNetwork) {
  Diary diary;
  Site site(with(wait_interested, diary));
  RawClient client = co_await open_and_ask(site, get("/") + get("/behind") + "GET /cut");
  co_await client.stream().shutdown_write();
  co_await std::move(diary.told.future);
  diary.go.promise.set_value();
  co_await until(site.server(), nobody_is_connected);
  expect_equal(diary.text, "gone (end), refused (end)");
  expect_equal(site.server().stats().requests, 1u);
}

BEHAVIOUR("HTTP client goes: the notice comes behind keep-alive, too, and only for the request under way", kNetwork) {
  Diary diary;
  Site site([&diary](HTTPServerRequest& request) {
    if (request.uri() == "/wait") return wait_interested(request, diary);
    request.set_close_callback([&diary] { diary.note("told of another request"); });
    return request.respond(200, {}, "at once");
  });
  RawClient client = co_await site.open(kTcp);
  co_await client.ask(get("/"));
  co_await client.ask(get("/"));
  co_await client.send(get("/wait"));
  co_await until(site.server(), somebody_is_served);
  client.stream().close();
  co_await std::move(diary.told.future);
  diary.go.promise.set_value();
  co_await until(site.server(), nobody_is_connected);
  expect_equal(diary.text, "gone (end), refused (end)");
}

BEHAVIOUR("HTTP client goes: where half-closing clients are waited for, an end of input is none", kNetwork) {
  Diary diary;
  Site site(with(wait_interested, diary), HTTPServerOptions().set_half_closing_clients(HalfClosingClients::wait));
  RawClient client = co_await open_and_ask(site, get("/"));
  co_await client.stream().shutdown_write();
  co_await sleep_for(10ms);
  diary.go.promise.set_value();
  const Reply reply = co_await client.reply();
  expect_equal(reply.body, "answer");
  expect_equal(diary.text, "answered");
}

BEHAVIOUR("HTTP client goes: where half-closing clients are waited for, an end of input drops nobody, and a reset does",
          kNetwork) {
  int alive = 0;
  Signal go;
  Site site(
      [&alive, &go](HTTPServerRequest& request) -> Future<void> {
        const Alive mark(alive);
        request.cancel_when_client_goes();
        if (request.uri() == "/ever") co_await sleep_for(1h);
        co_await std::move(go.future);
        co_await request.respond(200, {}, "answer");
      },
      HTTPServerOptions().set_half_closing_clients(HalfClosingClients::wait));
  RawClient half = co_await open_and_ask(site, get("/"));
  co_await half.stream().shutdown_write();
  co_await sleep_for(10ms);
  expect_equal(alive, 1);
  go.promise.set_value();
  const Reply reply = co_await half.reply();
  expect_equal(reply.body, "answer");
  co_await until(site.server(), nobody_is_served);
  RawClient gone = co_await open_and_ask(site, get("/ever"));
  gone.stream().abort();
  co_await until(site.server(), nobody_is_connected);
  expect_equal(alive, 0);
}

BEHAVIOUR("HTTP client goes: where half-closing clients are waited for, a reset still is one", kNetwork) {
  Diary diary;
  Site site(with(wait_interested, diary), HTTPServerOptions().set_half_closing_clients(HalfClosingClients::wait));
  RawClient client = co_await open_and_ask(site, get("/"));
  client.stream().abort();
  co_await std::move(diary.told.future);
  diary.go.promise.set_value();
  co_await until(site.server(), nobody_is_connected);
  expect_equal(diary.text, "gone (reset), refused (reset)");
}

BEHAVIOUR("HTTP client goes: where half-closing clients are waited for, a connection's timeout still is one",
          kNetwork) {
  Diary diary;
  HTTPServer server(with(wait_interested, diary),
                    HTTPServerOptions().set_half_closing_clients(HalfClosingClients::wait));
  const std::string url = co_await server.listen(kTcp, ListenOptions().set_stream(StreamOptions().idle_timeout(20ms)));
  IOStream client = co_await connect("tcp" + url.substr(url.find(':')));
  co_await client.write(get("/"));
  co_await until(server, somebody_is_served);
  co_await client.shutdown_write();
  co_await std::move(diary.told.future);
  diary.go.promise.set_value();
  co_await until(server, nobody_is_connected);
  expect_equal(diary.text, "gone (idle_timeout), refused (idle_timeout)");
}

BEHAVIOUR("HTTP client goes: an end within a body is an aborted request, whoever waits", kNetwork) {
  for (const HalfClosingClients meaning : {HalfClosingClients::gone, HalfClosingClients::wait}) {
    Diary diary;
    Site site(
        [&diary](HTTPServerRequest& request) -> Future<void> {
          request.set_close_callback([&request, &diary] { diary.note_gone(request); });
          const Result<std::string> body = co_await as_result(request.body());
          diary.note("body " + std::string(name(body.reason())));
          co_await answer_and_note(request, diary);
          co_await std::move(diary.go.future);
        },
        HTTPServerOptions().set_half_closing_clients(meaning));
    RawClient client = co_await open_and_ask(site, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    co_await client.stream().shutdown_write();
    co_await std::move(diary.told.future);
    diary.go.promise.set_value();
    const std::string rest = co_await client.rest();
    expect_equal(rest, "");
    expect_equal(diary.text, "body end, refused (end), gone (end)");
  }
}

BEHAVIOUR("HTTP client goes: during an upload a handler that is busy elsewhere is told", kNetwork) {
  Diary diary;
  Site site(with(wait_interested, diary));
  RawClient client = co_await open_and_ask(site, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
  client.stream().abort();
  co_await std::move(diary.told.future);
  diary.go.promise.set_value();
  co_await until(site.server(), nobody_is_connected);
  expect_equal(diary.text, "gone (reset), refused (reset)");
}

BEHAVIOUR("HTTP client goes: a flush that is stuck fails, and the notice comes", kNetwork) {
  Diary diary;
  Site site([&diary](HTTPServerRequest& request) -> Future<void> {
    request.set_close_callback([&request, &diary] { diary.note_gone(request); });
    co_await request.write_headers(200, {});
    Result<void> written = Unit();
    const std::string piece(1'000'000, 'x');
    while (written.ok()) {
      written = co_await as_result(request.write(piece));
      if (written.ok()) written = co_await as_result(request.flush());
    }
    diary.note("flush " + std::string(name(written.reason())));
  });
  RawClient client = co_await open_and_ask(site, get("/"));
  co_await sleep_for(20ms);
  client.stream().abort();
  co_await std::move(diary.told.future);
  co_await until(site.server(), nobody_is_connected);
  expect_equal(diary.text, "flush reset, gone (reset)");
}

BEHAVIOUR("HTTP client goes: after the answer has left nobody is told", kNetwork) {
  Diary diary;
  Site site([&diary](HTTPServerRequest& request) -> Future<void> {
    request.set_close_callback([&diary] { diary.note("told"); });
    co_await answer_and_note(request, diary);
    co_await request.flush();
    diary.note("flushed");
  });
  RawClient client = co_await site.open(kTcp);
  const Reply reply = co_await client.ask(get("/"));
  expect_equal(reply.body, "answer");
  client.stream().abort();
  co_await until(site.server(), nobody_is_connected);
  co_await sleep_for(5ms);
  expect_equal(diary.text, "answered, flushed");
}

namespace {

// Works on behind its answer until its client has gone, and longer.
Future<void> work_on(HTTPServerRequest& request, Diary& diary) {
  co_await request.stream().peer_ended();
  co_await sleep_for(2ms);
  diary.note("worked on");
}

Future<void> answer_and_work_on(HTTPServerRequest& request, Diary& diary) {
  request.set_close_callback([&diary] { diary.note("told"); });
  request.cancel_when_client_goes();
  co_await answer_and_note(request, diary);
  co_await work_on(request, diary);
}

Future<void> answer_in_pieces_and_work_on(HTTPServerRequest& request, Diary& diary) {
  request.set_close_callback([&diary] { diary.note("told"); });
  request.cancel_when_client_goes();
  co_await request.write_headers(200, {});
  co_await request.write("answer");
  co_await request.finish();
  diary.note("answered");
  co_await work_on(request, diary);
}

// Asks when it is too late to be told.
Future<void> ask_behind_the_answer(HTTPServerRequest& request, Diary& diary) {
  co_await answer_and_note(request, diary);
  co_await request.flush();
  request.set_close_callback([&diary] { diary.note("told"); });
  request.cancel_when_client_goes();
  co_await work_on(request, diary);
}

}  // namespace

BEHAVIOUR("HTTP client goes: once its answer has left nobody is told and nobody dropped, though a handler works on",
          kNetwork) {
  for (const auto handler : {&answer_and_work_on, &answer_in_pieces_and_work_on, &ask_behind_the_answer}) {
    Diary diary;
    Site site(with(handler, diary));
    RawClient client = co_await site.open(kTcp);
    const Reply reply = co_await client.ask(get("/"));
    expect_equal(reply.body, "answer");
    client.stream().close();
    co_await until(site.server(), nobody_is_connected);
    expect_equal(diary.text, "answered, worked on");
  }
}

BEHAVIOUR("HTTP client goes: one that leaves in the middle of an answer that was finished is told of", kNetwork) {
  Diary diary;
  Site site([&diary](HTTPServerRequest& request) -> Future<void> {
    request.set_close_callback([&request, &diary] { diary.note_gone(request); });
    request.respond(200, {}, std::string(20'000'000, 'x')).ignore();
    co_await std::move(diary.go.future);
  });
  RawClient client = co_await open_and_ask(site, get("/"));
  co_await client.stream().read_bytes(1000);
  client.stream().abort();
  co_await std::move(diary.told.future);
  diary.go.promise.set_value();
  co_await until(site.server(), nobody_is_connected);
  expect_equal(diary.text, "gone (reset)");
}

BEHAVIOUR("HTTP client goes: one that asks again is told at the one it asked for last", kNetwork) {
  Diary diary;
  Site site([&diary](HTTPServerRequest& request) -> Future<void> {
    request.set_close_callback([&diary] { diary.note("first"); });
    request.set_close_callback([&request, &diary] { diary.note_gone(request); });
    co_await std::move(diary.go.future);
  });
  RawClient client = co_await open_and_ask(site, get("/"));
  client.stream().close();
  co_await std::move(diary.told.future);
  diary.go.promise.set_value();
  co_await until(site.server(), nobody_is_connected);
  expect_equal(diary.text, "gone (end)");
}

BEHAVIOUR("HTTP client goes: who asks when it has gone already is told in the next turn", kNetwork) {
  Diary diary;
  Site site([&diary](HTTPServerRequest& request) -> Future<void> {
    co_await request.stream().peer_ended();
    expect(!request.client_gone(), "nobody asked: it is only the end of its input");
    request.set_close_callback([&request, &diary] { diary.note_gone(request); });
    diary.note("asked");
    co_await std::move(diary.go.future);
    expect(request.client_gone(), "and now it has gone");
  });
  RawClient client = co_await open_and_ask(site, get("/"));
  co_await client.stream().shutdown_write();
  co_await std::move(diary.told.future);
  diary.go.promise.set_value();
  co_await until(site.server(), nobody_is_connected);
  expect_equal(diary.text, "asked, gone (end)");
}

BEHAVIOUR("HTTP client goes: a handler that takes its question back is not told, and its answer is sent", kNetwork) {
  Diary diary;
  Site site([&diary](HTTPServerRequest& request) -> Future<void> {
    request.set_close_callback([&diary] { diary.note("told"); });
    request.set_close_callback(nullptr);
    co_await request.stream().peer_ended();
    co_await sleep_for(2ms);
    co_await answer_and_note(request, diary);
  });
  RawClient client = co_await open_and_ask(site, get("/"));
  co_await client.stream().shutdown_write();
  const Reply reply = co_await client.reply();
  expect_equal(reply.body, "answer");
  expect_equal(diary.text, "answered");
}

// ---- handlers that end with their client

BEHAVIOUR("HTTP client goes: a handler that wants to is dropped where it waits, its destructors run", kNetwork) {
  int alive = 0;
  Site site([&alive](HTTPServerRequest& request) -> Future<void> {
    const Alive mark(alive);
    request.cancel_when_client_goes();
    co_await sleep_for(1h);
  });
  for (const bool reset : {false, true}) {
    RawClient client = co_await open_and_ask(site, get("/"));
    expect_equal(alive, 1);
    reset ? client.stream().abort() : client.stream().close();
    co_await until(site.server(), nobody_is_connected);
    expect_equal(alive, 0);
  }
}

BEHAVIOUR("HTTP client goes: its callback runs before the handler is dropped", kNetwork) {
  std::string order;
  struct Mark {
    std::string& text;
    ~Mark() { text += "dropped"; }
  };
  Site site([&order](HTTPServerRequest& request) -> Future<void> {
    const Mark mark{order};
    request.cancel_when_client_goes();
    request.set_close_callback([&order] { order += "told, "; });
    co_await sleep_for(1h);
  });
  RawClient client = co_await open_and_ask(site, get("/"));
  client.stream().close();
  co_await until(site.server(), nobody_is_connected);
  expect_equal(order, "told, dropped");
}

BEHAVIOUR("HTTP client goes: a handler deep in other coroutines is dropped leaf first", kNetwork) {
  int alive = 0;
  struct Deep {
    static Future<void> wait(int depth, int& number) {
      const Alive mark(number);
      if (depth > 0) co_return co_await wait(depth - 1, number);
      co_await sleep_for(1h);
    }
  };
  Site site([&alive](HTTPServerRequest& request) -> Future<void> {
    request.cancel_when_client_goes();
    co_await Deep::wait(50, alive);
  });
  RawClient client = co_await open_and_ask(site, get("/"));
  expect_equal(alive, 51);
  client.stream().abort();
  co_await until(site.server(), nobody_is_connected);
  expect_equal(alive, 0);
}

BEHAVIOUR("HTTP client goes: a handler that reads its body is dropped, too", kNetwork) {
  int alive = 0;
  Site site([&alive](HTTPServerRequest& request) -> Future<void> {
    const Alive mark(alive);
    request.cancel_when_client_goes();
    const std::string body = co_await request.body();
    co_await sleep_for(1h);
  });
  RawClient client = co_await open_and_ask(site, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
  client.stream().abort();
  co_await until(site.server(), nobody_is_connected);
  expect_equal(alive, 0);
}

BEHAVIOUR("HTTP client goes: a handler that was answered in time is not dropped", kNetwork) {
  Diary diary;
  Site site([&diary](HTTPServerRequest& request) -> Future<void> {
    request.cancel_when_client_goes();
    co_await answer_and_note(request, diary);
  });
  RawClient client = co_await site.open(kTcp);
  for (int i = 0; i < 2; ++i) co_await client.ask(get("/"));
  client.stream().close();
  co_await until(site.server(), nobody_is_connected);
  expect_equal(diary.text, "answered, answered");
}

BEHAVIOUR("HTTP client goes: two hundred that wait are all told", kNetwork) {
  int waiting = 0;
  Site site([&waiting](HTTPServerRequest& request) -> Future<void> {
    const Alive mark(waiting);
    request.cancel_when_client_goes();
    co_await sleep_for(1h);
  });
  std::vector<RawClient> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(co_await site.open(kTcp));
    co_await clients.back().send(get("/"));
  }
  while (waiting < 200) co_await sleep_for(1ms);
  clients.clear();
  while (waiting > 0) co_await sleep_for(1ms);
}

// ---- Tornado's

BEHAVIOUR("HTTP client goes: one that leaves after the first of two pipelined answers harms nobody", kNetwork) {
  const RecordedLog log;
  Site site([](HTTPServerRequest& request) -> Future<void> {
    co_await sleep_for(1ms);
    co_await request.respond(200, {}, "answer");
  });
  {
    RawClient client = co_await site.open(kTcp);
    co_await client.send(get("/") + get("/"));
    co_await client.reply();
  }
  co_await until(site.server(), nobody_is_connected);
  expect_equal(log.count(LogLevel::error), 0);
}

BEHAVIOUR("HTTP client goes: one that leaves during a download harms nobody", kNetwork) {
  const RecordedLog log;
  Site site([](HTTPServerRequest& request) { return request.respond(200, {}, std::string(5'000'000, 'x')); });
  {
    RawClient client = co_await site.open(kTcp);
    co_await client.send(get("/"));
    co_await client.stream().read_bytes(1000);
  }
  co_await until(site.server(), nobody_is_connected);
  expect_equal(log.count(LogLevel::error), 0);
}

BEHAVIOUR("HTTP client goes: finish() from the callback neither throws nor logs", kNetwork) {
  const RecordedLog log;
  Diary diary;
  Site site([&diary](HTTPServerRequest& request) -> Future<void> {
    co_await request.write_headers(200, {});
    request.set_close_callback([&request, &diary] {
      request.finish().ignore();
      diary.note_gone(request);
    });
    co_await std::move(diary.go.future);
  });
  RawClient client = co_await open_and_ask(site, get("/"));
  client.stream().close();
  co_await std::move(diary.told.future);
  diary.go.promise.set_value();
  co_await until(site.server(), nobody_is_connected);
  expect_equal(log.count(LogLevel::error), 0);
}
