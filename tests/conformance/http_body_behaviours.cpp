// HTTPServer: the bodies of requests, how they are read, limited, refused and left alone.
#include <string>
#include <vector>

#include "http_fixtures.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kNetwork = Needs::tcp | Needs::listen;

// "hello, " a hundred times, as gzip makes it.
constexpr std::string_view kZipped(
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\xd7\x51"
    "\xc8\x18\xa5\x46\xa9\xa1\x46\x01\x00\x0c\x30\x1f\x86\xbc\x02\x00\x00",
    34);

std::string hello_times(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "hello, ";
  return text;
}

Future<void> answer_body(HTTPServerRequest& request) {
  std::string body = co_await request.body();
  co_await request.respond(200, {}, std::move(body));
}

// The sizes of the pieces that came.
Future<void> answer_sizes(HTTPServerRequest& request) {
  std::string sizes;
  for (;;) {
    const std::optional<std::string_view> piece = co_await request.next_chunk();
    if (!piece) break;
    sizes += std::to_string(piece->size()) + " ";
  }
  expect(request.body_ended(), "ended");
  co_await request.respond(200, {}, sizes);
}

Future<void> answer_at_once(HTTPServerRequest& request) { co_await request.respond(200, {}, "at once"); }

}  // namespace

BEHAVIOUR("HTTP body: of a length, chunked, in upper case and in no bytes", Needs::http) {
  Site site(answer_body);
  RawClient client = co_await site.open();
  const std::vector<std::string> requests = {
      post("/", "foobar"), post_chunked("/", "4\r\nfoob\r\n2;x=y\r\nar\r\n0\r\n\r\n"),
      "POST / HTTP/1.1\r\nHost: a\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n006\r\nfoobar\r\n000\r\n\r\n"};
  for (const std::string& request : requests) {
    const Reply reply = co_await client.ask(request);
    expect_equal(reply.body, "foobar");
  }
  const std::vector<std::string> empty_ones = {get("/"), post("/", ""), post_chunked("/", "0\r\n\r\n")};
  for (const std::string& request : empty_ones) {
    const Reply reply = co_await client.ask(request);
    expect_equal(reply.body, "");
  }
}

BEHAVIOUR("HTTP body: its pieces come as they arrive, and not faster than they are taken", Needs::http) {
  Site site(answer_sizes);
  RawClient client = co_await site.open();
  const Reply chunks = co_await client.ask(post_chunked("/", "4\r\nabcd\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"));
  expect_equal(chunks.body, "4 16 ");
  co_await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n1234");
  co_await sleep_for(5ms);
  co_await client.send("567890");
  const Reply length = co_await client.reply();
  expect_equal(length.body, "4 6 ");
}

BEHAVIOUR("HTTP body: a client whose body nobody takes is held up, not buffered", kNetwork) {
  Signal go;
  Site site([&go](HTTPServerRequest& request) -> Future<void> {
    co_await request.next_chunk();
    co_await std::move(go.future);
    std::size_t size = 0;
    for (;;) {
      const std::optional<std::string_view> piece = co_await request.next_chunk();
      if (!piece) break;
      size += piece->size();
    }
    co_await request.respond(200, {}, std::to_string(size > 0));
  });
  RawClient client = co_await site.open(kTcp);
  Future<void> sending = client.stream().write(post("/", std::string(30'000'000, 'x')));
  co_await sleep_for(50ms);
  expect(!sending.done(), "it waits");
  go.promise.set_value();
  const Reply reply = co_await client.reply();
  expect_equal(reply.body, "1");
}

BEHAVIOUR("HTTP body: trailers are there once it has ended", Needs::http) {
  Site site([](HTTPServerRequest& request) -> Future<void> {
    expect(request.trailers().empty(), "not before");
    const std::string body = co_await request.body();
    const std::string sum(request.trailers().get("sum"));
    co_await request.respond(200, {}, body + " " + sum);
  });
  RawClient client = co_await site.open();
  const Reply reply = co_await client.ask(post_chunked("/", "3\r\nabc\r\n0\r\nSum: 6\r\n\r\n"));
  expect_equal(reply.body, "abc 6");
}

BEHAVIOUR("HTTP body: who waits for 100 Continue gets it when the body is asked for", Needs::http) {
  Site site(answer_body);
  RawClient client = co_await site.open();
  co_await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  const Reply interim = co_await client.reply();
  expect_equal(interim.status, 100);
  co_await client.send("abc");
  const Reply reply = co_await client.reply();
  expect_equal(reply.body, "abc");
}

BEHAVIOUR("HTTP body: a handler may refuse without 100 Continue, and the connection ends", Needs::http) {
  Site site([](HTTPServerRequest& request) { return request.respond(403, {}, "no"); });
  RawClient client = co_await site.open();
  co_await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  const Reply reply = co_await client.reply();
  expect_equal(reply.status, 403);
  expect_equal(reply.headers.get("Connection"), "close");
  const std::string rest = co_await client.rest();
  expect_equal(rest, "");
}

BEHAVIOUR("HTTP body: an answer in pieces in place of 100 Continue says that it is the last", Needs::http) {
  const auto refuse = [](HTTPServerRequest& request) -> Future<void> {
    co_await request.write_headers(403, HTTPHeaders());
    co_await request.write("no");
    co_await request.finish();
  };
  Site site(refuse);
  RawClient client = co_await site.open();
  co_await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  const Reply reply = co_await client.reply();
  expect_equal(reply.status, 403);
  expect_equal(reply.headers.get("Connection"), "close");
  const std::string rest = co_await client.rest();
  expect_equal(rest, "");
}

BEHAVIOUR("HTTP body: another expectation is answered with 417", Needs::http) {
  Site site(answer_body);
  RawClient client = co_await site.open();
  const Reply reply = co_await client.ask(post("/", "abc", "Expect: miracles\r\n"));
  expect_equal(reply.status, 417);
}

// ---- limits

BEHAVIOUR("HTTP body: beyond the limit it is answered with 413, announced or not", kNetwork) {
  for (const bool streaming : {false, true}) {
    Site site(streaming ? answer_sizes : answer_body, HTTPServerOptions().set_max_body_size(1000));
    const std::vector<std::string> requests = {
        post("/", std::string(1001, 'x')),
        post_chunked("/", "1f4\r\n" + std::string(500, 'x') + "\r\n1f5\r\n" + std::string(501, 'x') + "\r\n0\r\n\r\n")};
    for (const std::string& request : requests) {
      RawClient client = co_await site.open(kTcp);
      const Reply reply = co_await client.ask(request);
      expect_equal(reply.status, 413);
      expect_equal(reply.headers.get("Connection"), "close");
      const std::string rest = co_await client.rest();
      expect_equal(rest, "");
    }
    RawClient client = co_await site.open(kTcp);
    const Reply reply = co_await client.ask(post("/", std::string(1000, 'x')));
    expect_equal(reply.status, 200);
  }
}

BEHAVIOUR("HTTP body: a 413 in the middle of an upload arrives whole", kNetwork) {
  Site site(answer_body, HTTPServerOptions().set_max_body_size(1'000'000));
  RawClient client = co_await site.open(kTcp);
  Future<void> uploading = client.stream().write(post("/", std::string(6'000'000, 'x')));
  const Reply reply = co_await client.reply();
  expect_equal(reply.status, 413);
  expect(reply.body.find("more than 1000000 bytes") != std::string::npos, reply.body);
}

BEHAVIOUR("HTTP body: a handler sets the limit of its own request, and not of the next", Needs::http) {
  Site site(
      [](HTTPServerRequest& request) -> Future<void> {
        if (request.uri() == "/large") request.set_max_body_size(10'000);
        return answer_body(request);
      },
      HTTPServerOptions().set_max_body_size(10));
  RawClient client = co_await site.open();
  const Reply large = co_await client.ask(post("/large", std::string(5000, 'x')));
  expect_equal(large.body.size(), 5000u);
  const std::string chunk = "1388\r\n" + std::string(5000, 'x') + "\r\n0\r\n\r\n";
  const Reply chunked = co_await client.ask(post_chunked("/large", chunk));
  expect_equal(chunked.body.size(), 5000u);
  const Reply small = co_await client.ask(post("/small", std::string(5000, 'x')));
  expect_equal(small.status, 413);
}

BEHAVIOUR("HTTP body: one that takes too long is answered with 408", Needs::http) {
  for (const bool own : {false, true}) {
    HTTPServerOptions options;
    if (!own) options.set_body_timeout(20ms);
    Site site(
        [own](HTTPServerRequest& request) -> Future<void> {
          if (own) request.set_body_timeout(20ms);
          const Result<std::string> body = co_await as_result(request.body());
          expect(body.reason() == Errc::timeout, "a timeout");
        },
        options);
    RawClient client = co_await site.open();
    co_await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 42\r\n\r\nab");
    const Reply reply = co_await client.reply();
    expect_equal(reply.status, 408);
    const std::string rest = co_await client.rest();
    expect_equal(rest, "");
  }
}

BEHAVIOUR("HTTP body: one that stands still is the idle timeout's business", Needs::http) {
  Site site(answer_body, HTTPServerOptions().set_idle_connection_timeout(200ms));
  RawClient client = co_await site.open();
  co_await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 42\r\n\r\nab");
  const Reply reply = co_await client.reply();
  expect_equal(reply.status, 408);
}

BEHAVIOUR("HTTP body: a malformed one is answered with 400", Needs::http) {
  Site site(answer_body);
  for (const char* chunks : {"x\r\n", "3\r\nabcd\r\n0\r\n\r\n", "3\nabc\r\n0\r\n\r\n", "0\r\nX y\r\n\r\n"}) {
    RawClient client = co_await site.open();
    const Reply reply = co_await client.ask(post_chunked("/", chunks));
    expect_equal(reply.status, 400);
    const std::string rest = co_await client.rest();
    expect_equal(rest, "");
  }
}

BEHAVIOUR("HTTP body: a handler that knows what was wrong may answer itself", Needs::http) {
  Site site([](HTTPServerRequest& request) -> Future<void> {
    const Result<std::string> body = co_await as_result(request.body());
    expect(body.reason() == Errc::protocol, "malformed");
    co_await request.respond(422, {}, "my own words");
  });
  RawClient client = co_await site.open();
  const Reply reply = co_await client.ask(post_chunked("/", "x\r\n"));
  expect_equal(reply.status, 422);
  expect_equal(reply.headers.get("Connection"), "close");
}

// ---- bodies that nobody reads

BEHAVIOUR("HTTP body: a short one that nobody read is thrown away for the next request", Needs::http) {
  Site site(answer_at_once);
  RawClient client = co_await site.open();
  const std::vector<std::string> requests = {post("/", std::string(1000, 'x')),
                                             post_chunked("/", "3\r\nabc\r\n0\r\n\r\n"),
                                             post("/", "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"), get("/")};
  for (const std::string& request : requests) {
    const Reply reply = co_await client.ask(request);
    expect_equal(reply.body, "at once");
  }
  expect_equal(site.server().stats().requests, 4u);
}

BEHAVIOUR("HTTP body: a long one that nobody read costs the connection, and the answer arrives", kNetwork) {
  Site site(answer_at_once);
  RawClient client = co_await site.open(kTcp);
  Future<void> uploading = client.stream().write(post("/", std::string(3'000'000, 'x')));
  const Reply reply = co_await client.reply();
  expect_equal(reply.body, "at once");
  expect_equal(reply.headers.get("Connection"), "close");
}

BEHAVIOUR("HTTP body: a long one that is read behind the beginning of the answer keeps the connection", kNetwork) {
  const auto echo = [](HTTPServerRequest& request) -> Future<void> {
    co_await request.write_headers(200, HTTPHeaders());
    std::size_t size = 0;
    while (const auto chunk = co_await request.next_chunk()) size += chunk->size();
    co_await request.write(std::to_string(size));
    co_await request.finish();
  };
  Site site(echo);
  RawClient client = co_await site.open(kTcp);
  for (int i = 0; i < 2; ++i) {
    const Reply reply = co_await client.ask(post("/", std::string(1'000'000, 'x')));
    expect_equal(reply.body, "1000000");
    expect(!reply.headers.contains("Connection"), "it is not the last");
  }
}

BEHAVIOUR(
    "HTTP body: a long one that nobody read behind a streamed answer costs the connection, and the answer arrives",
    kNetwork) {
  const auto ignore = [](HTTPServerRequest& request) -> Future<void> {
    co_await request.write_headers(200, HTTPHeaders());
    co_await request.write("whole");
    co_await request.finish();
  };
  Site site(ignore);
  RawClient client = co_await site.open(kTcp);
  const Reply reply = co_await client.ask(post("/", std::string(1'000'000, 'x')));
  expect_equal(reply.body, "whole");
  const std::string rest = co_await client.rest();
  expect_equal(rest, "");
}

BEHAVIOUR("HTTP body: an endless chunked one that nobody reads is not read for ever", kNetwork) {
  Site site(answer_at_once);
  RawClient client = co_await site.open(kTcp);
  co_await client.send(post_chunked("/", ""));
  const Reply reply = co_await client.reply();
  expect_equal(reply.body, "at once");
  const std::string chunk = "1000\r\n" + std::string(4096, 'x') + "\r\n";
  for (int i = 0; i < 1000; ++i) {
    const Result<void> sent = co_await as_result(client.send(chunk));
    if (!sent.ok() || client.stream().input_ended()) break;
    co_await moment();
  }
  const std::string rest = co_await client.rest();
  expect_equal(rest, "");
  expect(client.stream().input_ended() || client.stream().is_closed(), "the server has had enough");
}

// ---- compressed bodies

BEHAVIOUR("HTTP body: gzip comes decompressed where the server was told to", Needs::http) {
  Site site(
      [](HTTPServerRequest& request) -> Future<void> {
        const std::string consumed(request.headers().get("X-Consumed-Content-Encoding"));
        std::string body = co_await request.body();
        co_await request.respond(200, HTTPHeaders().set("Consumed", consumed), std::move(body));
      },
      HTTPServerOptions().set_decompress_requests(true));
  RawClient client = co_await site.open();
  for (const char* encoding : {"gzip", "GZIP"}) {
    const Reply reply = co_await client.ask(post("/", kZipped, "Content-Encoding: " + std::string(encoding) + "\r\n"));
    expect_equal(reply.body, hello_times(100));
    expect_equal(reply.headers.get("Consumed"), encoding);
  }
  const std::string chunks =
      "10\r\n" + std::string(kZipped.substr(0, 16)) + "\r\n12\r\n" + std::string(kZipped.substr(16)) + "\r\n0\r\n\r\n";
  const Reply chunked = co_await client.ask(post_chunked("/", chunks, "Content-Encoding: gzip\r\n"));
  expect_equal(chunked.body, hello_times(100));
  const Reply plain = co_await client.ask(post("/", "plain"));
  expect_equal(plain.body, "plain");
  const Reply unknown = co_await client.ask(post("/", "brotli", "Content-Encoding: br\r\n"));
  expect_equal(unknown.body, "brotli");
}

BEHAVIOUR("HTTP body: without being told to, a server leaves gzip as it is", Needs::http) {
  Site site(answer_body);
  RawClient client = co_await site.open();
  const Reply reply = co_await client.ask(post("/", kZipped, "Content-Encoding: gzip\r\n"));
  expect_equal(reply.body, kZipped);
}

BEHAVIOUR("HTTP body: the limit counts decompressed bytes, so a bomb does not go off", Needs::http) {
  Site site(answer_body, HTTPServerOptions().set_decompress_requests(true).set_max_body_size(500));
  RawClient client = co_await site.open();
  const Reply reply = co_await client.ask(post("/", kZipped, "Content-Encoding: gzip\r\n"));
  expect_equal(reply.status, 413);
}

BEHAVIOUR("HTTP body: gzip that is none, or is cut off, is answered with 400", Needs::http) {
  Site site(answer_body, HTTPServerOptions().set_decompress_requests(true));
  for (const std::string_view body : {std::string_view("not gzip at all"), kZipped.substr(0, 20)}) {
    RawClient client = co_await site.open();
    const Reply reply = co_await client.ask(post("/", body, "Content-Encoding: gzip\r\n"));
    expect_equal(reply.status, 400);
  }
}
