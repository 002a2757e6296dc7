#include "backends/posix/connect.h"

#include <algorithm>
#include <cerrno>

#include "backends/posix/attempts.h"
#include "backends/posix/errno_code.h"
#include "backends/posix/fd_transport.h"
#include "twinloop/detail/task.h"
#include "twinloop/ioloop.h"
#include "twinloop/queues.h"

namespace twinloop::detail {
namespace {

constexpr Duration kHeadStart = std::chrono::milliseconds(250);  // "Connection Attempt Delay", RFC 8305 §8

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

struct Outcome {
  std::size_t attempt;
  Result<std::unique_ptr<Transport>> transport;
};

Future<void> report(Future<std::unique_ptr<Transport>> connecting, std::size_t attempt, Queue<Outcome>& outcomes) {
  Result<std::unique_ptr<Transport>> transport = co_await as_result(std::move(connecting));
  outcomes.try_put({attempt, std::move(transport)});
}

// The first address stays the first; families take turns.
std::vector<Address> interleaved(const std::vector<Address>& addresses) {
  std::vector<Address> same;
  std::vector<Address> other;
  for (const Address& address : addresses) {
    (address.family() == addresses.front().family() ? same : other).push_back(address);
  }
  std::vector<Address> mixed;
  mixed.reserve(addresses.size());
  for (std::size_t i = 0; i < std::max(same.size(), other.size()); ++i) {
    if (i < same.size()) mixed.push_back(same[i]);
    if (i < other.size()) mixed.push_back(other[i]);
  }
  return mixed;
}

}  // namespace

Future<std::unique_ptr<Transport>> connect_to_any(Reactor& reactor, std::string what, std::vector<Address> addresses,
                                                  Address source) {
  const std::vector<Address> order = interleaved(addresses);
  Attempts failures(std::move(what));
  Queue<Outcome> outcomes;
  std::vector<Future<void>> attempts;  // those under way are cancelled with this frame
  std::size_t failed = 0;
  while (failed < order.size()) {
    const std::size_t next = attempts.size();
    if (next < order.size()) attempts.push_back(report(connect_to(reactor, order[next], source), next, outcomes));
    const bool last = attempts.size() == order.size();
    Future<Outcome> waiting = outcomes.get(last ? kNoTimeout : kHeadStart);
    Result<Outcome> outcome = co_await as_result(std::move(waiting));
    if (!outcome.ok()) continue;  // it may still answer, beside the next
    if (outcome->transport.ok()) co_return std::move(*outcome->transport);
    failures.note(order[outcome->attempt], outcome->transport.error());
    if (outcome->transport.reason() == Errc::loop_closed) break;
    ++failed;
  }
  failures.raise();
}

Future<std::unique_ptr<Transport>> connect_to(Reactor& reactor, const Address& address, const Address& source) {
  using Connection = Future<std::unique_ptr<Transport>>;
  Result<Descriptor> socket = open_stream_socket(address);
  if (!socket.ok()) return Connection::failed(socket.failure());
  if (source.family() != AF_UNSPEC && ::bind(socket->get(), source.get(), source.length()) != 0) {
    return Connection::failed(from_errno(errno));
  }
  const bool done = ::connect(socket->get(), address.get(), address.length()) == 0;
  const bool in_progress = !done && (errno == EINPROGRESS || errno == EINTR);
  if (!done && !in_progress) return Connection::failed(from_errno(errno));
  return finish_connect(reactor, std::move(*socket), in_progress);
}

}  // namespace twinloop::detail
