#include "backends/posix/pipe_transport.h"

#include <unistd.h>

#include <cerrno>

#include "backends/posix/errno_code.h"
#include "twinloop/ioloop.h"

namespace twinloop::detail {
namespace {

bool blocked(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

Result<std::unique_ptr<Transport>> PipeTransport::make(Reactor& reactor, Descriptor pipe, End end) {
  std::unique_ptr<PipeTransport> transport(new PipeTransport(std::move(pipe), end));
  const std::error_code error =
      transport->registration_.begin(reactor, transport->pipe_.get(), *transport, Interest::none, Trigger::level);
  if (error) return Failure(error);
  return std::unique_ptr<Transport>(std::move(transport));
}

IoResult PipeTransport::read(Bytes into) {
  if (writes()) return IoResult::end();
  if (!pipe_) return IoResult::failed(Errc::local);
  const ssize_t count = ::read(pipe_.get(), into.data(), into.size());
  if (count > 0) return IoResult::done(static_cast<std::size_t>(count));
  if (count == -1) return blocked(errno) ? IoResult::would_block() : fail(errno);
  ended_ = end_told_ = true;
  return IoResult::end();
}

IoResult PipeTransport::write(std::span<const ConstBytes> pieces) {
  if (!writes()) return IoResult::failed(Errc::not_supported);
  if (!pipe_) return IoResult::failed(Errc::local);
  const ssize_t count = write_pieces(pipe_.get(), pieces);
  if (count >= 0) return IoResult::done(static_cast<std::size_t>(count));
  return blocked(errno) ? IoResult::would_block() : fail(errno);
}

// A pipe has no shutdown: its reader learns of the end when the last writing end is closed.
IoResult PipeTransport::shutdown_write() {
  if (writes()) let_go();
  return IoResult::done();
}

IoResult PipeTransport::fail(int error) noexcept {
  error_ = error;
  failure_told_ = true;
  return IoResult::failed(from_errno(error));
}

void PipeTransport::let_go() noexcept {
  registration_.end();
  pipe_.reset();
}

void PipeTransport::close(std::error_code) noexcept {
  unlink();
  let_go();
  listener_ = nullptr;
}

void PipeTransport::want(bool read, bool write) {
  wanted_ = writes() ? write : read;
  if (!registration_) return;
  const Interest interest = writes() ? Interest::write : Interest::read;
  if (const std::error_code error = registration_.modify(wanted_ ? interest : Interest::none)) error_ = error.value();
}

void PipeTransport::set_listener(TransportListener* listener) noexcept {
  listener_ = listener;
  end_told_ = failure_told_ = false;
  if (listener_ != nullptr && registration_ && !told_all()) registration_.reactor().loop().add_hook(*this);
}

// Nothing arrives at a writing end, so nothing has to be read ahead to notice that its reader has gone.
bool PipeTransport::reports_end_early() const noexcept {
  return writes() || (registration_ && registration_.reactor().reports_end_early());
}

void PipeTransport::on_fd_events(Ready ready) {
  const bool over = has(ready, Ready::hangup | Ready::failure | Ready::peer_end);
  if (over && writes() && error_ == 0) error_ = EPIPE;
  if (over && !writes()) ended_ = true;
  tell(over || has(ready, Ready::readable | Ready::writable));
}

// Each call may end this transport or destroy it; the registration's key tells.
void PipeTransport::tell(bool ready) {
  if (listener_ == nullptr || !registration_) return;
  Reactor& reactor = registration_.reactor();
  const FdKey key = registration_.key();
  if (error_ != 0) {
    if (!std::exchange(failure_told_, true)) listener_->on_failure(from_errno(error_));
    return;
  }
  if (ended_ && !std::exchange(end_told_, true)) {
    listener_->on_peer_end();
    if (!reactor.holds(key) || listener_ == nullptr) return;
  }
  if (ready && wanted_) listener_->on_ready(!writes(), writes());
}

}  // namespace twinloop::detail
