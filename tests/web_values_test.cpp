// The parts of web applications that need no server: routes, signed values, conditional requests, ranges, encodings, tokens, events.
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "protocols/web/conditional.h"
#include "protocols/web/crypto.h"
#include "protocols/web/gzip.h"
#include "protocols/web/path_pattern.h"
#include "protocols/web/text.h"
#include "protocols/web/xsrf.h"
#include "twinloop/event_stream.h"
#include "twinloop/httputil.h"
#include "twinloop/static_files.h"
#include "twinloop/web.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::detail;

namespace {

const std::chrono::system_clock::time_point kSomeTime{1'700'000'000s};

constexpr std::string_view kAnyBytes("any \0 bytes;", 12);

SigningKeys one_key() { return SigningKeys().add(3, "a secret of some length").set_key_version(3); }

std::string groups_of(const PathPattern& pattern, std::string_view path) {
  std::vector<std::string> groups;
  if (!pattern.match(path, groups)) return "no match";
  std::string text;
  for (const std::string& group : groups) text += "[" + group + "]";
  return text;
}

std::string path_for(const std::string& pattern, const std::vector<std::string>& args) {
  return PathPattern(pattern).path_for(args).value_or("none");
}

std::string shown(const RangeAnswer& answer) {
  if (answer.kind == RangeKind::whole) return "whole";
  if (answer.kind == RangeKind::unsatisfiable) return "416";
  return std::to_string(answer.range.first) + "+" + std::to_string(answer.range.size);
}

Errc reason_of_failure(const auto& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.reason();
  }
  return Errc{};
}

class Plain : public RequestHandler {
  Future<void> get() override;
};
class Watchful : public Plain {
  void on_connection_close() override;
};
class WatchfulToo : public Watchful {
 public:
  Future<void> post() override;
};
class Uploads : public RequestHandler {
 public:
  static constexpr bool kStreamRequestBody = true;
  Future<void> put() override;
  void on_finish() override;
  void on_drain() override;
};

}  // namespace

// ---- routes

TEST_CASE("a pattern matches a whole path and gives its groups") {
  CHECK(groups_of(PathPattern("/items/([0-9]+)"), "/items/42") == "[42]");
  CHECK(groups_of(PathPattern("/items/([0-9]+)"), "/items/42/") == "no match");
  CHECK(groups_of(PathPattern("/items/([0-9]+)$"), "/items/42") == "[42]");
  CHECK(groups_of(PathPattern("/(a)?(b)?"), "/b") == "[][b]");
  CHECK(groups_of(PathPattern("/plain"), "/plain") == "");
  CHECK(groups_of(PathPattern("/plain"), "/plainer") == "no match");
  CHECK(groups_of(PathPattern("/file\\.txt"), "/file.txt") == "");
  CHECK(groups_of(PathPattern("/file\\.txt"), "/fileatxt") == "no match");
  CHECK(groups_of(PathPattern("/(.*)"), "/caf\xc3\xa9/\xff") == "[caf\xc3\xa9/\xff]");
}

TEST_CASE("named groups are found by name") {
  const PathPattern pattern("/(?P<kind>[a-z]+)/(?P<id>[0-9]+)");
  CHECK(pattern.group_named("kind") == 0);
  CHECK(pattern.group_named("id") == 1);
  CHECK(pattern.group_named("other") == 2);
}

TEST_CASE("a pattern that is no regular expression, or has too many groups, is refused") {
  CHECK(reason_of_failure([] { PathPattern("/(a"); }) == Errc::invalid_pattern);
  std::string many;
  for (int i = 0; i < 33; ++i) many += "(a)";
  CHECK(reason_of_failure([&] { PathPattern pattern(many); }) == Errc::invalid_pattern);
}

TEST_CASE("a path that would keep a backtracking engine busy for ever is matched at once") {
  CHECK(groups_of(PathPattern("/(a+)+b"), "/" + std::string(20'000, 'a')) == "no match");
}

TEST_CASE("a pattern of text and groups has a way back, with what it is filled with escaped") {
  CHECK(path_for("/items/([0-9]+)", {"42"}) == "/items/42");
  CHECK(path_for("^/(?P<a>.*)/x\\.y/([^)]+)$", {"a b", "\xc3\xa9?"}) == "/a%20b/x.y/%C3%A9%3F");
  CHECK(path_for("/plain", {}) == "/plain");
  CHECK(path_for("^/favicon\\.ico$", {}) == "/favicon.ico");
  CHECK(path_for("/items/(.*)", {"1 + 1"}) == "/items/1%20%2B%201");
  CHECK(path_for("/items/(.*)", {"\xe9"}) == "/items/%E9");
  CHECK(path_for("^/api/v\\d+/foo/(\\w+)$", {"bar"}) == "none");
  CHECK(path_for("^/api/v1/foo/(\\w+)$", {"bar"}) == "/api/v1/foo/bar");
  CHECK(path_for("/items/([0-9]+)", {}) == "none");
  CHECK(path_for("/items/([0-9]+)", {"1", "2"}) == "none");
  CHECK(path_for("/items/?", {}) == "none");
  CHECK(path_for("/((a)|b)", {"a"}) == "none");
  CHECK(path_for("/(?:a)", {"a"}) == "none");
}

TEST_CASE("a host pattern does not care about case") {
  std::vector<std::string> groups;
  CHECK(PathPattern("www\\.example\\.org", true).match("WWW.Example.org", groups));
  CHECK_FALSE(PathPattern("www\\.example\\.org", true).match("www.example.com", groups));
}

// ---- what a handler overrides

TEST_CASE("which hooks and verbs a handler overrides is known from its class") {
  constexpr HandlerTraits plain = handler_traits<Plain>();
  STATIC_CHECK(plain.verbs == 0b11);  // GET and, with it, HEAD
  STATIC_CHECK_FALSE(plain.wants_close || plain.wants_finish || plain.wants_drain || plain.streams_body);
  constexpr HandlerTraits watchful = handler_traits<WatchfulToo>();
  STATIC_CHECK(watchful.verbs == 0b111);
  STATIC_CHECK(watchful.wants_close);
  STATIC_CHECK_FALSE(watchful.wants_finish);
  constexpr HandlerTraits uploads = handler_traits<Uploads>();
  STATIC_CHECK(uploads.verbs == 0b1000);
  STATIC_CHECK((uploads.streams_body && uploads.wants_finish && uploads.wants_drain));
}

// ---- signed values

TEST_CASE("a signed value has the form that others can check") {
  CHECK(create_signed_value(one_key(), "user", "susan", kSomeTime) ==
        "2|1:3|10:1700000000|4:user|8:c3VzYW4=|13e2814f8233ccedbe891503c6943d3f3d607fd5ab5092b42a98fb85a3ce6510");
}

TEST_CASE("a signed value comes back for its own name, in time, with its own secret only") {
  const SigningKeys keys = one_key();
  const std::string text = create_signed_value(keys, "user", kAnyBytes, kSomeTime);
  const auto decoded = [&](const SigningKeys& with, std::string_view name, auto when) {
    return decode_signed_value(with, name, text, kSignedValueAge, when).value_or("refused");
  };
  CHECK(decoded(keys, "user", kSomeTime + 30 * 24h) == kAnyBytes);
  CHECK(decoded(keys, "other", kSomeTime) == "refused");
  CHECK(decoded(keys, "user", kSomeTime + 32 * 24h) == "refused");
  CHECK(decoded(keys, "user", kSomeTime - 32 * 24h) == "refused");
  CHECK(decoded(SigningKeys().add(3, "another secret than that"), "user", kSomeTime) == "refused");
  CHECK(decoded(SigningKeys().add(4, "a secret of some length"), "user", kSomeTime) == "refused");
}

TEST_CASE("no change of a signed value is accepted") {
  const SigningKeys keys = one_key();
  const std::string text = create_signed_value(keys, "user", "susan", kSomeTime);
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    CHECK_FALSE(decode_signed_value(keys, "user", changed, kSignedValueAge, kSomeTime));
    CHECK_FALSE(decode_signed_value(keys, "user", text.substr(0, i), kSignedValueAge, kSomeTime));
  }
  CHECK_FALSE(decode_signed_value(keys, "user", text + "0", kSignedValueAge, kSomeTime));
}

TEST_CASE("fields of a signed value cannot be shifted into each other") {
  const SigningKeys keys = one_key();
  const std::string a = create_signed_value(keys, "user", "1234", kSomeTime);
  const std::string b = create_signed_value(keys, "user1", "234", kSomeTime);
  CHECK(a.substr(a.rfind('|')) != b.substr(b.rfind('|')));
}

TEST_CASE("a secret can be changed: the old one still checks what it signed") {
  SigningKeys keys = SigningKeys().add(0, "the secret of last year");
  const std::string old = create_signed_value(keys, "user", "susan", kSomeTime);
  keys.add(1, "the secret of this year").set_key_version(1);
  const std::string fresh = create_signed_value(keys, "user", "susan", kSomeTime);
  CHECK(signed_value_key_version(old) == 0);
  CHECK(signed_value_key_version(fresh) == 1);
  CHECK(decode_signed_value(keys, "user", old, kSignedValueAge, kSomeTime) == "susan");
  CHECK(decode_signed_value(keys, "user", fresh, kSignedValueAge, kSomeTime) == "susan");
  CHECK_FALSE(signed_value_key_version("2|x"));
  CHECK(reason_of_failure([] { SigningKeys("short"); }) == Errc::limit);
  CHECK(reason_of_failure([] { create_signed_value(SigningKeys(), "a", "b"); }) == Errc::not_supported);
}

// ---- cookies

TEST_CASE("a cookie says what its options say") {
  CHECK(format_cookie("a", "b") == "a=b; Path=/");
  CHECK(format_cookie("a", "b",
                      CookieOptions()
                          .set_domain("example.org")
                          .set_path("/x")
                          .set_expires(kSomeTime)
                          .set_max_age(60s)
                          .set_http_only()
                          .set_secure()
                          .set_same_site("Lax")) ==
        "a=b; Domain=example.org; expires=Tue, 14 Nov 2023 22:13:20 GMT; Max-Age=60; Path=/x; HttpOnly; Secure; "
        "SameSite=Lax");
}

TEST_CASE("a cookie cannot be made to end early or to begin another header") {
  for (const char* value : {"a;b", "a\r\nX: y", "a b", "\"", "a,b"}) {
    CHECK(reason_of_failure([&] { format_cookie("a", value); }) == Errc::protocol);
  }
  for (char c = 0; c >= 0; ++c) {
    if (c > ' ' && c != ';' && c != '\x7f') continue;
    INFO(static_cast<int>(c));
    const std::string text = std::string("x") + c + "y";
    CHECK(reason_of_failure([&] { format_cookie(text, "x"); }) == Errc::protocol);
    if (c == ' ') continue;
    CHECK(reason_of_failure([&] { format_cookie("a", text); }) == Errc::protocol);
    CHECK(reason_of_failure([&] { format_cookie("a", "b", CookieOptions().set_domain(text)); }) == Errc::protocol);
    CHECK(reason_of_failure([&] { format_cookie("a", "b", CookieOptions().set_path(text)); }) == Errc::protocol);
    CHECK(reason_of_failure([&] { format_cookie("a", "b", CookieOptions().set_same_site(text)); }) == Errc::protocol);
  }
  CHECK(reason_of_failure([] { format_cookie("a", "b", CookieOptions().set_domain("x;y")); }) == Errc::protocol);
  CHECK(reason_of_failure([] { format_cookie("a", "b", CookieOptions().set_path("/\n")); }) == Errc::protocol);
}

// ---- conditional requests and ranges

TEST_CASE("an ETag is found in a list, weakly compared, and commas inside of it do not matter") {
  CHECK(matches_etag("\"a\"", "\"a\""));
  CHECK(matches_etag("\"x\", W/\"a\"", "\"a\""));
  CHECK(matches_etag("W/\"a\"", "W/\"a\""));
  CHECK(matches_etag("\"x,y\", \"a,b\"", "\"a,b\""));
  CHECK(matches_etag("*", "\"a\""));
  CHECK_FALSE(matches_etag("\"b\"", "\"a\""));
  CHECK_FALSE(matches_etag("", "\"a\""));
  CHECK_FALSE(matches_etag("a", "\"a\""));
  CHECK_FALSE(matches_etag("\"a", "\"a\""));
  CHECK_FALSE(matches_etag("*", ""));
}

TEST_CASE("If-Modified-Since counts whole seconds") {
  const std::string date = format_timestamp(kSomeTime);
  CHECK(is_unmodified_since(date, kSomeTime));
  CHECK(is_unmodified_since(date, kSomeTime + 900ms));
  CHECK(is_unmodified_since(date, kSomeTime - 1h));
  CHECK_FALSE(is_unmodified_since(date, kSomeTime + 1s));
  CHECK_FALSE(is_unmodified_since("yesterday", kSomeTime));
}

TEST_CASE("a range is a part of what there is, the whole, or cannot be had") {
  CHECK(shown(parse_range("bytes=0-0", 10)) == "0+1");
  CHECK(shown(parse_range("bytes=2-4", 10)) == "2+3");
  CHECK(shown(parse_range("bytes=2-", 10)) == "2+8");
  CHECK(shown(parse_range("bytes=-3", 10)) == "7+3");
  CHECK(shown(parse_range("bytes=-30", 10)) == "0+10");
  CHECK(shown(parse_range("bytes=2-400", 10)) == "2+8");
  CHECK(shown(parse_range("bytes=10-", 10)) == "416");
  CHECK(shown(parse_range("bytes=0-", 0)) == "416");
  CHECK(shown(parse_range("bytes=-0", 10)) == "416");
  CHECK(shown(parse_range("bytes=-1", 0)) == "416");
  CHECK(shown(parse_range("bytes=99999999999999999999-", 10)) == "416");
  CHECK(shown(parse_range("bytes=0-99999999999999999999", 10)) == "0+10");
  for (const char* nonsense : {"", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=4-2", "bytes=1-2,4-5", "lines=1-2",
                               "bytes=1+2-", "bytes=--1"}) {
    CHECK(shown(parse_range(nonsense, 10)) == "whole");
  }
}

TEST_CASE("If-Range is for the very same content only") {
  const std::string date = format_timestamp(kSomeTime);
  CHECK(range_applies("", "\"a\"", kSomeTime));
  CHECK(range_applies("\"a\"", "\"a\"", kSomeTime));
  CHECK_FALSE(range_applies("\"b\"", "\"a\"", kSomeTime));
  CHECK_FALSE(range_applies("W/\"a\"", "W/\"a\"", kSomeTime));
  CHECK(range_applies(date, "\"a\"", kSomeTime + 300ms));
  CHECK_FALSE(range_applies(date, "\"a\"", kSomeTime - 1s));
}

// ---- encodings

TEST_CASE("gzip is used where the client says so") {
  CHECK(accepts_gzip("gzip"));
  CHECK(accepts_gzip("deflate, GZIP;q=0.5"));
  CHECK(accepts_gzip("*"));
  CHECK_FALSE(accepts_gzip(""));
  CHECK_FALSE(accepts_gzip("br"));
  CHECK_FALSE(accepts_gzip("gzip;q=0"));
  CHECK_FALSE(accepts_gzip("gzip;q=0.000, *"));
  CHECK_FALSE(accepts_gzip("*;q=0"));
}

TEST_CASE("text is compressed, pictures and events are not") {
  CHECK(is_compressible("text/html; charset=UTF-8"));
  CHECK(is_compressible("application/json"));
  CHECK_FALSE(is_compressible("image/png"));
  CHECK_FALSE(is_compressible("text/event-stream"));
  CHECK_FALSE(is_compressible(""));
}

// ---- forged requests

TEST_CASE("a token looks different each time and is the same underneath") {
  const XsrfToken token = new_xsrf_token();
  const std::string first = mask_xsrf_token(token);
  const std::string second = mask_xsrf_token(token);
  CHECK(first != second);
  REQUIRE(unmask_xsrf_token(first));
  CHECK(unmask_xsrf_token(first)->token == token.token);
  CHECK(unmask_xsrf_token(second)->token == token.token);
  CHECK(unmask_xsrf_token(second)->time == token.time);
  CHECK(new_xsrf_token().token != token.token);
}

TEST_CASE("a token that is none is refused") {
  for (const char* text :
       {"", "1|a|b|3", "2|abcdefgh|0011|1", "2|00112233|00|1", "2|00112233|00112233445566778899aabbccddeeff|x",
        "2|zz112233|00112233445566778899aabbccddeeff|1", "2|00112233|00112233445566778899aabbccddeeff"}) {
    CHECK_FALSE(unmask_xsrf_token(text));
  }
}

// ---- text

TEST_CASE("what is not UTF-8 is known") {
  CHECK(is_utf8("plain, caf\xc3\xa9, \xe2\x82\xac, \xf0\x9f\x98\x80"));
  for (const char* text : {"\xff", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                           "\xf8\x88\x80\x80\x80", "a\x80"}) {
    CHECK_FALSE(is_utf8(text));
  }
}

TEST_CASE("base64 comes back, and what is none is refused") {
  CHECK(from_base64("YWI=") == "ab");
  CHECK(from_base64("") == "");
  CHECK_FALSE(from_base64("YWI"));
  CHECK_FALSE(from_base64("YW*="));
}

// ---- content types and events

TEST_CASE("a file's content type follows from its ending") {
  CHECK(content_type_of("a/b.html") == "text/html; charset=utf-8");
  CHECK(content_type_of("B.PNG") == "image/png");
  CHECK(content_type_of("x.tar.gz") == "application/gzip");
  CHECK(content_type_of("sample.xml.gz") == "application/gzip");
  CHECK(content_type_of("sample.xml.bz2") == "application/octet-stream");
  CHECK(content_type_of("sample.xml") == "application/xml");
  CHECK(content_type_of("some.dir/file") == "application/octet-stream");
  CHECK(content_type_of("x.unheardofending1234") == "application/octet-stream");
  CHECK(content_type_of("") == "application/octet-stream");
}

TEST_CASE("an event's lines are such that a page gets the data back") {
  CHECK(ServerEvent("one").to_string() == "data: one\n\n");
  CHECK(ServerEvent("one\ntwo\r\n\rx").to_string() == "data: one\ndata: two\ndata: \ndata: x\n\n");
  CHECK(ServerEvent("").set_event("tick").set_id("7").set_retry(2s).to_string() ==
        "event: tick\nid: 7\nretry: 2000\ndata: \n\n");
  CHECK(reason_of_failure([] { ServerEvent("").set_id("a\nb").to_string(); }) == Errc::protocol);
  CHECK(reason_of_failure([] { ServerEvent("").set_event("a\rb").to_string(); }) == Errc::protocol);
}

// ---- errors

TEST_CASE("an HTTPError has its status, thrown or not") {
  CHECK(http_status_of(http_failure(404)) == 404);
  CHECK(http_status_of(std::make_exception_ptr(HTTPError(403, "why"))) == 403);
  CHECK(http_status_of(Failure(Errc::overflow)) == 500);
  CHECK(http_status_of(std::make_exception_ptr(std::runtime_error("x"))) == 500);
  CHECK(std::string(HTTPError(404, "no such item").what()).find("404") != std::string::npos);
  CHECK(std::string(HTTPError(682).what()) == "HTTP 682: Unknown");
  const HTTPError copy = HTTPError(HTTPError(403, "why", "Go away"));
  CHECK(copy.status() == 403);
  CHECK(copy.http_reason() == "Go away");
}
