// Fields behind a chunked body, as they are sent (RFC 9110 §6.5).  How they are received: http_body_behaviours.cpp and
// httpclient_behaviours.cpp.
#include <string>

#include "http_fixtures.h"
#include "httpclient_fixtures.h"

using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kNetwork = Needs::tcp | Needs::listen;

// What adding such a trailer says, or "" where it is taken.
template <class Message>
std::string refusal(Message& message, std::string_view name, std::string_view value = "x") {
  try {
    message.add_trailer(name, value);
  } catch (const Error& error) {
    return std::string(twinloop::name(error.reason())) + ": " + error.what();
  }
  return {};
}

template <class Message>
void expect_refused(Message& message, std::string_view name, std::string_view part, std::string_view value = "x",
                    Location where = Location::current()) {
  const std::string said = refusal(message, name, value);
  expect(said.starts_with("protocol") && said.find(part) != std::string::npos, said.empty() ? "it is taken" : said,
         where);
}

Future<void> answer_with_sum(HTTPServerRequest& request) {
  co_await request.write_headers(200, HTTPHeaders().set("Trailer", "Sum, X-How"));
  co_await request.write("abc");
  request.add_trailer("sum", "6");
  request.add_trailer("X-How", "well");
  co_await request.finish();
}

Future<void> write_with_sum(HTTPBodyWriter& writer) {
  co_await writer.write("abc");
  writer.add_trailer("Sum", "6");
}

HTTPRequest upload(HTTPRequest request, HTTPBodyProducer produce) {
  request.set_method("POST").set_header("Trailer", "Sum").set_body_producer(std::move(produce));
  return request;
}

}  // namespace

BEHAVIOUR("HTTP: what a handler adds as trailers stands behind its chunks, and the connection goes on", kNetwork) {
  Site site(answer_with_sum);
  RawClient client = co_await site.open(kTcp);
  co_await client.send(get("/") + get("/", "Connection: close\r\n"));
  const std::string answers = co_await client.rest();
  const std::string_view end = "3\r\nabc\r\n0\r\nsum: 6\r\nX-How: well\r\n\r\n";
  expect(answers.find("Trailer: Sum, X-How\r\n") < answers.find(end), answers);
  expect(answers.find(end) < answers.rfind("HTTP/1.1 200 OK\r\n"), answers);
  expect(answers.ends_with(end), answers);
}

BEHAVIOUR("HTTP: a handler that returns without finish() has sent its trailers all the same", Needs::http) {
  Site site([](HTTPServerRequest& request) -> Future<void> {
    co_await request.write_headers(200, HTTPHeaders().set("Trailer", "Sum").set("Connection", "close"));
    request.add_trailer("Sum", "0");
  });
  RawClient client = co_await site.open();
  co_await client.send(get("/"));
  const std::string answer = co_await client.rest();
  expect(answer.ends_with("\r\n\r\n0\r\nSum: 0\r\n\r\n"), answer);
}

BEHAVIOUR("HTTP: HEAD and HTTP/1.0 get no trailers", Needs::http) {
  Site site(answer_with_sum);
  RawClient client = co_await site.open();
  co_await client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.0\r\n\r\n");
  const Reply head = co_await client.reply(true);
  expect_equal(head.body, "");
  const std::string old = co_await client.rest();
  expect(old.starts_with("HTTP/1.1 200 OK\r\n") && old.ends_with("\r\n\r\nabc"), old);
}

BEHAVIOUR("HTTP: a trailer that was not announced, has its place in the head or would break out of its line is refused",
          Needs::http) {
  Site site([](HTTPServerRequest& request) -> Future<void> {
    expect_refused(request, "Sum", "outside of it");
    co_await request.write_headers(200, HTTPHeaders().set("Trailer", "Sum, Set-Cookie, Content-Length"));
    expect_refused(request, "Su", "does not announce it");
    expect_refused(request, "Set-Cookie", "send it as a header");
    expect_refused(request, "content-length", "send it as a header");
    expect_refused(request, "Sum", "", "6\r\nX: y");
    co_await request.finish();
    expect_refused(request, "Sum", "outside of it");
  });
  RawClient client = co_await site.open();
  const Reply reply = co_await client.ask(get("/"));
  expect_equal(reply.status, 200);
  const Reply next = co_await client.ask(get("/"));
  expect_equal(next.status, 200);
}

BEHAVIOUR("HTTP: an answer that has no chunks has no trailers", Needs::http) {
  Site site([](HTTPServerRequest& request) -> Future<void> {
    const bool counted = request.path() == "/counted";
    HTTPHeaders headers;
    headers.set("Trailer", "Sum");
    if (counted) headers.set("Content-Length", "0");
    co_await request.write_headers(counted ? 200 : 304, headers);
    expect_refused(request, "Sum", "only chunks");
    co_await request.finish();
  });
  RawClient client = co_await site.open();
  const Reply counted = co_await client.ask(get("/counted"));
  expect_equal(counted.status, 200);
  const Reply bodiless = co_await client.ask(get("/bodiless"));
  expect_equal(bodiless.status, 304);
}

BEHAVIOUR("HTTP: the trailers of one answer are not those of the next", Needs::http) {
  Site site([](HTTPServerRequest& request) -> Future<void> {
    if (request.path() == "/first") co_return co_await answer_with_sum(request);
    co_await request.write_headers(200, {});
    expect_refused(request, "Sum", "does not announce it");
    co_await request.finish();
  });
  RawClient client = co_await site.open();
  co_await client.send(get("/first") + get("/second", "Connection: close\r\n"));
  const std::string answers = co_await client.rest();
  expect(answers.ends_with("\r\n\r\n0\r\n\r\n"), answers);
}

BEHAVIOUR("what a producer adds as trailers stands behind its chunks, again where a 307 sends it", kNetwork) {
  std::vector<std::string> sent;
  const auto talk = [&sent](IOStream& stream) -> Future<void> {
    for (const char* answer : {"HTTP/1.1 307 There\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n",
                               "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}) {
      sent.push_back(co_await stream.read_until("0\r\nSum: 6\r\n\r\n"));
      co_await stream.write(answer);
    }
  };
  ScriptedServer server = co_await ScriptedServer::talking(talk);
  AsyncHTTPClient client;
  const HTTPResponse response = co_await client.fetch(upload(server.request(), write_with_sum));
  expect_equal(response.status, 200);
  expect_equal(sent.size(), 2u);
  for (const std::string& request : sent) {
    expect(request.find("\r\nTrailer: Sum\r\n") != std::string::npos, request);
    expect(request.ends_with("\r\n\r\n3\r\nabc\r\n0\r\nSum: 6\r\n\r\n"), request);
  }
}

BEHAVIOUR("a redirect that becomes a GET announces no trailers", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering([](const RawRequest& request) {
    return request.has("POST ") ? std::string("HTTP/1.1 303 There\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n")
                                : ok_with("");
  });
  const auto write = [](HTTPBodyWriter& writer) { return writer.write("abc"); };
  AsyncHTTPClient client;
  co_await client.fetch(upload(server.request(), write));
  expect(server.requests().front().has("\r\nTrailer: Sum\r\n"), server.requests().front().head);
  expect(!server.requests().back().has("Trailer"), server.requests().back().head);
}

BEHAVIOUR("a trailer that a request may not have fails it", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(always(ok_with("")));
  AsyncHTTPClient client;
  const auto unannounced = [](HTTPBodyWriter& writer) -> Future<void> {
    co_await writer.write("abc");
    writer.add_trailer("Digest", "x");
  };
  co_await expect_message(client.fetch(upload(server.request(), unannounced)), Errc::protocol, "does not announce it");
  const auto in_the_head = [](HTTPBodyWriter& writer) -> Future<void> {
    co_await writer.write("abc");
    writer.add_trailer("Authorization", "x");
  };
  co_await expect_message(client.fetch(upload(server.request(), in_the_head)), Errc::protocol, "send it as a header");
  HTTPRequest counted = upload(server.request(), write_with_sum);
  counted.set_header("Content-Length", "3");
  co_await expect_message(client.fetch(std::move(counted)), Errc::protocol, "only chunks");
}

BEHAVIOUR("our client and our server pass trailers both ways", Needs::http) {
  HTTPServer server([](HTTPServerRequest& request) -> Future<void> {
    const std::string body = co_await request.body();
    co_await request.write_headers(200, HTTPHeaders().set("Trailer", "Sum"));
    co_await request.write(body);
    request.add_trailer("Sum", request.trailers().get("Sum"));
    co_await request.finish();
  });
  co_await server.listen("pair:trailers");
  AsyncHTTPClient client;
  for (int i = 0; i < 2; ++i) {
    HTTPRequest request = HTTPRequest("http://pair.test/").set_connect_to("pair:trailers");
    const HTTPResponse response = co_await client.fetch(upload(std::move(request), write_with_sum));
    expect_equal(response.body, "abc");
    expect_equal(response.trailers.get("Sum"), "6");
  }
  expect_equal(client.stats().connections, 1u);
}
