// The "Hello, World!" server that somebody writes with care who needs nothing but epoll and knows that the requests are GETs without a
// body: what every library is measured against.  It looks for the end of each request, does not look into it, and answers all that
// came together with one send; the date is made once a second.
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
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

int poller = -1;
std::array<char, 64 * 1024> memory;  // of all connections: what is read is answered before the next read
std::string answers;                 // to what was read
std::string answer;                  // of this second

struct Connection {
  int fd;
  std::string unsent;   // what the socket did not take; nothing is read meanwhile
  std::string partial;  // the beginning of a request
};
std::vector<std::unique_ptr<Connection>> connections;  // by descriptor

void make_answer(std::time_t now) {
  std::array<char, 64> date;
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::strftime(date.data(), date.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  answer = "HTTP/1.1 200 OK\r\nServer: raw\r\nDate: " + std::string(date.data()) +
           "\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!";
}

void look_at_the_clock() {
  static std::time_t made = 0;
  const std::time_t now = std::time(nullptr);
  if (now == made) return;
  made = now;
  make_answer(now);
}

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

void send_or_keep(Connection& connection, std::string_view bytes) {
  const ssize_t sent = ::send(connection.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) return end(connection);
  const std::size_t taken = sent < 0 ? 0 : static_cast<std::size_t>(sent);
  if (taken == bytes.size()) return;
  connection.unsent.assign(bytes.substr(taken));
  watch(connection.fd, EPOLLOUT, EPOLL_CTL_MOD);
}

// What is behind the last whole request.
std::string_view answer_requests(std::string_view bytes) {
  for (;;) {
    const std::size_t size = bytes.find("\r\n\r\n");
    if (size == std::string_view::npos) return bytes;
    answers.append(answer);
    bytes.remove_prefix(size + 4);
  }
}

void read_and_answer(Connection& connection) {
  const ssize_t count = ::recv(connection.fd, memory.data(), memory.size(), 0);
  if (count < 0 && errno == EAGAIN) return;
  if (count <= 0) return end(connection);
  const std::string_view bytes(memory.data(), static_cast<std::size_t>(count));
  answers.clear();
  if (connection.partial.empty()) {
    connection.partial.assign(answer_requests(bytes));
  } else {
    connection.partial.append(bytes);
    connection.partial.assign(std::string(answer_requests(connection.partial)));
  }
  if (!answers.empty()) send_or_keep(connection, answers);
}

void send_rest(Connection& connection) {
  const std::string rest = std::move(connection.unsent);
  connection.unsent.clear();
  watch(connection.fd, EPOLLIN, EPOLL_CTL_MOD);
  send_or_keep(connection, rest);
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
  std::printf("listening http://127.0.0.1:%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return fd;
}

void serve(int listener, const epoll_event& event) {
  if (event.data.fd == listener) return accept_all(listener);
  auto& connection = connections[static_cast<std::size_t>(event.data.fd)];
  if (connection == nullptr) return;
  if ((event.events & EPOLLOUT) != 0)
    send_rest(*connection);
  else
    read_and_answer(*connection);
}

}  // namespace

int main() {
  poller = ::epoll_create1(EPOLL_CLOEXEC);
  const int listener = listen_somewhere();
  if (listener < 0) return std::perror("listen"), 1;
  watch(listener, EPOLLIN, EPOLL_CTL_ADD);
  std::array<epoll_event, 256> events;
  for (;;) {
    const int count = ::epoll_wait(poller, events.data(), static_cast<int>(events.size()), -1);
    look_at_the_clock();
    for (int i = 0; i < count; ++i) serve(listener, events[static_cast<std::size_t>(i)]);
  }
}
