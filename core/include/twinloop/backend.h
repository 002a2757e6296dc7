// The seam between the loop and a platform.  A Backend says what time it is, waits for events and carries bytes; everything else
// in a loop (callbacks, timers, coroutines, streams) is written once, above it.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "twinloop/detail/function.h"
#include "twinloop/future.h"
#include "twinloop/origin.h"
#include "twinloop/transport.h"
#include "twinloop/url.h"

namespace twinloop {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;
// Monotonic; its zero means nothing.

inline constexpr TimePoint kNever = TimePoint::max();
inline constexpr TimePoint kAlready = TimePoint::min();

struct ConnectOptions;
struct ListenOptions;
struct StartedProcess;
class DatagramSocket;
class IOLoop;
class SubprocessOptions;
class UdpOptions;

// Where raw transports of incoming connections come from.
class Acceptor {
 public:
  virtual ~Acceptor() = default;

  virtual Future<std::unique_ptr<Transport>> accept() = 0;
  // The next connection.  One at a time.  Dropping the future loses no connection.  Running out of descriptors is no failure:
  // it waits and goes on.

  virtual Url url() const = 0;
  // Where it really listens: port 0 has become the real one.

  virtual void close() noexcept = 0;
  // A pending accept fails with `local`.
};

// Which end of a datagram socket an address names: where it is bound, or whom it is connected to.
enum class DatagramEnd { local, remote };

// The raw carriers of a platform: those that no filter makes.
class Network {
 public:
  virtual ~Network() = default;

  virtual bool carries(std::string_view scheme) const noexcept = 0;

  virtual Future<std::unique_ptr<Transport>> connect(Url url, const ConnectOptions& options) = 0;
  // Fails with an Error whose message names the address that was tried and what happened.

  virtual Future<std::unique_ptr<Acceptor>> listen(Url url, const ListenOptions& options) = 0;

  virtual Future<std::unique_ptr<DatagramSocket>> open_datagrams(const Url& url, DatagramEnd end,
                                                                 const UdpOptions& options);
  // What UdpSocket stands on (udp.h).  Here: not_supported.  Url and options live until it is done.

  virtual std::string_view alternatives() const noexcept = 0;
  // What to use instead of a scheme that this platform lacks: "in a browser use ws:// or wss://".
};

// What a handler of a file descriptor asks for and is told.  Tornado's values, which are those of poll.
enum class FdEvents : unsigned { none = 0, read = 1, write = 4, error = 8 | 16 };

constexpr FdEvents operator|(FdEvents a, FdEvents b) noexcept {
  return static_cast<FdEvents>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr FdEvents operator&(FdEvents a, FdEvents b) noexcept {
  return static_cast<FdEvents>(static_cast<unsigned>(a) & static_cast<unsigned>(b));
}
constexpr bool any_of(FdEvents events, FdEvents wanted) noexcept {
  return (static_cast<unsigned>(events) & static_cast<unsigned>(wanted)) != 0;
}

// Who watches descriptors for IOLoop::add_handler.
class FdWatcher {
 public:
  using Handler = detail::Function<void(int fd, FdEvents events)>;

  virtual ~FdWatcher() = default;

  virtual std::error_code add(int fd, Handler handler, FdEvents events, const Origin& origin) = 0;
  // Fails with `busy` when the descriptor is watched already.
  virtual std::error_code update(int fd, FdEvents events) = 0;
  // Fails with `bad_descriptor` when it is not watched.
  virtual void remove(int fd) noexcept = 0;
  virtual void close_descriptors() noexcept = 0;
  // Stops watching all of them, and closes them.

  virtual std::size_t size() const noexcept = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string_view name() const noexcept = 0;

  virtual TimePoint now() const noexcept = 0;

  virtual void wait(TimePoint deadline) = 0;
  // Sleeps until an event, wake(), a signal or the deadline (kAlready: only looks), then tells the listeners of what happened.
  // A hosted backend never sleeps: it tells what the host brought since the last turn.

  virtual void wake() noexcept = 0;
  // Ends wait(), the current or else the next.  From any thread and from signal handlers.

  virtual Network& network() = 0;

  virtual bool hosted() const noexcept { return false; }
  // True when the host owns the event loop (a browser, an application's libuv): start() is then an error, run_main is right.

  virtual FdWatcher* fd_watcher() noexcept { return nullptr; }
  // Null where there are no file descriptors.

  virtual void attach(IOLoop&) {}
  // Called once, before anything else, by the loop that will own it.

  virtual void request_turn(TimePoint) {}
  // Hosted: have IOLoop::turn() called at that time, kAlready meaning as soon as the host can.  A later call replaces an earlier
  // one; kNever takes it back.

  virtual bool on_signal(int, detail::Function<void()>) { return false; }
  // Runs the function on the loop when the signal arrives; an empty function restores the default.  False where there are none.

  virtual StartedProcess start_process(const std::vector<std::string>& argv, const SubprocessOptions& options);
  // What Subprocess stands on (process.h), and throws what that says.  Here: not_supported.  `argv` is not empty.

  virtual void after_fork() noexcept {}
  // In the child: lets go of what belongs to the parent's loop without the parent noticing.  Nothing is asked of it afterwards.
};

}  // namespace twinloop
