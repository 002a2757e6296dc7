#include "bench/echo/load.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "bench/echo/tls_end.h"

namespace bench {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "load: %s (%s)\n", what, std::strerror(errno));
  std::exit(2);
}

sockaddr_in loopback(std::uint32_t last_bytes, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(0x7f000000U | last_bytes);
  address.sin_port = htons(port);
  return address;
}

// Each address has ports of its own: closed connections keep theirs for a minute.
int open_connection(std::uint16_t port, std::uint32_t from) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("no socket");
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  const sockaddr_in source = loopback(from, 0), target = loopback(1, port);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&source), sizeof source) != 0) die("cannot bind");
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&target), sizeof target) != 0) die("cannot connect");
  return fd;
}

void shake_hands(int fd) {
  constexpr std::string_view kRequest =
      "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  if (::send(fd, kRequest.data(), kRequest.size(), MSG_NOSIGNAL) < 0) die("cannot send");
  std::string answer;
  for (char byte = 0; !answer.ends_with("\r\n\r\n"); answer += byte) {
    if (::recv(fd, &byte, 1, 0) != 1) die("a server ended the handshake");
  }
  if (!answer.starts_with("HTTP/1.1 101")) die("a server refused the handshake");
}

// A binary frame's header; masked frames have these bytes as their mask.
constexpr std::string_view kMask = "mask";

std::string frame_header(std::size_t size, bool masked) {
  std::string header{'\x82'};
  const auto first = static_cast<char>(masked ? 0x80 : 0);
  const int width = size < 126 ? 0 : size < 65536 ? 2 : 8;
  header += static_cast<char>(first | static_cast<char>(width == 0 ? static_cast<int>(size) : width == 2 ? 126 : 127));
  for (int i = width; i-- > 0;) header += static_cast<char>(size >> (8 * i));
  if (masked) header += kMask;
  return header;
}

std::uint32_t next_source() {
  static std::uint32_t number = 0;
  return 0x100U + number++ % 200 * 0x100U + 1;
}

}  // namespace

class Load::Connection {
 public:
  Connection(std::uint16_t port, const LoadPlan& plan, unsigned number) : fd_(open_connection(port, next_source())) {
    if (plan.tls) begin_tls();
    std::string message, echo;
    for (std::size_t at = 0; at < plan.message; ++at) {
      message += at + 1 == plan.message ? '\n' : static_cast<char>('a' + (number + at) % 26);
    }
    echo = message;
    if (plan.websocket) {
      shake_hands(fd_);
      for (std::size_t i = 0; i < message.size(); ++i) message[i] = static_cast<char>(message[i] ^ kMask[i % 4]);
      message.insert(0, frame_header(plan.message, true));
      echo.insert(0, frame_header(plan.message, false));
    }
    size_ = message.size();
    echo_size_ = echo.size();
    for (std::size_t i = 0; i < 2 * plan.depth; ++i) {
      pattern_ += message;
      echoes_ += echo;
    }
    sent_.resize(plan.depth);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { ::close(fd_); }

  int fd() const noexcept { return fd_; }
  std::uint64_t done() const noexcept { return received_ / echo_size_; }
  bool under_way() const noexcept { return to_send_ > 0 || done() < position_ / size_; }

  void send_messages(std::size_t count) {
    to_send_ += count * size_;
    flush();
  }

  // False: the rest goes when the socket is writable.
  bool flush() {
    while (to_send_ > 0) {
      const std::size_t from = position_ % size_;
      const std::size_t most = std::min(to_send_, pattern_.size() - from);
      const ssize_t count = send(pattern_.data() + from, most);
      if (count < 0 && errno == EAGAIN) return false;
      if (count < 0) die("cannot send");
      note_sent(static_cast<std::size_t>(count));
    }
    return true;
  }

  // How many messages came whole; their latencies are appended.
  std::size_t receive(std::vector<char>& memory, std::vector<float>* latencies) {
    const ssize_t count = receive_into(memory);
    if (count < 0 && errno == EAGAIN) return 0;
    if (count <= 0) die("a server ended a connection");
    const std::uint64_t before = done();
    compare(std::string_view(memory.data(), static_cast<std::size_t>(count)));
    const std::uint64_t after = done();
    if (latencies != nullptr && after > before) {
      const auto now = Clock::now();
      for (std::uint64_t i = before; i < after; ++i) {
        latencies->push_back(std::chrono::duration<float, std::micro>(now - sent_[i % sent_.size()]).count());
      }
    }
    return static_cast<std::size_t>(after - before);
  }

 private:
  void begin_tls() {
    tls_.emplace(TlsEnd::connect(fd_));
    ::fcntl(fd_, F_SETFL, O_NONBLOCK);
  }

  ssize_t send(const char* bytes, std::size_t size) {
    return tls_ ? tls_->send(bytes, size) : ::send(fd_, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  ssize_t receive_into(std::vector<char>& memory) {
    return tls_ ? tls_->receive(memory.data(), memory.size()) : ::recv(fd_, memory.data(), memory.size(), MSG_DONTWAIT);
  }

  void note_sent(std::size_t count) {
    const std::uint64_t before = position_ / size_;
    position_ += count;
    to_send_ -= count;
    const std::uint64_t after = position_ / size_;
    if (after == before) return;
    const auto now = Clock::now();
    for (std::uint64_t i = before; i < after; ++i) sent_[i % sent_.size()] = now;
  }

  void compare(std::string_view bytes) {
    if ((received_ + bytes.size()) / echo_size_ > position_ / size_) die("a server sent more than it got");
    while (!bytes.empty()) {
      const std::size_t from = received_ % echo_size_;
      const std::size_t most = std::min(bytes.size(), echoes_.size() - from);
      if (std::memcmp(bytes.data(), echoes_.data() + from, most) != 0) die("a server sent other bytes than it got");
      received_ += most;
      bytes.remove_prefix(most);
    }
  }

  int fd_;
  std::optional<TlsEnd> tls_;
  std::size_t size_ = 0;                 // of a message as it is sent
  std::size_t echo_size_ = 0;            // as it comes back
  std::string pattern_;                  // the message, as often as makes a send
  std::string echoes_;                   // the same of what comes back
  std::size_t to_send_ = 0;              // bytes
  std::uint64_t position_ = 0;           // bytes sent so far
  std::uint64_t received_ = 0;           // bytes
  std::vector<Clock::time_point> sent_;  // when the message of that number, modulo its depth, was
};

Load::Load(std::uint16_t port, const LoadPlan& plan)
    : plan_(plan),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      received_((plan.message + (plan.websocket ? 10 : 0)) * plan.depth +
                1) {  // all that can have come: one receive an edge is enough
  for (unsigned i = 0; i < plan.connections; ++i) {
    Connection& connection = *connections_.emplace_back(std::make_unique<Connection>(port, plan, i));
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.ptr = &connection;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd(), &event) != 0) die("epoll_ctl");
  }
}

Load::~Load() { ::close(epoll_); }

void Load::turn(int timeout) {
  std::array<epoll_event, 256> events;
  const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout);
  for (int i = 0; i < count; ++i) {
    auto& connection = *static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr);
    connection.flush();
    const std::size_t whole = connection.receive(received_, measuring_ ? &latencies_ : nullptr);
    messages_ += whole;
    if (whole > 0 && sending_) connection.send_messages(whole);
  }
}

void Load::run(double seconds) {
  if (!std::exchange(sending_, true)) {
    for (auto& connection : connections_) connection->send_messages(plan_.depth);
  }
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (Clock::now() < end) turn(100);
}

LoadResult Load::measure(double seconds) {
  std::vector<std::uint64_t> before;
  for (const auto& connection : connections_) before.push_back(connection->done());
  latencies_.clear();
  measuring_ = true;
  const std::uint64_t messages = messages_;
  const auto begin = Clock::now();
  run(seconds);
  LoadResult result;
  result.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  measuring_ = false;
  result.messages = messages_ - messages;
  std::uint64_t least = ~std::uint64_t{0}, most = 0;
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    const std::uint64_t served = connections_[i]->done() - before[i];
    least = std::min(least, served);
    most = std::max(most, served);
  }
  if (most > 0) result.fairness = static_cast<double>(least) / static_cast<double>(most);
  if (latencies_.empty()) return result;
  const auto at = [this](double part) {
    const auto nth =
        latencies_.begin() + static_cast<std::ptrdiff_t>(part * static_cast<double>(latencies_.size() - 1));
    std::nth_element(latencies_.begin(), nth, latencies_.end());
    return static_cast<double>(*nth);
  };
  result.median_latency = at(0.5);
  result.p99_latency = at(0.99);
  return result;
}

void Load::run_messages(std::size_t count) {
  const std::uint64_t enough = messages_ + count;
  if (!std::exchange(sending_, true)) {
    for (auto& connection : connections_) connection->send_messages(plan_.depth);
  }
  while (messages_ < enough) turn(1000);
  finish();
}

void Load::finish() {
  sending_ = false;
  const auto under_way = [](const auto& connection) { return connection->under_way(); };
  while (std::any_of(connections_.begin(), connections_.end(), under_way)) turn(1000);
}

// ---- connections that come and go

namespace {

void exchange(int fd) {
  std::array<char, 64> bytes;
  bytes.fill('x');
  bytes.back() = '\n';
  if (::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size())) die("cannot send");
  std::array<char, 64> echo{};
  if (::recv(fd, echo.data(), echo.size(), MSG_WAITALL) != static_cast<ssize_t>(echo.size())) die("no echo");
  if (echo != bytes) die("a server sent other bytes than it got");
}

}  // namespace

std::size_t churn(std::uint16_t port, double seconds, std::size_t together) {
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  std::size_t count = 0;
  std::vector<int> open(together, -1);
  for (std::size_t i = 0; Clock::now() < end; i = (i + 1) % together) {
    if (open[i] >= 0) {
      exchange(open[i]);
      ::close(open[i]);
      ++count;
    }
    open[i] = open_connection(port, next_source());
  }
  for (const int fd : open) {
    if (fd >= 0) ::close(fd);
  }
  return count;
}

void hold_idle(std::uint16_t port, std::size_t connections, const std::function<void()>& when_held) {
  std::vector<int> open;
  for (std::size_t i = 0; i < connections; ++i) {
    open.push_back(open_connection(port, next_source()));
    exchange(open.back());
  }
  when_held();
  for (const int fd : open) ::close(fd);
}

}  // namespace bench
