// How many blocks of memory each form takes: pinned, because a block more is some 20 ns on every path that uses it.
#include <catch2/catch_test_macros.hpp>
#include <memory>

#include "twinloop/all.h"
#include "twinloop/detail/pool.h"
#include "twinloop/generator.h"
#include "twinloop/ioloop.h"
#include "twinloop/locks.h"
#include "twinloop/queues.h"
#include "twinloop/race.h"
#include "twinloop/shared_future.h"
#include "twinloop/shield.h"
#include "twinloop/task_group.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;

namespace {

Future<int> at_once() { co_return 1; }
Future<int> pass_on(Future<int> inner) { co_return co_await std::move(inner); }
Future<void> wait_for(Future<void> signal) { co_await std::move(signal); }
Generator<int> ones() {
  for (;;) co_yield 1;
}

template <class F>
std::uint64_t blocks(F form) {
  const auto before = detail::pool_stats().allocations;
  [[maybe_unused]] const auto kept = form();
  return detail::pool_stats().allocations - before;
}

struct Nothing {};

}  // namespace

TEST_CASE("each form takes as many blocks of memory as it must") {
  IOLoop loop(std::make_unique<testing::ManualBackend>());
  Promise<int> a, b;
  Promise<void> never;
  Lock lock;
  Queue<int> queue;
  TaskGroup group;

  CHECK(blocks([] { return Future<int>::ready(1); }) == 0);
  CHECK(blocks([&] { return a.get_future(); }) == 0);
  CHECK(blocks([] { return at_once(); }) <= 1);  // clang may see that the frame needs no memory of its own
  CHECK(blocks([&] { return pass_on(a.get_future()); }) == 1);
  CHECK(blocks([&] { return pass_on(pass_on(a.get_future())); }) == 2);
  CHECK(blocks([&] { return with_timeout(1s, a.get_future()); }) == 1);
  CHECK(blocks([] { return with_timeout(1s, Future<int>::ready(1)); }) == 0);
  CHECK(blocks([&] { return all(a.get_future(), b.get_future()); }) == 1);
  CHECK(blocks([&] { return race(a.get_future(), b.get_future()); }) == 1);
  CHECK(blocks([&] { return share(a.get_future()); }) == 1);
  CHECK(blocks([] { return sleep_for(1s); }) == 1);
  CHECK(blocks([] { return ones(); }) == 2);  // the frame, and what the Generator and it share
  CHECK(blocks([&] { return lock.acquire(); }) == 0);
  const Permit held = lock.try_acquire();
  CHECK(blocks([&] { return lock.acquire(); }) == 1);
  CHECK(blocks([&] { return queue.get(); }) == 1);
  CHECK(blocks([&] { return loop.spawn(wait_for(never.get_future())), Nothing(); }) == 2);  // the frame and the task
  loop.close();
}
