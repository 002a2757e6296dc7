// What Tornado's web_test says of web applications and no other file here says by name.
#include <string>
#include <vector>

#include "fixtures.h"
#include "web_fixtures.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

const std::string kUrl = "pair:web";
constexpr std::string_view kForm = "Content-Type: application/x-www-form-urlencoded\r\n";

Future<WebReply> get_from(std::string target, std::string headers = {}) {
  std::string text = request("GET", target, headers);
  return fetch(kUrl, std::move(text));
}

Future<WebReply> post_to(std::string target, std::string headers, std::string body) {
  std::string text = request("POST", target, headers.append(kForm), body);
  return fetch(kUrl, std::move(text));
}

// A handler whose GET is this function.
class Does : public RequestHandler {
 public:
  using Work = std::function<Future<void>(Does&)>;
  explicit Does(Work work) : work_(std::move(work)) {}
  Future<void> get() override { return work_(*this); }

 private:
  Work work_;
};

class Says : public RequestHandler {
 public:
  explicit Says(std::string what) : what_(std::move(what)) {}
  Future<void> get() override {
    write(what_);
    co_return;
  }

 private:
  std::string what_;
};

// ---- arguments

class Echo : public RequestHandler {
  Future<void> get() override {
    write(std::string(request().path()));
    for (const std::string& each : path_args()) write("|" + each);
    for (const auto& [name, value] : request().query_arguments()) write("|" + name + "=" + get_argument(name));
    co_return;
  }
};

// Takes ISO 8859-1 for what it is, and says so of names, too.
class Latin : public RequestHandler {
  std::string decode_argument(std::string value, std::string_view name) const override {
    std::string text;
    for (const char c : value) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte < 0x80) {
        text += c;
        continue;
      }
      text += static_cast<char>(0xc0U | byte >> 6U);
      text += static_cast<char>(0x80U | (byte & 0x3fU));
    }
    return text.append(name == "foo" ? "!" : "?");
  }
  Future<void> get() override {
    write(path_args().front() + "|" + get_argument("foo"));
    co_return;
  }
};

class Arguments : public RequestHandler {
  Future<void> post() override {
    write(get_argument("foo", "default") + "|" + get_query_argument("foo", "default") + "|" +
          get_body_argument("foo", "default") + "|");
    for (const std::string& each : get_arguments("foo")) write("[" + each + "]");
    co_return;
  }
};

// ---- failures

class Refused : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Knows one kind of failure, which it answers and logs its own way.
class Knows : public RequestHandler {
  Future<void> get() override {
    const std::string how = get_argument("how");
    if (how == "refused") throw Refused("not allowed");
    if (how == "http") throw HTTPError(410, "no longer here");
    if (how == "send") return send_error(503);
    throw std::runtime_error("nobody knows why");
  }
  Future<void> write_error(int status, const Failure& why) override {
    if (!is_refusal(why)) return finish("page for " + std::to_string(status) + (why ? ", " + why.message() : ""));
    set_status(403);
    return finish("refused");
  }
  void log_exception(const Failure& why) override {
    if (!is_refusal(why)) return RequestHandler::log_exception(why);
    log(LogLevel::warning, "my own line: " + why.message());
  }

  static bool is_refusal(const Failure& failure) {
    if (!failure.exception()) return false;
    try {
      std::rethrow_exception(failure.exception());
    } catch (const Refused&) {
      return true;
    } catch (...) {
      return false;
    }
  }
};

// Takes its connection over, and tries to answer all the same.
class TooLate : public RequestHandler {
  Future<void> get() override {
    std::string leftover;
    IOStream stream = detach(leftover);
    int refused = 0;
    const auto expect_throw = [&refused](auto call) {
      try {
        call();
      } catch (const Error& error) {
        refused += error.reason() == Errc::protocol ? 1 : 0;
      }
    };
    expect_throw([this] { write("this should not work"); });
    expect_throw([this] { set_header("X-Test", ""); });
    expect_throw([this] { add_header("X-Test", ""); });
    expect_throw([this] { set_cookie("Chocolate", "Chip"); });
    expect_throw([this] { set_status(503); });
    const Result<> flushed = co_await as_result(flush());
    const Result<> moved = co_await as_result(redirect("/elsewhere"));
    const Result<> failed = co_await as_result(send_error(500));
    const Result<> finished = co_await as_result(finish());
    for (const Result<>* each : {&flushed, &moved, &failed, &finished}) refused += each->reason() == Errc::protocol;
    co_await stream.write(std::to_string(refused) + " refused\n");
  }
};

// Writes between its waits, and leaves the end to others or not.
class Sequence : public RequestHandler {
 public:
  explicit Sequence(bool finishes) : finishes_(finishes) {}
  Future<void> prepare() override {
    co_await moment();
    if (get_argument("refuse", "") == "yes") throw HTTPError(403);
    text_ = "1";
  }
  Future<void> get() override {
    write(text_);
    co_await moment();
    write("2");
    co_await moment();
    if (finishes_)
      co_await finish("3");
    else
      write("3");
  }

 private:
  bool finishes_;
  std::string text_;
};

class OnlyPosts : public RequestHandler {
  Future<void> post() override { co_return; }
};

// ---- who asks

class Visitor : public RequestHandler {
 public:
  Visitor(int& asked, bool cares) : asked_(asked), cares_(cares) {}

 private:
  std::optional<std::string> get_current_user() override {
    ++asked_;
    return name_;
  }
  Future<void> prepare() override {
    co_await moment();  // looks it up
    name_ = "Ben";
  }
  Future<void> get() override {
    write("Hello");
    if (cares_) write(" " + current_user().value() + current_user().value());
    co_return;
  }

  int& asked_;
  bool cares_;
  std::string name_;
};

class Members : public RequestHandler {
  Future<void> get() override {
    const bool known = co_await authenticated();
    if (known) write("nobody is");
  }
};

// ---- forged requests

class Form : public RequestHandler {
  Future<void> get() override {
    write(xsrf_token());
    co_return;
  }
  Future<void> post() override {
    write("accepted");
    co_return;
  }
};

std::string cookie_of(const WebReply& reply) {
  const std::string_view set = reply.header("Set-Cookie");
  return std::string(set.substr(0, set.find(';')));
}

// A browser that asked for the form once.
struct FormVisitor {
  std::string cookie;
  std::string token;
};

Future<FormVisitor> visit_form() {
  const WebReply reply = co_await get_from("/");
  co_return FormVisitor{cookie_of(reply), reply.body};
}

Future<int> post_form(std::string cookie, std::string token) {
  std::string headers;
  if (!cookie.empty()) headers = "Cookie: " + cookie + "\r\n";
  std::string body = "x=y";
  if (!token.empty()) body += "&_xsrf=" + url_escape(token);
  const WebReply reply = co_await post_to("/", std::move(headers), std::move(body));
  co_return reply.status;
}

}  // namespace

// ---- routes and arguments

BEHAVIOUR("path and query are decoded alike, plus signs apart, and an escaped slash parts nothing", Needs::http) {
  Application app;
  app.add<Echo>("/group/(.*)");
  app.add<Echo>("/slashes/([^/]*)/([^/]*)");
  co_await app.listen(kUrl);
  const auto expect_echo = [](std::string target, std::string_view expected) -> Future<void> {
    const WebReply reply = co_await get_from(target);
    expect_equal(reply.body, expected);
  };
  co_await expect_echo("/group/%3F", "/group/%3F|?");
  co_await expect_echo("/group/%3F?%3F=%3F", "/group/%3F|?|?=?");
  co_await expect_echo("/group/%C3%A9?arg=%C3%A9", "/group/%C3%A9|\xc3\xa9|arg=\xc3\xa9");
  co_await expect_echo("/group/1%20+%201?foo=1+%2B+1", "/group/1%20+%201|1 + 1|foo=1 + 1");
  co_await expect_echo("/group/1%20%2B%201?foo=1%20%2B%201", "/group/1%20%2B%201|1 + 1|foo=1 + 1");
  co_await expect_echo("/slashes/foo/bar", "/slashes/foo/bar|foo|bar");
  co_await expect_echo("/slashes/a%2Fb/c%2Fd", "/slashes/a%2Fb/c%2Fd|a/b|c/d");
}

BEHAVIOUR("a path that is no text is 400, and percent signs stand in the log as they came", Needs::http) {
  const RecordedLog log;
  Application app;
  app.add<Echo>("/group/(.*)");
  co_await app.listen(kUrl);
  for (const char* target : {"/group/invalid%FF", "/group/?arg=%25%e9"}) {
    const WebReply reply = co_await get_from(target);
    expect_equal(reply.status, 400);
    expect(log.mentions(target), log.text());
  }
}

BEHAVIOUR("a handler may decode its path and its arguments its own way", Needs::http) {
  Application app;
  app.add<Latin>("/one/(.*)");
  app.add<Latin>("/two/(?P<arg>.*)");
  co_await app.listen(kUrl);
  for (const char* target : {"/one/%E9?foo=%E9", "/two/%E9?foo=%E9"}) {
    const WebReply reply = co_await get_from(target);
    expect_equal(reply.body, "\xc3\xa9?|\xc3\xa9!");
  }
}

BEHAVIOUR(
    "an argument that is empty is there; of query and form the form's counts, and together they are in that order",
    Needs::http) {
  Application app;
  app.add<Arguments>("/");
  co_await app.listen(kUrl);
  const auto expect_answer = [](std::string target, std::string body, std::string_view expected) -> Future<void> {
    const WebReply reply = co_await post_to(target, "", body);
    expect_equal(reply.body, expected);
  };
  co_await expect_answer("/?foo=bar", "foo=hello", "hello|bar|hello|[bar][hello]");
  co_await expect_answer("/?foo=", "other=x", "||default|[]");
  co_await expect_answer("/", "foo=", "|default||[]");
  co_await expect_answer("/", "other=x", "default|default|default|");
}

BEHAVIOUR("a query or a form of too many fields is the client's mistake: 400", Needs::http) {
  const RecordedLog log;
  Application app;
  app.add<Arguments>("/");
  co_await app.listen(kUrl);
  std::string many = "foo=1";
  for (int i = 0; i < 1000; ++i) many += "&x=";
  const WebReply query = co_await post_to("/?" + many, "", "foo=1");
  expect_equal(query.status, 400);
  const WebReply form = co_await post_to("/", "", many);
  expect_equal(form.status, 400);
  expect_equal(log.count(LogLevel::error), 0);
}

BEHAVIOUR("an argument that is missing can be caught, and says which it was", Needs::http) {
  Application app;
  app.add<Does>("/", Does::Work([](Does& handler) -> Future<void> {
                  try {
                    handler.write(handler.get_argument("foo"));
                  } catch (const HTTPError& error) {
                    handler.write(std::to_string(error.status()) + " " + error.what());
                  }
                  co_return;
                }));
  co_await app.listen(kUrl);
  const WebReply reply = co_await get_from("/");
  expect_equal(reply.status, 200);
  expect(reply.body.starts_with("400 ") && reply.body.find("Missing argument foo") != std::string::npos, reply.body);
}

BEHAVIOUR("of the hosts that match the first one with the path has the request, and strangers have their own routes",
          Needs::http) {
  const RecordedLog log;
  Application app;
  app.add<Says>("/foo", std::string("any"));
  app.host("www.example.com").add<Says>("/foo", std::string("0"));
  app.host("www\\.example\\.com").add<Says>("/bar", std::string("1"));
  app.host("www.example.com").add<Says>("/baz", std::string("2"));
  app.host("www.e.*e.com").add<Says>("/baz", std::string("3"));
  co_await app.listen(kUrl);
  const auto expect_from = [](std::string host, std::string path, std::string_view expected) -> Future<void> {
    const WebReply reply = co_await fetch(kUrl, "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
    expect_equal(reply.status == 200 ? reply.body : std::to_string(reply.status), expected);
  };
  co_await expect_from("localhost", "/foo", "any");
  co_await expect_from("localhost", "/bar", "404");
  co_await expect_from("localhost", "/baz", "404");
  co_await expect_from("www.example.com", "/foo", "0");
  co_await expect_from("www.example.com", "/bar", "1");
  co_await expect_from("www.example.com", "/baz", "2");
  co_await expect_from("www.exe.com", "/baz", "3");
}

BEHAVIOUR("the default host stands for whoever names none that is known, also behind a proxy", Needs::http) {
  const RecordedLog log;
  Application app(ApplicationSettings().set_default_host("www.example.com"));
  app.host("www.example.com").add<Says>("/foo", std::string("0"));
  app.host("www.test.com").add<Says>("/baz", std::string("1"));
  co_await app.listen(kUrl);
  const WebReply known = co_await get_from("/foo");
  expect_equal(known.body, "0");
  const WebReply proxied = co_await get_from("/foo", "X-Real-Ip: 127.0.0.1\r\n");
  expect_equal(proxied.body, "0");
  const WebReply other = co_await get_from("/baz");
  expect_equal(other.status, 404);
}

BEHAVIOUR("the default handler has its arguments, too", Needs::http) {
  const RecordedLog log;
  Application app;
  app.add<Says>("/foo", std::string("x"));
  app.set_default_handler<ErrorHandler>(403);
  co_await app.listen(kUrl);
  const WebReply reply = co_await get_from("/");
  expect_equal(reply.status, 403);
}

// ---- redirections

BEHAVIOUR("a redirection takes the query along, and the slashes of a group", Needs::http) {
  Application app;
  app.add<RedirectHandler>("/src", std::string("/dst"));
  app.add<RedirectHandler>("/src2", std::string("/dst2?foo=bar"), false);
  app.add<RedirectHandler>("//twice", std::string("/once"));
  app.add<RedirectHandler>("/anchor", std::string("/there#anchor"));
  app.add<RedirectHandler>("/pattern/(.*?)/(.*?)/(.*)", std::string("/{1}/{0}/{2}"));
  app.add<RedirectHandler>("/add(.*[^/])", std::string("/add{0}/"));
  app.add<RedirectHandler>("/(.*)/", std::string("/{0}"));
  co_await app.listen(kUrl);
  const auto expect_at = [](std::string target, int status, std::string_view location) -> Future<void> {
    const WebReply reply = co_await get_from(target);
    expect_equal(reply.status, status);
    expect_equal(reply.header("Location"), location);
  };
  co_await expect_at("/src", 301, "/dst");
  co_await expect_at("/src?foo=bar", 301, "/dst?foo=bar");
  co_await expect_at("/src2?foo2=bar2", 302, "/dst2?foo=bar&foo2=bar2");
  co_await expect_at("//twice", 301, "/once");
  co_await expect_at("/anchor?a=%C3%A9&b", 301, "/there?a=%C3%A9&b#anchor");
  co_await expect_at("/pattern/a/b/c/d", 301, "/b/a/c/d");
  co_await expect_at("/pattern/%0d%0aX:y/b/c", 301, "/b/%0D%0AX%3Ay/c");
  co_await expect_at("/without/slash/?foo=bar", 301, "/without/slash?foo=bar");
  co_await expect_at("/add/slash?foo=bar", 301, "/add/slash/?foo=bar");
}

BEHAVIOUR("a group that begins with a slash makes a redirection lead to no other host", Needs::http) {
  const RecordedLog log;
  Application app;
  app.add<RedirectHandler>("/(.*)/", std::string("/{0}"));
  co_await app.listen(kUrl);
  for (const char* target : {"//example.org/", "/%2Fexample.org/"}) {
    const WebReply reply = co_await get_from(target);
    expect_equal(reply.status, 403);
    expect(!reply.headers.contains("Location"), reply.header("Location"));
  }
  const WebReply backslash = co_await get_from("/%5Cexample.org/");
  expect_equal(backslash.header("Location"), "/%5Cexample.org");
}

BEHAVIOUR("a login page on another host is told the whole URL to come back to", Needs::http) {
  Application app(ApplicationSettings().set_login_url("http://example.com/login"));
  app.add<Members>("/absolute");
  co_await app.listen(kUrl);
  const WebReply reply = co_await get_from("/absolute?a=b");
  expect_equal(reply.status, 302);
  expect_equal(reply.header("Location"), "http://example.com/login?next=http%3A%2F%2Fexample.org%2Fabsolute%3Fa%3Db");
}

BEHAVIOUR("who asks is found out once, when somebody cares, and prepare may have looked it up", Needs::http) {
  int asked = 0;
  Application app;
  app.add<Visitor>("/with", std::ref(asked), true);
  app.add<Visitor>("/without", std::ref(asked), false);
  co_await app.listen(kUrl);
  const WebReply without = co_await get_from("/without");
  expect_equal(without.body, "Hello");
  expect_equal(asked, 0);
  const WebReply with = co_await get_from("/with");
  expect_equal(with.body, "Hello BenBen");
  expect_equal(asked, 1);
}

// ---- answers

BEHAVIOUR("a header is overwritten and cleared whatever the case of its name; clearing what is not there is nothing",
          Needs::http) {
  Application app;
  app.add<Does>("/", Does::Work([](Does& handler) -> Future<void> {
                  handler.set_header("x-overwrite", "1");
                  handler.set_header("X-Overwrite", 2);
                  handler.add_header("x-multi", "3");
                  handler.add_header("X-Multi", "4");
                  handler.set_header("x-empty", "");
                  handler.set_header("h1", "foo");
                  handler.clear_header("H1");
                  handler.clear_header("nonexistent");
                  co_return;
                }));
  co_await app.listen(kUrl);
  const WebReply reply = co_await get_from("/");
  expect_equal(reply.headers.joined("X-Overwrite"), "2");
  expect_equal(reply.headers.joined("X-Multi"), "3, 4");
  expect(reply.headers.contains("X-Empty"), "empty, and there");
  expect(!reply.headers.contains("h1"), "cleared");
}

BEHAVIOUR("304 keeps nothing that describes the content, and is not chunked", Needs::http) {
  Application app;
  app.add<Does>("/", Does::Work([](Does& handler) -> Future<void> {
                  handler.set_header("Content-Language", "en_US");
                  handler.write("hello");
                  co_return;
                }));
  co_await app.listen(kUrl);
  const WebReply first = co_await get_from("/");
  expect_equal(first.header("Content-Length"), "5");
  expect_equal(first.header("Content-Language"), "en_US");
  const WebReply second = co_await get_from("/", "If-None-Match: " + std::string(first.header("ETag")) + "\r\n");
  expect_equal(second.status, 304);
  for (const char* name : {"Content-Length", "Content-Language", "Content-Type", "Transfer-Encoding"}) {
    expect(!second.headers.contains(name), name);
  }
}

BEHAVIOUR("an error has the reason that it was given, else its status's, else \"Unknown\"", Needs::http) {
  const RecordedLog log;
  Application app;
  app.add<Does>("/", Does::Work([](Does& handler) -> Future<void> {
                  throw HTTPError(std::stoi(handler.get_argument("code")), "",
                                  url_unescape(handler.get_argument("reason", "")));
                  co_return;
                }));
  co_await app.listen(kUrl);
  const auto expect_reason = [](std::string query, int status, std::string_view reason) -> Future<void> {
    const WebReply reply = co_await get_from("/?" + query);
    expect_equal(reply.status, status);
    expect_equal(reply.reason, reason);
    expect(!reply.headers.contains("X-Injection"), "as a header of its own");
    const std::string title = std::to_string(status) + ": " + std::string(reason);
    expect(status == 304 || reply.body.find(title) != std::string::npos, reply.body);
  };
  co_await expect_reason("code=304", 304, "Not Modified");
  co_await expect_reason("code=304&reason=Foo", 304, "Foo");
  co_await expect_reason("code=682&reason=Bar", 682, "Bar");
  co_await expect_reason("code=682", 682, "Unknown");
  co_await expect_reason("code=435", 435, "Unknown");
  co_await expect_reason("code=503", 503, "Service Unavailable");
  co_await expect_reason("code=400&reason=OK%250D%250AX-Injection:injected", 400, "Bad Request");
}

BEHAVIOUR("throwing Finish keeps status and headers, with what was written or with its own last words", Needs::http) {
  const RecordedLog log;
  Application app;
  app.add<Does>("/", Does::Work([](Does& handler) -> Future<void> {
                  handler.set_status(401);
                  handler.set_header("WWW-Authenticate", "Basic realm=\"something\"");
                  if (!handler.get_argument("last", "").empty()) throw Finish("authentication required");
                  handler.write("authentication required");
                  throw Finish();
                  co_return;
                }));
  co_await app.listen(kUrl);
  for (const char* target : {"/", "/?last=1"}) {
    const WebReply reply = co_await get_from(target);
    expect_equal(reply.status, 401);
    expect_equal(reply.header("WWW-Authenticate"), "Basic realm=\"something\"");
    expect_equal(reply.body, "authentication required");
  }
  expect_equal(log.count(LogLevel::error), 0);
}

BEHAVIOUR("a handler may answer and log a failure that it knows, and its page is told what failed", Needs::http) {
  const RecordedLog log;
  Application app;
  app.add<Knows>("/");
  co_await app.listen(kUrl);
  const WebReply refused = co_await get_from("/?how=refused");
  expect_equal(refused.status, 403);
  expect_equal(refused.body, "refused");
  expect(log.mentions("my own line: not allowed"), log.text());
  const WebReply http = co_await get_from("/?how=http");
  expect_equal(http.status, 410);
  expect(http.body.starts_with("page for 410, no longer here"), http.body);
  expect(log.mentions("no longer here"), log.text());
  const WebReply sent = co_await get_from("/?how=send");
  expect_equal(sent.body, "page for 503");
  expect_equal(log.count(LogLevel::error), 1);  // the line of the 503
  const WebReply unknown = co_await get_from("/?how=x");
  expect_equal(unknown.status, 500);
  expect_equal(unknown.body, "page for 500, nobody knows why");
  expect_equal(log.count(LogLevel::error), 3);  // what failed, and the line of the 500
}

BEHAVIOUR("a handler that has taken its connection over cannot answer any more, and is told so", Needs::http) {
  const RecordedLog log;
  Application app;
  app.add<TooLate>("/");
  co_await app.listen(kUrl);
  IOStream client = co_await connect(kUrl);
  co_await client.write(request("GET", "/"));
  const std::string all = co_await client.read_until_close();
  expect_equal(all, "9 refused\n");
}

BEHAVIOUR("a form in a coding that nobody has taken off is 400", Needs::http) {
  const RecordedLog log;
  Application app;
  app.add<Arguments>("/");
  co_await app.listen(kUrl);
  const WebReply reply = co_await post_to("/", "Content-Encoding: gzip\r\n", gzipped("foo=bar"));
  expect_equal(reply.status, 400);
  Application inflating({}, HTTPServerOptions().set_decompress_requests(true));
  inflating.add<Arguments>("/");
  co_await inflating.listen("pair:inflating");
  const std::string form = std::string(kForm) + "Content-Encoding: gzip\r\n";
  const WebReply inflated = co_await fetch("pair:inflating", request("POST", "/", form, gzipped("foo=bar")));
  expect_equal(inflated.body, "bar|default|bar|[bar]");
}

BEHAVIOUR("a verb begins behind what prepare waited for, and what it writes between its waits is one answer",
          Needs::http) {
  const RecordedLog log;
  Application app;
  app.add<Sequence>("/finished", true);
  app.add<Sequence>("/unfinished", false);
  co_await app.listen(kUrl);
  for (const char* target : {"/finished", "/unfinished"}) {
    const WebReply reply = co_await get_from(target);
    expect_equal(reply.body, "123");
    expect_equal(reply.header("Content-Length"), "3");
  }
  const WebReply refused = co_await get_from("/finished?refuse=yes");
  expect_equal(refused.status, 403);
}

BEHAVIOUR("a handler without GET has no HEAD, and a method that nobody knows is 405, too", Needs::http) {
  const RecordedLog log;
  Application app;
  app.add<OnlyPosts>("/");
  co_await app.listen(kUrl);
  for (const char* method : {"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "OTHER", "PROPFIND"}) {
    IOStream client = co_await connect(kUrl);
    const WebReply reply = co_await ask(client, request(method, "/"));
    expect_equal(reply.status, 405);
  }
}

BEHAVIOUR("Vary names what the handler said, and Accept-Encoding behind it", Needs::http) {
  Application app(ApplicationSettings().set_compress_response(true));
  Application plain;
  const Does::Work vary = [](Does& handler) -> Future<void> {
    for (const std::string& each : handler.get_arguments("vary")) handler.add_header("Vary", each);
    handler.write("hello world" + std::string(1024, '!'));
    co_return;
  };
  app.add<Does>("/", vary);
  plain.add<Does>("/", vary);
  co_await app.listen(kUrl);
  co_await plain.listen("pair:plain");
  const auto expect_vary = [](std::string target, std::string_view expected) -> Future<void> {
    const WebReply reply = co_await get_from(target, "Accept-Encoding: gzip\r\n");
    expect_equal(reply.header("Content-Encoding"), "gzip");
    expect_equal(reply.headers.joined("Vary"), expected);
  };
  co_await expect_vary("/", "Accept-Encoding");
  co_await expect_vary("/?vary=Accept-Language", "Accept-Language, Accept-Encoding");
  co_await expect_vary("/?vary=Accept-Language&vary=Cookie", "Accept-Language, Cookie, Accept-Encoding");
  const WebReply without = co_await fetch("pair:plain", request("GET", "/", "Accept-Encoding: gzip\r\n"));
  expect(!without.headers.contains("Content-Encoding") && !without.headers.contains("Vary"), "it does not compress");
}

// ---- cookies

BEHAVIOUR("a cookie that is set again keeps nothing of the first time, and flags that are off are not named",
          Needs::http) {
  Application app;
  app.add<Does>("/", Does::Work([](Does& handler) -> Future<void> {
                  handler.set_cookie("a", "b", CookieOptions().set_domain("example.com"));
                  handler.set_cookie("c", "d", CookieOptions().set_domain("example.com"));
                  handler.set_cookie("a", "e");
                  handler.set_cookie("on", "1", CookieOptions().set_secure(true).set_http_only(true));
                  handler.set_cookie("off", "1", CookieOptions().set_secure(false).set_http_only(false));
                  handler.write(handler.get_cookie("foo").value_or("default"));
                  co_return;
                }));
  co_await app.listen(kUrl);
  const WebReply reply = co_await get_from("/", "Cookie: /=exception;\r\n");
  expect_equal(reply.body, "default");
  const std::vector<std::string_view> expected = {"a=e; Path=/", "c=d; Domain=example.com; Path=/",
                                                  "on=1; Path=/; HttpOnly; Secure", "off=1; Path=/"};
  expect(reply.headers.all("Set-Cookie") == expected, reply.headers.joined("Set-Cookie"));
}

BEHAVIOUR("clearing all cookies ends each one that the client sent", Needs::http) {
  Application app;
  app.add<Does>("/", Does::Work([](Does& handler) -> Future<void> {
                  handler.clear_all_cookies();
                  handler.write("ok");
                  co_return;
                }));
  co_await app.listen(kUrl);
  const WebReply reply = co_await get_from("/", "Cookie: foo=bar; baz=xyzzy\r\n");
  const std::vector<std::string_view> ended = reply.headers.all("Set-Cookie");
  expect_equal(ended.size(), 2u);
  expect(ended.at(0).starts_with("foo=; expires=") && ended.at(1).starts_with("baz=; expires="), ended.at(0));
}

// ---- forged requests

BEHAVIOUR("what a forged request lacks is in the log", Needs::http) {
  const RecordedLog log;
  Application app(ApplicationSettings().set_xsrf_cookies(true));
  app.add<Form>("/");
  co_await app.listen(kUrl);
  const FormVisitor visitor = co_await visit_form();
  const auto expect_refusal = [&log](std::string cookie, std::string token, std::string_view why) -> Future<void> {
    const std::size_t before = log.text().size();
    const int status = co_await post_form(std::move(cookie), std::move(token));
    expect_equal(status, 403);
    expect(log.text().find(why, before) != std::string::npos, log.text());
  };
  co_await expect_refusal("", "", "argument missing");
  co_await expect_refusal(visitor.cookie, "", "argument missing");
  co_await expect_refusal("", visitor.token, "does not match");
  co_await expect_refusal(visitor.cookie, "3|", "invalid format");
  co_await expect_refusal("_xsrf=3|", visitor.token, "does not match");
  co_await expect_refusal("_xsrf=deadbeef", "deadbeef", "invalid format");
}

BEHAVIOUR("a token may stand in the query", Needs::http) {
  Application app(ApplicationSettings().set_xsrf_cookies(true));
  app.add<Form>("/");
  co_await app.listen(kUrl);
  const FormVisitor visitor = co_await visit_form();
  const WebReply reply =
      co_await post_to("/?_xsrf=" + url_escape(visitor.token), "Cookie: " + visitor.cookie + "\r\n", "x=y");
  expect_equal(reply.body, "accepted");
}

BEHAVIOUR("visitors have tokens of their own, and nobody can use another one's", Needs::http) {
  const RecordedLog log;
  Application app(ApplicationSettings().set_xsrf_cookies(true));
  app.add<Form>("/");
  co_await app.listen(kUrl);
  std::vector<FormVisitor> visitors;
  for (int i = 0; i < 5; ++i) {
    FormVisitor visitor = co_await visit_form();
    visitors.push_back(std::move(visitor));
  }
  for (const FormVisitor& one : visitors) {
    for (const FormVisitor& other : visitors) {
      const int status = co_await post_form(one.cookie, other.token);
      expect_equal(status, &one == &other ? 200 : 403);
      expect((one.token == other.token) == (&one == &other), "a token of its own");
    }
  }
}

BEHAVIOUR("a page that stays open in one tab is accepted, however often another one is loaded", Needs::http) {
  Application app(ApplicationSettings().set_xsrf_cookies(true));
  app.add<Form>("/");
  co_await app.listen(kUrl);
  const FormVisitor visitor = co_await visit_form();
  std::vector<std::string> seen = {visitor.token};
  for (int i = 0; i < 5; ++i) {
    const WebReply again = co_await get_from("/", "Cookie: " + visitor.cookie + "\r\n");
    for (const std::string& token : seen) expect(token != again.body, "masked anew");
    seen.push_back(again.body);
    const int status = co_await post_form(visitor.cookie, visitor.token);
    expect_equal(status, 200);
  }
  for (const std::string& token : seen) {
    const int status = co_await post_form("_xsrf=" + token, visitor.token);
    expect_equal(status, 200);
  }
}

BEHAVIOUR("the cookie of the token has the name and the options of the settings, the argument keeps its name",
          Needs::http) {
  const RecordedLog log;
  Application app(ApplicationSettings()
                      .set_xsrf_cookies(true)
                      .set_xsrf_cookie_name("__Host-xsrf")
                      .set_xsrf_cookie_options(CookieOptions().set_secure().set_http_only().set_max_age(48h)));
  app.add<Form>("/");
  co_await app.listen(kUrl);
  const WebReply page = co_await get_from("/");
  const std::string set(page.header("Set-Cookie"));
  expect(set.starts_with("__Host-xsrf=2|") && set.ends_with("; Max-Age=172800; Path=/; HttpOnly; Secure"), set);
  const std::string cookie = cookie_of(page);
  const int well = co_await post_form(cookie, page.body);
  expect_equal(well, 200);
  const int no_token = co_await post_form(cookie, "");
  expect_equal(no_token, 403);
  const int no_cookie = co_await post_form("", page.body);
  expect_equal(no_cookie, 403);
  const int other_name = co_await post_form("_xsrf=" + page.body, page.body);
  expect_equal(other_name, 403);
}

BEHAVIOUR("what is an error anyway is that one, with or without a token", Needs::http) {
  const RecordedLog log;
  Application app(ApplicationSettings().set_xsrf_cookies(true));
  app.add<ErrorHandler>("/error", 417);
  co_await app.listen(kUrl);
  const WebReply error = co_await post_to("/error", "", "x=y");
  expect_equal(error.status, 417);
  const WebReply missing = co_await post_to("/404", "", "x=y");
  expect_equal(missing.status, 404);
}
