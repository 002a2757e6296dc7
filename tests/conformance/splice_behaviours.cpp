// pump between sockets where the system has splice(2): most of the bytes never come into this process.
#include <string>

#include "carriers.h"
#include "fixtures.h"
#include "twinloop/stats.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kNetwork = Needs::tcp | Needs::listen | Needs::fds;
constexpr std::size_t kMuch = 4 * 1024 * 1024;

Future<void> send(IOStream& stream, const std::string& bytes) {
  co_await stream.write_borrowed(bytes);
  co_await stream.shutdown_write();
}

// How many of kMuch bytes the system moved by itself.
Future<std::uint64_t> moved_by_the_system(const Carrier& carrier) {
  Ends in = co_await open_ends(carrier, {});
  Ends out = co_await open_ends(carrier, {});
  const std::string bytes = numbered(kMuch);
  const std::uint64_t before = IOLoop::current().stats().moved;
  Future<void> sending = send(in.peer, bytes);
  Future<std::string> receiving = out.peer.read_bytes(kMuch);
  const std::uint64_t pumped = co_await pump(in.ours, out.ours);
  expect_equal(pumped, std::uint64_t{kMuch});
  const std::string got = co_await std::move(receiving);
  expect(got == bytes, "the same bytes");
  co_await std::move(sending);
  co_return IOLoop::current().stats().moved - before;
}

}  // namespace

// select sees a peer's end only by reading ahead, and what was read ahead while the sink was written is here already.
BEHAVIOUR("of what a pump moves between plain sockets a part never comes into this process", kNetwork) {
  const bool reads_ahead = IOLoop::current().backend_name() == "select";
  for (const Carrier& carrier : carriers()) {
    if (!is_plain(carrier)) continue;
    const std::uint64_t moved = co_await moved_by_the_system(carrier);
    expect(moved > 0 || reads_ahead, std::string(carrier.name) + ": the system moved nothing");
    expect(moved < kMuch, "the first piece is read");
  }
}

BEHAVIOUR("what a pump moves through a filter or a pair comes into this process, all of it", kNetwork) {
  for (const Carrier& carrier : carriers()) {
    if (is_plain(carrier)) continue;
    const std::uint64_t moved = co_await moved_by_the_system(carrier);
    expect_equal(moved, 0u);
  }
}
