// AsyncHTTPClient: what it sends and what it makes of the answers (Tornado's simple_httpclient_test and httpclient_test).
#include <array>
#include <chrono>
#include <string>

#include "httpclient_fixtures.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kNetwork = Needs::tcp | Needs::listen;

std::string hello(const RawRequest&) { return ok_with("Hello world!", "Content-Type: text/plain\r\n"); }
std::string echo(const RawRequest& request) { return ok_with(request.body); }

Future<HTTPResponse> answer_to(std::string answer, std::string method = "GET") {
  ScriptedServer server = co_await ScriptedServer::answering(always(std::move(answer)));
  AsyncHTTPClient client;
  HTTPRequest request = server.request();
  request.set_method(std::move(method));
  co_return co_await client.fetch(std::move(request));
}

Future<void> write_in_pieces(HTTPBodyWriter& writer) {
  co_await writer.write("1234");
  co_await sleep_for(1ms);
  co_await writer.write("");
  co_await writer.write("5678");
}

Future<void> write_at_once(HTTPBodyWriter& writer) { return writer.write("12345678"); }

Future<void> refuse_to_write(HTTPBodyWriter& writer) {
  co_await writer.write("12");
  throw Error(Errc::not_found, "the file to upload");
}

Future<void> refused(HTTPRequest request, std::string part, Location where = Location::current()) {
  AsyncHTTPClient client;
  co_await expect_message(client.fetch(std::move(request)), Errc::protocol, std::move(part), where);
}

bool refuses_header(HTTPRequest request, const char* value) {
  try {
    request.add_header("X-Own", value);
  } catch (const Error& error) {
    return error.reason() == Errc::protocol;
  }
  return false;
}

}  // namespace

// ---- what is sent

BEHAVIOUR("fetch gives status, reason, headers, body and where they came from", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(hello);
  const HTTPResponse response = co_await fetch(server.request("/hello?name=x"));
  expect_equal(response.status, 200);
  expect(response.ok(), "it is");
  expect_equal(response.reason, "OK");
  expect_equal(response.body, "Hello world!");
  expect_equal(response.headers.get("content-type"), "text/plain");
  expect_equal(response.effective_url, server.url("/hello?name=x"));
  expect(response.request_time > 0ns && response.times.first_byte <= response.request_time, "it took some time");
  expect_equal(server.requests()[0].line(), "GET /hello?name=x HTTP/1.1");
}

BEHAVIOUR("a request names its host, the client and the encodings that it understands", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(hello);
  AsyncHTTPClient client(HTTPClientOptions().set_user_agent("tester/1"));
  co_await client.fetch(server.request());
  HTTPRequest own = server.request();
  own.set_user_agent("own").set_header("Host", "other.test").set_header("Accept-Encoding", "br");
  co_await client.fetch(own);
  HTTPRequest plain = server.request();
  plain.set_decompress_response(false);
  co_await client.fetch(plain);
  const RawRequest& usual = server.requests()[0];
  expect(usual.has("\r\nHost: 127.0.0.1:"), usual.head);
  expect(usual.has("\r\nUser-Agent: tester/1\r\n"), usual.head);
  expect(usual.has("\r\nAccept-Encoding: gzip, deflate\r\n"), usual.head);
  expect_equal(HTTPClientOptions().user_agent(), "twinloop");
  const RawRequest& changed = server.requests()[1];
  expect(changed.has("\r\nHost: other.test\r\n"), changed.head);
  expect(!changed.has("127.0.0.1"), changed.head);
  expect(changed.has("\r\nUser-Agent: own\r\n"), changed.head);
  expect(changed.has("\r\nAccept-Encoding: br\r\n"), changed.head);
  expect(!server.requests()[2].has("Accept-Encoding"), server.requests()[2].head);
}

BEHAVIOUR("a request may be sent again: fetch changes nothing of it", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(hello);
  AsyncHTTPClient client;
  HTTPRequest request = server.request();
  request.set_header("X-Own", "1").set_user_agent("again");
  co_await client.fetch(request);
  co_await client.fetch(request);
  expect_equal(request.headers().size(), 1u);
  expect_equal(server.requests()[0].head, server.requests()[1].head);
}

BEHAVIOUR("every usual method is sent as it is", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(hello);
  AsyncHTTPClient client;
  for (const char* method : {"GET", "DELETE", "OPTIONS", "POST", "PUT", "PATCH", "HEAD"}) {
    HTTPRequest request = server.request();
    request.set_method(method);
    const std::string body = std::string_view(method).starts_with("P") ? "some data" : "";
    if (!body.empty()) request.set_body(body);
    co_await client.fetch(std::move(request));
    expect_equal(server.requests().back().line(), std::string(method) + " / HTTP/1.1");
    expect_equal(server.requests().back().body, body);
  }
}

BEHAVIOUR("unusual methods, bodies where none belongs and missing ones are refused before anything is sent", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(echo);
  HTTPRequest request = server.request();
  co_await refused(HTTPRequest(request).set_method("OTHER"), "set_allow_nonstandard_methods");
  co_await refused(HTTPRequest(request).set_method("CONNECT"), "set_proxy");
  co_await refused(HTTPRequest(request).set_method("G E T"), "no word");
  co_await refused(HTTPRequest(request).set_body("x"), "which servers ignore");
  for (const char* method : {"POST", "PUT", "PATCH"}) {
    co_await refused(HTTPRequest(request).set_method(method), "it has no body");
  }
  expect_equal(server.connections(), 0);
  HTTPRequest other = server.request();
  other.set_allow_nonstandard_methods(true).set_method("PURGE").set_body("all");
  const HTTPResponse response = co_await fetch(other);
  expect_equal(response.body, "all");
  expect_equal(server.requests()[0].line(), "PURGE / HTTP/1.1");
  for (const char* method : {"POST", "PUT", "PATCH"}) {
    const HTTPResponse bodiless =
        co_await fetch(HTTPRequest(request).set_method(method).set_allow_nonstandard_methods(true));
    expect_equal(bodiless.body, "");
  }
}

BEHAVIOUR("nothing that a caller passes on breaks out of its place in the request", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(hello);
  const HTTPRequest request = server.request();
  for (const char* text : {"a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\rX-Evil: 1"}) {
    expect(refuses_header(request, text), text);
    co_await expect_failure(fetch(HTTPRequest(request).set_user_agent(text)), Errc::protocol);
    co_await expect_failure(fetch(HTTPRequest(request).set_method(text)), Errc::protocol);
    co_await expect_failure(fetch(server.url("/") + text), Errc::invalid_url);
  }
  co_await fetch(HTTPRequest(request).set_basic_auth("a\r\nX-Evil 1", "b\r\nX-Evil: 1"));  // as base64
  expect_equal(server.requests().size(), 1u);
  expect(!server.requests()[0].has("Evil"), server.requests()[0].head);
}

BEHAVIOUR("the caller cannot set the framing, except a Content-Length that is true", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(echo);
  HTTPRequest request = server.request();
  request.set_method("POST").set_body("12345");
  co_await refused(HTTPRequest(request).set_header("Transfer-Encoding", "chunked"), "not for the caller");
  co_await refused(HTTPRequest(request).set_header("Content-Length", "4"), "not that of its body");
  co_await refused(HTTPRequest(request).set_header("Content-Length", "+5"), "is no number");
  co_await refused(HTTPRequest(request).add_header("Content-Length", "5").add_header("Content-Length", "5"),
                   "is no number");
  const HTTPResponse response = co_await fetch(HTTPRequest(request).set_header("Content-Length", "5"));
  expect_equal(response.body, "12345");
}

BEHAVIOUR("a user name and password go as basic authorization, from a setter or from the URL", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(hello);
  co_await fetch(server.request().set_basic_auth("Aladdin", "open sesame"));
  std::string url = server.url("/secret");
  url.insert(url.find("//") + 2, "us%20er:pass%3Aword@");
  const HTTPResponse response = co_await fetch(url);
  expect(server.requests()[0].has("\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"),
         server.requests()[0].head);
  expect(server.requests()[1].has("\r\nAuthorization: Basic dXMgZXI6cGFzczp3b3Jk\r\n"), server.requests()[1].head);
  expect_equal(response.effective_url, server.url("/secret"));
  expect(server.requests()[1].has("\r\nHost: 127.0.0.1:"), server.requests()[1].head);
  co_await fetch(server.request().set_basic_auth("test", "123\xc2\xa3"));
  expect(server.requests()[2].has("\r\nAuthorization: Basic dGVzdDoxMjPCow==\r\n"), server.requests()[2].head);
  co_await refused(server.request().set_basic_auth("a:b", "c"), "a colon");
}

BEHAVIOUR("if_modified_since is sent, and 304 is an answer without a body", kNetwork) {
  const auto not_modified = always("HTTP/1.1 304 Not Modified\r\nContent-Length: 512\r\nETag: \"x\"\r\n\r\n");
  ScriptedServer server = co_await ScriptedServer::answering(not_modified);
  AsyncHTTPClient client;
  HTTPRequest request = server.request();
  request.set_if_modified_since(std::chrono::system_clock::time_point(784111777s)).set_raise_error(false);
  const HTTPResponse response = co_await client.fetch(request);
  expect_equal(response.status, 304);
  expect_equal(response.body, "");
  expect(server.requests()[0].has("\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
         server.requests()[0].head);
  co_await client.fetch(request);
  expect_equal(server.connections(), 1);
}

// ---- bodies that are sent

BEHAVIOUR("a body goes with its length, whatever bytes it has", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(echo);
  for (const std::size_t size : {0u, 1u, 20'000u, 3'000'000u}) {
    std::string body(size, '\0');
    for (std::size_t i = 0; i < size; ++i) body[i] = static_cast<char>(i * 7 + i / 251);
    const HTTPResponse response = co_await fetch(server.request().set_method("PUT").set_body(body));
    expect(response.body == body, "the same bytes");
    expect(server.requests().back().has("\r\nContent-Length: " + std::to_string(size) + "\r\n"), "its length");
  }
}

BEHAVIOUR("what a producer writes goes in chunks as it comes", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(echo);
  for (const HTTPBodyProducer& produce : {HTTPBodyProducer(write_in_pieces), HTTPBodyProducer(write_at_once)}) {
    const HTTPResponse response = co_await fetch(server.request().set_method("POST").set_body_producer(produce));
    expect_equal(response.body, "12345678");
    expect(server.requests().back().has("\r\nTransfer-Encoding: chunked\r\n"), server.requests().back().head);
    expect(!server.requests().back().has("Content-Length"), server.requests().back().head);
  }
}

BEHAVIOUR("what a producer writes goes unchunked where the request says its length", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(echo);
  for (const HTTPBodyProducer& produce : {HTTPBodyProducer(write_in_pieces), HTTPBodyProducer(write_at_once)}) {
    HTTPRequest request = server.request();
    request.set_method("PUT").set_header("Content-Length", "8").set_body_producer(produce);
    const HTTPResponse response = co_await fetch(request);
    expect_equal(response.body, "12345678");
    expect(!server.requests().back().has("chunked"), server.requests().back().head);
  }
}

BEHAVIOUR("a producer that writes more or less than the length fails the request, and its connection is closed",
          kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(echo);
  HTTPRequest request = server.request();
  request.set_method("POST").set_body_producer(write_in_pieces);
  co_await refused(HTTPRequest(request).set_header("Content-Length", "7"), "more than its Content-Length");
  co_await refused(HTTPRequest(request).set_header("Content-Length", "9"), "1 bytes less than its Content-Length");
  expect_equal(server.requests().size(), 0u);
}

BEHAVIOUR("what a producer fails with, the request fails with", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(echo);
  HTTPRequest request = server.request();
  request.set_method("POST").set_body_producer(refuse_to_write);
  co_await expect_message(fetch(request), Errc::not_found, "the file to upload");
}

namespace {

Future<void> ask_for_body(IOStream& stream) {
  std::string head = co_await stream.read_until("\r\n\r\n");
  expect(head.find("\r\nExpect: 100-continue\r\n") != std::string::npos, head);
  const Result<std::string> early = co_await as_result(with_timeout(5ms, stream.read_some()));
  expect(early.reason() == Errc::timeout, "no body before it is asked for");
  co_await stream.write("HTTP/1.1 100 Continue\r\nX-Interim: 1\r\n\r\n");
  const std::string body = co_await stream.read_bytes(4);
  co_await stream.write(ok_with(body));
  co_await stream.flush();
}

Future<void> refuse_body(IOStream& stream) {
  co_await stream.read_until("\r\n\r\n");
  co_await stream.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
  const std::string rest = co_await stream.read_until_close();
  expect_equal(rest, "");
}

Future<void> ignore_expectation(IOStream& stream) {
  const RawRequest request = co_await read_request(stream);
  co_await stream.write(ok_with(request.body));
  co_await stream.flush();
}

}  // namespace

BEHAVIOUR("with expect_100_continue the body is sent when the server asks for it", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::talking(ask_for_body);
  HTTPRequest request = server.request();
  request.set_method("POST").set_body("body").set_expect_100_continue(true);
  const HTTPResponse response = co_await fetch(request);
  expect_equal(response.body, "body");
  expect(!response.headers.contains("X-Interim"), "the interim answer's headers are its own");
}

BEHAVIOUR("with expect_100_continue a server that refuses gets no body, and its connection is not used again",
          kNetwork) {
  ScriptedServer server = co_await ScriptedServer::talking(refuse_body);
  AsyncHTTPClient client;
  HTTPRequest request = server.request();
  request.set_method("POST").set_body("body").set_expect_100_continue(true).set_raise_error(false);
  const HTTPResponse response = co_await client.fetch(request);
  expect_equal(response.status, 403);
  expect_equal(response.body, "no");
  expect_equal(client.stats().idle, 0u);
  bool asked = false;
  const auto produce = [&asked](HTTPBodyWriter& writer) {
    asked = true;
    return writer.write("body");
  };
  request.set_body_producer(produce);
  const HTTPResponse again = co_await client.fetch(request);
  expect_equal(again.status, 403);
  expect(!asked, "nobody wanted its body");
}

BEHAVIOUR("100 Continue that nobody asked for, and other interim answers, are passed over", kNetwork) {
  const std::string early = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
  const HTTPResponse response = co_await answer_to("HTTP/1.1 100 CONTINUE\r\n\r\n" + early + ok_with("A"));
  expect_equal(response.status, 200);
  expect_equal(response.body, "A");
  expect(!response.headers.contains("Link"), "it was of another answer");
}

BEHAVIOUR("an answer may fold a header line, as old servers do", kNetwork) {
  const HTTPResponse response = co_await answer_to(ok_with("x", "X-XSS-Protection: 1;\r\n mode=block\r\n"));
  expect_equal(response.headers.get("X-XSS-Protection"), "1; mode=block");
}

BEHAVIOUR("a server that does not know of 100 Continue gets the body after a second", Needs::http) {
  ScriptedServer server = co_await ScriptedServer::talking(ignore_expectation, "pair:expect");
  HTTPRequest request = server.request();
  request.set_method("POST").set_body("late").set_expect_100_continue(true);
  const HTTPResponse response = co_await fetch(request);
  expect_equal(response.body, "late");
  expect(response.request_time >= 1s, "it waited");
}

// ---- answers

BEHAVIOUR("HEAD has the headers of an answer and no body, and its connection is used again", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(always("HTTP/1.1 200 OK\r\nContent-Length: 7000\r\n\r\n"));
  AsyncHTTPClient client;
  for (int i = 0; i < 2; ++i) {
    const HTTPResponse response = co_await client.fetch(server.request().set_method("HEAD"));
    expect_equal(response.headers.get("Content-Length"), "7000");
    expect_equal(response.body, "");
  }
  expect_equal(server.connections(), 1);
}

BEHAVIOUR("204 has no body, and one that announces a body breaks the protocol", kNetwork) {
  const HTTPResponse response = co_await answer_to("HTTP/1.1 204 No Content\r\n\r\n");
  expect_equal(response.status, 204);
  expect_equal(response.body, "");
  const HTTPResponse zero = co_await answer_to("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n");
  expect_equal(zero.status, 204);
  co_await expect_message(answer_to("HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\nhello!!"), Errc::protocol,
                          "204 No Content announces a body");
}

BEHAVIOUR("a body without a length goes to the end of the connection, in HTTP/1.0, too", kNetwork) {
  const HTTPResponse response = co_await answer_to("HTTP/1.1 200 OK\r\n\r\nhello");
  expect_equal(response.body, "hello");
  const HTTPResponse old = co_await answer_to("HTTP/1.0 200 OK\r\n\r\nhello");
  expect_equal(old.body, "hello");
}

BEHAVIOUR("chunks are put together, extensions ignored, trailers kept", kNetwork) {
  const HTTPResponse response = co_await answer_to(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nas\r\n1;x=y\r\n,\r\nA\r\n0123456789\r\n0\r\nX-Sum: "
      "13\r\n\r\n");
  expect_equal(response.body, "as,0123456789");
  expect_equal(response.trailers.get("X-Sum"), "13");
  expect(!response.headers.contains("X-Sum"), "it is no header");
}

BEHAVIOUR("a chunked answer on a connection that closes then is whole", kNetwork) {
  const HTTPResponse response = co_await answer_to(
      "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n1\r\n2\r\n0\r\n\r\n");
  expect_equal(response.body, "12");
}

BEHAVIOUR("an answer that could be read in two ways is refused", kNetwork) {
  const std::string start = "HTTP/1.1 200 OK\r\n";
  for (const char* headers :
       {"Content-Length: 2\r\nContent-Length: 3\r\n", "Content-Length: 2,2\r\n", "Content-Length: 2, 4\r\n",
        "Content-Length: 2\r\nContent-Length: 2\r\n", "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: two\r\n", "Transfer-Encoding: chunked, gzip\r\n"}) {
    co_await expect_message(answer_to(start + headers + "\r\nok"), Errc::protocol, "the server's answer: ");
  }
  co_await expect_message(answer_to("SSH-2.0-OpenSSH\r\nConnection: close\r\n\r\n"), Errc::protocol,
                          "the server's answer: ");
}

BEHAVIOUR("a status other than 2xx is an HTTPClientError with the whole answer, unless raise_error(false)", kNetwork) {
  ScriptedServer server =
      co_await ScriptedServer::answering(always("HTTP/1.1 404 Nowhere\r\nX-Own: 1\r\nContent-Length: 4\r\n\r\ngone"));
  std::string message;
  try {
    co_await fetch(server.request("/missing"));
  } catch (const HTTPClientError& error) {
    message = error.what();
    expect_equal(error.status(), 404);
    expect_equal(error.code().value(), 404);
    expect_equal(error.response().reason, "Nowhere");
    expect_equal(error.response().body, "gone");
    expect_equal(error.response().headers.get("X-Own"), "1");
  }
  expect_equal(message, "GET " + server.url("/missing") + ": 404 Not Found");
  const HTTPResponse response = co_await fetch(server.request().set_raise_error(false));
  expect_equal(response.status, 404);
}

BEHAVIOUR("header names have no case, values of one name come in order, bytes beyond ASCII stay", kNetwork) {
  const HTTPResponse response =
      co_await answer_to(ok_with("x", "set-cookie: a=1\r\nSET-COOKIE: b=2\r\nX-Name: caf\xc3\xa9\r\n"));
  expect_equal(response.headers.all("Set-Cookie").size(), 2u);
  expect_equal(response.headers.all("Set-Cookie")[1], "b=2");
  expect_equal(response.headers.get("x-name"), "caf\xc3\xa9");
}

BEHAVIOUR("answers that come a byte at a time are the same answers", Needs::http) {
  const auto dribble = [](IOStream& stream) -> Future<void> {
    co_await read_request(stream);
    const std::string answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n";
    for (const char byte : answer) {
      co_await stream.write(std::string(1, byte));
      co_await moment();
    }
    co_await stream.peer_ended();
  };
  ScriptedServer server = co_await ScriptedServer::talking(dribble, "pair:dribble");
  AsyncHTTPClient client;
  const HTTPResponse response = co_await client.fetch(server.request());
  expect_equal(response.body, "hello");
  expect_equal(response.trailers.get("X-T"), "1");
}

// ---- limits

BEHAVIOUR("headers up to max_header_size are taken, larger ones are overflow", kNetwork) {
  HTTPClientOptions options;
  options.set_max_header_size(1024);
  AsyncHTTPClient client(options);
  for (const std::size_t size : {100u, 900u, 1100u, 200'000u}) {
    const std::string header = "X-Filler: " + std::string(size, 'a') + "\r\n";
    ScriptedServer server = co_await ScriptedServer::answering(always(ok_with("ok", header)));
    if (size < 1024) {
      const HTTPResponse response = co_await client.fetch(server.request());
      expect_equal(response.body, "ok");
    } else {
      co_await expect_message(client.fetch(server.request()), Errc::overflow, "the server's answer: ");
    }
  }
}

BEHAVIOUR("bodies up to max_body_size are taken, larger ones are overflow, announced or not", kNetwork) {
  AsyncHTTPClient client(HTTPClientOptions().set_max_body_size(64 * 1024));
  ScriptedServer server = co_await ScriptedServer::answering([](const RawRequest& request) {
    const std::string small(64 * 1024, 'a');
    const std::string large(100 * 1024, 'a');
    if (request.has("/small")) return ok_with(small);
    if (request.has("/announced")) return ok_with(large);
    return "HTTP/1.1 200 OK\r\n\r\n" + large;
  });
  const HTTPResponse response = co_await client.fetch(server.request("/small"));
  expect_equal(response.body.size(), 64u * 1024);
  co_await expect_message(client.fetch(server.request("/announced")), Errc::overflow, "102400 bytes");
  co_await expect_message(client.fetch(server.request("/endless")), Errc::overflow, "exceeds 65536 bytes");
  const HTTPResponse own = co_await client.fetch(server.request("/endless").set_max_body_size(200'000));
  expect_equal(own.body.size(), 100u * 1024);
}

BEHAVIOUR("a body that ends early is truncated, and the message says so", kNetwork) {
  for (const char* answer : {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhello",
                             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhel",
                             "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Le"}) {
    co_await expect_message(answer_to(answer), Errc::truncated, "the answer stops short");
  }
  const auto nothing = [](IOStream& stream) -> Future<void> { co_await read_request(stream); };
  ScriptedServer server = co_await ScriptedServer::talking(nothing);
  co_await expect_message(fetch(server.request()), Errc::truncated, "closed the connection before it answered");
}

// ---- compression

namespace {

const std::string kGzipped(
    "\037\213\010\000\000\000\000\000\002\003\313\110\315\311\311\327\121\110\316\317\055\050\112\055\056\116\115\121"
    "\050\317\057\312\111\001\000\010\236\064\065\027\000\000\000",
    43);
const std::string kDeflated(
    "\170\234\313\110\315\311\311\327\121\110\316\317\055\050\112\055\056\116\115\121\050\317\057\312\111\001\000\150"
    "\262\010\336",
    31);
// 64 KiB of zeros in 96 bytes; several behind each other are one body.
std::string bomb(std::size_t count) {
  const std::string head(
      "\037\213\010\000\000\000\000\000\002\003\355\301\001\001\000\000\000\200\220\376\257\356\010\012", 24);
  const std::string tail("\152\353\216\227\327\000\000\001\000", 9);
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += head + std::string(63, '\0') + tail;
  return all;
}

}  // namespace

BEHAVIOUR("gzip and deflate are taken off, also the raw deflate of some servers", kNetwork) {
  const std::string raw = kDeflated.substr(2, kDeflated.size() - 6);
  const std::array<std::pair<std::string, std::string>, 4> bodies = {
      {{"gzip", kGzipped}, {"X-GZIP", kGzipped}, {"deflate", kDeflated}, {"deflate", raw}}};
  for (const auto& [encoding, body] : bodies) {
    const HTTPResponse response = co_await answer_to(ok_with(body, "Content-Encoding: " + encoding + "\r\n"));
    expect_equal(response.body, "hello, compressed world");
    expect_equal(response.headers.get("X-Consumed-Content-Encoding"), encoding);
    expect(!response.headers.contains("Content-Encoding"), "it is taken off");
  }
}

BEHAVIOUR("with decompress_response(false), and for encodings that nobody knows, the body stays as it came", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering([](const RawRequest& request) {
    return ok_with(kGzipped, request.has("/br") ? "Content-Encoding: br\r\n" : "Content-Encoding: gzip\r\n");
  });
  const HTTPResponse plain = co_await fetch(server.request().set_decompress_response(false));
  expect(plain.body == kGzipped, "as it came");
  expect_equal(plain.headers.get("Content-Encoding"), "gzip");
  const HTTPResponse unknown = co_await fetch(server.request("/br"));
  expect(unknown.body == kGzipped, "as it came");
}

BEHAVIOUR("a body that is not compressed as it says breaks the protocol, one that stops short is truncated", kNetwork) {
  const std::string header = "Content-Encoding: gzip\r\n";
  co_await expect_message(answer_to(ok_with("not gzip at all", header)), Errc::protocol, "not compressed as it says");
  co_await expect_message(answer_to(ok_with(kGzipped + "garbage", header)), Errc::protocol,
                          "not compressed as it says");
  co_await expect_message(answer_to(ok_with(kGzipped.substr(0, 30), header)), Errc::truncated, "stops short");
  const HTTPResponse empty = co_await answer_to(ok_with("", header));
  expect_equal(empty.body, "");
}

BEHAVIOUR("a small body that unfolds to a huge one is overflow before it is huge", kNetwork) {
  ScriptedServer server =
      co_await ScriptedServer::answering(always(ok_with(bomb(10'000), "Content-Encoding: gzip\r\n")));
  AsyncHTTPClient client(HTTPClientOptions().set_max_body_size(1'000'000));
  co_await expect_message(client.fetch(server.request()), Errc::overflow, "exceeds 1000000 bytes");
  const std::string four = bomb(4);
  ScriptedServer fair = co_await ScriptedServer::answering(always(ok_with(four, "Content-Encoding: gzip\r\n")));
  const HTTPResponse response = co_await client.fetch(fair.request());
  expect_equal(response.body.size(), 4u * 65536);
}
