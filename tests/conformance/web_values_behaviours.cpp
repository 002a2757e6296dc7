// What handlers are asked and what they answer: arguments, cookies, forged requests, who asks, ETag, compression.
#include <string>

#include "fixtures.h"
#include "web_fixtures.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

const std::string kUrl = "pair:web";
constexpr const char* kSecret = "a secret of sixteen bytes or more";
constexpr std::string_view kForm = "Content-Type: application/x-www-form-urlencoded\r\n";

class Arguments : public RequestHandler {
  Future<void> get() override {
    write(get_argument("a") + "|" + get_argument("b", "none") + "|");
    for (const std::string& each : get_arguments("a")) write("[" + each + "]");
    co_return;
  }
  Future<void> post() override {
    write(get_query_argument("a", "none") + "|" + get_body_argument("a", "none") + "|" + get_argument("a"));
    for (const auto& [field, file] : files()) write("|" + field + ":" + file.filename + ":" + file.body);
    co_return;
  }
};

class Cookies : public RequestHandler {
  Future<void> get() override {
    write(get_cookie("seen").value_or("never"));
    set_cookie("seen", "once");
    set_cookie("seen", "twice");
    set_cookie("other", "x", CookieOptions().set_path("/here").set_http_only());
    co_return;
  }
  Future<void> del() override {
    if (get_query_argument("all", "") == "yes")
      clear_all_cookies();
    else
      clear_cookie("seen");
    co_return;
  }
};

class Signed : public RequestHandler {
  Future<void> get() override {
    const int version = get_signed_cookie_key_version("user").value_or(-1);
    write(get_signed_cookie("user").value_or("stranger") + " " + std::to_string(version));
    co_return;
  }
  Future<void> post() override {
    set_signed_cookie("user", "susan; the \"first\"");
    co_return;
  }
};

class Forms : public RequestHandler {
  Future<void> get() override {
    write(xsrf_form_html());
    co_return;
  }
  Future<void> post() override {
    write("accepted");
    co_return;
  }
  Future<void> put() override { return post(); }
};

class Members : public RequestHandler {
  std::optional<std::string> get_current_user() override { return get_cookie("user"); }
  Future<void> get() override {
    const bool known = co_await authenticated();
    if (known) write("Welcome, " + *current_user());
  }
  Future<void> post() override { return get(); }
};

class Tagged : public RequestHandler {
  Future<void> get() override {
    if (const std::string own = get_query_argument("etag", ""); !own.empty()) set_header("ETag", own);
    write("the same text");
    co_return;
  }
};

class Untagged : public RequestHandler {
  std::optional<std::string> compute_etag() const override { return std::nullopt; }
  Future<void> get() override {
    write("text");
    co_return;
  }
};

class Long : public RequestHandler {
  Future<void> get() override {
    const std::string piece(static_cast<std::size_t>(std::stoi(get_query_argument("size"))), 'x');
    if (get_query_argument("type", "") == "png") set_header("Content-Type", "image/png");
    write(piece);
    if (get_query_argument("pieces", "") == "yes") {
      co_await flush();
      write("end");
    }
  }
};

Future<WebReply> get_from(std::string target, std::string headers = {}) {
  std::string text = request("GET", target, headers);
  return fetch(kUrl, std::move(text));
}

// "name=value" of the Set-Cookie header that sets it.
std::string cookie_of(const WebReply& reply, std::string_view name) {
  for (const std::string_view each : reply.headers.all("Set-Cookie")) {
    if (each.starts_with(std::string(name) + "=")) return std::string(each.substr(0, each.find(';')));
  }
  return {};
}

std::string between(std::string_view text, std::string_view before, std::string_view after) {
  const std::size_t from = text.find(before);
  expect(from != std::string_view::npos, text);
  text.remove_prefix(from + before.size());
  return std::string(text.substr(0, text.find(after)));
}

}  // namespace

// ---- arguments

BEHAVIOUR("of several arguments of one name the last counts, without spaces around it", Needs::http) {
  Application app;
  app.add<Arguments>("/");
  co_await app.listen(kUrl);
  const WebReply reply = co_await get_from("/?a=1&a=+2+&c=3");
  expect_equal(reply.body, "2|none|[1][2]");
}

BEHAVIOUR("an argument that is missing, or that is no text, is 400", Needs::http) {
  const RecordedLog log;
  Application app;
  app.add<Arguments>("/");
  co_await app.listen(kUrl);
  const WebReply missing = co_await get_from("/");
  expect_equal(missing.status, 400);
  const WebReply bytes = co_await get_from("/?a=%ff");
  expect_equal(bytes.status, 400);
  const WebReply controls = co_await get_from("/?a=x%01y%00z%09t");
  expect_equal(controls.body, "x y z\tt|none|[x y z\tt]");
}

BEHAVIOUR("arguments of the query and of a form are kept apart, and together where both are asked for", Needs::http) {
  Application app;
  app.add<Arguments>("/");
  co_await app.listen(kUrl);
  const WebReply form = co_await fetch(kUrl, request("POST", "/?a=query", kForm, "a=body&b=%26"));
  expect_equal(form.body, "query|body|body");
  const WebReply plain = co_await fetch(kUrl, request("POST", "/?a=query", "Content-Type: text/plain\r\n", "a=body"));
  expect_equal(plain.body, "query|none|query");
}

BEHAVIOUR("a multipart form has fields and files, and a malformed one is 400", Needs::http) {
  const RecordedLog log;
  Application app;
  app.add<Arguments>("/");
  co_await app.listen(kUrl);
  constexpr std::string_view kType = "Content-Type: multipart/form-data; boundary=edge\r\n";
  const WebReply form =
      co_await fetch(kUrl, request("POST", "/", kType,
                                   "--edge\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nfield\r\n"
                                   "--edge\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.txt\"\r\n"
                                   "Content-Type: text/plain\r\n\r\nfile\r\n--edge--\r\n"));
  expect_equal(form.body, "none|field|field|f:x.txt:file");
  const WebReply malformed = co_await fetch(kUrl, request("POST", "/", kType, "no edge at all"));
  expect_equal(malformed.status, 400);
}

// ---- cookies

BEHAVIOUR("a cookie is read, set once however often it is set, and cleared", Needs::http) {
  Application app;
  app.add<Cookies>("/");
  co_await app.listen(kUrl);
  const WebReply reply = co_await get_from("/", "Cookie: a=b; seen=\"before\"\r\n");
  expect_equal(reply.body, "before");
  expect_equal(reply.headers.count("Set-Cookie"), 2u);
  expect_equal(cookie_of(reply, "seen"), "seen=twice");
  expect_equal(reply.headers.all("Set-Cookie").at(1), "other=x; Path=/here; HttpOnly");
  const WebReply cleared = co_await fetch(kUrl, request("DELETE", "/"));
  expect(cleared.header("Set-Cookie").starts_with("seen=; expires="), cleared.header("Set-Cookie"));
  const WebReply all = co_await fetch(kUrl, request("DELETE", "/?all=yes", "Cookie: a=b; c=d\r\n"));
  expect_equal(all.headers.count("Set-Cookie"), 2u);
}

#if TWINLOOP_HAVE_SIGNATURES
BEHAVIOUR("a signed cookie comes back, a changed one does not", Needs::http) {
  Application app(ApplicationSettings().set_cookie_secret(kSecret));
  app.add<Signed>("/");
  co_await app.listen(kUrl);
  const WebReply set = co_await fetch(kUrl, request("POST", "/"));
  std::string cookie = cookie_of(set, "user");
  expect(!cookie.empty(), "it is set");
  const WebReply known = co_await get_from("/", "Cookie: " + cookie + "\r\n");
  expect_equal(known.body, "susan; the \"first\" 0");
  cookie.back() = cookie.back() == '0' ? '1' : '0';
  const WebReply changed = co_await get_from("/", "Cookie: " + cookie + "\r\n");
  expect_equal(changed.body, "stranger 0");
}
#endif

BEHAVIOUR("signed cookies without a secret are an error that says so", Needs::http) {
  const RecordedLog log;
  Application app;
  app.add<Signed>("/");
  co_await app.listen(kUrl);
  const WebReply reply = co_await get_from("/");
  expect_equal(reply.status, 500);
  expect(log.mentions("no cookie secret"), log.text());
}

// ---- forged requests

BEHAVIOUR("what changes something needs the token of the cookie, wherever it is carried", Needs::http) {
  const RecordedLog log;
  Application app(ApplicationSettings().set_xsrf_cookies(true));
  app.add<Forms>("/");
  co_await app.listen(kUrl);
  const WebReply page = co_await get_from("/");
  const std::string cookie = "Cookie: " + cookie_of(page, "_xsrf") + "\r\n";
  const std::string token = between(page.body, "value=\"", "\"");

  const auto post_with = [](std::string headers, std::string body) {
    return fetch(kUrl, request("POST", "/", headers.append(kForm), body));
  };
  const WebReply in_form = co_await post_with(cookie, "_xsrf=" + url_escape(token));
  expect_equal(in_form.body, "accepted");
  const WebReply in_header = co_await post_with(cookie + "X-XSRFToken: " + token + "\r\n", "x=y");
  expect_equal(in_header.status, 200);
  const WebReply in_other_header = co_await post_with(cookie + "X-CSRFToken: " + token + "\r\n", "x=y");
  expect_equal(in_other_header.status, 200);
  const WebReply without = co_await post_with(cookie, "x=y");
  expect_equal(without.status, 403);
  const WebReply no_cookie = co_await post_with("", "_xsrf=" + url_escape(token));
  expect_equal(no_cookie.status, 403);
  const WebReply nonsense = co_await post_with(cookie, "_xsrf=nonsense");
  expect_equal(nonsense.status, 403);
  const WebReply other_visitor = co_await get_from("/");
  const std::string their_token = between(other_visitor.body, "value=\"", "\"");
  const WebReply not_its_own = co_await post_with(cookie, "_xsrf=" + url_escape(their_token));
  expect_equal(not_its_own.status, 403);
  const WebReply put = co_await fetch(kUrl, request("PUT", "/"));
  expect_equal(put.status, 403);
  const WebReply nothing_there = co_await fetch(kUrl, request("POST", "/nothing"));
  expect_equal(nothing_there.status, 404);
}

BEHAVIOUR("a page's token is masked anew each time and the cookie is set once", Needs::http) {
  Application app(ApplicationSettings().set_xsrf_cookies(true));
  app.add<Forms>("/");
  co_await app.listen(kUrl);
  const WebReply first = co_await get_from("/");
  const std::string cookie = "Cookie: " + cookie_of(first, "_xsrf") + "\r\n";
  const WebReply second = co_await get_from("/", cookie);
  expect(!second.headers.contains("Set-Cookie"), "it is there already");
  expect(first.body != second.body, "masked anew");
}

// ---- who asks

BEHAVIOUR("a stranger is sent to the login page, or refused where that makes no sense", Needs::http) {
  const RecordedLog log;
  Application app(ApplicationSettings().set_login_url("/login"));
  app.add<Members>("/members");
  co_await app.listen(kUrl);
  const WebReply member = co_await get_from("/members", "Cookie: user=susan\r\n");
  expect_equal(member.body, "Welcome, susan");
  const WebReply stranger = co_await get_from("/members?page=2");
  expect_equal(stranger.status, 302);
  expect_equal(stranger.header("Location"), "/login?next=%2Fmembers%3Fpage%3D2");
  const WebReply refused = co_await fetch(kUrl, request("POST", "/members"));
  expect_equal(refused.status, 403);
}

// ---- ETag

BEHAVIOUR("a response has an ETag, and a client that has it gets 304 without a body", Needs::http) {
  Application app;
  app.add<Tagged>("/");
  app.add<Untagged>("/untagged");
  co_await app.listen(kUrl);
  const WebReply first = co_await get_from("/");
  const std::string etag(first.header("ETag"));
  expect_equal(etag.size(), 42u);
  const auto status_with = [](std::string condition) -> Future<int> {
    const WebReply reply = co_await get_from("/", "If-None-Match: " + condition + "\r\n");
    expect_equal(reply.body, reply.status == 304 ? "" : "the same text");
    co_return reply.status;
  };
  const auto expect_status = [&](std::string condition, int expected) {
    return std::pair(status_with(condition), expected);
  };
  std::vector<std::pair<Future<int>, int>> cases;
  cases.push_back(expect_status(etag, 304));
  cases.push_back(expect_status("W/" + etag, 304));
  cases.push_back(expect_status("\"other\", " + etag, 304));
  cases.push_back(expect_status("*", 304));
  cases.push_back(expect_status("\"other\"", 200));
  cases.push_back(expect_status("\"other\", W/\"another\"", 200));
  for (auto& [status, expected] : cases) {
    const int got = co_await std::move(status);
    expect_equal(got, expected);
  }
  const WebReply not_modified = co_await get_from("/", "If-None-Match: *\r\n");
  expect_equal(not_modified.header("ETag"), etag);
  expect(!not_modified.headers.contains("Content-Type") && !not_modified.headers.contains("Content-Length"),
         "304 describes no body");
  const WebReply own = co_await get_from("/?etag=%22mine%22", "If-None-Match: \"mine\"\r\n");
  expect_equal(own.status, 304);
  const WebReply untagged = co_await get_from("/untagged", "If-None-Match: *\r\n");
  expect_equal(untagged.status, 200);
  expect(!untagged.headers.contains("ETag"), "it has none");
}

// ---- compression

BEHAVIOUR("text of a KiB is compressed where the application and the client want it", Needs::http) {
  Application app(ApplicationSettings().set_compress_response(true));
  app.add<Long>("/");
  co_await app.listen(kUrl);
  constexpr const char* kWanted = "Accept-Encoding: gzip, deflate\r\n";
  const WebReply compressed = co_await get_from("/?size=5000", kWanted);
  expect_equal(compressed.header("Content-Encoding"), "gzip");
  expect_equal(compressed.header("Vary"), "Accept-Encoding");
  expect(compressed.header("ETag").starts_with("W/"), "other bytes than those that the ETag is of");
  expect(compressed.body.size() < 100, "it is small");
  expect_equal(inflated(compressed.body), std::string(5000, 'x'));
  const WebReply again =
      co_await get_from("/?size=5000", kWanted + ("If-None-Match: " + std::string(compressed.header("ETag")) + "\r\n"));
  expect_equal(again.status, 304);

  const WebReply unwanted = co_await get_from("/?size=5000");
  expect(!unwanted.headers.contains("Content-Encoding") && unwanted.body.size() == 5000, "as it is");
  expect_equal(unwanted.header("Vary"), "Accept-Encoding");
  const WebReply small = co_await get_from("/?size=100", kWanted);
  expect(!small.headers.contains("Content-Encoding"), "not worth it");
  const WebReply picture = co_await get_from("/?size=5000&type=png", kWanted);
  expect(!picture.headers.contains("Content-Encoding") && !picture.headers.contains("Vary"), "not text");
}

BEHAVIOUR("a response in pieces is compressed piece by piece", Needs::http) {
  Application app(ApplicationSettings().set_compress_response(true));
  app.add<Long>("/");
  co_await app.listen(kUrl);
  const WebReply reply = co_await get_from("/?size=5000&pieces=yes", "Accept-Encoding: gzip\r\n");
  expect_equal(reply.header("Transfer-Encoding"), "chunked");
  expect_equal(reply.header("Content-Encoding"), "gzip");
  expect_equal(inflated(reply.body), std::string(5000, 'x') + "end");
}
