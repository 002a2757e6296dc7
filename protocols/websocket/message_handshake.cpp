// The handshakes behind which messages are spoken.
#include "protocols/websocket/connection.h"
#include "protocols/websocket/handshake.h"
#include "protocols/websocket/handshake_failures.h"
#include "twinloop/timing.h"

namespace twinloop {

using namespace detail;

namespace {

constexpr std::size_t kMaxAnswer = 64 * 1024;

void require_deflate(const WebSocketOptions& options) {
  if (!options.compression() || can_deflate()) return;
  throw Error(Errc::not_supported, "WebSocket compression: this build has no zlib; on Debian it is zlib1g-dev");
}

WebSocketConnection make_connection(IOStream lower, ConnectionSetup setup, const WebSocketOptions& options) {
  return WebSocketConnection(std::make_unique<WebSocketConnection::Impl>(std::move(lower), std::move(setup), options));
}

// ---- the client

ConnectOptions offered(const WebSocketOptions& options) {
  ConnectOptions offer = options.connect();
  offer.protocols = options.protocols();
  offer.headers = options.headers();
  if (options.compression()) offer.add_header("Sec-WebSocket-Extensions", deflate_offer(*options.compression()));
  return offer;
}

std::optional<DeflateAgreement> chosen_deflate(const RequestHead& answer, const WebSocketOptions& options,
                                               const std::string& where) {
  if (answer.find("Sec-WebSocket-Extensions") == nullptr) return std::nullopt;
  const std::optional<std::vector<Extension>> extensions = parse_extensions(answer);
  std::optional<DeflateAgreement> agreed;
  if (extensions) agreed = accept_answer(*extensions, *options.compression());
  if (agreed) return agreed;
  throw WebSocketError(where + ": the server chose an extension, or a parameter of one, that was not offered", 101);
}

Future<WebSocketConnection> ask_for_upgrade(IOStream lower, Url url, WebSocketOptions options) {
  const std::string where = url.to_string();
  const std::string key = make_websocket_key();
  const ConnectOptions offer = offered(options);
  lower.write(upgrade_request(url, offer, key)).ignore();
  const ReceivedHead received = co_await read_head(lower, kMaxAnswer, &is_status_line);
  ResponseHead head;
  if (received.error || !parse_response_head(received.text, head)) fail_response(where, received);
  const std::string complaint = complaint_about(head, key, offer, options.compression().has_value());
  if (!complaint.empty()) throw WebSocketError(where + ": " + complaint, head.status);
  ConnectionSetup setup(Role::client);
  setup.deflate = chosen_deflate(head.fields, options, where);
  if (const std::string* protocol = head.fields.find("Sec-WebSocket-Protocol")) setup.protocol = *protocol;
  setup.head = std::move(head.fields);
  co_return make_connection(std::move(lower), std::move(setup), options);
}

Future<WebSocketConnection> connect_and_ask(Url url, WebSocketOptions options) {
  Url below = url;
  below.scheme = url.scheme == "wss" ? "tls" : "tcp";
  if (below.port == 0) below.port = url.scheme == "wss" ? 443 : 80;
  below.path.clear();
  IOStream lower = co_await connect(below.to_string(), options.connect());
  co_return co_await ask_for_upgrade(std::move(lower), std::move(url), std::move(options));
}

Future<WebSocketConnection> within_time(Url url, Duration time, Future<WebSocketConnection> opening) {
  Result<WebSocketConnection> connection = co_await as_result(with_timeout(time, std::move(opening)));
  if (!connection.ok() && connection.reason() == Errc::timeout) {
    throw TimeoutError(Errc::timeout, "websocket_connect " + url.to_string());
  }
  co_return std::move(connection).value();
}

Url websocket_url(std::string_view text) {
  Url url = Url::parse(text).value();
  if (url.scheme == "ws" || url.scheme == "wss") return url;
  throw Error(Errc::unknown_scheme,
              "websocket_connect " + url.to_string() + ": a WebSocket's URL begins with ws: or wss:");
}

// ---- the server

ListenOptions spoken(const WebSocketOptions& options) {
  ListenOptions spoken;
  spoken.origins = options.origins();
  spoken.protocols = options.protocols();
  return spoken;
}

Refusal refusal_of_extensions(const RequestHead& head) {
  if (parse_extensions(head)) return {};
  return {"400 Bad Request", "the Sec-WebSocket-Extensions are malformed"};
}

std::string answer_lines(const WebSocketOptions& options, const std::string& extensions) {
  std::string lines;
  if (!extensions.empty()) lines.append("Sec-WebSocket-Extensions: ").append(extensions).append("\r\n");
  for (const auto& [name, value] : options.headers()) {
    if (!is_token(name) || !is_field_text(value)) {
      throw Error(Errc::protocol, "websocket_accept: the header '" + excerpt(name) + "' cannot be sent");
    }
    lines.append(name).append(": ").append(value).append("\r\n");
  }
  return lines;
}

}  // namespace

Future<WebSocketConnection> websocket_connect(std::string text, WebSocketOptions options) {
  require_deflate(options);
  const Url url = websocket_url(text);
  const Duration time = options.connect().timeout;
  co_return co_await within_time(url, time, connect_and_ask(url, std::move(options)));
}

Future<WebSocketConnection> websocket_connect(IOStream lower, std::string text, WebSocketOptions options) {
  require_deflate(options);
  const Url url = websocket_url(text);
  const Duration time = options.connect().timeout;
  co_return co_await within_time(url, time, ask_for_upgrade(std::move(lower), url, std::move(options)));
}

Future<WebSocketConnection> websocket_accept(IOStream lower, WebSocketOptions options) {
  RequestHead head = co_await read_request_head(lower, kMaxHead);
  co_return co_await websocket_accept(std::move(lower), std::move(head), std::move(options));
}

// Its 101 leaves with the first message, or before the loop polls.
Future<WebSocketConnection> websocket_accept(IOStream lower, RequestHead head, WebSocketOptions options,
                                             std::string received) {
  require_deflate(options);
  const ListenOptions ours = spoken(options);
  Refusal refusal = refusal_of(head, ours);
  if (refusal.status.empty()) refusal = refusal_of_extensions(head);
  if (!refusal.status.empty()) refuse(lower, refusal);
  ConnectionSetup setup(Role::server);
  std::string extensions;
  if (options.compression()) setup.deflate = accept_offer(*parse_extensions(head), *options.compression(), extensions);
  setup.protocol = choose_protocol(head, ours);
  lower.write(acceptance(head, setup.protocol, answer_lines(options, extensions))).ignore();
  setup.received = std::move(received);
  setup.head = std::move(head);
  co_return make_connection(std::move(lower), std::move(setup), options);
}

}  // namespace twinloop
