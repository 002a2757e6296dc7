// Sockets that a supervisor hands over, each test in a process of its own: descriptors 3 and on are not free in this one.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <string>

#include "posix_fixtures.h"
#include "twinloop/net.h"
#include "twinloop/systemd.h"

using namespace twinloop;
using namespace std::chrono_literals;

namespace {

// The exit status of a process that has only its standard streams and `sockets` listening ones.
int status_of(int sockets, int (*program)()) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    for (int fd = 3; fd < 256; ++fd) ::close(fd);
    for (int fd = 3; fd < 3 + sockets; ++fd) {
      const int made = ::socket(AF_INET, SOCK_STREAM, 0);
      if (made != fd || ::listen(made, 8) != 0) ::_exit(100);
    }
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    int status = 101;
    try {
      status = program();
    } catch (...) {
    }
    ::_exit(status);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

bool refuses() {
  try {
    systemd_listeners();
  } catch (const Error& error) {
    return error.reason() == Errc::bad_descriptor;
  }
  return false;
}

}  // namespace

TEST_CASE("listeners that a supervisor opened are served, with their names") {
  CHECK(status_of(2, [] {
          ::setenv("LISTEN_FDS", "2", 1);
          ::setenv("LISTEN_FDNAMES", "web:admin", 1);
          const std::vector<InheritedListener> listeners = systemd_listeners();
          if (listeners.size() != 2 || listeners[0].url != "fd:3" || listeners[1].url != "fd:4") return 1;
          if (listeners[0].name != "web" || listeners[1].name != "admin") return 2;
          IOLoop::after_fork();
          IOLoop loop;
          return loop.run_sync(20s, [&]() -> Future<int> {
            Listener listener = co_await listen(listeners[1].url);
            const IOStream client = co_await connect(listener.url());
            const IOStream served = co_await listener.accept();
            co_return served.peer_address() == client.local_address() ? 0 : 3;
          });
        }) == 0);
}

TEST_CASE("listeners are handed over once, and to no program that is started") {
  CHECK(status_of(1, [] {
          ::setenv("LISTEN_FDS", "1", 1);
          const std::vector<InheritedListener> listeners = systemd_listeners();
          if (listeners.size() != 1 || !listeners[0].name.empty()) return 1;
          if ((::fcntl(3, F_GETFD) & FD_CLOEXEC) == 0) return 2;
          if (std::getenv("LISTEN_FDS") != nullptr || std::getenv("LISTEN_PID") != nullptr) return 3;
          return systemd_listeners().empty() ? 0 : 4;
        }) == 0);
}

TEST_CASE("listeners of another process are not ours") {
  CHECK(status_of(1, [] {
          ::setenv("LISTEN_FDS", "1", 1);
          ::setenv("LISTEN_PID", "1", 1);
          return systemd_listeners().empty() ? 0 : 1;
        }) == 0);
  CHECK(status_of(0, [] { return systemd_listeners().empty() ? 0 : 1; }) == 0);
}

TEST_CASE("an environment that makes no sense is refused by name") {
  CHECK(status_of(1, [] {
          ::setenv("LISTEN_FDS", "two", 1);
          return refuses() ? 0 : 1;
        }) == 0);
  CHECK(status_of(1, [] {
          ::setenv("LISTEN_FDS", "2", 1);  // the second is not open
          return refuses() ? 0 : 1;
        }) == 0);
}
