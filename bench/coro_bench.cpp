// What futures and coroutines cost: `./dev bench coro`.
#include "bench/harness.h"
#include "twinloop/ioloop.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"

namespace {

using namespace bench;
using namespace twinloop;

using Program = Future<void> (*)(std::size_t count);

Future<int> finished() { co_return 1; }

Future<void> await_ready_future(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) keep(co_await Future<int>::ready(1));
}

Future<void> await_finished_coroutine(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) keep(co_await finished());
}

// An awaitable that only goes through the ready queue.
struct Hop {
  bool await_ready() const noexcept { return false; }
  void await_suspend(Waiter& waiter) const noexcept { waiter.wake(); }
  void await_resume() const noexcept {}
};

Future<void> hop_through_the_queue(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    Hop hop;
    co_await hop;
  }
}

Future<int> wait_for(Future<int> value) { co_return co_await std::move(value); }

Future<void> child_that_waits(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    Promise<int> promise;
    Future<int> child = wait_for(promise.get_future());
    promise.set_value(1);
    keep(co_await std::move(child));
  }
}

Future<void> timeout_that_does_not_fire(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    Promise<int> promise;
    Future<int> limited = with_timeout(std::chrono::hours(1), promise.get_future());
    promise.set_value(1);
    keep(co_await std::move(limited));
  }
}

Future<void> nothing() { co_return; }

Future<void> spawn_and_finish(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    IOLoop::current().spawn(&nothing);
    Hop hop;
    co_await hop;
  }
}

// Time, and blocks that the free lists had to ask the heap for.
std::vector<double> costs(Program program, std::size_t count) {
  IOLoop loop(std::make_unique<testing::ManualBackend>());
  loop.run_sync(program, std::size_t{1000});
  const auto before = detail::pool_stats();
  const CpuTime time;
  loop.run_sync(program, count);
  const double total = time.nanoseconds();
  const auto after = detail::pool_stats();
  return {each(total, count), static_cast<double>(after.from_heap - before.from_heap)};
}

}  // namespace

int main(int argc, char** argv) {
  Suite suite("coro", argc, argv);
  const std::size_t count = suite.count(1'000'000, 1'000);
  const std::pair<const char*, Program> programs[] = {
      {"await of a ready future", &await_ready_future},
      {"await of a coroutine that completes at once", &await_finished_coroutine},
      {"hop through the ready queue", &hop_through_the_queue},
      {"await of a child that waits for a promise", &child_that_waits},
      {"with_timeout that does not fire", &timeout_that_does_not_fire},
      {"spawn and finish", &spawn_and_finish},
  };
  for (const auto& [name, program] : programs) {
    suite.add({{name, "ns"}, {std::string("  heap blocks in ") + with_separators(count) + " of them", "blocks"}},
              {{"twinloop", [run = program, count] { return costs(run, count); }}});
  }
  return suite.run();
}
