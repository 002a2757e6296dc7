// What locks and queues cost: `./dev bench sync`.
#include "bench/harness.h"
#include "twinloop/ioloop.h"
#include "twinloop/locks.h"
#include "twinloop/queues.h"
#include "twinloop/rate_limiter.h"
#include "twinloop/testing.h"

namespace {

using namespace std::chrono_literals;
using namespace bench;
using namespace twinloop;

using Program = Future<void> (*)(std::size_t count);

// An awaitable that only goes through the ready queue.
struct Hop {
  bool await_ready() const noexcept { return false; }
  void await_suspend(Waiter& waiter) const noexcept { waiter.wake(); }
  void await_resume() const noexcept {}
};

Future<void> hop_alone(std::size_t count) {
  Hop hop;
  for (std::size_t i = 0; i < count; ++i) co_await hop;
}

Future<void> lock_free_of_waiters(std::size_t count) {
  Lock lock;
  for (std::size_t i = 0; i < count; ++i) {
    Permit held = co_await lock.acquire();
    keep(held);
  }
}

Future<void> hold_for_ever(Lock& lock) {
  for (;;) {
    Permit held = co_await lock.acquire();
    Hop hop;
    co_await hop;
  }
}

// Two coroutines hand the lock to and fro; an iteration is one round.
Future<void> lock_handed_over(std::size_t count) {
  Lock lock;
  Future<void> other = hold_for_ever(lock);
  for (std::size_t i = 0; i < count; ++i) {
    Permit held = co_await lock.acquire();
    Hop hop;
    co_await hop;
  }
}

Future<void> event_that_is_set(std::size_t count) {
  Event event;
  event.set();
  for (std::size_t i = 0; i < count; ++i) co_await event.wait();
}

Future<void> event_that_wakes(std::size_t count) {
  Event event;
  for (std::size_t i = 0; i < count; ++i) {
    Future<void> woken = event.wait();
    event.set();
    event.clear();
    co_await std::move(woken);
  }
}

Future<void> condition_that_wakes(std::size_t count) {
  Condition condition;
  for (std::size_t i = 0; i < count; ++i) {
    Future<bool> woken = condition.wait();
    condition.notify();
    keep(co_await std::move(woken));
  }
}

// The least there is: a getter that waits, a put that serves it, and the hop to it.
Future<void> queue_serves_a_getter(std::size_t count) {
  Queue<int> queue;
  for (std::size_t i = 0; i < count; ++i) {
    Future<int> item = queue.get();
    queue.try_put(1);
    keep(co_await std::move(item));
  }
}

Future<void> wait_for_ever(Promise<int>& promise) {
  for (;;) keep(co_await promise.get_future());
}

// What any hand-over between two coroutines costs, for comparison with the queue's.
Future<void> promise_hand_over(std::size_t count) {
  Promise<int> promise;
  Future<void> consumer = wait_for_ever(promise);
  for (std::size_t i = 0; i < count; ++i) {
    promise.set_value(1);
    Hop hop;
    co_await hop;
  }
}

Future<void> take_for_ever(Queue<int>& queue, long& sum) {
  for (;;) sum += co_await queue.get();
}

// The consumer waits for each item; the producer's own hop is counted too.
Future<void> queue_hand_over(std::size_t count) {
  Queue<int> queue;
  long sum = 0;
  Future<void> consumer = take_for_ever(queue, sum);
  for (std::size_t i = 0; i < count; ++i) {
    co_await queue.put(1);
    Hop hop;
    co_await hop;
  }
  keep(sum);
}

Future<void> put_for_ever(Queue<int>& queue) {
  for (;;) co_await queue.put(1);
}

// A full queue of one: each get lets one put in, and both sides wait in turn.
Future<void> queue_with_back_pressure(std::size_t count) {
  Queue<int> queue(1);
  Future<void> producer = put_for_ever(queue);
  for (std::size_t i = 0; i < count; ++i) keep(co_await queue.get());
}

Future<void> queue_put_and_get(std::size_t count) {
  Queue<int> queue;
  for (std::size_t i = 0; i < count; ++i) {
    co_await queue.put(1);
    keep(co_await queue.get());
  }
}

Future<void> queue_try(std::size_t count) {
  Queue<int> queue;
  for (std::size_t i = 0; i < count; ++i) {
    queue.try_put(1);
    keep(queue.try_get());
  }
  co_return;
}

Future<void> priority_queue_of_1000(std::size_t count) {
  PriorityQueue<int> queue;
  unsigned next = 1;
  for (int i = 0; i < 1000; ++i) queue.try_put(static_cast<int>(next = next * 1664525U + 1013904223U));
  for (std::size_t i = 0; i < count; ++i) {
    queue.try_put(static_cast<int>(next = next * 1664525U + 1013904223U));
    keep(co_await queue.get());
  }
}

Future<void> get_with_a_timeout(std::size_t count) {
  Queue<int> queue;
  for (std::size_t i = 0; i < count; ++i) {
    Future<int> item = queue.get(1h);
    queue.try_put(1);
    keep(co_await std::move(item));
  }
}

Future<void> get_in_with_timeout(std::size_t count) {
  Queue<int> queue;
  for (std::size_t i = 0; i < count; ++i) {
    Future<int> item = with_timeout(1h, queue.get());
    queue.try_put(1);
    keep(co_await std::move(item));
  }
}

Future<void> channel_next(std::size_t count) {
  Channel<int> channel(8);
  for (std::size_t i = 0; i < count; ++i) {
    co_await channel.put(1);
    keep(co_await channel.next());
  }
}

Future<void> rate_limiter_with_room(std::size_t count) {
  RateLimiter limiter(1'000'000'000, 1s, 1'000'000'000);
  for (std::size_t i = 0; i < count; ++i) co_await limiter.acquire();
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
  Suite suite("sync", argc, argv);
  const std::size_t count = suite.count(1'000'000, 1'000);
  const std::pair<const char*, Program> programs[] = {
      {"hop through the ready queue, for comparison", &hop_alone},
      {"lock that nobody holds", &lock_free_of_waiters},
      {"lock handed over to and fro, two hops", &lock_handed_over},
      {"event that is set", &event_that_is_set},
      {"event that wakes", &event_that_wakes},
      {"condition that wakes", &condition_that_wakes},
      {"queue hand-over to a waiting getter", &queue_serves_a_getter},
      {"promise hand-over between two coroutines", &promise_hand_over},
      {"queue hand-over between two coroutines", &queue_hand_over},
      {"queue of one, both sides waiting in turn", &queue_with_back_pressure},
      {"queue put and get", &queue_put_and_get},
      {"queue try_put and try_get", &queue_try},
      {"priority queue of 1000, put and get", &priority_queue_of_1000},
      {"get(timeout) that does not fire", &get_with_a_timeout},
      {"with_timeout(get()) that does not fire", &get_in_with_timeout},
      {"channel put and next", &channel_next},
      {"rate limiter with room", &rate_limiter_with_room},
  };
  for (const auto& [name, program] : programs) {
    suite.add({{name, "ns"}, {std::string("  heap blocks in ") + with_separators(count) + " of them", "blocks"}},
              {{"twinloop", [run = program, count] { return costs(run, count); }}});
  }
  return suite.run();
}
