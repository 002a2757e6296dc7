// The opening handshake of RFC 6455 §4, both sides.
#include <algorithm>
#include <random>

#include "protocols/websocket/head.h"
#include "protocols/websocket/sha1.h"
#include "protocols/websocket/websocket_transport.h"
#include "twinloop/websocket.h"

namespace twinloop {
namespace {

using namespace detail;

constexpr std::size_t kMaxHead = 8192;
constexpr std::string_view kStreamProtocol = "twinloop.stream";

std::string make_key() {
  std::random_device device;
  std::string bytes;
  while (bytes.size() < 16) {
    const unsigned word = device();
    for (int i = 0; i < 4; ++i) bytes += static_cast<char>(word >> (8 * i));
  }
  return base64(bytes);
}

// 16 bytes in base64: 22 digits and "==".
bool is_key(const std::string& key) noexcept {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  return key.size() == 24 && key.ends_with("==") && key.find_first_not_of(kDigits) == 22;
}

// ---- the server's side

struct Refusal {
  const char* status = nullptr;  // of the answer; nullptr: there is none
  std::string why;
};

bool origin_allowed(const RequestHead& head, const ListenOptions& options) {
  const std::string* origin = head.find("Origin");
  if (origin == nullptr) return true;
  const auto allowed = [&](const std::string& each) { return each == "*" || same_ignoring_case(each, *origin); };
  if (std::any_of(options.origins.begin(), options.origins.end(), allowed)) return true;
  const std::size_t slashes = origin->find("://");
  const std::string* host = head.find("Host");
  return slashes != std::string::npos && host != nullptr &&
         same_ignoring_case(std::string_view(*origin).substr(slashes + 3), *host);
}

Refusal refusal_of(const RequestHead& head, const ListenOptions& options) {
  if (head.method != "GET") return {"405 Method Not Allowed", "a WebSocket is opened with GET"};
  if (head.version != "HTTP/1.1") return {"505 HTTP Version Not Supported", "a WebSocket needs HTTP/1.1"};
  if (!is_websocket_upgrade(head)) return {"426 Upgrade Required", "only WebSockets are served here"};
  if (head.count("Host") != 1) return {"400 Bad Request", "the request needs one Host"};
  const std::string* version = head.find("Sec-WebSocket-Version");
  if (version == nullptr || *version != "13") return {"426 Upgrade Required", "only version 13 is spoken"};
  const std::string* key = head.find("Sec-WebSocket-Key");
  if (key == nullptr || head.count("Sec-WebSocket-Key") != 1 || !is_key(*key)) {
    return {"400 Bad Request", "the Sec-WebSocket-Key is not 16 bytes in base64"};
  }
  if (!origin_allowed(head, options))
    return {"403 Forbidden", "the Origin '" + *head.find("Origin") + "' is not allowed"};
  return {};
}

std::string refusal_text(const Refusal& refusal) {
  std::string text = "HTTP/1.1 ";
  text += refusal.status;
  text += "\r\nConnection: close\r\nContent-Type: text/plain\r\n";
  if (std::string_view(refusal.status).starts_with("426"))
    text += "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
  if (std::string_view(refusal.status).starts_with("405")) text += "Allow: GET\r\n";
  text += "Content-Length: " + std::to_string(refusal.why.size() + 1) + "\r\n\r\n" + refusal.why + "\n";
  return text;
}

// The first protocol of ours that the client offers.
std::string choose_protocol(const RequestHead& head, const ListenOptions& options) {
  for (const std::string& ours : options.protocols) {
    if (has_token(head, "Sec-WebSocket-Protocol", ours)) return ours;
  }
  return {};
}

IOStream make_stream(IOStream lower, Role role, bool stream_protocol, const StreamOptions& options) {
  std::string received;
  std::unique_ptr<Transport> transport = lower.detach(received);
  return IOStream(
      std::make_unique<WebSocketTransport>(std::move(transport), role, std::move(received), stream_protocol), options);
}

// ---- the client's side

std::string request_text(const Url& url, const ConnectOptions& options, const std::string& key) {
  const bool usual_port = url.port == 80;
  std::string host = url.authority();
  if (usual_port) host.resize(host.rfind(':'));
  std::string text = "GET " + (url.path.empty() || url.path[0] != '/' ? "/" + url.path : url.path) +
                     " HTTP/1.1\r\nHost: " + host +
                     "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " + key +
                     "\r\nSec-WebSocket-Version: 13\r\n";
  std::string protocols;
  for (const std::string& protocol : options.protocols) protocols += (protocols.empty() ? "" : ", ") + protocol;
  if (!protocols.empty()) text += "Sec-WebSocket-Protocol: " + protocols + "\r\n";
  for (const auto& [name, value] : options.headers) text.append(name).append(": ").append(value).append("\r\n");
  return text += "\r\n";
}

std::string complaint_about(const ResponseHead& head, const std::string& key, const ConnectOptions& options) {
  if (head.status != 101) return "the server answered '" + head.line + "' instead of an upgrade";
  if (!has_token(head.fields, "Upgrade", "websocket") || !has_token(head.fields, "Connection", "upgrade")) {
    return "the server's 101 does not upgrade to a WebSocket";
  }
  const std::string* accept = head.fields.find("Sec-WebSocket-Accept");
  if (accept == nullptr || *accept != websocket_accept_key(key)) return "the server's Sec-WebSocket-Accept is wrong";
  if (head.fields.find("Sec-WebSocket-Extensions") != nullptr)
    return "the server chose an extension that was not offered";
  const std::string* protocol = head.fields.find("Sec-WebSocket-Protocol");
  if (protocol == nullptr) return {};
  const auto& offered = options.protocols;
  if (std::find(offered.begin(), offered.end(), *protocol) != offered.end()) return {};
  return "the server chose the protocol '" + *protocol + "', which was not offered";
}

// What the server said, whole or cut.
Future<std::string> read_answer(IOStream& lower, std::string where) {
  Result<std::string> answer = co_await as_result(lower.read_until("\r\n\r\n", kMaxHead));
  if (answer.ok()) co_return std::move(*answer);
  if (answer.reason() != Errc::end && answer.reason() != Errc::unsatisfiable_read) answer.failure().raise();
  const std::string said = co_await lower.read_some(std::max<std::size_t>(1, lower.buffered()));
  throw Error(Errc::protocol, "connect " + where + ": no HTTP response but '" + excerpt(said) + "'");
}

}  // namespace

bool is_websocket_upgrade(const RequestHead& head) noexcept {
  return has_token(head, "Upgrade", "websocket") && has_token(head, "Connection", "upgrade");
}

Future<IOStream> accept_websocket(IOStream lower, RequestHead head, const ListenOptions& options) {
  if (const Refusal refusal = refusal_of(head, options); refusal.status != nullptr) {
    std::string text = refusal_text(refusal);
    co_await lower.write(std::move(text));
    throw Error(Errc::protocol,
                "a WebSocket handshake refused with " + std::string(refusal.status) + ": " + refusal.why);
  }
  const std::string protocol = choose_protocol(head, options);
  std::string answer =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
      websocket_accept_key(*head.find("Sec-WebSocket-Key")) + "\r\n";
  if (!protocol.empty()) answer += "Sec-WebSocket-Protocol: " + protocol + "\r\n";
  answer += "\r\n";
  const StreamOptions stream_options = options.stream;
  co_await lower.write(std::move(answer));
  co_await lower.flush();
  co_return make_stream(std::move(lower), Role::server, protocol == kStreamProtocol, stream_options);
}

Future<IOStream> connect_websocket(IOStream lower, const Url& url, const ConnectOptions& options) {
  const std::string where = url.to_string();
  for (const auto& [name, value] : options.headers) {
    if ((name + value).find_first_of("\r\n") == std::string::npos) continue;
    throw Error(Errc::protocol, "connect " + where + ": the header '" + excerpt(name) + "' may not contain a line end");
  }
  const std::string key = make_key();
  std::string request = request_text(url, options, key);
  co_await lower.write(std::move(request));
  const std::string answer = co_await read_answer(lower, where);
  Result<ResponseHead> head = parse_response_head(answer);
  if (!head.ok()) throw Error(Errc::protocol, "connect " + where + ": " + head.failure().message());
  const std::string complaint = complaint_about(*head, key, options);
  if (!complaint.empty()) throw Error(Errc::protocol, "connect " + where + ": " + complaint);
  const std::string* protocol = head->fields.find("Sec-WebSocket-Protocol");
  const bool stream_protocol = protocol != nullptr && *protocol == kStreamProtocol;
  co_await lower.flush();
  co_return make_stream(std::move(lower), Role::client, stream_protocol, options.stream);
}

// What the table of schemes calls for ws://.
namespace detail {

Future<IOStream> connect_websocket(IOStream lower, const Url& url, const ConnectOptions& options) {
  return ::twinloop::connect_websocket(std::move(lower), url, options);
}

Future<IOStream> accept_websocket(IOStream lower, const Url& url, const ListenOptions& options) {
  Result<RequestHead> head = co_await as_result(read_request_head(lower, kMaxHead));
  if (!head.ok()) {
    if (head.reason() == Errc::protocol) {
      const Refusal refusal{"400 Bad Request", "that was no HTTP request"};
      std::string text = refusal_text(refusal);
      co_await lower.write(std::move(text));
    }
    head.failure().raise();
  }
  const std::string path = head->target.substr(0, head->target.find('?'));
  if (!url.path.empty() && url.path != "/" && path != url.path) {
    const Refusal refusal{"404 Not Found", "no WebSocket is served at this path"};
    std::string text = refusal_text(refusal);
    co_await lower.write(std::move(text));
    throw Error(Errc::protocol, "a WebSocket handshake for '" + excerpt(head->target) + "', which is not served");
  }
  co_return co_await ::twinloop::accept_websocket(std::move(lower), std::move(*head), options);
}

}  // namespace detail
}  // namespace twinloop
