// What a loop says of its time, under a clock that only moves when it is told to.
#include <catch2/catch_test_macros.hpp>
#include <memory>
#include <utility>

#include "twinloop/ioloop.h"
#include "twinloop/iostream.h"
#include "twinloop/net.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;

namespace {

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

Future<void> echo(Listener listener, testing::ManualBackend& clock) {
  IOStream stream = co_await listener.accept();
  const std::string byte = co_await stream.read_bytes(1);
  clock.advance(100ms);
  co_await stream.write(byte);
}

Future<void> ask() {
  IOStream stream = co_await connect("pair:stats");
  co_await sleep_for(1s);
  co_await stream.write("x");
  const std::string byte = co_await stream.read_bytes(1);
  CHECK(byte == "x");
}

Future<void> ask_one_that_is_busy(testing::ManualBackend& clock) {
  Listener listener = co_await listen("pair:stats");
  const Future<void> answering = echo(std::move(listener), clock);
  co_await ask();
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

TEST_CASE("what a coroutine keeps the loop for that a transport woke is seen") {
  ManualLoop manual;
  manual.loop.run_sync([&] { return ask_one_that_is_busy(manual.clock); });
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
