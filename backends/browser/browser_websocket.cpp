#include "backends/browser/browser_websocket.h"

#include <algorithm>

#include "backends/browser/glue.h"
#include "twinloop/log.h"

namespace twinloop::detail {
namespace {

constexpr std::size_t kMaxMessage = 64 * 1024;
constexpr int kRoom = 1024 * 1024;  // bytes the browser may hold unsent before writes wait
constexpr std::size_t kMaxHeld = 16 * 1024 * 1024;
constexpr Duration kSlowestPoll = std::chrono::milliseconds(50);

enum Event { kOpened = 1, kProgress = 2, kClosed = 3, kRefusedByUs = 4, kInputEnded = 5 };

constexpr const char* kWhyNotOpened =
    "the host does not say why; usual causes: nobody listens there, a TLS error, mixed content (ws: from an https: "
    "page), "
    "a proxy, an Origin or a subprotocol that the server refuses";
constexpr const char* kWhyBroken =
    "the host does not say why; usual causes: the server or the network died, a TLS error, a proxy's idle timeout";

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

BrowserWebSocket::BrowserWebSocket(std::string url) : loop_(IOLoop::current()), url_(std::move(url)) {}

BrowserWebSocket::~BrowserWebSocket() { close(Errc::local); }

Failure BrowserWebSocket::refusal(Errc reason, std::string_view what) const {
  std::string text = "connect ";
  text.append(url_).append(": ").append(what);
  return {reason, std::move(text)};
}

Future<void> BrowserWebSocket::open(const ConnectOptions& options) {
  if (!options.headers.empty()) {
    return Future<void>::failed(refusal(
        Errc::not_supported, "a browser sends no headers of yours; use the URL's query, a cookie or the first bytes"));
  }
  std::string protocols;
  for (const std::string& protocol : options.protocols) protocols.append(protocols.empty() ? "" : ",").append(protocol);
  most_input_ = options.stream.max_buffer_size();
  const int opened = host::open_socket(this, url_.c_str(), protocols.c_str());
  if (opened == host::kNoWebSocket) {
    return Future<void>::failed(
        refusal(Errc::not_supported,
                "this host has no WebSocket; pass a class as Module['twinloop']['WebSocket'] (in Node 20 that of the "
                "package `ws`)"));
  }
  if (opened < 0) {
    char said[256] = {};
    host::problem(said, sizeof said);
    return Future<void>::failed(refusal(opened == host::kSyntax ? Errc::invalid_url : Errc::denied, said));
  }
  socket_ = opened;
  return opening_.get_future();
}

int BrowserWebSocket::on_event(int event, int code) {
  switch (event) {
    case kOpened:
      open_ = true;
      can_end_ = code != 0;
      opening_.set_value();
      break;
    case kInputEnded:
      ended_ = true;
      break;
    case kClosed:
      closed_ = true;
      if (open_ && (code == 1000 || code == 1001 || code == 1005)) {
        ended_ = true;
        break;
      }
      [[fallthrough]];
    case kRefusedByUs:
      fail(code);
      break;
    default:
      break;
  }
  arrange();
  loop_.arrange_turn();
  return static_cast<int>(std::min(most_input_ - (listener_ != nullptr ? listener_->buffered() : 0), kMaxHeld));
}

void BrowserWebSocket::fail(int code) {
  closed_ = true;
  failure_ = reason_for(code);
  std::string closing = "close code " + std::to_string(code);
  if (!open_ || code == 1006) closing.append("; ").append(open_ ? kWhyBroken : kWhyNotOpened);
  if (!open_) {
    opening_.set_error(refusal(Errc::refused, closing));
  } else {
    log(LogLevel::info, url_ + ": " + closing);
  }
}

IoResult BrowserWebSocket::read(Bytes into) {
  if (socket_ == 0) return IoResult::failed(Errc::local);
  const int count = host::read_socket(socket_, reinterpret_cast<char*>(into.data()), static_cast<int>(into.size()));
  if (count > 0) return IoResult::done(static_cast<std::size_t>(count));
  if (failure_) return IoResult::failed(failure_);
  return ended_ ? IoResult::end() : IoResult::would_block();
}

bool BrowserWebSocket::has_room() const noexcept {
  const int buffered = host::buffered_by_socket(socket_);
  return buffered >= 0 && buffered <= kRoom;
}

IoResult BrowserWebSocket::write(std::span<const ConstBytes> pieces) {
  if (socket_ == 0 || output_ended_) return IoResult::failed(Errc::local);
  if (failure_) return IoResult::failed(failure_);
  if (closed_) return IoResult::failed(Errc::reset);  // the peer's Close ended both directions
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
  if (!can_end_) return IoResult::not_supported();
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
  if (write && socket_ != 0 && !closed_ && !scheduled() && !has_room()) poll_for_room();
}

void BrowserWebSocket::arrange() noexcept {
  if (listener_ == nullptr || socket_ == 0) return;
  const bool readable = want_read_ && (ended_ || failure_ || pending_input() > 0);
  const bool told = (!ended_ || end_told_) && (!failure_ || failure_told_);
  if (readable || !told || (want_write_ && (closed_ || has_room()))) loop_.add_hook(*this);
}

// The host has no event for this.  Asked only while somebody waits: next turn, then 1, 2, 4 … 50 ms.
void BrowserWebSocket::poll_for_room() {
  loop_.add_timer(*this, next_poll_);
  next_poll_ = std::min(kSlowestPoll, std::max<Duration>(std::chrono::milliseconds(1), 2 * next_poll_));
}

void BrowserWebSocket::fire() {
  if (socket_ == 0 || !want_write_ || listener_ == nullptr) return;
  if (has_room() || closed_) return arrange();
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
  const bool write = want_write_ && (closed_ || has_room());
  if (read || write) listener->on_ready(read, write);
}

}  // namespace twinloop::detail
