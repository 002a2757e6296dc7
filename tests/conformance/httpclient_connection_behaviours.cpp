// AsyncHTTPClient: connections that are kept, limits, lines, time limits, requests that are dropped, streamed bodies.
#include <string>
#include <vector>

#include "httpclient_fixtures.h"
#include "twinloop/executor.h"
#include "twinloop/locks.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kNetwork = Needs::tcp | Needs::listen;

std::string hello(const RawRequest&) { return ok_with("hello"); }
std::string never(const RawRequest&) { return ""; }

Future<void> answer_then_close(IOStream& stream) {
  co_await read_request(stream);
  co_await stream.write(ok_with("once"));
  co_await stream.flush();
}

}  // namespace

// ---- connections that are kept

BEHAVIOUR("requests one after the other go over one connection", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(hello);
  AsyncHTTPClient client;
  const HTTPResponse first = co_await client.fetch(server.request("/1"));
  const HTTPResponse second = co_await client.fetch(server.request("/2"));
  expect(!first.times.reused && second.times.reused, "the second goes over what the first left");
  expect_equal(server.connections(), 1);
  expect_equal(client.stats().connections, 1u);
  expect_equal(client.stats().idle, 1u);
}

BEHAVIOUR("an answer that closes its connection leaves none behind", kNetwork) {
  for (const char* answer : {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
                             "HTTP/1.1 200 OK\r\n\r\nok", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
                             "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more than it announced"}) {
    ScriptedServer server = co_await ScriptedServer::answering(always(answer));
    AsyncHTTPClient client;
    const HTTPResponse response = co_await client.fetch(server.request());
    expect_equal(response.body, "ok");
    expect_equal(client.stats().idle, 0u);
  }
}

BEHAVIOUR("a server that ends a kept connection makes the client forget it at once", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::talking(answer_then_close);
  AsyncHTTPClient client;
  co_await client.fetch(server.request());
  co_await until_idle(client, 0);
  const HTTPResponse again = co_await client.fetch(server.request());
  expect(!again.times.reused, "over a new one");
}

namespace {

// Answers the first request of a connection, and ends it when the next one comes.
Future<void> answer_one(IOStream& stream) {
  co_await read_request(stream);
  co_await stream.write(ok_with("one"));
  co_await read_request(stream);
}

}  // namespace

BEHAVIOUR("a request that a dying connection swallowed is sent once more, where it may be repeated", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::talking(answer_one);
  AsyncHTTPClient client;
  co_await client.fetch(server.request());
  const HTTPResponse again = co_await client.fetch(server.request());
  expect_equal(again.body, "one");
  expect_equal(server.connections(), 2);

  HTTPRequest post = server.request();
  post.set_method("POST").set_body("x");
  co_await expect_message(client.fetch(std::move(post)), Errc::truncated, "closed the connection before it answered");
  expect_equal(server.connections(), 2);
}

BEHAVIOUR("a request is not repeated once a byte of an answer has come, nor on a fresh connection", kNetwork) {
  const auto half = [](IOStream& stream) -> Future<void> {
    co_await read_request(stream);
    co_await stream.write(ok_with("one"));
    co_await read_request(stream);
    co_await stream.write("HTTP/1.1 2");
    co_await stream.flush();
  };
  ScriptedServer server = co_await ScriptedServer::talking(half);
  AsyncHTTPClient client;
  co_await client.fetch(server.request());
  co_await expect_message(client.fetch(server.request()), Errc::truncated, "the answer stops short");
  expect_equal(server.connections(), 1);

  const auto nothing = [](IOStream& stream) -> Future<void> { co_await read_request(stream); };
  ScriptedServer silent = co_await ScriptedServer::talking(nothing);
  co_await expect_message(client.fetch(silent.request()), Errc::truncated, "before it answered");
  expect_equal(silent.connections(), 1);
}

BEHAVIOUR("a kept connection is closed after idle_timeout", Needs::http) {
  ScriptedServer server = co_await ScriptedServer::answering(hello, "pair:idle");
  AsyncHTTPClient client(HTTPClientOptions().set_idle_timeout(20ms));
  co_await client.fetch(server.request());
  expect_equal(client.stats().idle, 1u);
  co_await sleep_for(100ms);
  expect_equal(client.stats().idle, 0u);
  expect_equal(server.open(), 0u);
}

BEHAVIOUR("no more than max_idle connections are kept, those used last", kNetwork) {
  ScriptedServer first = co_await ScriptedServer::answering(hello);
  ScriptedServer second = co_await ScriptedServer::answering(hello);
  AsyncHTTPClient client(HTTPClientOptions().set_max_idle(1));
  co_await client.fetch(first.request());
  co_await client.fetch(second.request());
  expect_equal(client.stats().idle, 1u);
  const HTTPResponse again = co_await client.fetch(second.request());
  expect(again.times.reused, "the second's was kept");
  AsyncHTTPClient none(HTTPClientOptions().set_max_idle(0));
  co_await none.fetch(first.request());
  expect_equal(none.stats().idle, 0u);
}

BEHAVIOUR("a connection is not used for a request that goes another way", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(hello);
  AsyncHTTPClient client;
  co_await client.fetch(server.request());
  std::string elsewhere = server.url("/");
  elsewhere.replace(0, 4, "tcp");
  const HTTPResponse other = co_await client.fetch(HTTPRequest("http://other.test/").set_connect_to(elsewhere));
  expect(!other.times.reused, "another host");
  expect(server.requests().back().has("Host: other.test\r\n"), server.requests().back().head);
  const HTTPResponse same = co_await client.fetch(HTTPRequest("http://other.test/").set_connect_to(elsewhere));
  expect(same.times.reused, "the same way");
}

BEHAVIOUR("a connection is not used for the same URL that is to go to another server", kNetwork) {
  ScriptedServer one = co_await ScriptedServer::answering(always(ok_with("one")));
  ScriptedServer other = co_await ScriptedServer::answering(always(ok_with("other")));
  AsyncHTTPClient client;
  for (const ScriptedServer* server : {&one, &other, &one}) {
    const std::string to = "tcp" + server->url("").substr(4);
    const HTTPResponse response = co_await client.fetch(HTTPRequest("http://same.test/").set_connect_to(to));
    expect_equal(response.body, server == &one ? "one" : "other");
  }
  expect_equal(one.connections(), 1);
}

BEHAVIOUR("AsyncHTTPClient::current() is one client for each loop", Needs::http) {
  AsyncHTTPClient& client = AsyncHTTPClient::current();
  expect(&client == &AsyncHTTPClient::current(), "the same");
  ScriptedServer server = co_await ScriptedServer::answering(hello, "pair:current");
  co_await fetch(server.request());
  co_await fetch(server.request());
  expect_equal(client.stats().connections, 1u);
}

BEHAVIOUR("the client of another thread's loop is another one", Needs::http | Needs::threads) {
  const auto address_there = [] {
    IOLoop loop;
    return loop.run_sync([]() -> Future<const void*> { co_return &AsyncHTTPClient::current(); });
  };
  const void* there = co_await IOLoop::current().run_in_executor(address_there);
  expect(there != &AsyncHTTPClient::current(), "another one");
}

// ---- turns

namespace {

// Holds its answers back until it is told.
struct Held {
  Event go;
  int under_way = 0;
  int most = 0;
};

Future<void> hold(std::shared_ptr<Held> held, IOStream& stream) {
  for (;;) {
    const Result<RawRequest> request = co_await as_result(read_request(stream));
    if (!request.ok()) co_return;
    held->most = std::max(held->most, ++held->under_way);
    co_await held->go.wait();
    --held->under_way;
    co_await stream.write(ok_with("held"));
  }
}

Future<void> until_under_way(std::shared_ptr<Held> held, int count) {
  while (held->under_way != count) co_await moment();
}

Future<ScriptedServer> holding(std::shared_ptr<Held> held) {
  return ScriptedServer::talking([held](IOStream& stream) { return hold(held, stream); });
}

}  // namespace

BEHAVIOUR("no more than max_clients requests are under way; the others have their turn in order", kNetwork) {
  const auto held = std::make_shared<Held>();
  ScriptedServer server = co_await holding(held);
  AsyncHTTPClient client(HTTPClientOptions().set_max_clients(2));
  std::vector<Future<HTTPResponse>> all;
  for (int i = 0; i < 6; ++i) all.push_back(client.fetch(server.request()));
  co_await until_under_way(held, 2);
  expect_equal(client.stats().active, 2u);
  expect_equal(client.stats().queued, 4u);
  held->go.set();
  for (Future<HTTPResponse>& each : all) {
    const HTTPResponse response = co_await std::move(each);
    expect_equal(response.body, "held");
  }
  expect_equal(held->most, 2);
  expect_equal(server.connections(), 2);
  expect_equal(client.stats().active, 0u);
}

BEHAVIOUR("max_per_host holds back those for one host and nobody else", kNetwork) {
  const auto held = std::make_shared<Held>();
  ScriptedServer slow = co_await holding(held);
  ScriptedServer fast = co_await ScriptedServer::answering(hello);
  AsyncHTTPClient client(HTTPClientOptions().set_max_clients(10).set_max_per_host(1));
  Future<HTTPResponse> first = client.fetch(slow.request());
  Future<HTTPResponse> second = client.fetch(slow.request());
  const HTTPResponse other = co_await client.fetch(fast.request());
  expect_equal(other.body, "hello");
  expect_equal(client.stats().queued, 1u);
  held->go.set();
  co_await std::move(first);
  co_await std::move(second);
  expect_equal(held->most, 1);
}

BEHAVIOUR("a request beyond max_queued fails at once", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(never);
  AsyncHTTPClient client(HTTPClientOptions().set_max_clients(1).set_max_queued(1));
  Future<HTTPResponse> first = client.fetch(server.request());
  Future<HTTPResponse> second = client.fetch(server.request());
  co_await expect_message(client.fetch(server.request()), Errc::limit, "set_max_queued");
}

BEHAVIOUR("a request that is dropped in line leaves its place to the next, also in the moment of its turn", kNetwork) {
  const auto held = std::make_shared<Held>();
  ScriptedServer server = co_await holding(held);
  AsyncHTTPClient client(HTTPClientOptions().set_max_clients(1));
  Future<HTTPResponse> first = client.fetch(server.request());
  Future<HTTPResponse> second = client.fetch(server.request());
  Future<HTTPResponse> third = client.fetch(server.request());
  Future<HTTPResponse> fourth = client.fetch(server.request());
  second = Future<HTTPResponse>();
  expect_equal(client.stats().queued, 2u);
  first = Future<HTTPResponse>();  // now it is the third's turn, which has not heard it yet
  third = Future<HTTPResponse>();
  held->go.set();
  const HTTPResponse response = co_await std::move(fourth);
  expect_equal(response.body, "held");
  expect_equal(client.stats().active, 0u);
}

BEHAVIOUR("a client that closes refuses those in line, finishes those under way and keeps no connection", kNetwork) {
  const auto held = std::make_shared<Held>();
  ScriptedServer server = co_await holding(held);
  AsyncHTTPClient client(HTTPClientOptions().set_max_clients(1));
  Future<HTTPResponse> first = client.fetch(server.request());
  Future<HTTPResponse> second = client.fetch(server.request());
  co_await until_under_way(held, 1);
  client.close();
  co_await expect_message(std::move(second), Errc::local, "the client was closed");
  co_await expect_message(client.fetch(server.request()), Errc::local, "the client was closed");
  held->go.set();
  const HTTPResponse response = co_await std::move(first);
  expect_equal(response.body, "held");
  expect_equal(client.stats().idle, 0u);
}

BEHAVIOUR("a client that is destroyed lets its requests finish", kNetwork) {
  const auto held = std::make_shared<Held>();
  ScriptedServer server = co_await holding(held);
  std::optional<AsyncHTTPClient> client(std::in_place, HTTPClientOptions().set_max_clients(1));
  Future<HTTPResponse> first = client->fetch(server.request());
  Future<HTTPResponse> second = client->fetch(server.request());
  client.reset();
  held->go.set();
  for (Future<HTTPResponse>* each : {&first, &second}) {
    const HTTPResponse response = co_await std::move(*each);
    expect_equal(response.body, "held");
  }
}

// ---- time limits

BEHAVIOUR("request_timeout ends a request that gets no answer, and says where it stood", Needs::http) {
  ScriptedServer server = co_await ScriptedServer::answering(never, "pair:silent");
  HTTPRequest request = server.request("/slow");
  request.set_request_timeout(30ms);
  co_await expect_message(fetch(request), Errc::timeout,
                          "while waiting for the answer, after 30 ms (set_request_timeout)");
  co_await sleep_for(1ms);
  expect_equal(server.open(), 0u);
}

BEHAVIOUR("request_timeout covers the body, too", Needs::http) {
  const auto stall = [](IOStream& stream) -> Future<void> {
    co_await read_request(stream);
    co_await stream.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    co_await stream.peer_ended();
  };
  ScriptedServer server = co_await ScriptedServer::talking(stall, "pair:stalled");
  HTTPRequest request = server.request();
  request.set_request_timeout(30ms);
  co_await expect_message(fetch(request), Errc::timeout, "while receiving the body");
}

BEHAVIOUR("time in line counts, and the message says that it was spent there", Needs::http) {
  ScriptedServer server = co_await ScriptedServer::answering(never, "pair:line");
  AsyncHTTPClient client(HTTPClientOptions().set_max_clients(1));
  Future<HTTPResponse> first = client.fetch(server.request());
  HTTPRequest request = server.request();
  request.set_connect_timeout(30ms);
  co_await expect_message(client.fetch(request), Errc::timeout,
                          "in the request queue, after 30 ms (set_connect_timeout)");
  request.set_connect_timeout(0s).set_request_timeout(40ms);
  co_await expect_message(client.fetch(request), Errc::timeout,
                          "in the request queue, after 40 ms (set_request_timeout)");
  expect_equal(client.stats().queued, 0u);
}

namespace {

class SlowResolver final : public Resolver {
 public:
  Future<std::vector<std::string>> resolve(std::string) override { return never(); }

 private:
  static Future<std::vector<std::string>> never() {
    co_await sleep_for(1h);
    co_return std::vector<std::string>();
  }
};

}  // namespace

BEHAVIOUR("connect_timeout covers resolving and connecting", kNetwork) {
  ConnectOptions connecting;
  connecting.set_resolver(std::make_shared<SlowResolver>());
  AsyncHTTPClient client(HTTPClientOptions().set_connect(connecting));
  HTTPRequest request("http://slow.test/");
  request.set_connect_timeout(20ms);
  co_await expect_message(client.fetch(request), Errc::timeout, "while connecting, after 20 ms (set_connect_timeout)");
}

BEHAVIOUR("a timeout of zero is none", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(hello);
  HTTPRequest request = server.request();
  for (const Duration connecting : {Duration(0), Duration(20s)}) {
    for (const Duration whole : {Duration(0), Duration(20s)}) {
      const HTTPResponse response =
          co_await fetch(HTTPRequest(request).set_connect_timeout(connecting).set_request_timeout(whole));
      expect_equal(response.body, "hello");
    }
  }
}

// ---- where it connects

BEHAVIOUR("a connection that is refused says to which address", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(hello);
  const std::string url = server.url("/");
  server.stop();
  co_await expect_message(fetch(url), Errc::refused, "GET " + url + ": connect tcp://127.0.0.1:");
}

BEHAVIOUR("a name goes where the client's resolver says, and IPv6 addresses go in brackets", kNetwork) {
  ScriptedServer server = co_await ScriptedServer::answering(hello);
  std::string port = server.url("");
  port = port.substr(port.rfind(':'));
  ConnectOptions connecting;
  std::map<std::string, std::vector<std::string>, std::less<>> hosts;
  hosts["twin.test"] = {"127.0.0.1"};
  connecting.set_resolver(std::make_shared<OverrideResolver>(std::move(hosts)));
  AsyncHTTPClient client(HTTPClientOptions().set_connect(connecting));
  co_await client.fetch("http://TWIN.test" + port + "/");
  expect(server.requests().back().has("Host: twin.test" + port + "\r\n"), server.requests().back().head);

  const Result<ScriptedServer> six = co_await as_result(ScriptedServer::answering(hello, "tcp://[::1]:0"));
  if (!six.ok()) co_return;  // a machine without IPv6
  const HTTPResponse response = co_await client.fetch(six.peek().url("/six"));
  expect(response.effective_url.starts_with("http://[::1]:"), response.effective_url);
  expect(six.peek().requests()[0].has("Host: [::1]:"), six.peek().requests()[0].head);
}

BEHAVIOUR("a client's connections come from the address that its options name, redirects, too", kNetwork) {
  std::vector<std::string> peers;
  const auto tell = [&peers](IOStream& stream) -> Future<void> {
    peers.push_back(stream.peer_address());
    const RawRequest request = co_await read_request(stream);
    std::string answer = ok_with("well", "Connection: close\r\n");
    if (request.has("GET /again ")) answer.replace(9, 6, "302 Found\r\nLocation: /");
    co_await stream.write(std::move(answer));
  };
  ScriptedServer server = co_await ScriptedServer::talking(tell);
  ConnectOptions connecting;
  connecting.set_source("127.0.0.2");
  AsyncHTTPClient client(HTTPClientOptions().set_connect(connecting));
  const HTTPResponse answer = co_await client.fetch(server.request("/again"));
  expect_equal(answer.body, "well");
  expect_equal(peers.size(), 2u);
  for (const std::string& peer : peers) expect(peer.starts_with("tcp://127.0.0.2:"), peer);
  connecting.set_source("192.0.2.1");  // nobody's
  AsyncHTTPClient nowhere(HTTPClientOptions().set_connect(connecting));
  const Result<HTTPResponse> none = co_await as_result(nowhere.fetch(server.request("/")));
  expect(!none.ok(), "it went from an address that is not this machine's");
  expect_equal(peers.size(), 2u);
}

BEHAVIOUR("URLs that are none are refused with what is wrong", Needs::http) {
  co_await expect_message(fetch("example.org"), Errc::invalid_url, "write http://host/path");
  co_await expect_message(fetch("ftp://example.org/"), Errc::invalid_url, "only http and https");
  co_await expect_message(fetch("http:///path"), Errc::invalid_url, "its host is none");
  co_await expect_message(fetch("http://x.test:99999/"), Errc::invalid_url, "its port");
  co_await expect_message(fetch("http://x.test/a b"), Errc::invalid_url, "a space");
  co_await expect_message(fetch("http://user:secret@x.test:port/"), Errc::invalid_url, "its port");
}

// ---- dropping

BEHAVIOUR("a request that is dropped at any step leaves nothing behind", Needs::http) {
  ScriptedServer server = co_await ScriptedServer::answering(
      [](const RawRequest& request) {
        const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        return request.has("/first") ? std::string("HTTP/1.1 307 Go\r\nLocation: /then\r\nContent-Length: 0\r\n\r\n")
                                     : chunked;
      },
      "pair:dropped");
  AsyncHTTPClient client(HTTPClientOptions().set_max_clients(1).set_max_idle(0));
  const auto program = [](AsyncHTTPClient& c, HTTPRequest request) -> Future<void> {
    const HTTPResponse response = co_await c.fetch(std::move(request));
    expect_equal(response.body, "hello");
  };
  const auto run = [&] { return program(client, server.request("/first").set_method("POST").set_body("x")); };
  const auto check = [&] { expect_equal(client.stats().active + client.stats().queued, 0u); };
  const std::size_t cancelled = co_await cancel_everywhere(run, check);
  expect(cancelled > 10, "it was dropped at many places");
}

BEHAVIOUR("a request that is dropped in its answer does not leave a half-read connection to the next", kNetwork) {
  const auto half = [](IOStream& stream) -> Future<void> {
    for (;;) {
      const RawRequest request = co_await read_request(stream);
      std::string answer = ok_with("whole");
      if (request.has("/slow")) answer = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
      co_await stream.write(answer);
    }
  };
  ScriptedServer server = co_await ScriptedServer::talking(half);
  AsyncHTTPClient client;
  HTTPStreamedResponse slow = co_await client.fetch_streamed(server.request("/slow"));
  Future<HTTPResponse> dropped = client.fetch(server.request("/slow"));
  co_await moment();
  dropped = Future<HTTPResponse>();
  {
    const HTTPStreamedResponse gone = std::move(slow);
  }
  expect_equal(client.stats().idle, 0u);
  const HTTPResponse response = co_await client.fetch(server.request());
  expect_equal(response.body, "whole");
  expect_equal(server.connections(), 3);
}

// ---- streamed answers

BEHAVIOUR("a streamed answer gives its headers before its body, and the body as it comes", Needs::http) {
  const auto talk = [](IOStream& stream) -> Future<void> {
    co_await read_request(stream);
    co_await stream.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Own: 1\r\n\r\n");
    for (const char* piece : {"3\r\none\r\n", "3\r\ntwo\r\n", "0\r\nX-Sum: 6\r\n\r\n"}) {
      co_await sleep_for(1ms);
      co_await stream.write(piece);
    }
    co_await stream.peer_ended();
  };
  ScriptedServer server = co_await ScriptedServer::talking(talk, "pair:streamed");
  AsyncHTTPClient client;
  HTTPStreamedResponse response = co_await client.fetch_streamed(server.request());
  expect_equal(response.status(), 200);
  expect_equal(response.head().headers.get("X-Own"), "1");
  std::vector<std::string> chunks;
  while (auto chunk = co_await response.next_chunk()) chunks.emplace_back(*chunk);
  expect_equal(chunks.size(), 2u);
  expect_equal(chunks[0] + chunks[1], "onetwo");
  expect_equal(response.trailers().get("X-Sum"), "6");
  const auto more = co_await response.next_chunk();
  expect(!more.has_value(), "the end stays the end");
  expect_equal(client.stats().idle, 1u);
}

namespace {

Future<void> pour(std::shared_ptr<std::size_t> sent, IOStream& stream) {
  co_await read_request(stream);
  co_await stream.write("HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n");
  const std::string block(100'000, 'x');
  for (; *sent < 50'000'000; *sent += block.size()) co_await stream.write(block);
  co_await stream.peer_ended();
}

}  // namespace

BEHAVIOUR("a body that nobody asks for is not read: the server has to wait", kNetwork) {
  const auto sent = std::make_shared<std::size_t>(0);
  const auto talk = [sent](IOStream& stream) { return pour(sent, stream); };
  ScriptedServer server = co_await ScriptedServer::talking(talk);
  AsyncHTTPClient client;
  HTTPStreamedResponse response = co_await client.fetch_streamed(server.request());
  const auto first = co_await response.next_chunk();
  expect(first.has_value() && first->size() <= 64u * 1024, "a piece");
  std::size_t before = 0;
  do {
    before = *sent;
    co_await sleep_for(20ms);
  } while (before != *sent);
  expect(*sent < 40'000'000, "the server stands still");
  std::size_t received = first->size();
  while (auto chunk = co_await response.next_chunk()) received += chunk->size();
  expect_equal(received, 50'000'000u);
}

BEHAVIOUR("each chunk of a streamed answer has request_timeout, all of them have not", Needs::http) {
  const auto talk = [](IOStream& stream) -> Future<void> {
    co_await read_request(stream);
    co_await stream.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    for (int i = 0; i < 5; ++i) {
      co_await sleep_for(20ms);
      co_await stream.write("x");
    }
    co_await stream.peer_ended();
  };
  ScriptedServer server = co_await ScriptedServer::talking(talk, "pair:slow-chunks");
  AsyncHTTPClient client;
  HTTPRequest request = server.request();
  request.set_request_timeout(60ms);
  HTTPStreamedResponse response = co_await client.fetch_streamed(std::move(request));
  for (int i = 0; i < 5; ++i) {
    const auto chunk = co_await response.next_chunk();
    expect_equal(chunk.value_or(""), "x");
  }
  const Result<std::optional<std::string_view>> late = co_await as_result(response.next_chunk());
  expect(late.reason() == Errc::timeout, late.failure().message());
  expect(late.failure().message().find("while receiving the body, after 60 ms") != std::string::npos, "it says where");
}

BEHAVIOUR("a streamed answer has no limit but its own", kNetwork) {
  const std::string body(300'000, 'x');
  ScriptedServer server = co_await ScriptedServer::answering(always(ok_with(body)));
  AsyncHTTPClient client(HTTPClientOptions().set_max_body_size(1000));
  HTTPStreamedResponse free = co_await client.fetch_streamed(server.request());
  const std::string all = co_await free.body();
  expect_equal(all.size(), body.size());
  const auto limited = co_await as_result(client.fetch_streamed(server.request().set_max_body_size(1000)));
  expect(limited.reason() == Errc::overflow, "its own");
}

BEHAVIOUR("an answer that comes while the request is still being sent is taken, and sending stops", kNetwork) {
  const auto refuse = [](IOStream& stream) -> Future<void> {
    co_await stream.read_until("\r\n\r\n");
    co_await stream.write("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig");
    co_await stream.flush();
  };
  ScriptedServer server = co_await ScriptedServer::talking(refuse);
  const auto endless = [](HTTPBodyWriter& writer) -> Future<void> {
    const std::string block(10'000, 'x');
    for (;;) co_await writer.write(block);
  };
  AsyncHTTPClient client;
  HTTPRequest request = server.request();
  request.set_method("POST").set_body_producer(endless).set_raise_error(false);
  const HTTPResponse response = co_await client.fetch(std::move(request));
  expect_equal(response.status, 413);
  expect_equal(response.body, "big");
  expect_equal(client.stats().idle, 0u);
}
