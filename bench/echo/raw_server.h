// What the hand-written servers have in common: one epoll, level-triggered, and a table of connections by descriptor.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

namespace bench {

// A Connection is made of its descriptor and has it as `fd`.
template <class Connection>
class RawServer {
 public:
  explicit RawServer(const char* scheme)
      : poller_(::epoll_create1(EPOLL_CLOEXEC)), listener_(listen_somewhere(scheme)) {
    control(listener_, EPOLLIN, EPOLL_CTL_ADD);
  }
  // Prints "listening SCHEME://127.0.0.1:PORT".  Ends the process with a message where it cannot.

  void watch(const Connection& connection, std::uint32_t events) const {
    control(connection.fd, events, EPOLL_CTL_MOD);
  }

  void end(Connection& connection) {
    const int fd = connection.fd;
    connections_[static_cast<std::size_t>(fd)].reset();
    ::close(fd);
  }

  template <class Read, class Write, class Woken>
  [[noreturn]] void run(Read read, Write write, Woken woken) {
    std::array<epoll_event, 256> events;
    for (;;) {
      const int count = ::epoll_wait(poller_, events.data(), static_cast<int>(events.size()), -1);
      woken();
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if (event.data.fd == listener_) {
          accept_all();
          continue;
        }
        auto& connection = connections_[static_cast<std::size_t>(event.data.fd)];
        if (connection == nullptr) continue;
        if ((event.events & EPOLLOUT) != 0)
          write(*connection);
        else
          read(*connection);
      }
    }
  }
  // For ever: what has come is read, what there is room for written.  woken() comes in front of each batch.

 private:
  void control(int fd, std::uint32_t events, int operation) const {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    if (::epoll_ctl(poller_, operation, fd, &event) != 0) std::perror("epoll_ctl");
  }

  void accept_all() {
    for (int fd; (fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      const auto index = static_cast<std::size_t>(fd);
      if (connections_.size() <= index) connections_.resize(index + 1);
      connections_[index] = std::make_unique<Connection>(fd);
      control(fd, EPOLLIN, EPOLL_CTL_ADD);
    }
  }

  static int listen_somewhere(const char* scheme) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(fd, 1024) != 0) {
      std::perror("listen");
      std::exit(1);
    }
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    std::printf("listening %s://127.0.0.1:%d\n", scheme, ntohs(address.sin_port));
    std::fflush(stdout);
    return fd;
  }

  int poller_;
  int listener_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

}  // namespace bench
