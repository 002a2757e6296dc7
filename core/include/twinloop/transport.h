// Transport: a pipe of bytes under an IOStream.  TCP, an in-process pair, WebSocket and the browser's WebSocket are transports,
// and a filter such as WebSocket is one that stands on another.  Buffers, delimiters, limits and closing rules are not here: they
// are written once, in IOStream.
//
// Who implements one keeps four promises:
// - No call into a transport calls its listener.  Only the reactor, the host, or the loop (through a TurnHook) does.
// - want() is a level: if what is wanted is or becomes possible, the listener is told in this turn or the next, also when the
//   transport itself holds decoded input or has room.  A notice too many is allowed, one too few is a bug.
// - The peer's end and failures are told regardless of want(), once.
// - close() and destruction are legal at any time, inside a notice too; neither blocks or fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <system_error>

#include "twinloop/error.h"

namespace twinloop {

class TlsSession;
class WebSocketSession;
namespace detail {
class OpenFile;
}

using ConstBytes = std::span<const std::byte>;
using Bytes = std::span<std::byte>;

enum class IoStatus { ok, would_block, end, not_supported, error };

// What a call into a transport gave.
struct IoResult {
  IoStatus status = IoStatus::ok;
  std::size_t count = 0;  // bytes moved, when ok
  std::error_code error;  // why, when error

  static IoResult done(std::size_t count = 0) noexcept { return {IoStatus::ok, count, {}}; }
  static IoResult would_block() noexcept { return {IoStatus::would_block, 0, {}}; }
  static IoResult end() noexcept { return {IoStatus::end, 0, {}}; }
  static IoResult not_supported() noexcept { return {IoStatus::not_supported, 0, {}}; }
  static IoResult failed(std::error_code error) noexcept { return {IoStatus::error, 0, error}; }
};

class TransportListener {
 public:
  virtual void on_ready(bool readable, bool writable) = 0;
  // What was wanted may be possible now.

  virtual void on_peer_end() = 0;
  // The peer ended its sending side.  Bytes in front of that end may still be unread: read() gives them first, then `end`.

  virtual void on_failure(std::error_code error) = 0;
  // The transport is broken.  Bytes received before may still be read.

  virtual std::size_t buffered() const noexcept { return 0; }
  // Bytes that were read from the transport and that nobody has taken yet.  A transport that cannot slow its peer down (a browser's
  // WebSocket) counts them among those it may still hold.

 protected:
  ~TransportListener() = default;
};

class Transport {
 public:
  virtual ~Transport() = default;

  virtual IoResult read(Bytes into) = 0;
  // At least one byte (ok), would_block, end, or error.  Bytes come before the end, the end before nothing.  `into` is not empty.
  //
  // A transport that holds input gives that, and fetches more only when it holds none: what lies below a stream's buffer is never
  // more than one such fetch.

  virtual IoResult write(std::span<const ConstBytes> pieces) = 0;
  // How many bytes were taken, from the first piece on; fewer than given is normal.  A filter may take a bounded amount more
  // than went down; pending_output() tells.

  virtual IoResult write_file(detail::OpenFile&, std::uint64_t /*offset*/, std::size_t /*most*/) {
    return IoResult::not_supported();
  }
  // As write(), of a part of a file, whose bytes then never come here: plain sockets can where the system can.  not_supported also where
  // the file would have to be waited for, or where something is wrong that a read of it or a write will tell.

  virtual IoResult flush() { return IoResult::done(); }
  // ok when nothing taken by write() is still here; would_block when want(_, true) should be set to go on.

  virtual std::size_t pending_input() const noexcept { return 0; }
  virtual std::size_t pending_output() const noexcept { return 0; }
  // Bytes held by this transport and those below it.

  virtual IoResult shutdown_write() = 0;
  // Ends the sending side after what was taken: ok, would_block (call again when writable), not_supported or error.

  virtual void explain_end(std::error_code) noexcept {}
  // Why the stream above has ended, in front of the shutdown_write() that ends the sending side for good: told to the peer where the
  // protocol has words for it (a WebSocket's close code).

  virtual void close(std::error_code reason) noexcept = 0;
  // Lets go at once: what was not handed down is lost.  Idempotent.  A reason other than `local` or `end` may be told to the peer.

  virtual void want(bool read, bool write) = 0;

  virtual void set_listener(TransportListener* listener) noexcept = 0;
  // nullptr to hear nothing more.

  virtual bool reports_end_early() const noexcept { return false; }
  // True when on_peer_end() comes even with unread bytes in front of it and nobody reading (epoll's RDHUP, the browser).  Where
  // it is false IOStream reads ahead a little while nobody reads, to notice.  Asked once, when a stream takes the transport.

  virtual bool close_may_lose_output() const noexcept { return true; }
  // Whether closing with unread input can lose what was handed down before (a TCP reset does).  Where it cannot, a closed stream
  // does not linger for the peer's end.

  virtual const TlsSession* tls() const noexcept { return nullptr; }
  // What was agreed where these bytes go over TLS, by this transport or one below it; else nullptr (twinloop/tls.h).

  virtual const WebSocketSession* websocket() const noexcept { return nullptr; }
  // The same of a WebSocket (twinloop/websocket.h).

  enum class End { local, peer };
  virtual std::string address(End) const { return {}; }
  // Of the socket at the bottom: "tcp://127.0.0.1:4711", "unix:/run/app.sock"; empty where there is none.

  virtual int native_handle() const noexcept { return -1; }
  // The descriptor of that socket.

  virtual int plain_descriptor() const noexcept { return -1; }
  // The descriptor whose bytes are exactly those of this transport, with no filter in between and none of them held here; else -1.

  virtual std::string description() const { return {}; }
  // For messages: "tcp://127.0.0.1:4711".
};

}  // namespace twinloop
