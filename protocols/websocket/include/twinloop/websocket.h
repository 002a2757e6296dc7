// WebSockets on streams that already exist: to serve them beside plain HTTP on one port, or over a carrier of one's own.
// `connect("ws://…")` and `listen("ws://…")` need none of this.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "twinloop/iostream.h"
#include "twinloop/net.h"

namespace twinloop {

// The first lines of an HTTP/1.1 request: "GET /chat HTTP/1.1" and its headers.
struct RequestHead {
  std::string method;
  std::string target;
  std::string version;
  std::vector<std::pair<std::string, std::string>> headers;

  const std::string* find(std::string_view name) const noexcept;
  // The first header of that name, whatever its case; nullptr when there is none.
  std::size_t count(std::string_view name) const noexcept;
};

Future<RequestHead> read_request_head(IOStream& stream, std::size_t max_bytes = 8192);
// Reads one request's head and nothing behind it.  A small strict reader (RFC 9112 §2–§5): no line folding, no space before a
// colon, no control characters.  Fails with `protocol` and shows what came instead, or with `unsatisfiable_read` when it is
// longer than `max_bytes`.  The stream must outlive the future.

// How a WebSocket began: IOStream::websocket().  Natively only: a page's program knows what it has offered, and the headers not even
// the page may see.
class WebSocketSession {
 public:
  WebSocketSession() noexcept = default;
  explicit WebSocketSession(std::string_view subprotocol) : text_(subprotocol) {}
  WebSocketSession(std::string_view subprotocol, const RequestHead& head);

  // What these give points into it, and lives until the stream is closed.

  std::string_view selected_subprotocol() const noexcept;
  // Empty when none was agreed.
  std::string_view target() const noexcept;
  // A server's: what the client asked for, "/chat?room=7".  A client's: empty.
  std::optional<std::string_view> header(std::string_view name) const noexcept;
  // A server's: of the client's request.  A client's: of the answer.  The first of that name, whatever its case.
  std::vector<std::pair<std::string_view, std::string_view>> headers() const;
  // All of them, in their order.

 private:
  std::string text_;  // the subprotocol, the target and each header on a line: idle connections keep it
};

bool is_websocket_upgrade(const RequestHead& head) noexcept;
// Whether the request asks for a WebSocket, rightly or not.

Future<IOStream> accept_websocket(IOStream lower, RequestHead head, const ListenOptions& options);
// Answers the request with an upgrade (RFC 6455 §4.2) and gives the stream of bytes inside.  A request that is no proper upgrade
// is answered with the HTTP error that says why (400, 403 for a foreign Origin, 405, 426 for another version) and the future
// fails with `protocol`.  Without `options.origins` a page may connect only to the host it came from; programs that send no
// Origin may always.

Future<IOStream> connect_websocket(IOStream lower, const Url& url, const ConnectOptions& options);
// Asks the server at the other end for an upgrade (RFC 6455 §4.1).  Fails with `protocol` and shows what it answered instead.

}  // namespace twinloop
