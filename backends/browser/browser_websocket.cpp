#include "backends/browser/browser_websocket.h"

#include <algorithm>

#include "backends/browser/glue.h"

namespace twinloop::detail {
namespace {

constexpr std::size_t kMaxMessage = 64 * 1024;
constexpr int kRoom = 64 * 1024;  // bytes the browser may hold unsent before writes wait
constexpr std::size_t kMaxHeld = 16 * 1024 * 1024;
constexpr Duration kSlowestPoll = std::chrono::milliseconds(50);

enum Event { kOpened = 1, kProgress = 2, kClosed = 3, kRefusedByUs = 4 };

constexpr const char* kUsualCauses =
    "the browser does not say why; usual causes: nobody listens there, another protocol, a TLS error, mixed content "
    "(ws: from an "
    "https: page), a proxy, an Origin or subprotocol that the server refuses";

// A browser lets only 1000 and 3000 to 4999 be sent.
int code_for(Errc reason) noexcept {
  switch (reason) {
    case Errc::protocol:
      return 3002;
    case Errc::overflow:
    case Errc::limit:
    case Errc::unsatisfiable_read:
      return 3009;
    case Errc::cancelled:
      return 3001;
    default:
      return 1000;
  }
}

Errc reason_for(int code) noexcept {
  switch (code) {
    case 1002:
    case 1003:
    case 1007:
    case 3002:
    case 3003:
      return Errc::protocol;
    case 1009:
    case 3009:
      return Errc::overflow;
    case 1006:
      return Errc::truncated;
    default:
      return Errc::reset;
  }
}

}  // namespace

BrowserWebSocket::BrowserWebSocket(std::string url, const ConnectOptions& options)
    : loop_(IOLoop::current()), url_(std::move(url)) {
  if (!options.headers.empty()) {
    throw Error(Errc::not_supported,
                "connect " + url_ + ": a browser sends no headers of yours; use the URL's query or a cookie");
  }
  std::string protocols;
  for (const std::string& protocol : options.protocols) protocols += (protocols.empty() ? "" : ",") + protocol;
  const int limit = static_cast<int>(std::min(options.stream.max_buffer_size(), kMaxHeld));
  socket_ = host::open_socket(this, url_.c_str(), protocols.c_str(), limit);
  if (socket_ == host::kNoWebSocket) {
    socket_ = 0;
    throw Error(Errc::not_supported,
                "connect " + url_ + ": this host has no WebSocket; pass one (in Node 20 the package `ws`)");
  }
  if (socket_ == host::kRefused) {
    socket_ = 0;
    throw Error(Errc::denied,
                "connect " + url_ + ": the browser refuses this URL (mixed content, a bad port or a bad subprotocol)");
  }
}

BrowserWebSocket::~BrowserWebSocket() { close(Errc::local); }

void BrowserWebSocket::on_event(int event, int code) {
  switch (event) {
    case kOpened:
      open_ = true;
      opening_.set_value();
      break;
    case kClosed:
      if (!open_) {
        const std::string why = "connect " + url_ + " (close code " + std::to_string(code) + "; " + kUsualCauses + ")";
        opening_.set_error(std::make_exception_ptr(Error(Errc::refused, why)));
      } else if (code == 1000 || code == 1001 || code == 1005) {
        ended_ = true;
      } else {
        failure_ = reason_for(code);
      }
      break;
    case kRefusedByUs:
      failure_ = reason_for(code);
      break;
    default:
      break;
  }
  arrange();
  loop_.arrange_turn();
}

IoResult BrowserWebSocket::read(Bytes into) {
  if (socket_ == 0) return IoResult::failed(Errc::local);
  const int count = host::read_socket(socket_, reinterpret_cast<char*>(into.data()), static_cast<int>(into.size()));
  if (count > 0) return IoResult::done(static_cast<std::size_t>(count));
  if (failure_) return IoResult::failed(failure_);
  return ended_ ? IoResult::end() : IoResult::would_block();
}

bool BrowserWebSocket::has_room() const noexcept { return host::buffered_by_socket(socket_) <= kRoom; }

IoResult BrowserWebSocket::write(std::span<const ConstBytes> pieces) {
  if (socket_ == 0 || output_ended_) return IoResult::failed(Errc::local);
  if (failure_) return IoResult::failed(failure_);
  if (ended_) return IoResult::failed(Errc::reset);  // no half-close: nobody would receive it
  if (!has_room()) return IoResult::would_block();
  std::string joined;
  ConstBytes message = pieces.front().first(std::min(pieces.front().size(), kMaxMessage));
  if (pieces.size() > 1 && message.size() == pieces.front().size()) {
    for (const ConstBytes piece : pieces) {
      joined.append(reinterpret_cast<const char*>(piece.data()), std::min(piece.size(), kMaxMessage - joined.size()));
    }
    message = std::as_bytes(std::span(joined));
  }
  const int sent =
      host::send_to_socket(socket_, reinterpret_cast<const char*>(message.data()), static_cast<int>(message.size()));
  return sent < 0 ? IoResult::failed(Errc::reset) : IoResult::done(message.size());
}

std::size_t BrowserWebSocket::pending_input() const noexcept {
  return socket_ == 0 ? 0 : static_cast<std::size_t>(host::held_by_socket(socket_));
}

IoResult BrowserWebSocket::shutdown_write() {
  if (socket_ == 0) return IoResult::failed(Errc::local);
  if (!host::speaks_stream_protocol(socket_)) return IoResult::not_supported();
  if (!std::exchange(output_ended_, true)) host::send_to_socket(socket_, nullptr, 0);
  return IoResult::done();
}

void BrowserWebSocket::close(std::error_code reason) noexcept {
  unlink();
  loop_.remove_timer(*this);
  listener_ = nullptr;
  if (const int socket = std::exchange(socket_, 0); socket > 0) host::close_socket(socket, code_for(reason_of(reason)));
}

void BrowserWebSocket::set_listener(TransportListener* listener) noexcept {
  listener_ = listener;
  arrange();
}

void BrowserWebSocket::want(bool read, bool write) {
  want_read_ = read;
  if (write && !want_write_) next_poll_ = {};
  want_write_ = write;
  arrange();
  if (write && !scheduled() && !linked()) poll_for_room();
}

void BrowserWebSocket::arrange() noexcept {
  if (listener_ == nullptr || socket_ == 0) return;
  const bool over = ended_ || failure_;
  const bool readable = want_read_ && (over || pending_input() > 0);
  const bool told = (!ended_ || end_told_) && (!failure_ || failure_told_);
  if (readable || !told || (want_write_ && (over || has_room()))) loop_.add_hook(*this);
}

// The host has no event for this.  Asked only while somebody waits: next turn, then 1, 2, 4 … 50 ms.
void BrowserWebSocket::poll_for_room() {
  loop_.add_timer(*this, loop_.clock() + next_poll_);
  next_poll_ = std::min(kSlowestPoll, std::max<Duration>(std::chrono::milliseconds(1), 2 * next_poll_));
}

void BrowserWebSocket::fire() {
  if (socket_ == 0 || !want_write_ || listener_ == nullptr) return;
  if (has_room() || failure_ || ended_) return arrange();
  poll_for_room();
}

void BrowserWebSocket::on_turn() {
  TransportListener* listener = listener_;
  if (listener == nullptr || socket_ == 0) return;
  if (failure_ && !std::exchange(failure_told_, true)) return listener->on_failure(failure_);
  if (ended_ && !std::exchange(end_told_, true)) {
    arrange();
    return listener->on_peer_end();
  }
  const bool read = want_read_ && (ended_ || failure_ || pending_input() > 0);
  const bool write = want_write_ && (ended_ || failure_ || has_room());
  if (read || write) listener->on_ready(read, write);
}

}  // namespace twinloop::detail
