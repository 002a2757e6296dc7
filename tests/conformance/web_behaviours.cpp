// Web applications: routes, the life of a handler, errors.  (Over `pair:` they run wherever there is HTTP.)
#include <optional>
#include <string>
#include <vector>

#include "fixtures.h"
#include "web_fixtures.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

const std::string kUrl = "pair:web";

class Hello : public RequestHandler {
  Future<void> get() override {
    write("Hello, ");
    write(get_argument("name", "world"));
    co_return;
  }
};

// Says which groups the route's pattern had.
class Groups : public RequestHandler {
  Future<void> get() override {
    for (const std::string& each : path_args()) write("[" + each + "]");
    co_return;
  }
};

class Named : public RequestHandler {
  Future<void> prepare() override {  // the groups are there already
    write(path_argument("kind") + "=" + path_argument("id"));
    co_return;
  }
  Future<void> get() override { co_return; }
};

class Says : public RequestHandler {
 public:
  explicit Says(std::string what) : what_(std::move(what)) {}
  Future<void> get() override {
    write(what_);
    return Future<void>::ready();
  }

 private:
  std::string what_;
};

// Writes down what is called, in its order.
class Steps : public RequestHandler {
 public:
  explicit Steps(std::string& steps) : steps_(steps) {}
  Future<void> prepare() override {
    steps_ += "prepare ";
    co_await moment();
  }
  Future<void> get() override { return step("get "); }
  Future<void> head() override { return step("head "); }
  Future<void> post() override { return step("post:" + std::string(body()) + " "); }
  Future<void> put() override { return step("put "); }
  Future<void> patch() override { return step("patch "); }
  Future<void> del() override { return step("del "); }
  Future<void> options() override { return step("options "); }
  void on_finish() override { steps_ += "on_finish "; }
  void on_connection_close() override { steps_ += "on_connection_close "; }

 private:
  Future<void> step(std::string what) {
    steps_ += what;
    write("x");
    co_return;
  }
  std::string& steps_;
};

enum class How {
  http_error,
  reasoned,
  plain,
  failure,
  finish,
  finish_in_prepare,
  error_in_prepare,
  sync_throw,
  send_error
};

class Fails : public RequestHandler {
 public:
  explicit Fails(How how) : how_(how) {}
  Future<void> prepare() override {
    if (how_ == How::error_in_prepare) throw HTTPError(401);
    if (how_ == How::finish_in_prepare) co_await finish("done early");
  }
  Future<void> get() override {
    if (how_ == How::sync_throw) throw HTTPError(403);
    return fail();
  }

 private:
  Future<void> fail() {
    write("half of it");
    co_await moment();
    switch (how_) {
      case How::http_error:
        throw HTTPError(418, "for the log only");
      case How::reasoned:
        throw HTTPError(499, "", "No <b>Coffee</b>");
      case How::plain:
        throw std::runtime_error("as it was told");
      case How::failure:
        co_await ::twinloop::detail::Fail(http_failure(404));
        break;
      case How::finish:
        throw Finish();
      case How::send_error:
        co_await send_error(409);
        break;
      default:
        write("never reached");
    }
  }
  How how_;
};

class OwnPage : public RequestHandler {
  Future<void> get() override { throw HTTPError(404); }
  Future<void> write_error(int status, const Failure&) override {
    set_header("Content-Type", "text/plain");
    co_await moment();
    co_await finish("own page for " + std::to_string(status));
  }
};

class FailingPage : public RequestHandler {
 public:
  explicit FailingPage(bool in_log) : in_log_(in_log) {}
  Future<void> get() override { throw HTTPError(404); }
  Future<void> write_error(int status, const Failure& why) override {
    if (!in_log_) throw std::runtime_error("no page either");
    return RequestHandler::write_error(status, why);
  }
  void log_exception(const Failure& why) override {
    if (in_log_) throw std::runtime_error("no log either");
    RequestHandler::log_exception(why);
  }

 private:
  bool in_log_;
};

class Headers : public RequestHandler {
  void set_default_headers() override { set_header("X-Default", "yes"); }
  Future<void> get() override {
    set_status(get_query_argument("status", "") == "204" ? 204 : 200);
    set_header("X-Number", 42);
    add_header("X-Twice", "a");
    add_header("X-Twice", "b");
    set_header("X-Gone", "x");
    clear_header("X-Gone");
    co_return;
  }
  Future<void> post() override { throw HTTPError(400); }
};

// Breaks out of a header, if it can.
class Injects : public RequestHandler {
  Future<void> get() override {
    set_header("X-Foo", get_query_argument("value"));
    co_return;
  }
  Future<void> post() override {
    set_status(200, std::string("fine\r\nX-Evil: yes"));
    co_return;
  }
};

// Sends in pieces.
class Pieces : public RequestHandler {
  Future<void> get() override {
    co_await flush();  // nothing but the headers
    write("one ");
    co_await flush();
    write("two");
    if (get_query_argument("fail", "") == "yes") throw std::runtime_error("in the middle");
  }
};

class Twice : public RequestHandler {
  Future<void> get() override {
    const Result<> first = co_await as_result(finish("once"));
    const Result<> second = co_await as_result(finish("twice"));
    expect(first.ok() && second.reason() == Errc::protocol, "finish() works once");
  }
};

class Counted : public RequestHandler {
  Future<void> get() override {
    set_header("Content-Length", get_query_argument("length"));
    co_await finish("0123456789");
  }
};

class Moves : public RequestHandler {
  Future<void> get() override { return redirect("/elsewhere", get_query_argument("permanent", "") == "yes"); }
  Future<void> post() override { return redirect("/elsewhere", false, 303); }
};

class Reverses : public RequestHandler {
  Future<void> get() override {
    write(reverse_url("item", 42) + " " + reverse_url("item", "a b"));
    co_return;
  }
};

Future<WebReply> get_from(std::string target, std::string headers = {}) {
  std::string text = request("GET", target, headers);
  return fetch(kUrl, std::move(text));
}

// Takes the connection over and echoes one line.
class Upgrades : public Steps {
 public:
  using Steps::Steps;
  Future<void> get() override {
    std::string leftover;
    IOStream stream = detach(leftover);
    co_await stream.write("HTTP/1.1 101 Switching Protocols\r\n\r\n" + leftover);
    co_await stream.write(co_await stream.read_until("\n"));
  }
};

// Ends its connection without an answer.
class HangsUp : public RequestHandler {
  Future<void> get() override {
    request().stream().close();
    co_return;
  }
};

}  // namespace

// ---- routes

BEHAVIOUR("the first route that matches the whole path has the request", Needs::http) {
  Application app;
  app.add<Hello>("/");
  app.add<Groups>("/items/([0-9]+)/(.*)");
  app.add<Says>("/items/.*", std::string("later"));
  co_await app.listen(kUrl);
  const WebReply hello = co_await get_from("/?name=you");
  expect_equal(hello.status, 200);
  expect_equal(hello.body, "Hello, you");
  expect_equal(hello.header("Content-Type"), "text/html; charset=UTF-8");
  expect_equal(hello.header("Content-Length"), "10");
  const WebReply item = co_await get_from("/items/42/a%20b%2Fc");
  expect_equal(item.body, "[42][a b/c]");
  const WebReply later = co_await get_from("/items/none");
  expect_equal(later.body, "later");
}

BEHAVIOUR("named groups of a route are there in prepare already", Needs::http) {
  Application app;
  app.add<Named>("/(?P<kind>[a-z]+)/(?P<id>[0-9]+)");
  co_await app.listen(kUrl);
  const WebReply reply = co_await get_from("/book/7");
  expect_equal(reply.body, "book=7");
}

BEHAVIOUR("routes of a host come before those of any host, and the default host stands for strangers", Needs::http) {
  Application app(ApplicationSettings().set_default_host("www.example.com"));
  app.add<Says>("/both", std::string("any"));
  app.add<Says>("/any", std::string("any"));
  app.host("www\\.example\\.(com|net)").add<Says>("/both", std::string("host"));
  co_await app.listen(kUrl);
  const auto ask_as = [](std::string_view host, std::string_view path) {
    return fetch(kUrl, "GET " + std::string(path) + " HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n");
  };
  const WebReply of_host = co_await ask_as("WWW.example.net:8080", "/both");
  expect_equal(of_host.body, "host");
  const WebReply of_any = co_await ask_as("www.example.com", "/any");
  expect_equal(of_any.body, "any");
  const WebReply stranger = co_await ask_as("elsewhere.org", "/both");
  expect_equal(stranger.body, "host");
}

BEHAVIOUR("a path without a route is 404, or what the default handler says", Needs::http) {
  const RecordedLog log;
  Application app;
  co_await app.listen(kUrl);
  const WebReply missing = co_await get_from("/nothing");
  expect_equal(missing.status, 404);
  expect(missing.body.find("404: Not Found") != std::string::npos, missing.body);
  app.set_default_handler<Says>(std::string("own"));
  const WebReply own = co_await get_from("/nothing");
  expect_equal(own.body, "own");
}

BEHAVIOUR("a named route is found by reverse_url", Needs::http) {
  Application app;
  app.add<Says>("/items/([^/]+)", std::string("x")).set_name("item");
  app.add<Reverses>("/");
  co_await app.listen(kUrl);
  const WebReply reply = co_await get_from("/");
  expect_equal(reply.body, "/items/42 /items/a%20b");
  expect_equal(app.reverse_url("item", 1), "/items/1");
  Errc reason{};
  try {
    app.reverse_url("nobody");
  } catch (const Error& error) {
    reason = error.reason();
  }
  expect(reason == Errc::not_found, "there is no such route");
}

// ---- life

BEHAVIOUR("each verb of a handler is called behind prepare and in front of on_finish", Needs::http) {
  std::string steps;
  Application app;
  app.add<Steps>("/", std::ref(steps));
  co_await app.listen(kUrl);
  for (const char* method : {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}) {
    IOStream client = co_await connect(kUrl);
    const std::string body = std::string_view(method) == "POST" ? "sent" : "";
    const WebReply reply = co_await ask(client, request(method, "/", {}, body));
    expect_equal(reply.status, 200);
  }
  co_await moment();
  expect_equal(steps,
               "prepare get on_finish prepare head on_finish prepare post:sent on_finish prepare put on_finish "
               "prepare patch on_finish prepare del on_finish prepare options on_finish ");
}

BEHAVIOUR("a verb that a handler lacks is 405 and says which it has; HEAD comes with GET", Needs::http) {
  const RecordedLog log;
  Application app;
  app.add<Hello>("/");
  co_await app.listen(kUrl);
  for (const char* method : {"POST", "PUT", "PATCH", "DELETE", "OPTIONS"}) {
    const WebReply reply = co_await fetch(kUrl, request(method, "/"));
    expect_equal(reply.status, 405);
    expect_equal(reply.header("Allow"), "GET, HEAD");
  }
  const WebReply head = co_await fetch(kUrl, request("HEAD", "/"));
  expect_equal(head.status, 200);
  expect_equal(head.header("Content-Length"), "12");
}

BEHAVIOUR("requests that are pipelined get a handler each and are answered in order", Needs::http) {
  Application app;
  app.add<Hello>("/");
  co_await app.listen(kUrl);
  IOStream client = co_await connect(kUrl);
  std::string text;
  for (int i = 0; i < 20; ++i) text += request("GET", "/?name=" + std::to_string(i));
  co_await client.write(text);
  for (int i = 0; i < 20; ++i) {
    const WebReply reply = co_await read_reply(client);
    expect_equal(reply.body, "Hello, " + std::to_string(i));
  }
}

BEHAVIOUR("what was sent in pieces arrives in pieces, and the end is the end", Needs::http) {
  const RecordedLog log;
  Application app;
  app.add<Pieces>("/");
  co_await app.listen(kUrl);
  const WebReply reply = co_await get_from("/");
  expect_equal(reply.header("Transfer-Encoding"), "chunked");
  expect_equal(reply.body, "one two");
  IOStream client = co_await connect(kUrl);
  const Result<WebReply> half = co_await as_result(ask(client, request("GET", "/?fail=yes")));
  expect(!half.ok(), "a response that failed in the middle does not pass for a whole one");
}

BEHAVIOUR("finish works once, and Content-Length must be what it says", Needs::http) {
  const RecordedLog log;
  Application app;
  app.add<Twice>("/twice");
  app.add<Counted>("/counted");
  co_await app.listen(kUrl);
  const WebReply once = co_await get_from("/twice");
  expect_equal(once.body, "once");
  const WebReply right = co_await get_from("/counted?length=10");
  expect_equal(right.body, "0123456789");
  for (const char* target : {"/counted?length=50", "/counted?length=5"}) {
    IOStream client = co_await connect(kUrl);
    co_await client.write(request("GET", target));
    const std::string all = co_await client.read_until_close();
    expect(all.find("0123456789\r\n") == std::string::npos, all);  // it was cut
  }
  expect(log.mentions("Content-Length"), log.text());
}

BEHAVIOUR("redirections say where, and for how long", Needs::http) {
  Application app;
  app.add<Moves>("/");
  app.add<RedirectHandler>("/old/([a-z]+)/(.*)", std::string("/new/{1}/{0}"));
  co_await app.listen(kUrl);
  const WebReply found = co_await get_from("/");
  expect_equal(found.status, 302);
  expect_equal(found.header("Location"), "/elsewhere");
  const WebReply moved = co_await get_from("/?permanent=yes");
  expect_equal(moved.status, 301);
  const WebReply other = co_await fetch(kUrl, request("POST", "/"));
  expect_equal(other.status, 303);
  const WebReply filled = co_await get_from("/old/a/b%20c");
  expect_equal(filled.status, 301);
  expect_equal(filled.header("Location"), "/new/b%20c/a");
}

BEHAVIOUR("a fallback hands its requests to another handler", Needs::http) {
  Application app;
  app.add<FallbackHandler>("/raw/.*", HTTPHandler([](HTTPServerRequest& request) {
                             return request.respond(200, HTTPHeaders(), "raw " + std::string(request.path()));
                           }));
  co_await app.listen(kUrl);
  const WebReply reply = co_await get_from("/raw/x");
  expect_equal(reply.body, "raw /raw/x");
}

BEHAVIOUR("a handler that takes its connection over gets neither on_finish nor on_connection_close", Needs::http) {
  std::string steps;
  Application app;
  app.add<Upgrades>("/", std::ref(steps));
  co_await app.listen(kUrl);
  IOStream client = co_await connect(kUrl);
  co_await client.write(request("GET", "/", "Connection: Upgrade\r\nUpgrade: lines\r\n") + "early ");
  const std::string head = co_await client.read_until("\r\n\r\n");
  expect(head.starts_with("HTTP/1.1 101"), head);
  co_await client.write("line\n");
  const std::string all = co_await client.read_until_close();
  expect_equal(all, "early line\n");
  while (app.server().stats().active > 0) co_await moment();
  expect_equal(steps, "prepare ");
}

BEHAVIOUR("a handler that closes its connection leaves its client without an answer and the log without a line",
          Needs::http) {
  const RecordedLog log;
  Application app;
  app.add<HangsUp>("/");
  co_await app.listen(kUrl);
  IOStream client = co_await connect(kUrl);
  co_await client.write(request("GET", "/"));
  const std::string nothing = co_await client.read_until_close();
  expect_equal(nothing, "");
  expect_equal(log.text(), "");
}

// ---- headers and statuses

BEHAVIOUR("headers are set, added and cleared; 204 has no body to describe", Needs::http) {
  const RecordedLog log;
  Application app;
  app.add<Headers>("/");
  co_await app.listen(kUrl);
  const WebReply reply = co_await get_from("/");
  expect_equal(reply.header("X-Default"), "yes");
  expect_equal(reply.header("X-Number"), "42");
  expect_equal(reply.headers.count("X-Twice"), 2u);
  expect(!reply.headers.contains("X-Gone"), "cleared");
  expect(reply.headers.contains("Date") && reply.headers.contains("Server"), "the server's own");
  const WebReply empty = co_await get_from("/?status=204");
  expect_equal(empty.status, 204);
  expect(!empty.headers.contains("Content-Type") && !empty.headers.contains("Content-Length"), "no body");
  const WebReply error = co_await fetch(kUrl, request("POST", "/"));
  expect_equal(error.status, 400);
  expect_equal(error.header("X-Default"), "yes");
  expect(!error.headers.contains("X-Number"), "an error begins anew");
}

BEHAVIOUR("nothing breaks out of a header or a status line", Needs::http) {
  const RecordedLog log;
  Application app;
  app.add<Injects>("/");
  co_await app.listen(kUrl);
  const WebReply header = co_await get_from("/?value=a%0d%0aX-Evil:%20yes");
  expect(!header.headers.contains("X-Evil"), "as a header");
  const WebReply reason = co_await fetch(kUrl, request("POST", "/"));
  expect(!reason.headers.contains("X-Evil"), "as a reason");
  expect_equal(reason.status, 500);
}

// ---- errors

BEHAVIOUR("a handler's failure is its answer: its own status, or 500", Needs::http) {
  const RecordedLog log;
  Application app;
  const auto add = [&](const char* path, How how) { app.add<Fails>(path, how); };
  add("/http", How::http_error);
  add("/plain", How::plain);
  add("/failure", How::failure);
  add("/sync", How::sync_throw);
  add("/prepare", How::error_in_prepare);
  add("/send", How::send_error);
  co_await app.listen(kUrl);
  const auto expect_status = [](std::string path, int status) -> Future<void> {
    const WebReply reply = co_await get_from(path);
    expect_equal(reply.status, status);
    expect(reply.body.find("half of it") == std::string::npos, "what was written is forgotten");
  };
  co_await expect_status("/http", 418);
  co_await expect_status("/plain", 500);
  co_await expect_status("/failure", 404);
  co_await expect_status("/sync", 403);
  co_await expect_status("/prepare", 401);
  co_await expect_status("/send", 409);
  expect(log.mentions("for the log only") && log.mentions("as it was told"), log.text());
}

BEHAVIOUR("an error's reason stands in the status line, and in the page as text only", Needs::http) {
  const RecordedLog log;
  Application app;
  app.add<Fails>("/", How::reasoned);
  co_await app.listen(kUrl);
  const WebReply reply = co_await get_from("/");
  expect_equal(reply.status, 499);
  expect_equal(reply.reason, "No <b>Coffee</b>");
  expect(reply.body.find("499: No &lt;b&gt;Coffee") != std::string::npos, reply.body);
}

BEHAVIOUR("a request may be finished in prepare, or by throwing Finish", Needs::http) {
  Application app;
  app.add<Fails>("/prepare", How::finish_in_prepare);
  app.add<Fails>("/finish", How::finish);
  co_await app.listen(kUrl);
  const WebReply early = co_await get_from("/prepare");
  expect_equal(early.body, "done early");
  const WebReply thrown = co_await get_from("/finish");
  expect_equal(thrown.status, 200);
  expect_equal(thrown.body, "half of it");
}

BEHAVIOUR("a handler may write its own error page, and one that fails leaves the status", Needs::http) {
  const RecordedLog log;
  Application app;
  app.add<OwnPage>("/own");
  app.add<FailingPage>("/page", false);
  app.add<FailingPage>("/log", true);
  co_await app.listen(kUrl);
  const WebReply own = co_await get_from("/own");
  expect_equal(own.status, 404);
  expect_equal(own.body, "own page for 404");
  const WebReply no_page = co_await get_from("/page");
  expect_equal(no_page.status, 404);
  const WebReply no_log = co_await get_from("/log");
  expect_equal(no_log.status, 404);
  expect(log.mentions("no page either") && log.mentions("no log either"), log.text());
}

BEHAVIOUR("an application that shows its failures does so, another one does not", Needs::http) {
  const RecordedLog log;
  Application open(ApplicationSettings().set_serve_failures(true));
  open.add<Fails>("/", How::plain);
  co_await open.listen(kUrl);
  const WebReply shown = co_await get_from("/");
  expect(shown.body.find("as it was told") != std::string::npos, shown.body);
  Application discreet;
  discreet.add<Fails>("/", How::plain);
  co_await discreet.listen("pair:discreet");
  const WebReply hidden = co_await fetch("pair:discreet", request("GET", "/"));
  expect_equal(hidden.status, 500);
  expect(hidden.body.find("as it was told") == std::string::npos, hidden.body);
}

BEHAVIOUR("failed requests are logged in a line each, and all of them where somebody wants it", Needs::http) {
  const RecordedLog log;
  std::vector<int> seen;
  Application usual;
  usual.add<Hello>("/");
  co_await usual.listen(kUrl);
  co_await get_from("/");
  co_await get_from("/nothing");
  co_await moment();
  expect(log.mentions("404 GET /nothing ("), log.text());
  expect(!log.mentions("200 GET"), log.text());
  Application watched(ApplicationSettings().set_log_function([&](RequestHandler& handler) {
    seen.push_back(handler.status());
    log_request(handler);
  }));
  watched.add<Hello>("/");
  co_await watched.listen("pair:watched");
  co_await fetch("pair:watched", request("GET", "/"));
  co_await moment();
  expect_equal(seen.size(), 1u);
  expect(log.mentions("200 GET / ("), log.text());
}

BEHAVIOUR("the requests of an application that is destroyed go on", Needs::http) {
  std::optional<Application> app(std::in_place);
  app->add<Hello>("/");
  co_await app->listen(kUrl);
  IOStream client = co_await connect(kUrl);
  co_await ask(client, request("GET", "/"));
  app.reset();
  const WebReply reply = co_await ask(client, request("GET", "/?name=still"));
  expect_equal(reply.body, "Hello, still");
}
