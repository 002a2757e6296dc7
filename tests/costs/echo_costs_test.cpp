// What a message that is sent back asks of the system and of the processor: counted, not timed.
//
// The server is traced by its only client, which writes while the server stands still and lets it go on until every byte is back.
// So nothing is left to chance, and the system calls of a round trip are always as many.
#include <arpa/inet.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "backends/posix/descriptor.h"
#include "tests/costs/echo.h"
#include "twinloop/detail/builtin.h"
#include "twinloop/net.h"

using namespace twinloop;

namespace {

using Handler = Future<void> (*)(IOStream);

struct Scenario {
  std::size_t connections;
  std::size_t messages;  // that a connection sends at once
  Handler handler;

  std::size_t round_trips() const { return connections * messages; }
  std::string message() const {
    std::string text;
    for (std::size_t i = 0; i < messages; ++i) text += std::string(63, 'x') + "\n";
    return text;
  }
};

constexpr Scenario kNone{0, 1, echo_bytes};
constexpr Scenario kOne{1, 1, echo_bytes};
constexpr Scenario kEight{8, 1, echo_bytes};
constexpr Scenario kLines{1, 16, echo_lines};

[[noreturn]] void serve_traced(const char* backend, int listener, Handler handler) {
  ::alarm(60);  // not for ever
  if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(1);
  ::raise(SIGSTOP);
  IOLoop::configure(backend);
  IOLoop loop;
  loop.run_sync([=]() -> Future<void> {
    Future<Listener> opening = listen("fd:" + std::to_string(listener));
    Listener opened = co_await std::move(opening);
    co_await serve(std::move(opened), handler);
  });
  ::_exit(0);
}

class EchoServer {
 public:
  EchoServer(const char* backend, const Scenario& scenario) : scenario_(scenario), message_(scenario.message()) {
    const detail::Descriptor listener = open_listener();
    start(backend, listener.get());
    if (!traceable_) return;
    for (std::size_t i = 0; i < scenario_.connections; ++i) connect_client();
  }
  ~EchoServer() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    ::sched_setaffinity(0, sizeof former_processors_, &former_processors_);
  }
  EchoServer(const EchoServer&) = delete;
  EchoServer& operator=(const EchoServer&) = delete;

  bool traceable() const noexcept { return traceable_; }

  // Of so many rounds, in which every connection has its messages sent back.
  std::size_t system_calls(int rounds) { return stops(PTRACE_SYSCALL, SIGTRAP | 0x80, rounds) / 2; }
  std::size_t instructions(int rounds) { return stops(PTRACE_SINGLESTEP, SIGTRAP, rounds); }

  // Of so many connections, one after the other, that ask once and end.
  std::size_t system_calls_of_connections(int count) {
    std::size_t calls = 0;
    for (int i = 0; i < count; ++i) {
      connect_client();
      calls += stops(PTRACE_SYSCALL, SIGTRAP | 0x80, 1);
      ::shutdown(clients_.back().get(), SHUT_WR);
      while (!has_ended(clients_.back().get())) calls += go_on(PTRACE_SYSCALL, SIGTRAP | 0x80);
      clients_.pop_back();
    }
    return calls / 2;
  }

 private:
  detail::Descriptor open_listener() {
    detail::Descriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address_;
    auto* const generic = reinterpret_cast<sockaddr*>(&address_);
    REQUIRE(::bind(listener.get(), generic, length) == 0);
    REQUIRE(::listen(listener.get(), 64) == 0);
    REQUIRE(::getsockname(listener.get(), generic, &length) == 0);
    return listener;
  }

  // On this processor: the two take turns anyway, and so that is three times as fast.
  void start(const char* backend, int listener) {
    ::sched_getaffinity(0, sizeof former_processors_, &former_processors_);
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(static_cast<unsigned>(::sched_getcpu()), &here);
    ::sched_setaffinity(0, sizeof here, &here);
    std::fflush(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) serve_traced(backend, listener, scenario_.handler);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    traceable_ = WIFSTOPPED(status);
    if (traceable_) ::ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  }

  void connect_client() {
    detail::Descriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address_), sizeof address_) == 0);
    clients_.push_back(std::move(client));
  }

  std::size_t stops(decltype(PTRACE_CONT) how, int signal, int rounds) {
    std::size_t count = 0;
    for (int round = 0; round < rounds; ++round) {
      send_all();
      while (!all_is_back()) count += go_on(how, signal);
      receive_all();
    }
    return count;
  }

  std::size_t go_on(decltype(PTRACE_CONT) how, int signal) {
    int status = 0;
    if (::ptrace(how, pid_, nullptr, nullptr) != 0 || ::waitpid(pid_, &status, 0) != pid_ || !WIFSTOPPED(status) ||
        WSTOPSIG(status) == SIGALRM)
      FAIL("the server has ended, or waits for what does not come");
    return WSTOPSIG(status) == signal ? 1 : 0;
  }

  void send_all() {
    for (const detail::Descriptor& client : clients_)
      REQUIRE(::send(client.get(), message_.data(), message_.size(), MSG_NOSIGNAL) == std::ssize(message_));
  }
  bool all_is_back() const {
    for (const detail::Descriptor& client : clients_) {
      int available = 0;
      if (::ioctl(client.get(), FIONREAD, &available) != 0 || available < std::ssize(message_)) return false;
    }
    return true;
  }
  static bool has_ended(int client) {
    char byte = 0;
    return ::recv(client, &byte, 1, MSG_DONTWAIT) == 0;
  }
  void receive_all() {
    for (const detail::Descriptor& client : clients_) {
      std::string echo(message_.size(), ' ');
      REQUIRE(::recv(client.get(), echo.data(), echo.size(), MSG_DONTWAIT) == std::ssize(echo));
      REQUIRE(echo == message_);
    }
  }

  Scenario scenario_;
  std::string message_;
  sockaddr_in address_{};
  cpu_set_t former_processors_{};
  pid_t pid_ = -1;
  bool traceable_ = false;
  std::vector<detail::Descriptor> clients_;
};

constexpr int kWarmUp = 20;

std::size_t system_calls_of_round(const char* backend, const Scenario& scenario) {
  constexpr int kRounds = 50;
  EchoServer server(backend, scenario);
  if (!server.traceable()) SKIP("this system does not allow tracing");
  server.system_calls(kWarmUp);
  const std::size_t count = server.system_calls(kRounds);
  CHECK(count % kRounds == 0);  // or they were not always as many
  return count / kRounds;
}

[[maybe_unused]] std::size_t instructions_of_round_trip(const char* backend, const Scenario& scenario) {
  constexpr int kRounds = 4;
  EchoServer server(backend, scenario);
  if (!server.traceable()) SKIP("this system does not allow tracing");
  server.system_calls(kWarmUp);
  return server.instructions(kRounds) / (kRounds * scenario.round_trips());
}

bool has(std::string_view backend) {
  for (const detail::BackendEntry& entry : detail::builtin_backends()) {
    if (entry.name == backend) return true;
  }
  return false;
}

// The kernel's three, wait, receive and send, of which connections that are ready together share the first; and what looking at a
// clock, at a flag or at a set of descriptors must not add.
struct SystemCalls {
  const char* backend;
  std::size_t one, eight, lines;
};

void check_system_calls(const SystemCalls& pinned) {
  INFO(pinned.backend);
  CHECK(system_calls_of_round(pinned.backend, kOne) == pinned.one);
  CHECK(system_calls_of_round(pinned.backend, kEight) == pinned.eight);
  CHECK(system_calls_of_round(pinned.backend, kLines) == pinned.lines);
}

}  // namespace

TEST_CASE(
    "a message that is sent back costs its wait, its receive and its send, and sixteen lines that came together no "
    "more") {
  check_system_calls({"epoll", 3, 2 * 8 + 1, 3});
}

TEST_CASE("a connection that asks once and goes costs no system call that its bytes do not need") {
  constexpr int kConnections = 20;
  constexpr std::size_t kWaits = 3;     // for the connection, for its bytes, for its end
  constexpr std::size_t kAccepted = 4;  // the last accept finds none; no delay; registered
  constexpr std::size_t kServed = 5;    // received, sent, the end received, registered no more, closed
  EchoServer server("epoll", kNone);
  if (!server.traceable()) SKIP("this system does not allow tracing");
  server.system_calls_of_connections(kWarmUp);
  CHECK(server.system_calls_of_connections(kConnections) == kConnections * (kWaits + kAccepted + kServed));
}

TEST_CASE("on select and on libuv a message that is sent back costs as many system calls as it did") {
  check_system_calls({"select", 3, 2 * 8 + 1, 3});
  if (has("libuv")) check_system_calls({"libuv", 3, 2 * 8 + 1, 3});
}

TEST_CASE("a message that is sent back costs as few instructions in user space as it did") {  // gcc 12 -O2, and 6 %
#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__) && defined(__x86_64__)
  CHECK(instructions_of_round_trip("epoll", kOne) <= 2450);
  CHECK(instructions_of_round_trip("epoll", kEight) <= 2005);
  CHECK(instructions_of_round_trip("epoll", kLines) <= 860);
#else
  SKIP("known for gcc's optimized code on x86-64 only");
#endif
}
