// WebSockets as messages (RFC 6455): what a program uses that speaks to pages and to other people's servers, where text, message
// boundaries and close codes mean something.  Where only bytes travel, between two programs of one's own, `connect("ws://…")` gives
// an IOStream and hides all that; both stand on one codec.
//
//   Future<void> ask() {
//     WebSocketConnection ws = co_await websocket_connect("wss://example.org/feed");
//     co_await ws.write_message("hello");
//     while (auto message = co_await ws.read_message()) show(message->data);    // no value: the peer has closed
//   }
//
// Messages are compressed (permessage-deflate, RFC 7692) only where both ends ask for it.  Everything here belongs to its loop's
// thread, but a PreparedMessage may be used by several.  (Natively; a page has its own WebSocket.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "twinloop/detail/function.h"
#include "twinloop/iostream.h"
#include "twinloop/net.h"
#include "twinloop/websocket.h"

namespace twinloop {

enum class WebSocketKind : unsigned char { text, binary };

struct WebSocketMessage {
  WebSocketMessage(std::string bytes, WebSocketKind what) noexcept : data(std::move(bytes)), kind(what) {}
  bool is_text() const noexcept { return kind == WebSocketKind::text; }

  std::string data;  // of a text UTF-8, which was checked
  WebSocketKind kind;
};

struct WebSocketMessageView {
  std::string_view data;
  WebSocketKind kind = WebSocketKind::binary;
  bool is_text() const noexcept { return kind == WebSocketKind::text; }
};

// permessage-deflate.  Text shrinks to a fifth and costs a hundred times the processor time of a plain message.
//
// Memory: an end that remembers earlier messages (context takeover, which compresses small similar ones much better) keeps 256 KiB
// for what it sends and 40 KiB for what it receives, per connection, from the first compressed message on.  With a smaller window
// it is less: 2^(bits + 2) + 2^(memory_level + 9) bytes for sending.  An end that forgets holds nothing between messages.
class WebSocketCompression {
 public:
  WebSocketCompression& set_level(int level) { return level_ = level, *this; }
  // 1 (fast) to 9 (small).  6.
  WebSocketCompression& set_memory_level(int level) { return memory_level_ = level, *this; }
  // 1 to 9, of zlib.  8.
  WebSocketCompression& set_threshold(std::size_t bytes) { return threshold_ = bytes, *this; }
  // Shorter messages are sent as they are.  1 KiB.
  WebSocketCompression& set_server_no_context_takeover(bool forget) { return server_forgets_ = forget, *this; }
  WebSocketCompression& set_client_no_context_takeover(bool forget) { return client_forgets_ = forget, *this; }
  // Whether that end forgets a message once it is sent.  Each side may ask it of the other.
  WebSocketCompression& set_server_max_window_bits(int bits) { return server_bits_ = bits, *this; }
  WebSocketCompression& set_client_max_window_bits(int bits) { return client_bits_ = bits, *this; }
  // 8 to 15: that end refers back by at most 2^bits bytes.  With 8 this library sends uncompressed: zlib cannot.

  int level() const noexcept { return level_; }
  int memory_level() const noexcept { return memory_level_; }
  std::size_t threshold() const noexcept { return threshold_; }
  bool server_no_context_takeover() const noexcept { return server_forgets_; }
  bool client_no_context_takeover() const noexcept { return client_forgets_; }
  int server_max_window_bits() const noexcept { return server_bits_; }
  int client_max_window_bits() const noexcept { return client_bits_; }

 private:
  int level_ = 6;
  int memory_level_ = 8;
  int server_bits_ = 15;
  int client_bits_ = 15;
  std::size_t threshold_ = 1024;
  bool server_forgets_ = false;
  bool client_forgets_ = false;
};

class WebSocketOptions {
 public:
  WebSocketOptions& set_max_message_size(std::size_t bytes) { return max_message_ = bytes, *this; }
  // Received, assembled and decompressed.  A longer one closes the connection with 1009; the read fails with overflow.  10 MiB.
  // A message may come as slowly as its peer likes: it costs what of it has come.
  WebSocketOptions& set_max_write_buffer_size(std::size_t bytes) { return max_write_buffer_ = bytes, *this; }
  // Accepted and not yet handed down.  A message beyond it is refused whole, with limit: so a peer that does not read costs no more
  // than this, also where nobody awaits write_message.  16 MiB.
  WebSocketOptions& set_ping(Duration interval, Duration timeout = std::chrono::seconds(20)) {
    return ping_ = {interval, timeout}, *this;
  }
  // Asks a peer that has been silent for `interval`, and gives it up (idle_timeout) after `timeout` of more silence.  Never.
  WebSocketOptions& set_close_timeout(Duration time) { return close_timeout_ = time, *this; }
  // How long close() waits for the peer's answer.  5 s.
  WebSocketOptions& set_compression(const WebSocketCompression& how = {}) { return compression_ = how, *this; }
  // Off unless this is called.  Where this build has no zlib it is an error (not_supported).
  WebSocketOptions& add_protocol(std::string name) { return protocols_.push_back(std::move(name)), *this; }
  WebSocketOptions& set_protocols(std::vector<std::string> names) { return protocols_ = std::move(names), *this; }
  // A client offers these subprotocols; a server speaks them, and takes its own first one that the client offers.

  WebSocketOptions& add_header(std::string name, std::string value) {
    return headers_.emplace_back(std::move(name), std::move(value)), *this;
  }
  // Of a client's request, or of a server's 101.
  WebSocketOptions& set_connect(const ConnectOptions& options) { return connect_ = options, *this; }
  // A client's TLS, resolver, socket, stream and timeout (over everything, handshakes included); its subprotocols, headers and
  // ping are these here.

  WebSocketOptions& add_origin(std::string origin) { return origins_.push_back(std::move(origin)), *this; }
  // A server's: pages that may connect besides those of its own host; "*" for all.

  std::size_t max_message_size() const noexcept { return max_message_; }
  std::size_t max_write_buffer_size() const noexcept { return max_write_buffer_; }
  const WebSocketPing& ping() const noexcept { return ping_; }
  Duration close_timeout() const noexcept { return close_timeout_; }
  const std::optional<WebSocketCompression>& compression() const noexcept { return compression_; }
  const std::vector<std::string>& protocols() const noexcept { return protocols_; }
  const std::vector<std::pair<std::string, std::string>>& headers() const noexcept { return headers_; }
  const ConnectOptions& connect() const noexcept { return connect_; }
  const std::vector<std::string>& origins() const noexcept { return origins_; }

 private:
  std::size_t max_message_ = 10 * 1024 * 1024;
  std::size_t max_write_buffer_ = 16 * 1024 * 1024;
  WebSocketPing ping_;
  Duration close_timeout_ = std::chrono::seconds(5);
  std::optional<WebSocketCompression> compression_;
  std::vector<std::string> protocols_;
  std::vector<std::pair<std::string, std::string>> headers_;
  std::vector<std::string> origins_;
  ConnectOptions connect_;
};

// A message for many: encoded once, and compressed once where `compression` is given, then shared by every connection that it is
// written to, not copied.  Immutable, cheap to copy, and the same one may be used by the loops of several threads.  (A client masks
// each message anew, so there it is no more than write_message.)
class PreparedMessage {
 public:
  explicit PreparedMessage(std::string_view data, WebSocketKind kind = WebSocketKind::text);
  PreparedMessage(std::string_view data, WebSocketKind kind, const WebSocketCompression& compression);
  // Throws Error(protocol) for a text that is no UTF-8.

  std::string_view data() const noexcept;
  WebSocketKind kind() const noexcept;

 private:
  friend class WebSocketConnection;
  struct Frames;
  std::shared_ptr<const Frames> frames_;
};

// The server answered, but not with an upgrade.  Its reason is `protocol`.
class WebSocketError : public Error {
 public:
  WebSocketError(std::string_view context, int http_status) : Error(Errc::protocol, context), status_(http_status) {}
  int http_status() const noexcept { return status_; }
  // 404, 403, 302 (redirects are not followed), 200 …; 101 where the upgrade itself was wrong.

 private:
  int status_;
};

class WebSocketConnection {
 public:
  WebSocketConnection() noexcept;
  // None; operator bool is false and nothing else is legal.
  WebSocketConnection(WebSocketConnection&&) noexcept;
  WebSocketConnection& operator=(WebSocketConnection&&) noexcept;
  ~WebSocketConnection();
  // Says Close(1000) if nobody has; what was accepted still goes out.

  explicit operator bool() const noexcept { return impl_ != nullptr; }

  // ---- reading: one read at a time; a second one fails with busy.  A message is read from the stream only when it is asked for,
  // up to 64 KiB ahead; until then only pings, pongs and the Close in front of it are dealt with.  So a peer whose messages nobody
  // wants stands still.  Dropping a read loses nothing: the next one gets the message.

  Future<std::optional<WebSocketMessage>> read_message();
  // The next message; no value once the peer has closed (close_code() says how), or close() is through.  Fails, and the connection
  // is closed, with: `protocol` for what RFC 6455 forbids (the peer is told 1002, or 1007 for text that is no UTF-8), `overflow` for
  // a message beyond the limit (1009), `truncated` when the connection ends without a Close, `reset`, `idle_timeout` (no pong).

  Future<std::optional<WebSocketMessageView>> read_message_view();
  // The same without a copy, where the message came in one piece: valid until the next read, close() or destruction.  While it is
  // in use no further control frame is read.

  // ---- writing: as IOStream::write, completes when the bytes are accepted, which is at once until 64 KiB are unsent: awaiting it is
  // back-pressure.  Fails with StreamClosedError (end: the peer has closed, local, reset …) or with `limit`; nothing is then sent.

  Future<void> write_message(std::string_view data, WebSocketKind kind = WebSocketKind::text);
  // Fails with `protocol` for a text that is no UTF-8.
  Future<void> write_message(const PreparedMessage& message);

  Future<void> write_part(std::string_view data, WebSocketKind kind, bool last);
  // A long message piece by piece, each a frame of its own, not compressed.  Between the first and the last piece other messages
  // fail with busy; pings and Close go between.  A text may be cut anywhere.

  Future<void> flush();
  // As IOStream::flush.
  std::size_t unsent() const noexcept;

  // ---- asking whether the peer is there.  Pings are answered without anybody's doing.

  Future<void> ping(std::string_view payload = {});
  // Completes as a write.  Fails with `limit` for more than 125 bytes.
  template <class F>
  void set_on_ping(F&& callback) {
    set_control_function(on_ping(), std::forward<F>(callback));
  }
  template <class F>
  void set_on_pong(F&& callback) {
    set_control_function(on_pong(), std::forward<F>(callback));
  }
  // Calls callback(std::string payload) from the loop for each that arrives.

  // ---- ending

  Future<void> close(std::uint16_t code = 1000, std::string_view reason = {});
  // Says Close and waits for the peer's; messages that still arrive are thrown away.  Fails with timeout when the peer does not
  // answer within close_timeout, or with what else ended the connection; it is closed in any case, and goes on closing when the
  // future is dropped.  Fails with protocol, and does nothing, for a code that may not be sent (1005, 1006, 999 …) or a reason
  // that is longer than 123 bytes or no UTF-8.  Harmless when it is closed.
  void abort() noexcept;
  // The hard form: nothing is said.

  Future<void> closed();
  // Completes when the connection has ended, or its peer is known to have gone, whether or not anyone reads.

  bool is_closed() const noexcept;
  bool is_closing() const noexcept;
  // One of the two has said Close, or it is closed: nothing can be written any more.
  std::uint16_t close_code() const noexcept;
  // Of the peer's Close: 1005 when it named none, 1006 when the connection ended without one, 0 while it is open.
  const std::string& close_reason() const noexcept;
  std::error_code error() const noexcept;
  // Why it failed; none when it is open or both have said Close.

  // ---- what was agreed

  const std::string& selected_subprotocol() const noexcept;
  // "" for none.
  bool compressed() const noexcept;
  const RequestHead& head() const noexcept;
  // A server's: the request.  A client's: the headers of the answer.
  IOStream& stream() noexcept;
  // Below: to set options of the socket, and for its addresses.  Reading and writing are the connection's.

  class Impl;
  explicit WebSocketConnection(std::unique_ptr<Impl> impl) noexcept;

 private:
  using ControlFunction = std::shared_ptr<detail::Function<void(std::string)>>;

  template <class F>
  static void set_control_function(ControlFunction& where, F&& callback) {
    static_assert(std::is_invocable_v<F&, std::string>, "the callback takes the payload, a std::string");
    static_assert(!detail::kIsFuture<std::invoke_result_t<F&, std::string>>,
                  "this callback is a coroutine and would be cancelled at once: use spawn");
    where = std::make_shared<detail::Function<void(std::string)>>(std::forward<F>(callback));
  }
  ControlFunction& on_ping() noexcept;
  ControlFunction& on_pong() noexcept;

  std::unique_ptr<Impl> impl_;
};

Future<WebSocketConnection> websocket_connect(std::string url, WebSocketOptions options = {});
// To ws:// or wss://.  Fails as connect() does, and with WebSocketError when the server answers anything but an upgrade.

Future<WebSocketConnection> websocket_connect(IOStream lower, std::string url, WebSocketOptions options = {});
// The same over a stream that exists; `url` is what is asked for.

Future<WebSocketConnection> websocket_accept(IOStream lower, WebSocketOptions options = {});
// Reads one request and answers it with an upgrade, or with the HTTP error that says why not; then the future fails with protocol.

Future<WebSocketConnection> websocket_accept(IOStream lower, RequestHead head, WebSocketOptions options = {},
                                             std::string received = {});
// The same for a request that was read already; `received` is what came behind it.

}  // namespace twinloop
