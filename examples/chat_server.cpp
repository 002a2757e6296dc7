// The demo's server: a web page, and one chat room that is entered over WebSocket (from the page) or plain TCP (from a
// terminal).  Both kinds of visitor are served by the same coroutine, handle_stream.
#include <chrono>
#include <cstdint>
#include <string>

#include "chat_room.h"
#include "command_line.h"
#include "static_files.h"
#include "twinloop/net.h"
#include "twinloop/timing.h"
#include "twinloop/websocket.h"

using namespace twinloop;

struct Settings {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;
  std::uint16_t chat_port = 8081;
  std::string web_root = "build/demo";
};

struct Demo {
  Room room;
  StaticFiles files;
};

constexpr auto kIdle = std::chrono::seconds(30);  // between two requests of a connection

Future<void> echo(IOStream stream) {
  for (;;) co_await stream.write(co_await stream.read_some());
}

Future<void> handle_websocket(IOStream stream, RequestHead request, std::string path, Demo& demo) {
  const ListenOptions options;
  Result<IOStream> upgraded = co_await as_result(accept_websocket(std::move(stream), std::move(request), options));
  if (!upgraded.ok()) co_return;  // the answer has said why
  if (path == "/echo") {
    co_await echo(std::move(*upgraded));
  } else {
    co_await handle_stream(std::move(*upgraded), demo.room);
  }
}

bool is_stream_path(std::string_view path) { return path == "/chat" || path == "/echo"; }

bool may_stay(const RequestHead& request) {
  const std::string* connection = request.find("connection");
  const bool has_body = request.find("content-length") != nullptr || request.find("transfer-encoding") != nullptr;
  return request.version == "HTTP/1.1" && connection == nullptr && !has_body;
}

std::string answer(const RequestHead& request, const std::string& path, bool stays, const Demo& demo) {
  if (is_stream_path(path)) return plain_answer("426 Upgrade Required", "This is a WebSocket.\n", stays);
  return demo.files.answer(request.method, path, stays);
}

Future<void> handle_http(IOStream stream, Demo& demo) {
  for (bool stays = true; stays;) {
    Result<RequestHead> request = co_await as_result(with_timeout(kIdle, read_request_head(stream)));
    if (!request.ok()) {
      if (request.reason() == Errc::protocol && !stream.is_closed()) {
        co_await stream.write(plain_answer("400 Bad Request", "That was no HTTP request.\n", false));
      }
      co_return;
    }
    const std::string path = request->target.substr(0, request->target.find('?'));
    if (is_stream_path(path) && is_websocket_upgrade(*request)) {
      co_return co_await handle_websocket(std::move(stream), std::move(*request), path, demo);
    }
    stays = may_stay(*request);
    co_await stream.write(answer(*request, path, stays, demo));
  }
}

std::string tcp_url(const std::string& host, std::uint16_t port) {
  const bool is_ipv6 = host.find(':') != std::string::npos;
  return "tcp://" + (is_ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

// What the page wants to know.
std::string page_config(const std::string& chat_url, const StaticFiles& files) {
  return "{\"chat\":\"" + chat_url + "\",\"module\":" + (files.has("/chat_client.wasm") ? "true" : "false") + "}\n";
}

Future<void> serve_demo(Settings settings, Demo& demo) {
  Listener web = co_await listen(tcp_url(settings.host, settings.port));
  Listener chat = co_await listen(tcp_url(settings.host, settings.chat_port));
  demo.files.load(settings.web_root);
  if (!demo.files.has("/index.html")) {
    std::fprintf(stderr, "chat_server: there is no page in %s; ./dev demo makes one\n", settings.web_root.c_str());
  }
  demo.files.add("/config.json", "application/json", page_config(chat.url(), demo.files));
  announce("http" + web.url().substr(3) + "/");
  announce(chat.url());

  const auto serve_web = [&demo](IOStream stream) { return handle_http(std::move(stream), demo); };
  const auto serve_room = [&demo](IOStream stream) { return handle_stream(std::move(stream), demo.room); };
  Future<void> chatting = serve(std::move(chat), serve_room);
  co_await serve(std::move(web), serve_web);
}

int main(int argc, char** argv) {
  CLI::App app("A web page and a chat room, entered over WebSocket or TCP.", "chat_server");
  Settings settings;
  app.add_option("--host", settings.host, "Address to listen on")->capture_default_str();
  app.add_option("--port", settings.port, "Port of the page and its WebSockets; 0: any free one")
      ->capture_default_str();
  app.add_option("--chat-port", settings.chat_port, "Port of the room over TCP; 0: any free one")
      ->capture_default_str();
  app.add_option("--web-root", settings.web_root, "Folder of the page")->capture_default_str();
  Demo demo;  // outlives the loop, whose coroutines use it
  return run_command(app, argc, argv, [&] { return serve_demo(settings, demo); });
}
