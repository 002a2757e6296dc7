// Sends back the WebSocket messages that it receives, as a server (ws_echo 9000) or as a client (ws_echo --connect wss://…).
#include <cstdio>
#include <string>

#include "command_line.h"
#include "twinloop/net.h"
#include "twinloop/websocket_connection.h"

using namespace twinloop;

namespace {

Future<void> echo_messages(WebSocketConnection ws) {
  while (const auto message = co_await ws.read_message_view()) co_await ws.write_message(message->data, message->kind);
}

Future<void> serve_stream(IOStream stream, WebSocketOptions options) {
  Future<WebSocketConnection> accepting = websocket_accept(std::move(stream), std::move(options));
  WebSocketConnection ws = co_await with_timeout(std::chrono::seconds(10), std::move(accepting));
  co_await echo_messages(std::move(ws));
}

Future<void> serve_port(unsigned port, WebSocketOptions options) {
  Listener listener = co_await listen("tcp://127.0.0.1:" + std::to_string(port));
  const std::string url = listener.url();
  announce("ws" + url.substr(url.find(':')) + "/");
  const auto handle = [&options](IOStream stream) { return serve_stream(std::move(stream), options); };
  co_await serve(std::move(listener), handle);
}

Future<void> echo_server_at(std::string url, WebSocketOptions options) {
  WebSocketConnection ws = co_await websocket_connect(std::move(url), std::move(options));
  std::printf("connected, %s\n", ws.compressed() ? "compressed" : "plain");
  std::fflush(stdout);
  co_await echo_messages(std::move(ws));
}

WebSocketOptions options_of(bool deflate, bool forget, bool any_origin) {
  WebSocketOptions options;
  if (any_origin) options.add_origin("*");
  if (!deflate && !forget) return options;
  WebSocketCompression how;
  how.set_threshold(0).set_server_no_context_takeover(forget).set_client_no_context_takeover(forget);
  return options.set_compression(how);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Sends back the WebSocket messages that it receives.", "ws_echo");
  unsigned port = 0;
  std::string url;
  bool deflate = false;
  bool forget = false;
  bool any_origin = false;
  auto* where = app.add_option("PORT", port, "Where to listen; 0: any free port")->check(CLI::Range(0, 65535));
  auto* peer = app.add_option("--connect", url, "Be a client of this server instead")->type_name("URL");
  app.add_flag("--deflate", deflate, "Compress messages of every length, where the peer agrees");
  app.add_flag("--no-context-takeover", forget, "The same, and neither end remembers earlier messages");
  app.add_flag("--any-origin", any_origin, "Let pages from everywhere connect");
  where->excludes(peer);
  app.callback([&] {
    if (where->empty() && peer->empty()) throw CLI::RequiredError("PORT or --connect");
  });
  return run_command(app, argc, argv, [&] {
    WebSocketOptions options = options_of(deflate, forget, any_origin);
    return url.empty() ? serve_port(port, std::move(options)) : echo_server_at(url, std::move(options));
  });
}
