// What a connection costs that nobody uses: pinned, because there may be very many.
#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "backends/posix/descriptor.h"
#include "backends/posix/fd_transport.h"
#include "core/src/stream_impl.h"
#include "tests/costs/echo.h"
#include "twinloop/net.h"

#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__) && defined(__x86_64__)

using namespace twinloop;

namespace {

constexpr std::size_t kAim = 488;
constexpr std::size_t kSlot = 16;  // of the reactor's table: reactor.h asserts it
constexpr std::size_t kMessage = 64;

// As many connections as a process may have descriptors for.
std::size_t possible_connections() {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  return std::min<std::size_t>(10'000, files.rlim_cur - 100);
}

std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

struct Held {
  std::size_t pool;
  std::size_t resident;
};

Held held_now() { return {detail::pool_stats().chunk_bytes, resident_bytes()}; }

detail::Descriptor connect_client(std::uint16_t port) {
  detail::Descriptor client(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) client.reset();
  return client;
}

// True once the whole message has come back.
bool exchange(int client) {
  const std::string message(kMessage, 'x');
  if (::send(client, message.data(), message.size(), MSG_NOSIGNAL) != ssize_t{kMessage}) return false;
  std::string answer(kMessage, ' ');
  return ::recv(client, answer.data(), answer.size(), MSG_WAITALL) == ssize_t{kMessage} && answer == message;
}

struct Request {
  std::uint16_t port;
  std::size_t count;
};

// The other ends, in a process of their own: neither their memory nor their descriptors are the server's.
class Clients {
 public:
  Clients() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    pid_ = ::fork();
    if (pid_ == 0) hold(ends[1]);
    ::close(ends[1]);
    channel = "fd:" + std::to_string(ends[0]);
  }
  ~Clients() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  std::string channel;  // takes a Request, answers 'y' when all of those have had their message back

 private:
  [[noreturn]] static void hold(int channel) {
    std::vector<detail::Descriptor> clients;
    Request request;
    while (::recv(channel, &request, sizeof request, MSG_WAITALL) == ssize_t{sizeof request}) {
      char answer = 'y';
      for (std::size_t i = 0; i < request.count && answer == 'y'; ++i) {
        clients.push_back(connect_client(request.port));
        if (!exchange(clients.back().get())) answer = 'n';
      }
      if (::send(channel, &answer, 1, MSG_NOSIGNAL) != 1) break;
    }
    ::_exit(0);
  }

  pid_t pid_;
};

Future<void> add(IOStream& channel, std::uint16_t port, std::size_t count) {
  const Request request{port, count};
  co_await channel.write(std::string(reinterpret_cast<const char*>(&request), sizeof request));
  const std::string answer = co_await channel.read_bytes(1);
  REQUIRE(answer == "y");
}

// What each of so many idle connections adds to what the first one took.
Future<Held> cost_of_each(std::size_t count, std::string clients) {
  IOStream channel = co_await connect(clients);
  Listener listener = co_await listen("tcp://127.0.0.1:0");
  const std::uint16_t port = Url::parse(listener.url()).value().port;
  const Future<void> serving = serve(std::move(listener), echo_bytes);
  co_await add(channel, port, 1);
  const Held before = held_now();
  co_await add(channel, port, count);
  const Held after = held_now();
  co_return Held{(after.pool - before.pool) / count, (after.resident - before.resident) / count};
}

}  // namespace

TEST_CASE("the objects of an idle connection stay small") {
  CHECK(sizeof(detail::StreamImpl) <= 128);
  CHECK(sizeof(detail::FdTransport) <= 48);
  CHECK(sizeof(detail::Task) <= 72);
}

TEST_CASE("an idle connection costs at most 488 bytes, its coroutine included") {
  const std::size_t count = possible_connections();
  const Clients clients;
  IOLoop loop;
  const Held each = loop.run_sync(std::chrono::seconds(60), &cost_of_each, count, clients.channel);
  std::cout << "idle connections: " << count << "; bytes of each: " << each.pool + kSlot << " (" << each.resident
            << " of resident memory)\n";
  REQUIRE(each.pool > 0);
  CHECK(each.pool + kSlot <= kAim);
}

#endif
