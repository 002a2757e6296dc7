// What futures and coroutines cost: `./dev bench coro`.
#include <benchmark/benchmark.h>

#include "twinloop/ioloop.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"

namespace {

using namespace twinloop;

Future<int> finished() { co_return 1; }

Future<void> await_ready_future(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(co_await Future<int>::ready(1));
}

Future<void> await_finished_coroutine(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(co_await finished());
}

// An awaitable that only goes through the ready queue.
struct Hop {
  bool await_ready() const noexcept { return false; }
  void await_suspend(Waiter& waiter) const noexcept { waiter.wake(); }
  void await_resume() const noexcept {}
};

Future<void> hop_through_the_queue(benchmark::State& state) {
  for (auto _ : state) {
    Hop hop;
    co_await hop;
  }
}

Future<int> wait_for(Future<int> value) { co_return co_await std::move(value); }

Future<void> child_that_waits(benchmark::State& state) {
  for (auto _ : state) {
    Promise<int> promise;
    Future<int> child = wait_for(promise.get_future());
    promise.set_value(1);
    benchmark::DoNotOptimize(co_await std::move(child));
  }
}

Future<void> timeout_that_does_not_fire(benchmark::State& state) {
  for (auto _ : state) {
    Promise<int> promise;
    Future<int> limited = with_timeout(std::chrono::hours(1), promise.get_future());
    promise.set_value(1);
    benchmark::DoNotOptimize(co_await std::move(limited));
  }
}

Future<void> nothing() { co_return; }

Future<void> spawn_and_finish(benchmark::State& state) {
  for (auto _ : state) {
    IOLoop::current().spawn(&nothing);
    Hop hop;
    co_await hop;
  }
}

template <Future<void> (*Program)(benchmark::State&)>
void run(benchmark::State& state) {
  IOLoop loop(std::make_unique<testing::ManualBackend>());
  const auto before = detail::pool_stats();
  loop.run_sync([&] { return Program(state); });
  const auto after = detail::pool_stats();
  state.counters["heap"] = static_cast<double>(after.from_heap - before.from_heap);
}

BENCHMARK(run<await_ready_future>)->Name("await of a ready future");
BENCHMARK(run<await_finished_coroutine>)->Name("await of a coroutine that completes at once");
BENCHMARK(run<hop_through_the_queue>)->Name("hop through the ready queue");
BENCHMARK(run<child_that_waits>)->Name("await of a child that waits for a promise");
BENCHMARK(run<timeout_that_does_not_fire>)->Name("with_timeout that does not fire");
BENCHMARK(run<spawn_and_finish>)->Name("spawn and finish");

}  // namespace

BENCHMARK_MAIN();
