#include "backends/posix/connect.h"

#include <cerrno>

#include "backends/posix/errno_code.h"
#include "backends/posix/fd_transport.h"
#include "twinloop/detail/task.h"
#include "twinloop/ioloop.h"

namespace twinloop::detail {
namespace {

// Completes when a socket has finished connecting, well or badly.
class Connecting final : private FdListener, private CloseHook {
 public:
  explicit Connecting(IOLoop& loop) { loop.add_closer(*this); }

  std::error_code begin(Reactor& reactor, int fd) {
    return registration_.begin(reactor, fd, *this, Interest::write, Trigger::level);
  }
  Future<void> finished() { return finished_.get_future(); }

 private:
  void on_fd_events(Ready) override {
    registration_.end();
    finished_.set_value();
  }
  void on_reactor_closing() noexcept override { on_loop_close(); }
  void on_loop_close() noexcept override {
    registration_.end();
    finished_.set_error(Errc::loop_closed);
  }

  FdRegistration registration_;
  Promise<void> finished_;
};

// A connection to a free port of this host may meet itself when the kernel picks that very port as its own end.
bool met_itself(int fd) noexcept {
  const Address own = Address::of_socket(fd);
  return own.family() != AF_UNIX && own == Address::of_peer(fd);
}

Future<void> wait_until_connected(Reactor& reactor, int fd) {
  Connecting connecting(reactor.loop());
  if (const std::error_code error = connecting.begin(reactor, fd)) throw_error(error);
  Future<void> finished = connecting.finished();
  co_await finished;
}

Future<std::unique_ptr<Transport>> finish_connect(Reactor& reactor, Descriptor socket, bool in_progress) {
  if (in_progress) {
    Future<void> waiting = wait_until_connected(reactor, socket.get());
    const Result<void> waited = co_await as_result(std::move(waiting));
    if (!waited.ok()) co_return waited.failure();
    if (const int error = take_socket_error(socket.get())) co_return from_errno(error);
  }
  if (met_itself(socket.get())) co_return Errc::refused;
  set_no_delay(socket.get());
  Result<std::unique_ptr<Transport>> transport = FdTransport::make(reactor, std::move(socket));
  if (!transport.ok()) co_return transport.failure();
  co_return std::move(*transport);
}

}  // namespace

Future<std::unique_ptr<Transport>> connect_to(Reactor& reactor, const Address& address) {
  using Connection = Future<std::unique_ptr<Transport>>;
  Result<Descriptor> socket = open_stream_socket(address);
  if (!socket.ok()) return Connection::failed(socket.failure());
  const bool done = ::connect(socket->get(), address.get(), address.length()) == 0;
  const bool in_progress = !done && (errno == EINPROGRESS || errno == EINTR);
  if (!done && !in_progress) return Connection::failed(from_errno(errno));
  return finish_connect(reactor, std::move(*socket), in_progress);
}

}  // namespace twinloop::detail
