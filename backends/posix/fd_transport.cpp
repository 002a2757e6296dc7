#include "backends/posix/fd_transport.h"

#include <sys/socket.h>

#include <cerrno>

#include "backends/posix/errno_code.h"
#include "backends/posix/socket.h"
#include "twinloop/detail/files.h"
#include "twinloop/ioloop.h"

namespace twinloop::detail {
namespace {

bool blocked(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK; }

}  // namespace

Result<std::unique_ptr<Transport>> FdTransport::make(Reactor& reactor, Descriptor socket) {
  std::unique_ptr<FdTransport> transport(new FdTransport(std::move(socket)));
  if (const std::error_code error = transport->begin(reactor)) return Failure(error);
  return std::unique_ptr<Transport>(std::move(transport));
}

std::error_code FdTransport::begin(Reactor& reactor) {
  edge_triggered_ = reactor.edge_triggered();
  maybe_readable_ = !edge_triggered_;  // what has come before is told at once, as an edge
  only_wanted_ = !edge_triggered_ && reactor.loop().backend().hosted();
  if (!edge_triggered_) unwanted_events_ = 1;  // nothing is wanted yet
  return registration_.begin(reactor, socket_.get(), *this, interest(),
                             edge_triggered_ ? Trigger::edge : Trigger::level);
}

// ---- bytes

IoResult FdTransport::read(Bytes into) {
  if (!socket_) return IoResult::failed(Errc::local);
  if (!maybe_readable_ && trusts_flag(Interest::read)) return IoResult::would_block();
  ssize_t count;
  do {
    count = ::recv(socket_.get(), into.data(), into.size(), 0);
  } while (count == -1 && errno == EINTR);
  if (count > 0) {
    const auto size = static_cast<std::size_t>(count);
    if (size < into.size() && short_read_empties_) maybe_readable_ = false;
    return IoResult::done(size);
  }
  if (count == 0 && error_ == 0) {
    ended_ = end_told_ = true;
    return IoResult::end();
  }
  if (count == -1 && blocked(errno)) {
    maybe_readable_ = false;
    return IoResult::would_block();
  }
  return fail(error_ != 0 ? error_ : errno);
}

IoResult FdTransport::write(std::span<const ConstBytes> pieces) {
  if (!socket_) return IoResult::failed(Errc::local);
  if (error_ != 0) return fail(error_);
  if (!maybe_writable_ && trusts_flag(Interest::write)) return IoResult::would_block();
  const ssize_t count = send_pieces(socket_.get(), pieces, 0);
  if (count >= 0) {
    const auto size = static_cast<std::size_t>(count);
    if (size < total_size(pieces)) maybe_writable_ = false;
    return IoResult::done(size);
  }
  if (!blocked(errno)) return fail(errno);
  maybe_writable_ = false;
  return IoResult::would_block();
}

// A short count may be the file's fault: only would_block says that the socket is full.
IoResult FdTransport::write_file(OpenFile& file, std::uint64_t offset, std::size_t most) {
  if (!socket_) return IoResult::failed(Errc::local);
  if (error_ != 0) return fail(error_);
  if (!maybe_writable_ && trusts_flag(Interest::write)) return IoResult::would_block();
  const IoResult result = file.send_to(socket_.get(), offset, most);
  if (result.status == IoStatus::would_block) maybe_writable_ = false;
  return result;
}

IoResult FdTransport::shutdown_write() {
  if (!socket_) return IoResult::failed(Errc::local);
  if (::shutdown(socket_.get(), SHUT_WR) == 0) return IoResult::done();
  return fail(errno == ENOTCONN ? ECONNRESET : errno);
}

// Whoever is given the failure as a result needs no notice of it.
IoResult FdTransport::fail(int error) noexcept {
  error_ = static_cast<std::int16_t>(error);
  failure_told_ = true;
  return IoResult::failed(from_errno(error));
}

void FdTransport::close(std::error_code reason) noexcept {
  if (!socket_) return;
  registration_.end();
  const Errc why = reason_of(reason);
  if (why != Errc::local && why != Errc::end) reset_on_close(socket_.get());
  socket_.reset();
  listener_ = nullptr;
}

// ---- interest

// A lowered flag says something only while the poller would raise it again.
bool FdTransport::trusts_flag(Interest direction) const noexcept {
  return registration_ && wants(interest(), direction);
}

void FdTransport::want(bool read, bool write) {
  want_read_ = read;
  want_write_ = write;
  if (read)
    unwanted_events_ = 0;
  else if (only_wanted_)
    unwanted_events_ = 1;
  if (write && !maybe_writable_) watches_write_ = true;
  update_interest();
  arrange();
}

void FdTransport::set_listener(TransportListener* listener) noexcept {
  listener_ = listener;
  end_told_ = failure_told_ = false;
  arrange();
}

void FdTransport::update_interest() {
  if (!registration_ || registration_.interest() == interest()) return;
  if (const std::error_code error = registration_.modify(interest())) error_ = static_cast<std::int16_t>(error.value());
}

// A level-triggered poller repeats by itself what is ready; the rest is told by the loop.
void FdTransport::arrange() {
  if (listener_ == nullptr || !registration_ || reminded_) return;
  const bool ready = (want_read_ && maybe_readable_) || (want_write_ && maybe_writable_);
  const bool due = (ended_ && !end_told_) || (error_ != 0 && !failure_told_);
  if (!due && !(ready && edge_triggered_)) return;
  reminded_ = true;
  registration_.reactor().remind(registration_.key());
}

bool FdTransport::reports_end_early() const noexcept {
  return registration_ && registration_.reactor().reports_end_early();
}

std::string FdTransport::address(End end) const {
  if (!socket_) return {};
  return (end == End::peer ? Address::of_peer(socket_.get()) : Address::of_socket(socket_.get())).url();
}

std::string FdTransport::description() const {
  if (!socket_) return "socket:";
  const std::string peer = address(End::peer);
  return peer != "unix:" ? peer : address(End::local);  // a client over unix: has no name of its own
}

// ---- notices

void FdTransport::on_fd_events(Ready ready) {
  if (ready == Ready::none) {
    reminded_ = false;
  } else {
    note(ready);
    count_unwanted(ready);
  }
  tell();
}

void FdTransport::note(Ready ready) noexcept {
  const Ready over = Ready::peer_end | Ready::hangup | Ready::failure;
  if (has(ready, Ready::readable | Ready::urgent | over)) maybe_readable_ = true;
  if (has(ready, Ready::writable | Ready::hangup | Ready::failure)) maybe_writable_ = true;
  if (has(ready, Ready::urgent | over)) short_read_empties_ = false;
  if (has(ready, Ready::failure | Ready::hangup) && error_ == 0)
    error_ = static_cast<std::int16_t>(take_socket_error(socket_.get()));
  if (has(ready, Ready::peer_end | Ready::hangup) && error_ == 0) ended_ = true;
}

// Once the end is known an edge says nothing new, but a level is told again and again.
void FdTransport::count_unwanted(Ready ready) {
  if (want_read_ || !has(ready, Ready::readable) || (edge_triggered_ && ended_)) return;
  if (unwanted_events_ == most_unwanted()) return;
  ++unwanted_events_;
  if (unwanted_events_ == most_unwanted()) update_interest();
}

// Each call may end this transport or destroy it; the registration's key tells.
void FdTransport::tell() {
  if (listener_ == nullptr || !registration_) return;
  Reactor& reactor = registration_.reactor();
  const FdKey key = registration_.key();
  if (error_ != 0) {
    if (failure_told_) return;
    failure_told_ = true;
    return listener_->on_failure(from_errno(error_));
  }
  if (ended_ && !end_told_) {
    end_told_ = true;
    listener_->on_peer_end();
    if (!reactor.holds(key) || listener_ == nullptr) return;
  }
  const bool read = want_read_ && maybe_readable_;
  const bool write = want_write_ && maybe_writable_;
  if (!read && !write) return;
  listener_->on_ready(read, write);
  if (reactor.holds(key)) arrange();
}

}  // namespace twinloop::detail
