// Connections that come and go, in great numbers: nothing may stay of any of them.
#include <filesystem>
#include <iterator>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "posix_fixtures.h"
#include "twinloop/all.h"
#include "twinloop/detail/pool.h"
#include "twinloop/net.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

enum class Ends { client_closes, client_aborts, server_closes };

// What a process has open, and what its pools and its heap have given away.
struct Held {
  std::ptrdiff_t descriptors;
  std::size_t blocks;
  std::size_t heap;
};

constexpr std::size_t kOfTables = (64 + 4 * 65) * 1024;  // grow once: tables, and the four chunks for input

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
std::size_t heap_bytes() { return ::mallinfo2().uordblks; }
#else
std::size_t heap_bytes() { return 0; }  // the sanitizers see to it
#endif

Held held() {
  namespace fs = std::filesystem;
  const fs::directory_iterator open("/dev/fd");
  return {std::distance(begin(open), end(open)), detail::pool_stats().live, heap_bytes()};
}

// Answers each byte, and is the one that ends when it is asked to.
Future<void> answer(IOStream stream) {
  for (;;) {
    const std::string byte = co_await stream.read_bytes(1);
    co_await stream.write(byte);
    if (byte[0] == static_cast<char>(Ends::server_closes)) co_return;
  }
}

Future<void> come_and_go(std::string url, Ends how) {
  IOStream stream = co_await connect(url);
  const std::string byte(1, static_cast<char>(how));
  co_await stream.write(byte);
  const std::string answered = co_await stream.read_bytes(1);
  if (answered != byte) throw Error(Errc::protocol, "another connection's answer");
  switch (how) {
    case Ends::client_closes:
      co_return stream.close();
    case Ends::client_aborts:
      co_return stream.abort();
    case Ends::server_closes:
      co_await stream.peer_ended();
  }
}

// Each address of this host has its own 28,000 ports for connections that have just ended.
std::string address_of(int number, const std::string& listener) {
  return "tcp://127.0.0." + std::to_string(1 + number % 8) + listener.substr(listener.rfind(':'));
}

Future<void> come_and_go(std::string listener, int from, int count) {
  std::vector<Future<void>> clients;
  for (int i = from; i < from + count; ++i) {
    clients.push_back(come_and_go(address_of(i, listener), static_cast<Ends>(i % 3)));
  }
  co_await all(std::move(clients));
}

// Both ends of every connection have gone when the last of them has stopped lingering.
Future<Held> held_when_quiet(std::ptrdiff_t descriptors) {
  while (held().descriptors != descriptors) co_await sleep_for(1ms);
  co_await sleep_for(10ms);
  co_return held();
}

}  // namespace

// 100,000 of them in the release build, which is what users run; the others see to each kind of ending.
#ifdef NDEBUG
constexpr int kConnections = 100'000;
#else
constexpr int kConnections = 9'000;
#endif

TEST_CASE("many connections come and go, and no descriptor and no byte of memory stays") {
  const std::string name = each_backend();
  const int total = name == backend_names().front() ? kConnections : kConnections / 20;
  constexpr int kAtOnce = 100;
  IOLoop loop(make(name));
  const auto test = [](int connections) -> Future<void> {
    Listener listener = co_await listen("tcp://0.0.0.0:0");
    const std::string url = listener.url();
    const Future<void> serving = serve(std::move(listener), answer);
    const std::ptrdiff_t listening = held().descriptors;
    co_await come_and_go(url, 0, kAtOnce);
    const Held before = co_await held_when_quiet(listening);
    for (int i = 0; i < connections; i += kAtOnce) co_await come_and_go(url, i, kAtOnce);
    const Held after = co_await held_when_quiet(listening);
    CHECK(after.blocks == before.blocks);
    CHECK(after.heap <= before.heap + kOfTables);
  };
  loop.run_sync([&] { return with_timeout(100s, test(total)); });
}
