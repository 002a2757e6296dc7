// What a request over a connection that is kept asks of the heap.
#include <catch2/catch_test_macros.hpp>
#include <cstddef>
#include <memory>
#include <string>

#include "bench/heap_blocks.h"
#include "twinloop/httpclient.h"
#include "twinloop/httpserver.h"
#include "twinloop/testing.h"
#include "twinloop/web.h"

using namespace twinloop;

namespace {

constexpr std::size_t kRequests = 1000;

struct ManualLoop : IOLoop {
  ManualLoop() : IOLoop(std::make_unique<testing::ManualBackend>()) {}
};

Future<void> hello(HTTPServerRequest& request) {
  static const HTTPHeaders kHeaders = HTTPHeaders().set("Content-Type", "text/plain");
  co_await request.respond(200, kHeaders, "Hello, World!");
}

Future<void> hello_later(HTTPServerRequest& request) {
  co_await moment();
  co_await hello(request);
}

class Hello : public RequestHandler {
  Future<void> get() override { return finish("Hello, World!"); }
};

Future<void> ask(IOStream& client) {
  co_await client.write("GET / HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\nUser-Agent: a test\r\n\r\n");
  co_await client.read_until_view("World!");
}

// Blocks that as many requests asked for, without the first ones.
Future<std::size_t> blocks_of_requests(std::string url) {
  IOStream client = co_await connect(std::move(url));
  for (std::size_t i = 0; i < kRequests; ++i) co_await ask(client);
  const std::size_t before = bench::heap_blocks();
  for (std::size_t i = 0; i < kRequests; ++i) co_await ask(client);
  co_return bench::heap_blocks() - before;
}

Future<std::size_t> blocks_of_server(HTTPHandler handler) {
  HTTPServer server(std::move(handler));
  co_await server.listen("pair:costs");
  co_return co_await blocks_of_requests("pair:costs");
}

Future<std::size_t> blocks_of_application() {
  Application app;
  app.add<Hello>("/");
  co_await app.listen("pair:costs");
  co_return co_await blocks_of_requests("pair:costs");
}

Future<std::size_t> blocks_of_client() {
  HTTPServer server(hello);
  co_await server.listen("pair:costs");
  AsyncHTTPClient client;
  HTTPRequest request("http://costs.test/");
  request.set_connect_to("pair:costs");
  for (std::size_t i = 0; i < kRequests; ++i) co_await client.fetch(request);
  const std::size_t before = bench::heap_blocks();
  for (std::size_t i = 0; i < kRequests; ++i) co_await client.fetch(request);
  co_return bench::heap_blocks() - before;
}

}  // namespace

TEST_CASE("a request over a kept connection asks nothing of the heap") {
  if (!TWINLOOP_POOLS) SKIP("this build has no free lists");
  ManualLoop loop;
  CHECK(loop.run_sync([] { return blocks_of_server(hello); }) == 0);
  CHECK(loop.run_sync([] { return blocks_of_server(hello_later); }) == 0);
}

TEST_CASE("a request to a web application over a kept connection asks for at most six blocks") {
  if (!TWINLOOP_POOLS) SKIP("this build has no free lists");
  ManualLoop loop;
  CHECK(loop.run_sync([] { return blocks_of_application(); }) <= 6 * kRequests);
}

TEST_CASE("a fetch over a kept connection asks for at most 24 blocks, the server's included") {
  if (!TWINLOOP_POOLS) SKIP("this build has no free lists");
  ManualLoop loop;
  CHECK(loop.run_sync([] { return blocks_of_client(); }) <= 24 * kRequests);
}
