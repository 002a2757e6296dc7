// What a loop says of its time, under a clock that only moves when it is told to.
#include <catch2/catch_test_macros.hpp>
#include <memory>
#include <utility>

#include "twinloop/ioloop.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;

namespace {

// Keeps the loop where it tells transports what came.
struct BusyHook final : detail::TurnHook {
  explicit BusyHook(testing::ManualBackend& kept) noexcept : clock(kept) {}
  void on_turn() override { clock.advance(100ms); }
  testing::ManualBackend& clock;
};

struct ManualLoop {
  explicit ManualLoop(std::unique_ptr<testing::ManualBackend> backend = std::make_unique<testing::ManualBackend>())
      : clock(*backend), loop(std::move(backend)) {}

  testing::ManualBackend& clock;
  IOLoop loop;
};

Future<void> keep_busy_when_deferred(testing::ManualBackend& clock) {
  const std::uint64_t turn = IOLoop::current().stats().turns;
  while (IOLoop::current().stats().turns == turn) co_await Future<void>::ready();
  clock.advance(100ms);
  co_await sleep_for(1s);
}

Future<void> sleep_until_the_past() {
  co_await sleep_for(1s);
  co_await sleep_until(kAlready);
  co_await sleep_until(IOLoop::current().time() - 1h);
}

}  // namespace

TEST_CASE("what a deferred coroutine keeps the loop for is no sleep") {
  ManualLoop manual;
  manual.loop.run_sync([&] { return keep_busy_when_deferred(manual.clock); });
  const LoopStats stats = manual.loop.stats();
  CHECK(stats.longest_callback >= 100ms);
  CHECK(stats.longest_callback < 200ms);
  CHECK(stats.asleep > 999ms);
  CHECK(stats.asleep <= 1s);
}

TEST_CASE("what a transport keeps the loop for that was told in a turn without anything else is seen") {
  ManualLoop manual;
  BusyHook hook(manual.clock);
  manual.loop.add_hook(hook);
  manual.loop.run_sync([] { return sleep_for(1s); });
  const LoopStats stats = manual.loop.stats();
  CHECK(stats.longest_callback >= 100ms);
  CHECK(stats.longest_callback < 200ms);
}

TEST_CASE("what is due when it is asked for does not lag") {
  ManualLoop manual;
  manual.loop.run_sync(&sleep_until_the_past);
  CHECK(manual.loop.stats().lag < 1ms);
}

TEST_CASE("a timer that something kept the loop from lags by that") {
  ManualLoop manual;
  manual.loop.call_later(10ms, [] {});
  manual.loop.add_callback([&] { manual.clock.advance(50ms); });
  manual.loop.run_sync([] { return sleep_for(100ms); });
  const LoopStats stats = manual.loop.stats();
  CHECK(stats.lag >= 40ms);
  CHECK(stats.lag <= 50ms);
}
