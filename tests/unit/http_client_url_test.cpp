// The pieces of the HTTP client that need no connection: URLs, redirects, decoding.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <string>

#include "protocols/http/client_request.h"
#include "protocols/http/client_url.h"
#include "protocols/http/content_decoder.h"

using namespace twinloop;
using namespace twinloop::detail;

namespace {

std::string resolved(const std::string& base, const std::string& reference) {
  Result<HTTPUrl> url = HTTPUrl::parse(base).value().resolve(reference);
  return url.ok() ? url->to_string() : "invalid";
}

std::string parsed(const std::string& text) {
  Result<HTTPUrl> url = HTTPUrl::parse(text);
  return url.ok() ? url->to_string() : "invalid";
}

}  // namespace

TEST_CASE("an HTTP URL is taken apart, and a usual port is left out when it is shown") {
  Result<HTTPUrl> url = HTTPUrl::parse("HTTPS://Example.ORG:443/a/b?c=d#fragment");
  REQUIRE(url.ok());
  CHECK(url->secure);
  CHECK(url->host == "example.org");
  CHECK(url->port == 443);
  CHECK(url->target == "/a/b?c=d");
  CHECK(url->to_string() == "https://example.org/a/b?c=d");
  CHECK(url->authority() == "example.org");
  CHECK(url->host_and_port() == "example.org:443");
  CHECK(parsed("http://example.org") == "http://example.org/");
  CHECK(parsed("http://example.org?x") == "http://example.org/?x");
  CHECK(parsed("http://example.org:8080") == "http://example.org:8080/");
  CHECK(parsed("http://example.org:/x") == "http://example.org/x");
  CHECK(parsed("http://[2001:DB8::1]:81/") == "http://[2001:db8::1]:81/");
}

TEST_CASE("user name and password are decoded and never shown") {
  Result<HTTPUrl> url = HTTPUrl::parse("http://us%40er:p%3Aw@d@host/x");
  REQUIRE(url.ok());
  REQUIRE(url->credentials);
  CHECK(url->credentials->first == "us@er");
  CHECK(url->credentials->second == "p:w@d");
  CHECK(url->to_string() == "http://host/x");
  CHECK_FALSE(HTTPUrl::parse("http://host/a@b").value().credentials);
  CHECK(HTTPUrl::parse("http://host/a@b").value().host == "host");
}

TEST_CASE("bytes beyond ASCII are escaped in a target and refused in a host") {
  CHECK(parsed("http://host/caf\xc3\xa9?\xff") == "http://host/caf%C3%A9?%FF");
  CHECK(parsed("http://caf\xc3\xa9/") == "invalid");
}

TEST_CASE("what is no HTTP URL is refused") {
  const char* text =
      GENERATE("", "host", "/path", "http:", "http:/x", "http://", "http:///x", "http://:80/", "ftp://x/",
               "http://x:0/", "http://x:70000/", "http://x:1x/", "http://x y/", "http://x/ y", "http://x/\r\nHost: y",
               "http://[::1", "http://a\\b/", "http://a,b/", "://x/", "1ttp://x");
  CAPTURE(text);
  CHECK(parsed(text) == "invalid");
}

TEST_CASE("references are resolved as RFC 3986 §5.4 says") {
  const std::string base = "http://a/b/c/d;p?q";
  CHECK(resolved(base, "g") == "http://a/b/c/g");
  CHECK(resolved(base, "./g") == "http://a/b/c/g");
  CHECK(resolved(base, "g/") == "http://a/b/c/g/");
  CHECK(resolved(base, "/g") == "http://a/g");
  CHECK(resolved(base, "//g") == "http://g/");
  CHECK(resolved(base, "?y") == "http://a/b/c/d;p?y");
  CHECK(resolved(base, "g?y") == "http://a/b/c/g?y");
  CHECK(resolved(base, "#s") == "http://a/b/c/d;p?q");
  CHECK(resolved(base, "g?y#s") == "http://a/b/c/g?y");
  CHECK(resolved(base, ";x") == "http://a/b/c/;x");
  CHECK(resolved(base, "") == "http://a/b/c/d;p?q");
  CHECK(resolved(base, ".") == "http://a/b/c/");
  CHECK(resolved(base, "..") == "http://a/b/");
  CHECK(resolved(base, "../g") == "http://a/b/g");
  CHECK(resolved(base, "../../g") == "http://a/g");
  CHECK(resolved(base, "../../../../g") == "http://a/g");
  CHECK(resolved(base, "/./g") == "http://a/g");
  CHECK(resolved(base, "/../g") == "http://a/g");
  CHECK(resolved(base, "g.") == "http://a/b/c/g.");
  CHECK(resolved(base, "./g/.") == "http://a/b/c/g/");
  CHECK(resolved(base, "g/../h?x=/../y") == "http://a/b/c/h?x=/../y");
  CHECK(resolved(base, "https://b/x") == "https://b/x");
  CHECK(resolved(base, "with space\t") == "http://a/b/c/with%20space");
  CHECK(resolved(base, "ftp://b/x") == "invalid");
}

TEST_CASE("a decoder gives no more than there is room for, and all of it in the end") {
  const std::string packed(
      "\037\213\010\000\000\000\000\000\002\003\313\110\315\311\311\327\121\110\316\317\055\050\112\055\056\116\115\121"
      "\050\317\057\312\111\001\000\010\236\064\065\027\000\000\000",
      43);
  const std::size_t step = GENERATE(1u, 2u, 7u, 43u);
  const std::size_t room = GENERATE(1u, 3u, 100u);
  const auto decoder = ContentDecoder::make("GZip");
  REQUIRE(decoder != nullptr);
  std::string out;
  for (std::size_t at = 0; at < packed.size(); at += step) {
    std::string_view input = std::string_view(packed).substr(at, step);
    ContentDecoder::Status status = ContentDecoder::Status::room;
    while (status == ContentDecoder::Status::room) {
      std::string piece(room, '\0');
      std::span<char> free(piece);
      status = decoder->decode(input, free);
      out.append(piece, 0, piece.size() - free.size());
      REQUIRE(status != ContentDecoder::Status::broken);
    }
  }
  CHECK(out == "hello, compressed world");
  CHECK(decoder->complete());
  CHECK(ContentDecoder::make("br") == nullptr);
}
