#include "protocols/websocket/handshake.h"

#include <algorithm>
#include <random>

#include "protocols/websocket/sha1.h"

namespace twinloop {
namespace detail {
namespace {

// 16 bytes in base64: 22 digits and "==".
bool is_key(std::string_view key) noexcept {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  return key.size() == 24 && key.ends_with("==") && key.find_first_not_of(kDigits) == 22;
}

// "https://example.org" and the Host "example.org:443" are the same place.
std::string_view without_port(std::string_view authority, std::string_view port) noexcept {
  if (authority.ends_with(port)) authority.remove_suffix(port.size());
  return authority;
}

bool is_origin_allowed(const RequestHead& head, const ListenOptions& options) {
  const std::string* origin = head.find("Origin");
  if (origin == nullptr) return true;
  if (head.count("Origin") != 1) return false;
  const auto allows = [&](const std::string& each) { return each == "*" || same_ignoring_case(each, *origin); };
  return is_own_origin(*origin, *head.find("Host")) ||
         std::any_of(options.origins.begin(), options.origins.end(), allows);
}

bool has_body(const RequestHead& head) noexcept {
  const std::string* length = head.find("Content-Length");
  return head.find("Transfer-Encoding") != nullptr || (length != nullptr && *length != "0");
}

std::string host_of(const Url& url) {
  const std::uint16_t usual_port = url.scheme == "wss" ? 443 : 80;
  Url shown = url;
  if (shown.port == usual_port) shown.port = 0;
  std::string host = shown.authority();
  return host.empty() ? "localhost" : host;
}

[[noreturn]] void refuse_to_send(const Url& url, std::string_view what, std::string_view name) {
  std::string text = url.to_string();
  text.append(": the ")
      .append(what)
      .append(" '")
      .append(excerpt(name))
      .append("' has a character that HTTP does not allow");
  throw Error(Errc::protocol, text);
}

std::string offered_protocols(const Url& url, const ConnectOptions& options) {
  std::string list;
  for (const std::string& protocol : options.protocols) {
    if (!is_token(protocol)) refuse_to_send(url, "subprotocol", protocol);
    list.append(list.empty() ? "" : ", ").append(protocol);
  }
  return list;
}

}  // namespace

// ---- the server's side

bool is_own_origin(std::string_view origin, std::string_view host) noexcept {
  const std::size_t slashes = origin.find("://");
  if (slashes == std::string_view::npos) return false;
  const std::string_view scheme = origin.substr(0, slashes);
  const std::string_view port = same_ignoring_case(scheme, "https")  ? ":443"
                                : same_ignoring_case(scheme, "http") ? ":80"
                                                                     : "";
  return same_ignoring_case(without_port(origin.substr(slashes + 3), port), without_port(host, port));
}

Refusal refusal_of(const RequestHead& head, const ListenOptions& options) {
  const std::string* version = head.find("Sec-WebSocket-Version");
  const std::string* key = head.find("Sec-WebSocket-Key");
  if (head.method != "GET") return {"405 Method Not Allowed", "a WebSocket is opened with GET"};
  if (head.version != "HTTP/1.1") return {"505 HTTP Version Not Supported", "a WebSocket is opened with HTTP/1.1"};
  if (head.count("Host") != 1) return {"400 Bad Request", "the request needs one Host"};
  if (!head.target.starts_with('/')) return {"400 Bad Request", "the target is not a path"};
  if (has_body(head)) return {"400 Bad Request", "an upgrade has no body"};
  if (!has_token(head, "Upgrade", "websocket")) return {"426 Upgrade Required", "only WebSockets are served here"};
  if (!has_token(head, "Connection", "upgrade"))
    return {"400 Bad Request", "the Connection header does not name the Upgrade"};
  if (version == nullptr || *version != "13")
    return {"426 Upgrade Required", "only version 13 of WebSocket is spoken here"};
  if (key == nullptr || head.count("Sec-WebSocket-Key") != 1 || !is_key(*key)) {
    return {"400 Bad Request", "the Sec-WebSocket-Key is not 16 bytes in base64"};
  }
  if (is_origin_allowed(head, options)) return {};
  return {"403 Forbidden", "pages from '" + excerpt(*head.find("Origin")) + "' may not connect here"};
}

std::string refusal_answer(const Refusal& refusal) {
  std::string text = "HTTP/1.1 " + refusal.status + "\r\nConnection: close\r\nContent-Type: text/plain\r\n";
  if (refusal.status.starts_with("426")) text += "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
  if (refusal.status.starts_with("405")) text += "Allow: GET\r\n";
  return text + "Content-Length: " + std::to_string(refusal.why.size() + 1) + "\r\n\r\n" + refusal.why + "\n";
}

std::string choose_protocol(const RequestHead& head, const ListenOptions& options) {
  for (const std::string& ours : options.protocols) {
    if (has_token(head, "Sec-WebSocket-Protocol", ours)) return ours;
  }
  return {};
}

std::string acceptance(const RequestHead& head, std::string_view protocol, std::string_view more_headers) {
  std::string text =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
  text += websocket_accept_key(*head.find("Sec-WebSocket-Key")) + "\r\n";
  if (!protocol.empty()) text.append("Sec-WebSocket-Protocol: ").append(protocol).append("\r\n");
  return text.append(more_headers).append("\r\n");
}

// ---- the client's side

std::string make_websocket_key() {
  std::random_device device;
  std::string bytes;
  while (bytes.size() < 16) {
    const unsigned word = device();
    for (int i = 0; i < 4; ++i) bytes += static_cast<char>(word >> (8 * i));
  }
  return base64(bytes);
}

std::string upgrade_request(const Url& url, const ConnectOptions& options, std::string_view key) {
  std::string text = "GET ";
  if (!url.path.starts_with('/')) text += '/';
  text += url.path + " HTTP/1.1\r\nHost: " + host_of(url) +
          "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ";
  text.append(key).append("\r\nSec-WebSocket-Version: 13\r\n");
  if (const std::string protocols = offered_protocols(url, options); !protocols.empty()) {
    text += "Sec-WebSocket-Protocol: " + protocols + "\r\n";
  }
  for (const auto& [name, value] : options.headers) {
    if (!is_token(name) || !is_field_text(value)) refuse_to_send(url, "header", name);
    text.append(name).append(": ").append(value).append("\r\n");
  }
  return text + "\r\n";
}

std::string complaint_about(const ResponseHead& head, std::string_view key, const ConnectOptions& options,
                            bool extensions_offered) {
  const RequestHead& fields = head.fields;
  if (head.status != 101) return "the server answered '" + head.line + "' instead of an upgrade";
  if (!has_token(fields, "Upgrade", "websocket") || !has_token(fields, "Connection", "upgrade")) {
    return "the server's 101 upgrades to something that is no WebSocket";
  }
  const std::string* accept = fields.find("Sec-WebSocket-Accept");
  if (accept == nullptr || fields.count("Sec-WebSocket-Accept") != 1 || *accept != websocket_accept_key(key)) {
    return "the server's Sec-WebSocket-Accept does not answer the key; is a cache in between?";
  }
  if (!extensions_offered && fields.find("Sec-WebSocket-Extensions") != nullptr)
    return "the server chose an extension that was not offered";
  const std::string* protocol = fields.find("Sec-WebSocket-Protocol");
  const auto& offered = options.protocols;
  if (protocol == nullptr) {  // as in a browser, so that a program finds the same in both
    return offered.empty() ? "" : "the server speaks none of the subprotocols that were offered";
  }
  if (fields.count("Sec-WebSocket-Protocol") == 1 &&
      std::find(offered.begin(), offered.end(), *protocol) != offered.end())
    return {};
  return "the server chose the subprotocol '" + excerpt(*protocol) + "', which was not offered";
}

}  // namespace detail

bool is_websocket_upgrade(const RequestHead& head) noexcept { return detail::has_token(head, "Upgrade", "websocket"); }

}  // namespace twinloop
