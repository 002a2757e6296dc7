#include "backends/posix/stdio_transport.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "backends/posix/errno_code.h"
#include "backends/posix/socket.h"
#include "twinloop/ioloop.h"

namespace twinloop::detail {
namespace {

constexpr std::size_t kChunk = 64 * 1024;

bool blocked(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

bool is_ready(int fd, short events) noexcept {
  pollfd asked{fd, events, 0};
  return ::poll(&asked, 1, 0) > 0;
}

}  // namespace

Future<std::unique_ptr<Transport>> connect_stdio(Reactor& reactor, StdioClaim& claim) {
  auto transport = std::make_unique<StdioTransport>();
  if (const std::error_code error = transport->begin(reactor, claim)) {
    return Future<std::unique_ptr<Transport>>::failed(std::make_exception_ptr(Error(error, "connect stdio:")));
  }
  return Future<std::unique_ptr<Transport>>::ready(std::move(transport));
}

// What cannot be polled is refused to nobody by the poller: hence the claim.
std::error_code StdioTransport::begin(Reactor& reactor, StdioClaim& claim) {
  if (!claim.expired()) return Errc::busy;
  ignore_sigpipe();
  if (const std::error_code error = input_.begin(reactor)) return error;
  if (const std::error_code error = output_.begin(reactor)) return error;
  reactor_ = &reactor;
  claim = claimed_ = std::make_shared<char>();
  return {};
}

// ---- one side

StdioTransport::Kind StdioTransport::Side::kind_of(int fd) noexcept {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return Kind::closed;
  if (S_ISSOCK(status.st_mode)) return Kind::socket;
  if (S_ISFIFO(status.st_mode)) return Kind::pipe;
  return S_ISCHR(status.st_mode) ? Kind::terminal : Kind::always_ready;
}

// epoll refuses /dev/null and its like, which are character devices as terminals are.
std::error_code StdioTransport::Side::begin(Reactor& reactor) {
  kind = kind_of(fd);
  if (kind == Kind::closed || kind == Kind::always_ready) return {};
  const std::error_code error = registration.begin(reactor, fd, *this, Interest::none, Trigger::level);
  if (error != std::error_code(EPERM, std::system_category())) return error;
  kind = Kind::always_ready;
  return {};
}

void StdioTransport::Side::want(bool wanted, Interest interest) {
  if (registration) (void)registration.modify(wanted ? interest : Interest::none);
}

// ---- bytes

IoResult StdioTransport::read(Bytes into) {
  if (reactor_ == nullptr) return IoResult::failed(Errc::local);
  if (ended_ && !input_.polled()) return IoResult::end();
  const ssize_t count = read_some(into);
  if (count > 0) return IoResult::done(static_cast<std::size_t>(count));
  if (count == -1 && blocked(errno)) return IoResult::would_block();
  if (count == -1 && errno != EBADF) return fail(errno);
  input_.end();
  ended_ = end_told_ = true;
  return IoResult::end();
}

// As ::read(), except that it never blocks.
ssize_t StdioTransport::read_some(Bytes into) noexcept {
  if (input_.kind == Kind::socket) return ::recv(input_.fd, into.data(), into.size(), MSG_DONTWAIT);
  if (input_.polled()) {
    if (is_ready(input_.fd, POLLIN)) return ::read(input_.fd, into.data(), into.size());
    errno = EAGAIN;
    return -1;
  }
  const std::size_t size = std::min(into.size(), chunk_);
  if (size == 0) {
    errno = EAGAIN;
    return -1;
  }
  const ssize_t count = ::read(input_.fd, into.data(), size);
  if (count > 0) chunk_ -= static_cast<std::size_t>(count);
  return count;
}

IoResult StdioTransport::write(std::span<const ConstBytes> pieces) {
  if (reactor_ == nullptr || shut_down_) return IoResult::failed(Errc::local);
  if (error_ != 0) return fail(error_);
  const ssize_t count = write_some(pieces);
  if (count >= 0) return IoResult::done(static_cast<std::size_t>(count));
  return blocked(errno) ? IoResult::would_block() : fail(errno == EBADF ? EPIPE : errno);
}

// A pipe that is ready takes PIPE_BUF bytes without blocking, and promises nothing beyond.
ssize_t StdioTransport::write_some(std::span<const ConstBytes> pieces) noexcept {
  if (output_.kind == Kind::socket) return send_pieces(output_.fd, pieces, MSG_DONTWAIT);
  if (!output_.polled()) return write_pieces(output_.fd, pieces, kChunk);
  if (is_ready(output_.fd, POLLOUT)) return write_pieces(output_.fd, pieces, PIPE_BUF);
  errno = EAGAIN;
  return -1;
}

// A pipe has no shutdown: the end is told by closing it.  The descriptor's number keeps a file behind it, or the next one that
// is opened would become "stdout".
IoResult StdioTransport::shutdown_write() {
  if (reactor_ == nullptr) return IoResult::failed(Errc::local);
  if (std::exchange(shut_down_, true)) return IoResult::done();
  output_.end();
  if (output_.kind == Kind::socket && ::shutdown(output_.fd, SHUT_WR) != 0) return fail(errno);
  if (output_.kind == Kind::pipe) {
    const Descriptor null = open_null(O_WRONLY);
    if (!null || ::dup2(null.get(), output_.fd) == -1) return fail(errno);
  }
  return IoResult::done();
}

IoResult StdioTransport::fail(int error) noexcept {
  error_ = error;
  failure_told_ = true;
  return IoResult::failed(from_errno(error));
}

// The descriptors stay open: they are the program's.
void StdioTransport::close(std::error_code) noexcept {
  if (gone_ != nullptr) *std::exchange(gone_, nullptr) = true;
  unlink();
  input_.end();
  output_.end();
  claimed_.reset();
  listener_ = nullptr;
  reactor_ = nullptr;
}

// ---- interest and notices

void StdioTransport::want(bool read, bool write) {
  want_read_ = read;
  want_write_ = write;
  input_.want(read, Interest::read);
  output_.want(write, Interest::write);
  arrange();
}

void StdioTransport::set_listener(TransportListener* listener) noexcept {
  listener_ = listener;
  end_told_ = failure_told_ = false;
  arrange();
}

bool StdioTransport::reports_end_early() const noexcept {
  return input_.kind == Kind::pipe && reactor_ != nullptr && reactor_->reports_end_early();
}

// What is polled is told by the reactor; the rest by the loop.
void StdioTransport::arrange() noexcept {
  if (listener_ == nullptr || reactor_ == nullptr) return;
  const bool ready = (want_read_ && !input_.polled()) || (want_write_ && !output_.polled());
  const bool due = (ended_ && !end_told_) || (error_ != 0 && !failure_told_);
  if (ready || due) reactor_->loop().add_hook(*this);
}

void StdioTransport::on_turn() {
  chunk_ = kChunk;
  tell(!input_.polled(), !output_.polled());
}

void StdioTransport::on_side(Side& side, Ready ready) {
  const bool input = &side == &input_;
  const bool broken = has(ready, Ready::failure) || (!input && has(ready, Ready::hangup));
  if (broken && error_ == 0) {
    const int error = side.kind == Kind::socket ? take_socket_error(side.fd) : EPIPE;
    error_ = error != 0 ? error : EPIPE;
  }
  if (input && has(ready, Ready::hangup)) ended_ = true;
  tell(input && has(ready, Ready::readable | Ready::hangup), !input && has(ready, Ready::writable));
}

void StdioTransport::tell(bool readable, bool writable) {
  if (listener_ == nullptr) return;
  if (error_ != 0) {
    if (!std::exchange(failure_told_, true)) listener_->on_failure(from_errno(error_));
    return;
  }
  bool gone = false;
  gone_ = &gone;
  if (ended_ && !std::exchange(end_told_, true)) {
    listener_->on_peer_end();
    if (gone) return;
  }
  if (listener_ != nullptr && ((readable && want_read_) || (writable && want_write_))) {
    listener_->on_ready(readable && want_read_, writable && want_write_);
    if (gone) return;
  }
  gone_ = nullptr;
  arrange();
}

}  // namespace twinloop::detail
