// The "Hello, World!" server that somebody writes with care who needs nothing but epoll and knows that the requests are GETs without a
// body: what every library is measured against.  It looks for the end of each request, does not look into it, and answers all that
// came together with one send; the date is made once a second.
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>

#include "bench/echo/raw_server.h"

namespace {

std::array<char, 64 * 1024> memory;  // of all connections: what is read is answered before the next read
std::string answers;                 // to what was read
std::string answer;                  // of this second

struct Connection {
  explicit Connection(int descriptor) noexcept : fd(descriptor) {}
  int fd;
  std::string unsent;   // what the socket did not take; nothing is read meanwhile
  std::string partial;  // the beginning of a request
};

using Server = bench::RawServer<Connection>;

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

void send_or_keep(Server& server, Connection& connection, std::string_view bytes) {
  const ssize_t sent = ::send(connection.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) return server.end(connection);
  const std::size_t taken = sent < 0 ? 0 : static_cast<std::size_t>(sent);
  if (taken == bytes.size()) return;
  connection.unsent.assign(bytes.substr(taken));
  server.watch(connection, EPOLLOUT);
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

void read_and_answer(Server& server, Connection& connection) {
  const ssize_t count = ::recv(connection.fd, memory.data(), memory.size(), 0);
  if (count < 0 && errno == EAGAIN) return;
  if (count <= 0) return server.end(connection);
  const std::string_view bytes(memory.data(), static_cast<std::size_t>(count));
  answers.clear();
  if (connection.partial.empty()) {
    connection.partial.assign(answer_requests(bytes));
  } else {
    connection.partial.append(bytes);
    connection.partial.assign(std::string(answer_requests(connection.partial)));
  }
  if (!answers.empty()) send_or_keep(server, connection, answers);
}

void send_rest(Server& server, Connection& connection) {
  const std::string rest = std::move(connection.unsent);
  connection.unsent.clear();
  server.watch(connection, EPOLLIN);
  send_or_keep(server, connection, rest);
}

}  // namespace

int main() {
  Server server("http");
  server.run([&server](Connection& connection) { read_and_answer(server, connection); },
             [&server](Connection& connection) { send_rest(server, connection); }, &look_at_the_clock);
}
