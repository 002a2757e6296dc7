// The echo server that somebody writes with care who needs nothing but epoll: what every library is measured against.
// Usage: echo_raw_epoll [--lines]
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "bench/echo/raw_server.h"

namespace {

bool lines_only = false;
std::array<char, 64 * 1024> memory;  // of all connections: what is read is answered before the next read

struct Connection {
  explicit Connection(int descriptor) noexcept : fd(descriptor) {}
  int fd;
  std::string unsent;   // what the socket did not take; nothing is read meanwhile
  std::string partial;  // the beginning of a line, with --lines
};

using Server = bench::RawServer<Connection>;

// False: it has gone.
bool send_or_keep(Server& server, Connection& connection, const char* bytes, std::size_t size) {
  const ssize_t sent = ::send(connection.fd, bytes, size, MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) return server.end(connection), false;
  const std::size_t taken = sent < 0 ? 0 : static_cast<std::size_t>(sent);
  if (taken == size) return true;
  const bool was_empty = connection.unsent.empty();
  connection.unsent.append(bytes + taken, size - taken);
  if (was_empty) server.watch(connection, EPOLLOUT);
  return true;
}

// Answers whole lines with one send, and keeps what follows the last.
void answer_lines(Server& server, Connection& connection, const char* bytes, std::size_t size) {
  const void* last = ::memrchr(bytes, '\n', size);
  if (last == nullptr) return connection.partial.append(bytes, size), void();
  const auto whole = static_cast<std::size_t>(static_cast<const char*>(last) - bytes) + 1;
  if (connection.partial.empty()) {
    if (!send_or_keep(server, connection, bytes, whole)) return;
  } else {
    std::string answer = std::move(connection.partial);
    answer.append(bytes, whole);
    connection.partial.clear();
    if (!send_or_keep(server, connection, answer.data(), answer.size())) return;
  }
  connection.partial.assign(bytes + whole, size - whole);
}

void read_and_answer(Server& server, Connection& connection) {
  const ssize_t count = ::recv(connection.fd, memory.data(), memory.size(), 0);
  if (count < 0 && errno == EAGAIN) return;
  if (count <= 0) return server.end(connection);
  const auto size = static_cast<std::size_t>(count);
  if (lines_only) return answer_lines(server, connection, memory.data(), size);
  send_or_keep(server, connection, memory.data(), size);
}

void send_rest(Server& server, Connection& connection) {
  const std::string rest = std::move(connection.unsent);
  connection.unsent.clear();
  if (!send_or_keep(server, connection, rest.data(), rest.size())) return;
  if (connection.unsent.empty()) server.watch(connection, EPOLLIN);
}

}  // namespace

int main(int argc, char** argv) {
  lines_only = argc > 1 && std::strcmp(argv[1], "--lines") == 0;
  Server server("tcp");
  server.run([&server](Connection& connection) { read_and_answer(server, connection); },
             [&server](Connection& connection) { send_rest(server, connection); }, [] {});
}
