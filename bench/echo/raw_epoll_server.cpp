// The echo server that somebody writes with care who needs nothing but epoll: what every library is measured against.
// Usage: echo_raw_epoll [--lines]
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace {

bool lines_only = false;
int poller = -1;
std::array<char, 64 * 1024> memory;  // of all connections: what is read is answered before the next read

struct Connection {
  int fd;
  std::string unsent;   // what the socket did not take; nothing is read meanwhile
  std::string partial;  // the beginning of a line, with --lines
};
std::vector<std::unique_ptr<Connection>> connections;  // by descriptor

void watch(int fd, std::uint32_t events, int operation) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (::epoll_ctl(poller, operation, fd, &event) != 0) std::perror("epoll_ctl");
}

void end(Connection& connection) {
  const int fd = connection.fd;
  ::close(fd);
  connections[static_cast<std::size_t>(fd)].reset();
}

// False: it has gone.
bool send_or_keep(Connection& connection, const char* bytes, std::size_t size) {
  const ssize_t sent = ::send(connection.fd, bytes, size, MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) return end(connection), false;
  const std::size_t taken = sent < 0 ? 0 : static_cast<std::size_t>(sent);
  if (taken == size) return true;
  const bool was_empty = connection.unsent.empty();
  connection.unsent.append(bytes + taken, size - taken);
  if (was_empty) watch(connection.fd, EPOLLOUT, EPOLL_CTL_MOD);
  return true;
}

// Answers whole lines with one send, and keeps what follows the last.
void answer_lines(Connection& connection, const char* bytes, std::size_t size) {
  const void* last = ::memrchr(bytes, '\n', size);
  if (last == nullptr) return connection.partial.append(bytes, size), void();
  const auto whole = static_cast<std::size_t>(static_cast<const char*>(last) - bytes) + 1;
  if (connection.partial.empty()) {
    if (!send_or_keep(connection, bytes, whole)) return;
  } else {
    std::string answer = std::move(connection.partial);
    answer.append(bytes, whole);
    connection.partial.clear();
    if (!send_or_keep(connection, answer.data(), answer.size())) return;
  }
  connection.partial.assign(bytes + whole, size - whole);
}

void read_and_answer(Connection& connection) {
  const ssize_t count = ::recv(connection.fd, memory.data(), memory.size(), 0);
  if (count < 0 && errno == EAGAIN) return;
  if (count <= 0) return end(connection);
  const auto size = static_cast<std::size_t>(count);
  if (lines_only) return answer_lines(connection, memory.data(), size);
  send_or_keep(connection, memory.data(), size);
}

void send_rest(Connection& connection) {
  const std::string rest = std::move(connection.unsent);
  connection.unsent.clear();
  if (!send_or_keep(connection, rest.data(), rest.size())) return;
  if (connection.unsent.empty()) watch(connection.fd, EPOLLIN, EPOLL_CTL_MOD);
}

void accept_all(int listener) {
  for (int fd; (fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const auto index = static_cast<std::size_t>(fd);
    if (connections.size() <= index) connections.resize(index + 1);
    connections[index] = std::make_unique<Connection>(Connection{fd, {}, {}});
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
  std::printf("listening tcp://127.0.0.1:%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return fd;
}

}  // namespace

int main(int argc, char** argv) {
  lines_only = argc > 1 && std::strcmp(argv[1], "--lines") == 0;
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
        send_rest(*connection);
      else
        read_and_answer(*connection);
    }
  }
}
