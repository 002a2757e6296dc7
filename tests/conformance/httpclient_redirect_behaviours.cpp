// AsyncHTTPClient: where redirects lead, and what goes along.
#include <string>

#include "httpclient_fixtures.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kNetwork = Needs::tcp | Needs::listen;

std::string moved(int status, std::string_view location) {
  std::string answer = "HTTP/1.1 " + std::to_string(status) + " Elsewhere\r\nContent-Length: 5\r\nLocation: ";
  return answer.append(location).append("\r\n\r\nmoved");
}

// "/301/there" is a 301 to /there, "/countdown/3" leads to /countdown/2 and so on; the rest tells how it was asked for.
std::string redirecting(const RawRequest& request) {
  const std::string line = request.line();
  const std::string path = line.substr(line.find(' ') + 1, line.rfind(' ') - line.find(' ') - 1);
  if (path.starts_with("/30")) return moved(std::stoi(path.substr(1, 3)), path.substr(4));
  if (path.starts_with("/countdown/") && path != "/countdown/0") {
    return moved(302, "/countdown/" + std::to_string(std::stoi(path.substr(11)) - 1));
  }
  return ok_with(line + "|" + request.body);
}

// The same, and "/leave" leads to that URL.
Answer leaving_for(std::string there) {
  return
      [there](const RawRequest& request) { return request.has("/leave") ? moved(302, there) : redirecting(request); };
}

Future<std::string> line_after(int status, std::string method) {
  ScriptedServer server = co_await ScriptedServer::answering(redirecting);
  HTTPRequest request = server.request("/" + std::to_string(status) + "/there");
  request.set_method(method);
  if (method.starts_with("P")) request.set_body("body").set_header("Content-Type", "text/x");
  const HTTPResponse response = co_await fetch(std::move(request));
  expect_equal(response.effective_url, server.url("/there"));
  expect_equal(response.times.redirects, 1u);
  const RawRequest& last = server.requests().back();
  expect_equal(last.has("Content-Type"), response.body.ends_with("|body"));
  co_return method == "HEAD" ? last.line() + "|" : response.body;
}

}  // namespace

BEHAVIOUR("a 303 turns into a GET without a body, and so do 301 and 302 that answer a POST", kNetwork) {
  for (const int status : {301, 302, 303}) {
    const std::string line = co_await line_after(status, "POST");
    expect_equal(line, "GET /there HTTP/1.1|");
  }
  for (const char* method : {"GET", "DELETE", "OPTIONS"}) {
    const std::string line = co_await line_after(303, method);
    expect_equal(line, "GET /there HTTP/1.1|");
  }
  const std::string put = co_await line_after(303, "PUT");
  expect_equal(put, "GET /there HTTP/1.1|");
  const std::string head = co_await line_after(303, "HEAD");
  expect_equal(head, "HEAD /there HTTP/1.1|");
}

BEHAVIOUR("301 and 302 keep other methods, 307 and 308 keep method and body", kNetwork) {
  for (const int status : {301, 302}) {
    const std::string line = co_await line_after(status, "PUT");
    expect_equal(line, "PUT /there HTTP/1.1|body");
  }
  for (const int status : {301, 302, 307, 308}) {
    for (const char* method : {"GET", "HEAD", "DELETE", "OPTIONS"}) {
      const std::string line = co_await line_after(status, method);
      expect_equal(line, std::string(method) + " /there HTTP/1.1|");
    }
  }
  for (const int status : {307, 308}) {
    for (const char* method : {"POST", "PUT"}) {
      const std::string line = co_await line_after(status, method);
      expect_equal(line, std::string(method) + " /there HTTP/1.1|body");
    }
  }
}

BEHAVIOUR("a PUT without a body, where that is allowed, is sent elsewhere by a 307 without one", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(redirecting);
  HTTPRequest request = server.request("/307/there");
  const HTTPResponse response = co_await fetch(request.set_method("PUT").set_allow_nonstandard_methods(true));
  expect_equal(response.body, "PUT /there HTTP/1.1|");
}

namespace {

Future<void> write_twice(HTTPBodyWriter& writer) {
  co_await writer.write("one");
  co_await writer.write("two");
}

}  // namespace

BEHAVIOUR("a producer is asked again when a 307 sends the request elsewhere", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(redirecting);
  HTTPRequest request = server.request("/307/there");
  request.set_method("POST").set_body_producer(write_twice);
  const HTTPResponse response = co_await fetch(std::move(request));
  expect_equal(response.body, "POST /there HTTP/1.1|onetwo");
}

BEHAVIOUR("a redirect is the answer where none is followed", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(redirecting);
  HTTPRequest request = server.request("/302/there");
  const HTTPResponse response = co_await fetch(request.set_follow_redirects(false).set_raise_error(false));
  expect_equal(response.status, 302);
  expect_equal(response.headers.get("Location"), "/there");
  expect_equal(response.body, "moved");
}

BEHAVIOUR("after max_redirects the next redirect is the answer", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(redirecting);
  HTTPRequest request = server.request("/countdown/5");
  const HTTPResponse all = co_await fetch(request);
  expect_equal(all.effective_url, server.url("/countdown/0"));
  expect_equal(all.times.redirects, 5u);
  const HTTPResponse some = co_await fetch(request.set_max_redirects(3).set_raise_error(false));
  expect_equal(some.status, 302);
  expect_equal(some.effective_url, server.url("/countdown/2"));
  expect_equal(some.headers.get("Location"), "/countdown/1");
}

BEHAVIOUR("redirects go over the connection that is there, and need no more than one turn at a time", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(redirecting);
  AsyncHTTPClient client(HTTPClientOptions().set_max_clients(1));
  const HTTPResponse response = co_await client.fetch(server.request("/countdown/3"));
  expect_equal(response.status, 200);
  expect_equal(server.connections(), 1);
  expect_equal(client.stats().requests, 4u);
}

BEHAVIOUR("credentials, cookies and Host stay with the origin that they were meant for", kNetwork) {
  ScriptedServer other = co_await ScriptedServer::answering(redirecting);
  const std::string there = other.url("/there");
  ScriptedServer server = co_await ScriptedServer::answering(leaving_for(there));
  for (const char* path : {"/leave", "/302/stay"}) {
    HTTPRequest request = server.request(path);
    request.set_basic_auth("me", "secret").set_header("Cookie", "session=1").set_header("X-Own", "1");
    request.set_header("Host", "named.test").set_header("Proxy-Authorization", "Basic x");
    co_await fetch(std::move(request));
  }
  const RawRequest& left = other.requests()[0];
  for (const char* name : {"Authorization", "Cookie", "named.test"}) expect(!left.has(name), left.head);
  expect(left.has("X-Own: 1"), left.head);
  const RawRequest& stayed = server.requests().back();
  for (const char* text : {"Authorization: Basic", "Cookie: session=1", "Host: named.test"}) {
    expect(stayed.has(text), stayed.head);
  }
}

BEHAVIOUR("an Authorization header is not given back to the first origin by a detour over another", kNetwork) {
  std::string home;
  const auto back = [&home](const RawRequest&) { return moved(302, home); };
  ScriptedServer other = co_await ScriptedServer::answering(back);
  const std::string there = other.url("/");
  ScriptedServer server = co_await ScriptedServer::answering(leaving_for(there));
  home = server.url("/back");
  co_await fetch(server.request("/leave").set_header("Authorization", "Bearer x"));
  expect(server.requests()[0].has("Bearer"), server.requests()[0].head);
  expect(!server.requests()[1].has("Bearer"), server.requests()[1].head);
}

BEHAVIOUR("a redirect may carry a user name and a password of its own", kNetwork) {
  ScriptedServer other = co_await ScriptedServer::answering(redirecting);
  std::string there = other.url("/there");
  there.insert(there.find("//") + 2, "you:there@");
  ScriptedServer server = co_await ScriptedServer::answering(always(moved(307, there)));
  const HTTPResponse response = co_await fetch(server.request().set_basic_auth("me", "here"));
  expect(other.requests()[0].has("Authorization: Basic eW91OnRoZXJl"), other.requests()[0].head);
  expect_equal(response.effective_url, other.url("/there"));
}

BEHAVIOUR("a redirect to what is not fetched fails with the reason", kNetwork) {
  for (const char* location : {"ftp://example.test/x", "javascript:alert(1)", "http://", "//exa mple/"}) {
    ScriptedServer server = co_await ScriptedServer::answering(always(moved(302, location)));
    co_await expect_message(fetch(server.request()), Errc::invalid_url, "it redirects to what is not fetched");
  }
}

BEHAVIOUR("a redirect without a Location is an answer as any other", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(
      [](const RawRequest&) { return std::string("HTTP/1.1 302 Found\r\nContent-Length: 2\r\n\r\nhm"); });
  const HTTPResponse response = co_await fetch(server.request().set_raise_error(false));
  expect_equal(response.body, "hm");
  expect_equal(response.status, 302);
}

BEHAVIOUR("a redirect whose body has no end is left behind", kNetwork) {
  const auto pour = [](IOStream& stream) -> Future<void> {
    const RawRequest request = co_await read_request(stream);
    if (request.has("/there")) co_return co_await stream.write(ok_with("arrived"));
    co_await stream.write("HTTP/1.1 302 Found\r\nLocation: /there\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (;;) co_await stream.write("5\r\nmoved\r\n");
  };
  ScriptedServer server = co_await ScriptedServer::talking(pour);
  const HTTPResponse response = co_await fetch(server.request());
  expect_equal(response.body, "arrived");
  expect_equal(server.connections(), 2);
}

BEHAVIOUR("a streamed answer follows redirects, too, and gives only the last one's body", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(redirecting);
  AsyncHTTPClient client;
  HTTPStreamedResponse response = co_await client.fetch_streamed(server.request("/countdown/2"));
  expect_equal(response.head().effective_url, server.url("/countdown/0"));
  const std::string body = co_await response.body();
  expect_equal(body, "GET /countdown/0 HTTP/1.1|");
}
