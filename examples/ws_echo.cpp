// Sends back the WebSocket messages that it receives: ws_echo 9000, then new WebSocket("ws://127.0.0.1:9000/") in any page.
#include <string>

#include "command_line.h"
#include "twinloop/net.h"
#include "twinloop/websocket_connection.h"

using namespace twinloop;

namespace {

Future<void> echo_messages(IOStream stream, WebSocketOptions options) {
  WebSocketConnection ws =
      co_await with_timeout(std::chrono::seconds(10), websocket_accept(std::move(stream), options));
  while (const auto message = co_await ws.read_message_view()) co_await ws.write_message(message->data, message->kind);
}

Future<void> serve_port(unsigned port, WebSocketOptions options) {
  const std::string port_text = std::to_string(port);
  Listener listener = co_await listen("tcp://127.0.0.1:" + port_text);
  const std::string url = listener.url();
  announce("ws" + url.substr(url.find(':')) + "/");
  const auto handle = [&options](IOStream stream) { return echo_messages(std::move(stream), options); };
  co_await serve(std::move(listener), handle);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Sends back the WebSocket messages that it receives.", "ws_echo");
  unsigned port = 0;
  bool deflate = false;
  bool forget = false;
  bool any_origin = false;
  app.add_option("PORT", port, "Where to listen; 0: any free port")->required()->check(CLI::Range(0, 65535));
  app.add_flag("--deflate", deflate, "Compress messages of every length, where the client offers it");
  app.add_flag("--no-context-takeover", forget, "The same, and neither end remembers earlier messages");
  app.add_flag("--any-origin", any_origin, "Let pages from everywhere connect");
  return run_command(app, argc, argv, [&] {
    WebSocketOptions options;
    if (deflate || forget) {
      options.set_compression(
          WebSocketCompression().set_threshold(0).set_server_no_context_takeover(forget).set_client_no_context_takeover(
              forget));
    }
    if (any_origin) options.add_origin("*");
    return serve_port(port, options);
  });
}
