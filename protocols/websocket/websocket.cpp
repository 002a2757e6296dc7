// The handshakes as coroutines: what twinloop/websocket.h and scheme.h offer.
#include "twinloop/websocket.h"

#include "protocols/websocket/handshake.h"
#include "protocols/websocket/handshake_failures.h"
#include "protocols/websocket/scheme.h"
#include "protocols/websocket/websocket_transport.h"

namespace twinloop {
namespace detail {
namespace {

IOStream upgraded(IOStream lower, WebSocketSetup setup, const StreamOptions& options) {
  std::unique_ptr<Transport> transport = lower.detach(setup.initial_input);
  return IOStream(std::make_unique<WebSocketTransport>(std::move(transport), std::move(setup)), options);
}

bool serves(const Url& url, std::string_view target) noexcept {
  const std::string_view path = std::string_view(url.path).substr(0, url.path.find('?'));
  return path.empty() || path == "/" || path == target.substr(0, target.find('?'));
}

}  // namespace

Future<IOStream> connect_websocket(IOStream lower, const Url& url, const ConnectOptions& options) {
  return twinloop::connect_websocket(std::move(lower), url, options);
}

Future<IOStream> accept_websocket(IOStream lower, const Url& url, const ListenOptions& options) {
  RequestHead head = co_await read_request_head(lower, kMaxHead);
  if (!serves(url, head.target)) refuse(lower, {"404 Not Found", "no WebSocket is served at this path"});
  co_return co_await twinloop::accept_websocket(std::move(lower), std::move(head), options);
}

}  // namespace detail

Future<RequestHead> read_request_head(IOStream& stream, std::size_t max_bytes) {
  const detail::ReceivedHead received = co_await detail::read_head(stream, max_bytes, &detail::is_request_line);
  RequestHead head;
  if (received.error || !detail::parse_request_head(received.text, head)) detail::fail_request(stream, received);
  co_return head;
}

Future<IOStream> accept_websocket(IOStream lower, RequestHead head, const ListenOptions& options) {
  const detail::Refusal refusal = detail::refusal_of(head, options);
  if (!refusal.status.empty()) detail::refuse(lower, refusal);
  const StreamOptions stream_options = options.stream;
  detail::WebSocketSetup setup(detail::Role::server);
  const std::string protocol = detail::choose_protocol(head, options);
  setup.session = WebSocketSession(protocol, head);
  setup.ping = options.websocket_ping;
  setup.description = "websocket over " + lower.description();
  lower.write(detail::acceptance(head, protocol)).ignore();
  co_await lower.flush();
  co_return detail::upgraded(std::move(lower), std::move(setup), stream_options);
}

Future<IOStream> connect_websocket(IOStream lower, const Url& url, const ConnectOptions& options) {
  const std::string where = url.to_string();
  const std::string key = detail::make_websocket_key();
  lower.write(detail::upgrade_request(url, options, key)).ignore();
  const detail::ReceivedHead received = co_await detail::read_head(lower, detail::kMaxHead, &detail::is_status_line);
  detail::ResponseHead head;
  if (received.error || !detail::parse_response_head(received.text, head)) detail::fail_response(where, received);
  const std::string complaint = detail::complaint_about(head, key, options);
  if (!complaint.empty()) throw_error(Errc::protocol, where + ": " + complaint);
  const std::string* protocol = head.fields.find("Sec-WebSocket-Protocol");
  detail::WebSocketSetup setup(detail::Role::client);
  setup.session = WebSocketSession(protocol != nullptr ? *protocol : std::string_view(), head.fields);
  setup.ping = options.websocket_ping;
  setup.description = where;
  co_await lower.flush();
  co_return detail::upgraded(std::move(lower), std::move(setup), options.stream);
}

}  // namespace twinloop
