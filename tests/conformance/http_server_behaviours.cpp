// HTTPServer: requests and answers (Tornado's httpserver_test, and what that leaves out).
#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "http_fixtures.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kNetwork = Needs::tcp | Needs::listen;

const HTTPHeaders kText = HTTPHeaders().set("Content-Type", "text/plain");

Future<void> answer_hello(HTTPServerRequest& request) { co_await request.respond(200, kText, "Hello, World!"); }

Future<void> answer_target(HTTPServerRequest& request) { co_await request.respond(200, kText, request.uri()); }

Future<void> answer_body(HTTPServerRequest& request) {
  std::string body = co_await request.body();
  co_await request.respond(200, kText, std::move(body));
}

// In pieces, so that the answer has no length.
Future<void> answer_piecewise(HTTPServerRequest& request) {
  co_await request.write_headers(200, kText);
  co_await request.write("one, ");
  co_await request.write("");
  co_await request.write("two");
  co_await request.finish();
}

}  // namespace

BEHAVIOUR("HTTP: a request is answered with length, date and server", Needs::http) {
  Site site(answer_hello);
  RawClient client = co_await site.open();
  const Reply reply = co_await client.ask(get("/"));
  expect_equal(reply.status, 200);
  expect_equal(reply.body, "Hello, World!");
  expect_equal(reply.headers.get("Content-Length"), "13");
  expect_equal(reply.headers.get("Content-Type"), "text/plain");
  expect_equal(reply.headers.get("Server"), "twinloop");
  expect(parse_timestamp(reply.headers.get("Date")).has_value(), "a date");
  expect(!reply.headers.contains("Connection"), "it is kept alive without a word");
}

BEHAVIOUR("HTTP: a server serves http and unix sockets, and says where", kNetwork) {
  HTTPServer server([](HTTPServerRequest& request) {
    return request.respond(200, kText, request.uri() + " from " + request.remote_ip());
  });
  const std::string url = co_await server.listen("http://127.0.0.1:0");
  expect(url.starts_with("http://127.0.0.1:"), url);
  const std::string path = "unix:/tmp/twinloop-http-" + std::to_string(std::random_device()()) + ".socket";
  const std::string local = co_await server.listen(path);
  expect_equal(local, path);
  expect_equal(server.urls().at(0), url);
  expect_equal(server.urls().at(1), local);
  RawClient client(co_await connect("tcp" + url.substr(4)));
  const Reply reply = co_await client.ask(get("/over/tcp"));
  expect_equal(reply.body, "/over/tcp from 127.0.0.1");
  RawClient neighbour(co_await connect(local));
  const Reply near = co_await neighbour.ask(get("/over/unix"));
  expect_equal(near.body, "/over/unix from unix");
  server.stop();
  const Reply again = co_await client.ask(get("/after/stop"));
  expect_equal(again.body, "/after/stop from 127.0.0.1");
}

BEHAVIOUR("HTTP: a bad request over a unix socket is answered with 400, and the log says which", kNetwork) {
  const RecordedLog log;
  Site site(answer_hello);
  const std::string url = "unix:/tmp/twinloop-http-" + std::to_string(std::random_device()()) + ".socket";
  RawClient client = co_await site.open(url);
  co_await client.send("garbage\r\n\r\n");
  const std::string all = co_await client.rest();
  expect(all.starts_with("HTTP/1.1 400 Bad Request\r\n"), all);
  expect(log.mentions("HTTP: 400 to " + url + ": "), log.text());
}

BEHAVIOUR("HTTP: two requests of one connection", kNetwork) {
  Site site(answer_target);
  RawClient client = co_await site.open(kTcp);
  for (const char* target : {"/one", "/two"}) {
    const Reply reply = co_await client.ask(get(target));
    expect_equal(reply.body, target);
  }
  expect_equal(site.server().stats().connections.accepted, 1u);
  expect_equal(site.server().stats().requests, 2u);
}

BEHAVIOUR("HTTP: pipelined requests are answered in order, also when each waits", kNetwork) {
  Site site([](HTTPServerRequest& request) -> Future<void> {
    if (request.uri() == "/slow") co_await sleep_for(2ms);
    co_await request.respond(200, {}, request.uri());
  });
  RawClient client = co_await site.open(kTcp);
  co_await client.send(get("/slow") + get("/fast") + get("/slow") + get("/last"));
  for (const char* target : {"/slow", "/fast", "/slow", "/last"}) {
    const Reply reply = co_await client.reply();
    expect_equal(reply.body, target);
  }
}

BEHAVIOUR("HTTP: Connection: close is answered with it and with the end", Needs::http) {
  Site site(answer_hello);
  RawClient client = co_await site.open();
  const Reply reply = co_await client.ask(get("/", "Connection: close\r\n"));
  expect_equal(reply.headers.get("Connection"), "close");
  const std::string rest = co_await client.rest();
  expect_equal(rest, "");
}

BEHAVIOUR("HTTP: HTTP/1.0 is closed unless it asks otherwise", Needs::http) {
  Site site(answer_hello);
  RawClient client = co_await site.open();
  const Reply kept = co_await client.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n\r\n");
  expect_equal(kept.headers.get("Connection"), "keep-alive");
  const Reply closed = co_await client.ask("GET / HTTP/1.0\r\n\r\n");
  expect_equal(closed.headers.get("Connection"), "close");
  const std::string rest = co_await client.rest();
  expect_equal(rest, "");
}

BEHAVIOUR("HTTP: an answer without a length is chunked, and the connection goes on", Needs::http) {
  Site site(answer_piecewise);
  RawClient client = co_await site.open();
  for (int i = 0; i < 2; ++i) {
    const Reply reply = co_await client.ask(get("/"));
    expect_equal(reply.headers.get("Transfer-Encoding"), "chunked");
    expect_equal(reply.body, "one, two");
  }
}

BEHAVIOUR("HTTP: for HTTP/1.0 an answer without a length ends with the connection", Needs::http) {
  Site site(answer_piecewise);
  RawClient client = co_await site.open();
  const Reply reply = co_await client.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  expect(!reply.headers.contains("Transfer-Encoding"), "not chunked");
  expect_equal(reply.headers.get("Connection"), "close");
  expect_equal(reply.body, "one, two");
}

BEHAVIOUR("HTTP: HEAD gets the headers of GET and no body, whole or chunked, and the connection goes on", Needs::http) {
  Site site([](HTTPServerRequest& request) {
    return request.uri() == "/whole" ? answer_hello(request) : answer_piecewise(request);
  });
  RawClient client = co_await site.open();
  for (const char* target : {"/whole", "/chunked", "/whole"}) {
    co_await client.send("HEAD " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n");
    const Reply reply = co_await client.reply(true);
    expect_equal(reply.body, "");
    const bool whole = std::string_view(target) == "/whole";
    expect_equal(reply.headers.get("Content-Length"), whole ? "13" : "");
    expect_equal(reply.headers.get("Transfer-Encoding"), whole ? "" : "chunked");
  }
}

BEHAVIOUR("HTTP: 204 and 304 have no body, and no length of one", Needs::http) {
  Site site([](HTTPServerRequest& request) -> Future<void> {
    const int status = request.uri() == "/204" ? 204 : 304;
    if (request.uri() != "/wrong") {
      co_await request.respond(status, {}, "");
      co_return;
    }
    co_await expect_failure(request.respond(204, {}, "a body"), Errc::protocol);
    co_await expect_failure(request.write_headers(204, HTTPHeaders().set("Content-Length", "0")), Errc::protocol);
    co_await request.write_headers(304, HTTPHeaders().set("Content-Length", "5"));
    co_await request.finish();
  });
  RawClient client = co_await site.open();
  for (const char* target : {"/204", "/304"}) {
    const Reply reply = co_await client.ask(get(target));
    expect_equal(std::to_string(reply.status), std::string(target).substr(1));
    expect(!reply.headers.contains("Content-Length"), "no length");
  }
  const Reply reply = co_await client.ask(get("/wrong"));
  expect_equal(reply.status, 304);
  expect_equal(reply.headers.get("Content-Length"), "5");
}

BEHAVIOUR("HTTP: a body of any size is answered whole", kNetwork) {
  Site site(answer_body);
  RawClient client = co_await site.open(kTcp);
  for (const std::size_t size : {1u, 8'000u, 9'000u, 70'000u, 3'000'000u}) {
    std::string body(size, 'x');
    body.back() = '!';
    Future<Reply> asking = client.ask(post("/", body));
    const Reply reply = co_await std::move(asking);
    expect(reply.body == body, std::to_string(size));
  }
}

BEHAVIOUR("HTTP: a handler sees what was asked", Needs::http) {
  std::string seen;
  Site site([&seen](HTTPServerRequest& request) -> Future<void> {
    seen = request.method() + "|" + request.uri() + "|" + std::string(request.path()) + "|" +
           std::string(request.query()) + "|" + std::string(request.host()) + "|" + request.full_url() + "|1." +
           std::to_string(request.minor_version()) + "|" + request.protocol();
    for (const auto& [name, value] : request.query_arguments()) seen += "|" + name + "=" + value;
    if (const std::string* cookie = request.cookie("c")) seen += "|cookie " + *cookie;
    return request.respond(200, {}, "");
  });
  RawClient client = co_await site.open();
  co_await client.ask("GET /a%20b//c?x=%C3%A9&x=&y HTTP/1.1\r\nHost: h:1\r\nCookie: c=1; d=2\r\nCookie: c=3\r\n\r\n");
  expect_equal(seen,
               "GET|/a%20b//c?x=%C3%A9&x=&y|/a%20b//c|x=%C3%A9&x=&y|h:1|http://h:1/a%20b//c?x=%C3%A9&x=&y|1.1|http|"
               "x=\xc3\xa9|x=|y=|cookie 3");
  co_await client.ask("GET http://other:2?q HTTP/1.1\r\nHost: other:2\r\n\r\n");
  expect_equal(seen, "GET|http://other:2?q|/|q|other:2|http://other:2?q|1.1|http|q=");
  co_await client.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  expect_equal(seen, "GET|/|/||127.0.0.1|http://127.0.0.1/|1.0|http");
}

BEHAVIOUR("HTTP: a head that is refused is one line of the log, which says to whom and why (malformed_first_line_log)",
          Needs::http) {
  struct Refused {
    const char* head;
    const char* line;
  };
  for (const Refused& refused : {Refused{"asdf\r\n\r\n", "HTTP: 400 to pair:: "},
                                 Refused{"GET / HTTP/1.1\r\nHo\x01st: a\r\n\r\n", "HTTP: 400 to pair:: "},
                                 Refused{"GET / HTTP/7.3\r\n\r\n", "HTTP: 505 to pair:: "}}) {
    const RecordedLog log;
    Site site(answer_hello);
    RawClient client = co_await site.open();
    co_await client.send(refused.head);
    co_await client.rest();
    const std::string text = log.text();
    expect(text.starts_with(refused.line) && text.size() > std::string_view(refused.line).size() + 1, text);
    expect_equal(std::count(text.begin(), text.end(), '\n'), 1);
    expect_equal(log.count(LogLevel::info), 1);
  }
}

// ---- handlers that go wrong

BEHAVIOUR("HTTP: a handler that throws is answered with 500, logged, and ends its connection only", Needs::http) {
  const RecordedLog log;
  Site site([](HTTPServerRequest& request) -> Future<void> {
    if (request.uri() == "/well") co_return co_await request.respond(200, {}, "well");
    co_await sleep_for(1ms);
    throw_error(Errc::limit, "as it was told");
  });
  RawClient ill = co_await site.open();
  RawClient well = co_await site.open();
  const Reply reply = co_await ill.ask(get("/ill"));
  expect_equal(reply.status, 500);
  expect_equal(reply.headers.get("Connection"), "close");
  const std::string rest = co_await ill.rest();
  expect_equal(rest, "");
  expect(log.mentions("as it was told") && log.mentions("GET /ill"), log.text());
  const Reply other = co_await well.ask(get("/well"));
  expect_equal(other.body, "well");
}

BEHAVIOUR("HTTP: a handler that throws before it is a coroutine is answered with 500, too", Needs::http) {
  const RecordedLog log;
  Site site([](HTTPServerRequest&) -> Future<void> { throw Error(Errc::limit, "at once"); });
  RawClient client = co_await site.open();
  const Reply reply = co_await client.ask(get("/"));
  expect_equal(reply.status, 500);
  expect(log.mentions("at once"), log.text());
}

BEHAVIOUR("HTTP: a handler that gives no answer is one of 500", Needs::http) {
  const RecordedLog log;
  Site site([](HTTPServerRequest&) -> Future<void> { co_return; });
  RawClient client = co_await site.open();
  const Reply reply = co_await client.ask(get("/silent"));
  expect_equal(reply.status, 500);
  expect(log.mentions("gave no answer"), log.text());
}

BEHAVIOUR("HTTP: a handler that returns within its answer has finished it", Needs::http) {
  Site site([](HTTPServerRequest& request) -> Future<void> {
    co_await request.write_headers(200, {});
    co_await request.write("all");
  });
  RawClient client = co_await site.open();
  for (int i = 0; i < 2; ++i) {
    const Reply reply = co_await client.ask(get("/"));
    expect_equal(reply.body, "all");
  }
}

BEHAVIOUR("HTTP: a handler that throws within its answer cuts it off", kNetwork) {
  const RecordedLog log;
  for (const char* version : {"1.1", "1.0"}) {
    Site site([](HTTPServerRequest& request) -> Future<void> {
      co_await request.write_headers(200, {});
      co_await request.write("a part");
      co_await request.flush();
      throw_error(Errc::limit, "in the middle");
    });
    RawClient client = co_await site.open(kTcp);
    co_await client.send("GET / HTTP/" + std::string(version) + "\r\nHost: a\r\n\r\n");
    const Result<Reply> reply = co_await as_result(client.reply());
    expect(!reply.ok(), "the client sees that there is more, with HTTP/1.0 by a reset");
  }
}

BEHAVIOUR("HTTP: more bytes than the Content-Length fail, and the connection ends", Needs::http) {
  Errc reason{};
  Site site([&reason](HTTPServerRequest& request) -> Future<void> {
    co_await request.write_headers(200, HTTPHeaders().set("Content-Length", "4"));
    co_await request.write("1234");
    const Result<void> more = co_await as_result(request.write("5"));
    reason = more.reason();
  });
  RawClient client = co_await site.open();
  const Reply reply = co_await client.ask(get("/"));
  expect_equal(reply.body, "1234");
  const std::string rest = co_await client.rest();
  expect_equal(rest, "");
  expect(reason == Errc::protocol, name(reason));
}

BEHAVIOUR("HTTP: fewer bytes than the Content-Length fail at finish, and the connection ends", Needs::http) {
  Errc reason{};
  Site site([&reason](HTTPServerRequest& request) -> Future<void> {
    co_await request.write_headers(200, HTTPHeaders().set("Content-Length", "4"));
    co_await request.write("123");
    const Result<void> done = co_await as_result(request.finish());
    reason = done.reason();
  });
  RawClient client = co_await site.open();
  co_await client.send(get("/"));
  const Result<Reply> reply = co_await as_result(client.reply());
  expect(!reply.ok(), "cut off");
  expect(reason == Errc::protocol, name(reason));
}

BEHAVIOUR("HTTP: an answer that contradicts itself fails before anything of it is sent", Needs::http) {
  Site site([](HTTPServerRequest& request) -> Future<void> {
    co_await expect_failure(request.write("too early"), Errc::protocol);
    co_await expect_failure(request.finish(), Errc::protocol);
    co_await expect_failure(request.write_headers(99, {}), Errc::protocol);
    co_await expect_failure(request.write_headers(101, {}), Errc::protocol);
    co_await expect_failure(request.write_headers(200, HTTPHeaders().set("Transfer-Encoding", "gzip")), Errc::protocol);
    for (const char* length : {"foo", "+10", "1_0", "-1", ""}) {
      co_await expect_failure(request.write_headers(200, HTTPHeaders().set("Content-Length", length)), Errc::protocol);
    }
    co_await expect_failure(request.respond(200, HTTPHeaders().set("Content-Length", "1"), "ab"), Errc::protocol);
    co_await expect_failure(request.write_headers(200, {}, "OK\r\nX: y"), Errc::protocol);
    co_await request.respond(200, {}, "in the end");
    co_await expect_failure(request.respond(200, {}, "twice"), Errc::protocol);
    co_await expect_failure(request.write("more"), Errc::protocol);
    co_await expect_failure(request.finish(), Errc::protocol);
  });
  RawClient client = co_await site.open();
  const Reply reply = co_await client.ask(get("/"));
  expect_equal(reply.body, "in the end");
}

BEHAVIOUR("HTTP: a handler's own Date, Server, Connection and reason stand", Needs::http) {
  Site site([](HTTPServerRequest& request) -> Future<void> {
    HTTPHeaders headers;
    headers.set("date", "Sun, 06 Nov 1994 08:49:37 GMT").set("SERVER", "mine").set("Connection", "close");
    co_await request.write_headers(299, headers, "As I Say");
    co_await request.finish();
  });
  RawClient client = co_await site.open();
  co_await client.send(get("/"));
  const std::string all = co_await client.rest();
  expect(all.starts_with("HTTP/1.1 299 As I Say\r\n"), all);
  expect(all.find("date: Sun, 06 Nov 1994") != std::string::npos && all.find("Date:") == std::string::npos, all);
  expect(all.find("SERVER: mine") != std::string::npos && all.find("Server:") == std::string::npos, all);
}

BEHAVIOUR("HTTP: without a name a server does not give one", Needs::http) {
  Site site(answer_hello, HTTPServerOptions().set_server_name(""));
  RawClient client = co_await site.open();
  const Reply reply = co_await client.ask(get("/"));
  expect(!reply.headers.contains("Server"), "no name");
}

// ---- limits and times

BEHAVIOUR("HTTP: a connection without requests is closed without a word when it was idle too long", Needs::http) {
  Site site(answer_hello, HTTPServerOptions().set_idle_connection_timeout(200ms));
  RawClient unused = co_await site.open();
  const std::string nothing = co_await unused.rest();
  expect_equal(nothing, "");
  RawClient used = co_await site.open();
  for (int i = 0; i < 2; ++i) {
    const Reply reply = co_await used.ask(get("/"));
    expect_equal(reply.status, 200);
  }
  const std::string rest = co_await used.rest();
  expect_equal(rest, "");
  co_await until(site.server(), nobody_is_connected);
}

BEHAVIOUR("HTTP: a handler that takes longer than the idle time is not idle", Needs::http) {
  Site site(
      [](HTTPServerRequest& request) -> Future<void> {
        co_await sleep_for(400ms);
        co_await request.respond(200, {}, "late");
      },
      HTTPServerOptions().set_idle_connection_timeout(150ms));
  RawClient client = co_await site.open();
  const Reply reply = co_await client.ask(get("/"));
  expect_equal(reply.body, "late");
}

BEHAVIOUR("HTTP: headers that come too slowly are answered with 408", kNetwork) {
  Site site(answer_hello, HTTPServerOptions().set_header_timeout(30ms));
  RawClient client = co_await site.open(kTcp);
  co_await client.send("GET / HTTP/1.1\r\nHost:");
  const Reply reply = co_await client.reply();
  expect_equal(reply.status, 408);
  const std::string rest = co_await client.rest();
  expect_equal(rest, "");
}

BEHAVIOUR("HTTP: a client that sends its headers byte by byte does not gain time by it", Needs::http) {
  Site site(answer_hello, HTTPServerOptions().set_header_timeout(30ms));
  RawClient client = co_await site.open();
  Future<Reply> replying = client.reply();
  const std::string request = get("/", "X: " + std::string(1000, 'x') + "\r\n");
  for (const char byte : request) {
    if (replying.done()) break;
    client.send(std::string_view(&byte, 1)).ignore();
    co_await sleep_for(1ms);
  }
  const Reply reply = co_await std::move(replying);
  expect_equal(reply.status, 408);
}

BEHAVIOUR("HTTP: after as many requests as it may have a connection is closed", Needs::http) {
  Site site(answer_hello, HTTPServerOptions().set_max_requests_per_connection(3));
  RawClient client = co_await site.open();
  for (int i = 0; i < 3; ++i) {
    const Reply reply = co_await client.ask(get("/"));
    expect_equal(reply.headers.get("Connection"), i < 2 ? "" : "close");
  }
  const std::string rest = co_await client.rest();
  expect_equal(rest, "");
}

BEHAVIOUR("HTTP: a server without keep-alive closes after each request", Needs::http) {
  Site site(answer_hello, HTTPServerOptions().set_keep_alive(false));
  RawClient client = co_await site.open();
  const Reply reply = co_await client.ask(get("/"));
  expect_equal(reply.headers.get("Connection"), "close");
}

BEHAVIOUR("HTTP: headers beyond the limits are answered with 431, a long target with 414", kNetwork) {
  Site site(answer_hello, HTTPServerOptions().set_max_header_size(1000).set_max_header_count(10));
  const std::string many(20 * 6, 'x');
  for (const auto& [request, status] : std::vector<std::pair<std::string, int>>{
           {get("/", "X: " + std::string(2000, 'x') + "\r\n"), 431},
           {get("/", "A: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\nA: 5\r\nA: 6\r\nA: 7\r\nA: 8\r\nA: 9\r\nA: 10\r\n"), 431},
           {get("/" + std::string(2000, 'x')), 414},
           {get("/", "X: " + std::string(800, 'x') + "\r\n"), 200}}) {
    RawClient client = co_await site.open(kTcp);
    Future<Reply> asking = client.ask(request);
    const Reply reply = co_await std::move(asking);
    expect_equal(reply.status, status);
  }
}

BEHAVIOUR("HTTP: a client that pipelines for ever does not keep others from their answers", kNetwork) {
  Site site(answer_hello);
  RawClient greedy = co_await site.open(kTcp);
  RawClient modest = co_await site.open(kTcp);
  std::string many;
  for (int i = 0; i < 20'000; ++i) many += get("/");
  Future<void> sending = greedy.stream().write(std::move(many));
  Future<std::string> reading = greedy.stream().read_bytes(1'000'000);
  for (int i = 0; i < 5; ++i) {
    const std::uint64_t before = site.server().stats().requests;
    const Reply reply = co_await modest.ask(get("/"));
    expect_equal(reply.status, 200);
    const std::uint64_t between = site.server().stats().requests - before;
    expect(between < 8'000, "it waited for " + std::to_string(between) + " requests of the other");
  }
  co_await std::move(reading);
}

// ---- the end of a server

BEHAVIOUR("HTTP: drain closes idle connections at once and lets requests under way finish", Needs::http) {
  Signal go;
  Site site([&go](HTTPServerRequest& request) -> Future<void> {
    if (request.uri() == "/slow") co_await std::move(go.future);
    co_await request.respond(200, {}, "done");
  });
  RawClient idle = co_await site.open();
  RawClient busy = co_await site.open();
  RawClient fresh = co_await site.open();
  co_await idle.ask(get("/"));
  co_await busy.send(get("/slow"));
  co_await until(site.server(), somebody_is_served);
  int told = 0;
  site.server().on_drain([&told] { ++told; });
  Future<void> draining = site.server().drain(10s);
  expect_equal(told, 1);
  const std::string rest = co_await idle.rest();
  expect_equal(rest, "");
  const std::string fresh_rest = co_await fresh.rest();
  expect_equal(fresh_rest, "");
  expect(!draining.done(), "one is under way");
  go.promise.set_value();
  const Reply reply = co_await busy.reply();
  expect_equal(reply.body, "done");
  expect_equal(reply.headers.get("Connection"), "close");
  co_await std::move(draining);
  expect_equal(site.server().stats().connections.open, 0u);
}

BEHAVIOUR("HTTP: at its limit drain cancels the handlers that are left", Needs::http) {
  int alive = 0;
  Site site([&alive](HTTPServerRequest&) -> Future<void> {
    const Alive mark(alive);
    co_await sleep_for(1h);
  });
  RawClient client = co_await site.open();
  co_await client.send(get("/"));
  co_await until(site.server(), somebody_is_served);
  co_await site.server().drain(5ms);
  expect_equal(alive, 0);
  expect_equal(site.server().stats().active, 0u);
  const std::string rest = co_await client.rest();
  expect_equal(rest, "");
}

BEHAVIOUR("HTTP: the connections of a server that is destroyed go on", Needs::http) {
  std::optional<Site> site(std::in_place, answer_hello);
  RawClient client = co_await site->open();
  co_await client.ask(get("/"));
  site.reset();
  const Reply reply = co_await client.ask(get("/"));
  expect_equal(reply.status, 200);
}

BEHAVIOUR("HTTP: a conversation that is cancelled at any step leaves nothing behind", Needs::http) {
  const auto talk = []() -> Future<void> {
    Site site(answer_body);
    RawClient client = co_await site.open();
    for (int i = 0; i < 2; ++i) {
      const Reply reply = co_await client.ask(post_chunked("/", "3\r\nabc\r\n0\r\n\r\n"));
      expect_equal(reply.body, "abc");
    }
    co_await site.server().drain(1s);
  };
  co_await cancel_everywhere(talk);
}

// ---- other protocols

BEHAVIOUR("HTTP: a handler may take the connection over, with what was received behind the request", kNetwork) {
  Site site([](HTTPServerRequest& request) -> Future<void> {
    std::string leftover;
    IOStream stream = request.detach(leftover);
    co_await stream.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    co_await stream.write(leftover);
    for (;;) co_await stream.write(co_await stream.read_some());
  });
  RawClient client = co_await site.open(kTcp);
  co_await client.send(get("/", "Connection: Upgrade\r\nUpgrade: echo\r\n") + "early, ");
  const Reply reply = co_await client.reply();
  expect_equal(reply.status, 101);
  expect_equal(site.server().stats().active, 1u);
  co_await client.send("late");
  co_await client.stream().shutdown_write();
  const std::string rest = co_await client.rest();
  expect_equal(rest, "early, late");
  co_await until(site.server(), nobody_is_connected);
}

BEHAVIOUR("HTTP: an upgrade that a handler does not take is an ordinary request", Needs::http) {
  Site site(answer_target);
  RawClient client = co_await site.open();
  for (const char* target : {"/one", "/two"}) {
    const Reply reply = co_await client.ask(get(target, "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    expect_equal(reply.body, target);
  }
}

// ---- proxies in front

namespace {

Future<std::string> who_asks(std::string headers, HTTPServerOptions options, const char* url) {
  Site site(
      [](HTTPServerRequest& request) -> Future<void> {
        return request.respond(200, {}, request.remote_ip() + " " + request.protocol());
      },
      std::move(options));
  RawClient client = co_await site.open(url);
  const Reply reply = co_await client.ask(get("/", headers));
  co_return reply.body;
}

}  // namespace

BEHAVIOUR("HTTP: what strangers say about addresses is not believed", kNetwork) {
  const std::string headers = "X-Real-Ip: 4.4.4.4\r\nX-Forwarded-For: 5.5.5.5\r\nX-Forwarded-Proto: https\r\n";
  const std::string plain = co_await who_asks(headers, HTTPServerOptions(), kTcp);
  expect_equal(plain, "127.0.0.1 http");
  const std::string other = co_await who_asks(headers, HTTPServerOptions().add_trusted_proxy("10.0.0.1"), kTcp);
  expect_equal(other, "127.0.0.1 http");
}

BEHAVIOUR("HTTP: a proxy behind a unix socket is believed where \"unix\" is trusted, and only there", kNetwork) {
  const std::string url = "unix:/tmp/twinloop-http-" + std::to_string(std::random_device()()) + ".socket";
  const std::string headers = "X-Forwarded-For: 4.4.4.4\r\nX-Forwarded-Proto: https\r\n";
  const std::string stranger =
      co_await who_asks(headers, HTTPServerOptions().add_trusted_proxy("127.0.0.1"), url.c_str());
  expect_equal(stranger, "unix http");
  const std::string trusted = co_await who_asks(headers, HTTPServerOptions().add_trusted_proxy("unix"), url.c_str());
  expect_equal(trusted, "4.4.4.4 https");
  const std::string silent = co_await who_asks("", HTTPServerOptions().add_trusted_proxy("unix"), url.c_str());
  expect_equal(silent, "unix http");
}

BEHAVIOUR("HTTP: a trusted proxy says who the client is, and nobody before it", kNetwork) {
  HTTPServerOptions options;
  options.add_trusted_proxy("127.0.0.1").add_trusted_proxy("5.5.5.5");
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"X-Real-Ip: 4.4.4.4\r\n", "4.4.4.4 http"},
      {"X-Forwarded-For: 127.0.0.1, 4.4.4.4\r\n", "4.4.4.4 http"},
      {"X-Forwarded-For: 4.4.4.4, 5.5.5.5\r\n", "4.4.4.4 http"},
      {"X-Forwarded-For: 1.1.1.1, 4.4.4.4, 5.5.5.5\r\n", "4.4.4.4 http"},
      {"X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 4.4.4.4\r\n", "4.4.4.4 http"},
      {"X-Forwarded-For: 5.5.5.5\r\n", "5.5.5.5 http"},
      {"X-Real-Ip: 2620:0:1cfe:face:b00c::3\r\n", "2620:0:1cfe:face:b00c::3 http"},
      {"X-Forwarded-For: ::1, 2620:0:1cfe:face:b00c::3\r\n", "2620:0:1cfe:face:b00c::3 http"},
      {"X-Real-Ip: 4.4.4.4<script>\r\n", "127.0.0.1 http"},
      {"X-Forwarded-For: 4.4.4.4, 5.5.5.5<script>\r\n", "127.0.0.1 http"},
      {"X-Real-Ip: www.google.com\r\n", "127.0.0.1 http"},
      {"X-Scheme: https\r\n", "127.0.0.1 https"},
      {"X-Forwarded-Proto: https\r\n", "127.0.0.1 https"},
      {"X-Forwarded-Proto: https , http\r\n", "127.0.0.1 http"},
      {"X-Forwarded-Proto: http,https\r\n", "127.0.0.1 https"},
      {"X-Forwarded-Proto: unknown\r\n", "127.0.0.1 http"},
  };
  for (const auto& [headers, expected] : cases) {
    const std::string seen = co_await who_asks(headers, options, kTcp);
    expect_equal(seen, expected);
  }
}
