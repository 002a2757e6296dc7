// raw_epoll_server over TLS: what OpenSSL and the system calls cost, with nothing on top of them.
// Usage: echo_raw_tls CERTIFICATE KEY
#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <string>

#include "bench/echo/raw_server.h"
#include "bench/echo/tls_end.h"

namespace {

std::array<char, 64 * 1024> memory;  // of all connections

struct Connection {
  explicit Connection(int descriptor) : fd(descriptor), tls(bench::TlsEnd::accept(descriptor)) {}

  int fd;
  bench::TlsEnd tls;
  std::string unsent;  // what the socket did not take; nothing is read meanwhile
};

using Server = bench::RawServer<Connection>;

// False: it has gone, or has to wait.
bool send_unsent(Server& server, Connection& connection) {
  const ssize_t sent = connection.tls.send(connection.unsent.data(), connection.unsent.size());
  if (sent < 0 && errno != EAGAIN) return server.end(connection), false;
  connection.unsent.erase(0, sent < 0 ? 0 : static_cast<std::size_t>(sent));
  server.watch(connection, connection.unsent.empty() ? EPOLLIN : EPOLLOUT);
  return connection.unsent.empty();
}

bool answer(Server& server, Connection& connection, std::size_t size) {
  const ssize_t sent = connection.tls.send(memory.data(), size);
  if (sent == static_cast<ssize_t>(size)) return true;
  const std::size_t taken = sent < 0 ? 0 : static_cast<std::size_t>(sent);
  connection.unsent.assign(memory.data() + taken, size - taken);
  return send_unsent(server, connection);
}

void read_and_answer(Server& server, Connection& connection) {
  do {
    const ssize_t count = connection.tls.receive(memory.data(), memory.size());
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) return server.end(connection);
    if (!answer(server, connection, static_cast<std::size_t>(count))) return;
  } while (connection.tls.holds_input());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 || !bench::TlsEnd::use_certificate(argv[1], argv[2])) {
    return std::fputs("usage: echo_raw_tls CERTIFICATE KEY, both in PEM\n", stderr), 1;
  }
  std::signal(SIGPIPE, SIG_IGN);
  Server server("tls");
  server.run([&server](Connection& connection) { read_and_answer(server, connection); },
             [&server](Connection& connection) { send_unsent(server, connection); }, [] {});
}
