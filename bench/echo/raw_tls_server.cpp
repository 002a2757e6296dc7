// raw_epoll_server over TLS: what OpenSSL and the system calls cost, with nothing on top of them.
// Usage: echo_raw_tls CERTIFICATE KEY
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "bench/echo/tls_end.h"

namespace {

int poller = -1;
std::array<char, 64 * 1024> memory;  // of all connections

struct Connection {
  explicit Connection(int descriptor) : fd(descriptor), tls(bench::TlsEnd::accept(descriptor)) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { ::close(fd); }

  int fd;
  bench::TlsEnd tls;
  std::string unsent;  // what the socket did not take; nothing is read meanwhile
};
std::vector<std::unique_ptr<Connection>> connections;  // by descriptor

void watch(int fd, std::uint32_t events, int operation) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (::epoll_ctl(poller, operation, fd, &event) != 0) std::perror("epoll_ctl");
}

// False: it has gone, or has to wait.
bool send_unsent(Connection& connection) {
  const ssize_t sent = connection.tls.send(connection.unsent.data(), connection.unsent.size());
  if (sent < 0 && errno != EAGAIN) return connections[static_cast<std::size_t>(connection.fd)].reset(), false;
  connection.unsent.erase(0, sent < 0 ? 0 : static_cast<std::size_t>(sent));
  watch(connection.fd, connection.unsent.empty() ? EPOLLIN : EPOLLOUT, EPOLL_CTL_MOD);
  return connection.unsent.empty();
}

bool answer(Connection& connection, std::size_t size) {
  const ssize_t sent = connection.tls.send(memory.data(), size);
  if (sent == static_cast<ssize_t>(size)) return true;
  const std::size_t taken = sent < 0 ? 0 : static_cast<std::size_t>(sent);
  connection.unsent.assign(memory.data() + taken, size - taken);
  return send_unsent(connection);
}

void read_and_answer(Connection& connection) {
  do {
    const ssize_t count = connection.tls.receive(memory.data(), memory.size());
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) return connections[static_cast<std::size_t>(connection.fd)].reset();
    if (!answer(connection, static_cast<std::size_t>(count))) return;
  } while (connection.tls.holds_input());
}

void accept_all(int listener) {
  for (int fd; (fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const auto index = static_cast<std::size_t>(fd);
    if (connections.size() <= index) connections.resize(index + 1);
    connections[index] = std::make_unique<Connection>(fd);
    watch(fd, EPOLLIN, EPOLL_CTL_ADD);
  }
}

int listen_somewhere() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(fd, 1024) != 0) return -1;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  std::printf("listening tls://127.0.0.1:%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return fd;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 || !bench::TlsEnd::use_certificate(argv[1], argv[2])) {
    return std::fputs("usage: echo_raw_tls CERTIFICATE KEY, both in PEM\n", stderr), 1;
  }
  std::signal(SIGPIPE, SIG_IGN);
  poller = ::epoll_create1(EPOLL_CLOEXEC);
  const int listener = listen_somewhere();
  if (listener < 0) return std::perror("listen"), 1;
  watch(listener, EPOLLIN, EPOLL_CTL_ADD);
  std::array<epoll_event, 256> events;
  for (;;) {
    const int count = ::epoll_wait(poller, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      if (event.data.fd == listener) {
        accept_all(listener);
        continue;
      }
      auto& connection = connections[static_cast<std::size_t>(event.data.fd)];
      if (connection == nullptr) continue;
      if ((event.events & EPOLLOUT) != 0)
        send_unsent(*connection);
      else
        read_and_answer(*connection);
    }
  }
}
