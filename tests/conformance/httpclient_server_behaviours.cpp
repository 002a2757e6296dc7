// The client and the server of this library, with each other.
#include <random>
#include <string>
#include <vector>

#include "fixtures.h"
#include "twinloop/httpclient.h"
#include "twinloop/httpserver.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

// Gives back what comes, as it comes.
Future<void> echo(HTTPServerRequest& request) {
  HTTPHeaders headers;
  headers.set("X-Method", request.method());
  request.write_continue();  // behind an answer's headers it would come too late
  co_await request.write_headers(200, std::move(headers));
  while (auto chunk = co_await request.next_chunk()) co_await request.write(*chunk);
  co_await request.finish();
}

Future<void> write_a_lot(HTTPBodyWriter& writer) {
  const std::string block(10'000, 'x');
  for (int i = 0; i < 200; ++i) co_await writer.write(block);
}

HTTPRequest to_pair(const char* name) { return HTTPRequest("http://pair.test/").set_connect_to(name); }

}  // namespace

BEHAVIOUR("our client and our server pass bodies both ways, whole and in pieces", Needs::http) {
  HTTPServer server(echo);
  co_await server.listen("pair:both");
  AsyncHTTPClient client;
  for (const std::size_t size : {0u, 1u, 1000u, 1'000'000u}) {
    const std::string body(size, 'b');
    const HTTPResponse response = co_await client.fetch(to_pair("pair:both").set_method("PUT").set_body(body));
    expect(response.body == body, "the same bytes");
    expect_equal(response.headers.get("X-Method"), "PUT");
    expect_equal(client.stats().connections, 1u);
  }
  HTTPRequest produced = to_pair("pair:both");
  produced.set_method("POST").set_body_producer(write_a_lot).set_expect_100_continue(true);
  const HTTPResponse response = co_await client.fetch(std::move(produced));
  expect_equal(response.body.size(), 2'000'000u);
  expect_equal(client.stats().connections, 1u);
}

BEHAVIOUR("our server learns at once that our client has dropped its request", Needs::http) {
  const auto gone = std::make_shared<Signal>();
  const auto wait = [gone](HTTPServerRequest& request) {
    request.set_close_callback([gone] { gone->promise.set_value(); });
    return sleep_for(1h);
  };
  HTTPServer server(wait);
  co_await server.listen("pair:gone");
  AsyncHTTPClient client;
  Future<HTTPResponse> waiting = client.fetch(to_pair("pair:gone"));
  co_await sleep_for(1ms);
  expect(!waiting.done(), "it waits");
  waiting = Future<HTTPResponse>();
  co_await std::move(gone->future);
}

BEHAVIOUR("our client goes on when our server has had enough of a connection", Needs::http) {
  HTTPServerOptions options;
  options.set_max_requests_per_connection(2);
  HTTPServer server(echo, options);
  co_await server.listen("pair:enough");
  AsyncHTTPClient client;
  for (int i = 0; i < 5; ++i) {
    const HTTPResponse response = co_await client.fetch(to_pair("pair:enough"));
    expect_equal(response.status, 200);
  }
  expect_equal(client.stats().connections, 3u);
}

BEHAVIOUR("our client asks a server behind a unix socket, keeps the connection, and a redirect to elsewhere leaves it",
          Needs::tcp | Needs::listen) {
  HTTPServer elsewhere([](HTTPServerRequest& request) { return request.respond(200, {}, request.remote_ip()); });
  const std::string away = co_await elsewhere.listen("http://127.0.0.1:0");
  HTTPServer server([away](HTTPServerRequest& request) {
    if (request.path() == "/away") return request.respond(302, HTTPHeaders().set("Location", away + "/"), "");
    return request.respond(200, {}, std::string(request.host()) + " " + request.remote_ip());
  });
  const std::string socket = "unix:/tmp/twinloop-client-" + std::to_string(std::random_device()()) + ".socket";
  co_await server.listen(socket);
  AsyncHTTPClient client;
  for (int i = 0; i < 2; ++i) {
    const HTTPResponse near = co_await client.fetch(HTTPRequest("http://docker.test/info").set_connect_to(socket));
    expect_equal(near.body, "docker.test unix");
  }
  expect_equal(client.stats().connections, 1u);
  const HTTPResponse far = co_await client.fetch(HTTPRequest("http://docker.test/away").set_connect_to(socket));
  expect_equal(far.body, "127.0.0.1");
}
