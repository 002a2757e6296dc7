#include "backends/posix/acceptor.h"

#include <fcntl.h>

#include <cerrno>

#include "backends/posix/errno_code.h"
#include "backends/posix/fd_transport.h"
#include "backends/posix/socket.h"
#include "twinloop/ioloop.h"
#include "twinloop/log.h"

namespace twinloop::detail {
namespace {

constexpr unsigned kPerTurn = 16;  // then the connections that are there already have their turn
constexpr Duration kRest = std::chrono::milliseconds(100);

// The connection was gone before it was accepted, or its network was: the next one may be fine (accept(2), "Error handling").
bool concerns_one_connection(int error) noexcept {
  switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
      return true;
    default:
      return false;
  }
}

}  // namespace

Result<std::unique_ptr<Acceptor>> PosixAcceptor::make(Reactor& reactor, Descriptor listening, Url url,
                                                      SocketFile file) {
  std::unique_ptr<PosixAcceptor> acceptor(
      new PosixAcceptor(reactor.loop(), std::move(listening), std::move(url), std::move(file)));
  const std::error_code error =
      acceptor->registration_.begin(reactor, acceptor->listening_.get(), *acceptor, Interest::none, Trigger::level);
  if (error) return Failure(error);
  return std::unique_ptr<Acceptor>(std::move(acceptor));
}

PosixAcceptor::PosixAcceptor(IOLoop& loop, Descriptor listening, Url url, SocketFile file)
    : loop_(&loop),
      url_(std::move(url)),
      file_(std::move(file)),
      listening_(std::move(listening)),
      spare_(open_null(O_RDONLY)) {
  loop.add_closer(*this);
}

Future<std::unique_ptr<Transport>> PosixAcceptor::accept() {
  Future<std::unique_ptr<Transport>> next = incoming_.take();
  if (incoming_.awaited() && !exhausted_) watch(true);
  return next;
}

void PosixAcceptor::on_fd_events(Ready) {
  if (!incoming_.awaited()) return watch(false);
  for (unsigned taken = 0; taken < kPerTurn; ++taken) {
    switch (take_one()) {
      case Taken::one:
        break;
      case Taken::none:
        return;
      case Taken::exhausted:
        return rest();
    }
  }
}

PosixAcceptor::Taken PosixAcceptor::take_one() {
  Descriptor socket = accept_connection(listening_.get());
  if (socket) {
    welcome(std::move(socket));
    return Taken::one;
  }
  const int error = errno;
  if (error == EAGAIN || error == EWOULDBLOCK) return Taken::none;
  if (concerns_one_connection(error)) return Taken::one;
  if (!std::exchange(exhausted_, true)) {
    log(LogLevel::warning,
        url_.to_string() + ": accepting failed (" + from_errno(error).message() + "); trying again every 100 ms");
  }
  return Taken::exhausted;
}

void PosixAcceptor::welcome(Descriptor socket) {
  exhausted_ = false;
  set_no_delay(socket.get());
  Result<std::unique_ptr<Transport>> transport = FdTransport::make(registration_.reactor(), std::move(socket));
  if (transport.ok()) return incoming_.put(std::move(*transport));
  log(LogLevel::warning, "a connection to " + url_.to_string() + " was refused: " + transport.failure().message());
}

// No descriptor is left, or no memory.  The socket stays readable all the while, so it is not watched until the timer fires.
void PosixAcceptor::rest() {
  watch(false);
  turn_one_away();
  if (!scheduled()) loop_->add_timer(*this, kRest);
}

// One client learns at once that it cannot be served, instead of waiting for nothing.
void PosixAcceptor::turn_one_away() noexcept {
  if (!spare_) return;
  spare_.reset();
  accept_connection(listening_.get()).reset();
  spare_ = open_null(O_RDONLY);
}

void PosixAcceptor::fire() {
  if (!spare_) spare_ = open_null(O_RDONLY);
  watch(true);
}

void PosixAcceptor::watch(bool on) {
  if (registration_) (void)registration_.modify(on ? Interest::read : Interest::none);
}

void PosixAcceptor::end(Errc reason) noexcept {
  if (!listening_) return;
  if (scheduled()) loop_->remove_timer(*this);
  CloseHook::unlink();
  registration_.end();
  file_.remove();  // first, so that the next server finds either us or nothing
  listening_.reset();
  spare_.reset();
  incoming_.clear();
  incoming_.close(reason);
}

}  // namespace twinloop::detail
