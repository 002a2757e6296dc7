// Answers every request with "Hello, World!": hello_http [--backend NAME] [--threads N] PORT
//
// With several threads each has a loop and a listener of its own on the one port, and the system deals the connections out.
#include <cstdio>
#include <exception>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "command_line.h"
#include "twinloop/httpserver.h"
#include "twinloop/remote.h"

using namespace twinloop;

Future<void> hello(HTTPServerRequest& request) {
  static const HTTPHeaders kHeaders = HTTPHeaders().set("Content-Type", "text/plain");
  co_await request.respond(200, kHeaders, "Hello, World!");
}

// A thread that serves until this is destroyed.
class Worker {
 public:
  Worker(const std::string& url, const ListenOptions& options) {
    std::promise<RemoteLoop> listening;
    std::future<RemoteLoop> loop = listening.get_future();
    thread_ = std::async(std::launch::async, &Worker::run, url, options, std::move(listening));
    try {
      loop_ = loop.get();
    } catch (const std::future_error&) {
      thread_.get();  // throws why the promise was broken
    }
  }
  ~Worker() {
    loop_.stop();
    try {
      if (thread_.valid()) thread_.get();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "hello_http: a thread ended before its time: %s\n", error.what());
    }
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

 private:
  // It owns the promise: what is thrown in front of set_value() breaks that.
  static void run(const std::string& url, const ListenOptions& options, std::promise<RemoteLoop> listening) {
    IOLoop loop;
    HTTPServer server(hello);
    loop.run_sync([&] { return server.listen(url, options); });
    listening.set_value(loop.remote());
    loop.start();
  }

  RemoteLoop loop_;
  std::future<void> thread_;
};

Future<void> serve(unsigned port, unsigned threads) {
  const ListenOptions options = ListenOptions().set_reuse_port(threads > 1);
  HTTPServer server(hello);
  const std::string url = co_await server.listen("http://127.0.0.1:" + std::to_string(port), options);
  std::vector<std::unique_ptr<Worker>> workers;
  while (workers.size() + 1 < threads) workers.push_back(std::make_unique<Worker>(url, options));
  announce(url);
  co_await server.stopped();
}

int main(int argc, char** argv) {
  CLI::App app("Answers every request with \"Hello, World!\".", "hello_http");
  unsigned port = 0;
  unsigned threads = 1;
  app.add_option("PORT", port, "Where to listen on 127.0.0.1; 0: any free port")
      ->required()
      ->check(CLI::Range(0, 65535));
  app.add_option("--threads", threads, "How many loops share the port")->check(CLI::Range(1, 256));
  return run_command(app, argc, argv, [&] { return serve(port, threads); });
}
