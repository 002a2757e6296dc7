#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <limits>

#include "backends/posix/errno_code.h"
#include "backends/posix/socket.h"
#include "twinloop/detail/builtin.h"

namespace twinloop::detail {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// The names are not the same everywhere, and some systems lack one.
constexpr int kAbsent = -1;
constexpr int kNoSocket = -1;
#if defined(TCP_KEEPIDLE)
constexpr int kKeepIdle = TCP_KEEPIDLE;
#elif defined(TCP_KEEPALIVE)
constexpr int kKeepIdle = TCP_KEEPALIVE;
#else
constexpr int kKeepIdle = kAbsent;
#endif
#if defined(TCP_KEEPINTVL) && defined(TCP_KEEPCNT)
constexpr int kKeepInterval = TCP_KEEPINTVL;
constexpr int kKeepCount = TCP_KEEPCNT;
#else
constexpr int kKeepInterval = kAbsent;
constexpr int kKeepCount = kAbsent;
#endif
#if defined(TCP_USER_TIMEOUT)
constexpr int kUserTimeout = TCP_USER_TIMEOUT;
#else
constexpr int kUserTimeout = kAbsent;
#endif

template <class Unit>
int rounded_up(SocketOptions::Duration time) noexcept {
  const auto count = std::chrono::ceil<Unit>(time).count();
  return static_cast<int>(std::clamp<long long>(count, 0, std::numeric_limits<int>::max()));
}
int as_int(std::size_t size) noexcept {
  return static_cast<int>(std::min<std::size_t>(size, std::numeric_limits<int>::max()));
}

// One socket; after the first failure nothing more is done.
class Options {
 public:
  explicit Options(int fd) noexcept : fd_(fd) {}

  void set(const char* what, int level, int option, int value) {
    if (failure_) return;
    if (option == kAbsent) {
      failure_ = Failure(Errc::not_supported, std::string(what) + ": this system has no such option");
    } else if (::setsockopt(fd_, level, option, &value, sizeof value) != 0) {
      fail(what, errno);
    }
  }
  int get(const char* what, int level, int option) {
    int value = 0;
    socklen_t length = sizeof value;
    if (failure_ || option == kAbsent) return 0;
    if (::getsockopt(fd_, level, option, &value, &length) != 0) fail(what, errno);
    return value;
  }

  const Failure& failure() const noexcept { return failure_; }

 private:
  void fail(const char* what, int error) {
    const bool absent = error == ENOPROTOOPT || error == EOPNOTSUPP;
    if (absent) {
      failure_ = Failure(Errc::not_supported, std::string(what) + ": this kind of socket has no such option");
    } else if (error == EINVAL || error == EDOM) {
      failure_ = Failure(Errc::limit, std::string(what) + ": the system takes no such value");
    } else {
      failure_ = from_errno(error);
    }
  }

  int fd_;
  Failure failure_;
};

bool is_tcp(int fd) noexcept {
  const int family = Address::of_socket(fd).family();
  return family == AF_INET || family == AF_INET6;
}

void set_keep_alive(Options& socket, const SocketOptions::KeepAlive& wanted) {
  const bool on = wanted.count > 0;
  if (on) {
    socket.set("keep_alive", IPPROTO_TCP, kKeepIdle, rounded_up<seconds>(wanted.idle));
    socket.set("keep_alive", IPPROTO_TCP, kKeepInterval, rounded_up<seconds>(wanted.interval));
    socket.set("keep_alive", IPPROTO_TCP, kKeepCount, wanted.count);
  }
  socket.set("keep_alive", SOL_SOCKET, SO_KEEPALIVE, on ? 1 : 0);
}

void read_tcp_options(Options& socket, SocketOptions& found) {
  found.no_delay(socket.get("no_delay", IPPROTO_TCP, TCP_NODELAY) != 0);
  if (socket.get("keep_alive", SOL_SOCKET, SO_KEEPALIVE) == 0) {
    found.no_keep_alive();
  } else {
    found.keep_alive(seconds(socket.get("keep_alive", IPPROTO_TCP, kKeepIdle)),
                     seconds(socket.get("keep_alive", IPPROTO_TCP, kKeepInterval)),
                     socket.get("keep_alive", IPPROTO_TCP, kKeepCount));
  }
  if (kUserTimeout != kAbsent) {
    found.user_timeout(milliseconds(socket.get("user_timeout", IPPROTO_TCP, kUserTimeout)));
  }
}

Failure no_socket() { return Failure(Errc::not_supported, "socket options: there is no socket below"); }

}  // namespace

bool platform_has_sockets() noexcept { return true; }

// SO_KEEPALIVE alone is accepted by sockets that have no probes to send.
Result<> platform_set_socket_options(int handle, const SocketOptions& options) {
  if (handle == kNoSocket) return no_socket();
  Options socket(handle);
  if (options.keep_alive() && !is_tcp(handle)) {
    return Failure(Errc::not_supported, "keep_alive: this kind of socket has no such option");
  }
  if (options.no_delay()) socket.set("no_delay", IPPROTO_TCP, TCP_NODELAY, *options.no_delay() ? 1 : 0);
  if (options.keep_alive()) set_keep_alive(socket, *options.keep_alive());
  if (options.user_timeout()) {
    socket.set("user_timeout", IPPROTO_TCP, kUserTimeout, rounded_up<milliseconds>(*options.user_timeout()));
  }
  if (options.send_buffer()) socket.set("send_buffer", SOL_SOCKET, SO_SNDBUF, as_int(*options.send_buffer()));
  if (options.receive_buffer()) {
    socket.set("receive_buffer", SOL_SOCKET, SO_RCVBUF, as_int(*options.receive_buffer()));
  }
  if (socket.failure()) return socket.failure();
  return Unit();
}

Result<SocketOptions> platform_socket_options(int handle) {
  if (handle == kNoSocket) return no_socket();
  Options socket(handle);
  SocketOptions found;
  if (is_tcp(handle)) read_tcp_options(socket, found);
  found.send_buffer(static_cast<std::size_t>(socket.get("send_buffer", SOL_SOCKET, SO_SNDBUF)));
  found.receive_buffer(static_cast<std::size_t>(socket.get("receive_buffer", SOL_SOCKET, SO_RCVBUF)));
  if (socket.failure()) return socket.failure();
  return found;
}

}  // namespace twinloop::detail
