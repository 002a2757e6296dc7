// What tests/peers/http.test.mjs talks to: http_peer URL...
#include <charconv>
#include <cstdio>
#include <string>
#include <vector>

#include "twinloop/httpclient.h"
#include "twinloop/httpserver.h"
#include "twinloop/run_main.h"

using namespace twinloop;

namespace {

const HTTPHeaders kText = HTTPHeaders().set("Content-Type", "text/plain");

Future<void> echo(HTTPServerRequest& request) {
  std::string body = co_await request.body();
  HTTPHeaders headers;
  for (const auto& [name, value] : request.trailers()) headers.add("X-Trailer-" + name, value);
  co_await request.respond(200, headers, std::move(body));
}

Future<void> count(HTTPServerRequest& request) {
  int last = 0;
  if (const std::string* to = request.query_arguments().find("to"))
    std::from_chars(to->data(), to->data() + to->size(), last);
  co_await request.write_headers(200, kText);
  for (int number = 1; number <= last; ++number) co_await request.write(std::to_string(number) + "\n");
  co_await request.finish();
}

Future<void> count_with_sum(HTTPServerRequest& request) {
  co_await request.write_headers(200, HTTPHeaders(kText).set("Trailer", "Sum"));
  for (const char* piece : {"1\n", "2\n", "3\n"}) co_await request.write(piece);
  request.add_trailer("Sum", "6");
  co_await request.finish();
}

Future<void> write_with_sum(HTTPBodyWriter& writer) {
  for (const char* piece : {"1\n", "2\n", "3\n"}) co_await writer.write(piece);
  writer.add_trailer("Sum", "6");
}

// Sends that to ?to=URL, and gives what comes back.
Future<void> upload_with_sum(HTTPServerRequest& request) {
  HTTPRequest upload(*request.query_arguments().find("to"));
  upload.set_method("PUT").set_header("Trailer", "Sum").set_body_producer(write_with_sum);
  HTTPResponse answer = co_await fetch(std::move(upload));
  co_await request.respond(200, kText, std::move(answer.body));
}

Future<void> answer(HTTPServerRequest& request) {
  if (request.path() == "/hello") return request.respond(200, kText, "Hello, World!");
  if (request.path() == "/echo") return echo(request);
  if (request.path() == "/count") return count(request);
  if (request.path() == "/count-with-sum") return count_with_sum(request);
  if (request.path() == "/upload-with-sum") return upload_with_sum(request);
  if (request.path() == "/who") return request.respond(200, kText, request.remote_ip() + " " + request.protocol());
  return request.respond(404, kText, "no such page\n");
}

Future<void> serve(std::vector<std::string> urls) {
  HTTPServerOptions options;
  options.set_max_body_size(10'000'000).add_trusted_proxy("127.0.0.1");
  HTTPServer server(answer, options);
  for (const std::string& url : urls) {
    const std::string real = co_await server.listen(url);
    std::printf("listening %s\n", real.c_str());
  }
  std::fflush(stdout);
  co_await server.stopped();
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> urls(argv + 1, argv + argc);
  return run_main([&] { return serve(urls); });
}
