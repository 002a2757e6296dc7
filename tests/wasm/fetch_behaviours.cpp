// AsyncHTTPClient over the host's fetch(): a program that prints TAP, for Node and for a page.  Its argument is the URL of the server
// in tests/web/fetch.test.mjs.
#include <chrono>
#include <string>
#include <vector>

#include "tests/conformance/fixtures.h"
#include "twinloop/httpclient.h"
#include "twinloop/net.h"
#include "twinloop/run_main.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

std::string server;  // "http://127.0.0.1:4711"

HTTPRequest to(const std::string& path) { return {server + path}; }

Future<void> expect_message(Future<HTTPResponse> fetching, Errc reason, std::string part,
                            Location where = Location::current()) {
  const Result<HTTPResponse> response = co_await as_result(std::move(fetching));
  expect(!response.ok(), "it failed", where);
  const std::string message = response.failure().message();
  expect_equal(name(response.reason()), name(reason), where);
  expect(message.find(part) != std::string::npos, message, where);
}

Future<void> write_in_pieces(HTTPBodyWriter& writer) {
  co_await writer.write("one ");
  co_await sleep_for(1ms);
  co_await writer.write("two");
}

}  // namespace

BEHAVIOUR("fetch gives status, headers, body and where they came from", Needs::nothing) {
  const HTTPResponse response = co_await fetch(to("/hello?name=x"));
  expect_equal(response.status, 200);
  expect_equal(response.body, "hello GET /hello?name=x");
  expect_equal(response.headers.get("content-type"), "text/plain");
  expect_equal(response.effective_url, server + "/hello?name=x");
  expect(response.request_time > 0ns && response.times.first_byte <= response.request_time, "it took some time");
}

BEHAVIOUR("method, headers and body arrive, whatever bytes they have", Needs::nothing) {
  std::string body;
  for (int i = 0; i < 300'000; ++i) body += static_cast<char>(i * 7 + i / 251);
  HTTPRequest request = to("/echo");
  request.set_method("PUT").set_body(body).set_header("X-Own", "mine");
  const HTTPResponse response = co_await fetch(std::move(request));
  expect(response.body == body, "the same bytes");
  expect_equal(response.headers.get("X-Method"), "PUT");
  expect_equal(response.headers.get("X-Own-Came"), "mine");
}

BEHAVIOUR("a user name and password go as basic authorization, from a setter or from the URL", Needs::nothing) {
  const HTTPResponse set = co_await fetch(to("/authorization").set_basic_auth("Aladdin", "open sesame"));
  expect_equal(set.body, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
  std::string url = server + "/authorization";
  url.insert(7, "us%20er:pass%3Aword@");
  const HTTPResponse in_url = co_await fetch(url);
  expect_equal(in_url.body, "Basic dXMgZXI6cGFzczp3b3Jk");
  expect_equal(in_url.effective_url, server + "/authorization");
}

BEHAVIOUR("what a producer writes is sent", Needs::nothing) {
  const HTTPResponse response = co_await fetch(to("/echo").set_method("POST").set_body_producer(write_in_pieces));
  expect_equal(response.body, "one two");
}

BEHAVIOUR("a status other than 2xx is an HTTPClientError with its answer, unless raise_error(false)", Needs::nothing) {
  int status = 0;
  try {
    co_await fetch(to("/status/404"));
  } catch (const HTTPClientError& error) {
    status = error.status();
    expect_equal(error.response().body, "status 404");
    expect_equal(std::string(error.what()), "GET " + server + "/status/404: 404 Not Found");
  }
  expect_equal(status, 404);
  const HTTPResponse response = co_await fetch(to("/status/500").set_raise_error(false));
  expect_equal(response.status, 500);
}

BEHAVIOUR("redirects are followed, and lead to where the answer came from", Needs::nothing) {
  const HTTPResponse response = co_await fetch(to("/redirect/303").set_method("POST").set_body("x"));
  expect_equal(response.body, "hello GET /hello");
  expect_equal(response.effective_url, server + "/hello");
}

BEHAVIOUR("a redirect that is not followed is the answer in Node, and a clear error in a page", Needs::nothing) {
  HTTPRequest request = to("/redirect/302");
  request.set_follow_redirects(false).set_raise_error(false);
  const Result<HTTPResponse> response = co_await as_result(fetch(std::move(request)));
  if (response.ok()) {
    expect_equal(response.peek().status, 302);
  } else {
    expect_equal(name(response.reason()), "not_supported");
    expect(response.failure().message().find("a page does not get to see where") != std::string::npos, "it says why");
  }
}

BEHAVIOUR("compression is the host's business", Needs::nothing) {
  const HTTPResponse response = co_await fetch(to("/gzip"));
  expect_equal(response.body, std::string(10'000, 'z'));
  expect(!response.headers.contains("Content-Encoding"), "it is taken off");
  co_await expect_message(fetch(to("/gzip").set_decompress_response(false)), Errc::not_supported,
                          "takes compression off");
}

BEHAVIOUR("HEAD and 204 have no body", Needs::nothing) {
  const HTTPResponse head = co_await fetch(to("/hello").set_method("HEAD"));
  expect_equal(head.body, "");
  const HTTPResponse none = co_await fetch(to("/status/204"));
  expect_equal(none.status, 204);
  expect_equal(none.body, "");
}

BEHAVIOUR("what only a program with sockets can do is refused with the reason", Needs::nothing) {
  co_await expect_message(fetch(to("/").set_proxy("http://proxy.test:3128")), Errc::not_supported,
                          "no proxy of its own");
  co_await expect_message(fetch(to("/").set_connect_to("tcp://127.0.0.1:1")), Errc::not_supported, "nowhere else");
  co_await expect_message(fetch(to("/").set_method("GET").set_body("x")), Errc::protocol, "which servers ignore");
  co_await expect_message(fetch("http://"), Errc::invalid_url, "fetch() refuses it");
}

BEHAVIOUR("a server that is not there fails with what the host tells", Needs::nothing) {
  const Result<HTTPResponse> response = co_await as_result(fetch("http://127.0.0.1:1/"));
  expect(response.reason() == Errc::refused || response.reason() == Errc::io, response.failure().message());
  expect(response.failure().message().starts_with("GET http://127.0.0.1:1/: "), response.failure().message());
}

BEHAVIOUR("an answer that stops short is truncated", Needs::nothing) {
  co_await expect_message(fetch(to("/short")), Errc::truncated, "the answer stops short");
}

BEHAVIOUR("a body beyond max_body_size is overflow", Needs::nothing) {
  co_await expect_message(fetch(to("/gzip").set_max_body_size(1000)), Errc::overflow, "exceeds 1000 bytes");
}

BEHAVIOUR("request_timeout ends a request, and the server sees it go", Needs::nothing) {
  HTTPRequest request = to("/never");
  request.set_request_timeout(50ms);
  co_await expect_message(fetch(std::move(request)), Errc::timeout, "while waiting for the answer, after 50 ms");
  std::string gone = "0";
  while (gone == "0") gone = (co_await fetch(to("/gone?of=/never"))).body;
}

BEHAVIOUR("dropping a request aborts it, before and within its answer", Needs::nothing) {
  for (const char* path : {"/hang", "/trickle"}) {
    AsyncHTTPClient client;
    {
      Future<HTTPResponse> dropped = client.fetch(to(path));
      co_await sleep_for(30ms);
      expect_equal(client.stats().active, 1u);
    }
    expect_equal(client.stats().active, 0u);
    std::string gone = "0";
    while (gone == "0") gone = (co_await fetch(to(std::string("/gone?of=") + path))).body;
  }
}

BEHAVIOUR("a streamed answer comes in pieces, and not before they are asked for", Needs::nothing) {
  AsyncHTTPClient client;
  HTTPStreamedResponse response = co_await client.fetch_streamed(to("/pour"));
  expect_equal(response.status(), 200);
  const auto first = co_await response.next_chunk();
  expect(first.has_value() && !first->empty() && first->size() <= 64u * 1024, "a piece");
  std::size_t received = first->size();
  std::string before;
  std::string now = "none";
  while (before != now) {
    before = now;
    co_await sleep_for(50ms);
    now = (co_await fetch(to("/poured"))).body;
  }
  expect(std::stoul(now) < 40'000'000, now);
  while (auto chunk = co_await response.next_chunk()) received += chunk->size();
  expect_equal(received, 50'000'000u);
  const auto more = co_await response.next_chunk();
  expect(!more.has_value(), "the end stays the end");
}

namespace {

IOStream* output = nullptr;

void print(std::string_view line) { output->write(std::string(line) + "\n").ignore(); }

Future<int> run(std::string url) {
  server = std::move(url);
  IOStream terminal = co_await connect("stdio:");
  output = &terminal;
  const int status = co_await run_behaviours(Needs::nothing, "", &print);
  co_await terminal.flush();
  co_return status;
}

}  // namespace

int main(int argc, char** argv) {
  return run_main([=] { return run(argc > 1 ? argv[1] : ""); });
}
