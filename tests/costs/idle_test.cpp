// What a connection costs that nobody uses: pinned, because there may be very many.
#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "backends/posix/descriptor.h"
#include "backends/posix/fd_transport.h"
#include "core/src/stream_impl.h"
#include "twinloop/net.h"

#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__) && defined(__x86_64__)

using namespace twinloop;

namespace {

constexpr std::size_t kAim = 488;
constexpr std::size_t kSlot = 16;  // of the reactor's table: reactor.h asserts it
constexpr std::size_t kMessage = 64;

Future<void> echo(IOStream stream) {
  for (;;) {
    Future<std::string_view> bytes = stream.read_some_view();
    co_await settled(bytes);
    if (!bytes.ok()) co_return;
    co_await stream.write(bytes.result());
  }
}

// As many connections as the process may have descriptors for, both ends being in it.
std::size_t possible_connections() {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  return std::min<std::size_t>(10'000, (files.rlim_cur - 100) / 2);
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
Future<bool> exchange(int client) {
  const std::string message(kMessage, 'x');
  if (::send(client, message.data(), message.size(), MSG_NOSIGNAL) != ssize_t{kMessage}) co_return false;
  std::string answer(kMessage, ' ');
  for (int turn = 0; turn < 100'000; ++turn) {
    if (::recv(client, answer.data(), answer.size(), MSG_DONTWAIT) == ssize_t{kMessage}) co_return answer == message;
    co_await moment();
  }
  co_return false;
}

// What each of so many idle connections adds to what the first one took.
Future<Held> cost_of_each(std::size_t count) {
  Listener listener = co_await listen("tcp://127.0.0.1:0");
  const std::string url = listener.url();
  const auto port = static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
  const Future<void> serving = serve(std::move(listener), echo);
  std::vector<detail::Descriptor> clients(count + 1);
  Held before{};
  for (std::size_t i = 0; i <= count; ++i) {
    clients[i] = connect_client(port);
    const bool echoed = co_await exchange(clients[i].get());
    if (!echoed) co_return Held{};
    if (i == 0) before = held_now();
  }
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
  IOLoop loop;
  const std::size_t count = possible_connections();
  const Held each = loop.run_sync(&cost_of_each, count);
  std::cout << "idle connections: " << count << "; bytes of each: " << each.pool + kSlot << " (" << each.resident
            << " of resident memory)\n";
  REQUIRE(each.pool > 0);
  CHECK(each.pool + kSlot <= kAim);
}

#endif
