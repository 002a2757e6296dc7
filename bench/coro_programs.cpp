#include "bench/coro_programs.h"

#include "bench/keep.h"
#include "twinloop/ioloop.h"
#include "twinloop/queues.h"
#include "twinloop/timing.h"

namespace bench {
namespace {

using namespace twinloop;

// An awaitable that only goes through the ready queue.
struct Hop {
  bool await_ready() const noexcept { return false; }
  void await_suspend(Waiter& waiter) const noexcept { waiter.wake(); }
  void await_resume() const noexcept {}
};

// A producer that is no coroutine: once woken, it fulfils its promise from the ready queue.
class Producer final : public Waiter {
 public:
  Producer() noexcept : Waiter(&Producer::run) {}
  Future<int> produce() noexcept {
    wake();
    return promise_.get_future();
  }

 private:
  static void run(Waiter& waiter) { static_cast<Producer&>(waiter).promise_.set_value(1); }
  Promise<int> promise_;
};

Future<void> ready_future(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) keep(co_await Future<int>::ready(1));
}

Future<int> finished() { co_return 1; }

Future<void> finished_coroutine(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) keep(co_await finished());
}

Future<void> hop(std::size_t count) {
  Hop hop;
  for (std::size_t i = 0; i < count; ++i) co_await hop;
}

Future<void> pending_promise(std::size_t count) {
  Producer producer;
  for (std::size_t i = 0; i < count; ++i) keep(co_await producer.produce());
}

Future<int> hop_once() {
  Hop hop;
  co_await hop;
  co_return 1;
}

Future<void> child_that_hops(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) keep(co_await hop_once());
}

Future<void> nothing() { co_return; }

// A task ends from the ready queue; one hop lets a hundred of them end.
Future<void> spawn(std::size_t count) {
  IOLoop& loop = IOLoop::current();
  Hop hop;
  for (std::size_t i = 1; i <= count; ++i) {
    loop.spawn(&nothing);
    if (i % 100 == 0) co_await hop;
  }
}

Future<void> timeout(std::size_t count) {
  Producer producer;
  for (std::size_t i = 0; i < count; ++i) keep(co_await with_timeout(std::chrono::hours(1), producer.produce()));
}

Future<void> take_for_ever(Queue<int>& queue, long& sum) {
  for (;;) sum += co_await queue.get();
}

// The consumer waits for each item; the producer's own hop is counted too.
Future<void> queue(std::size_t count) {
  Queue<int> queue;
  long sum = 0;
  Future<void> consumer = take_for_ever(queue, sum);
  Hop hop;
  for (std::size_t i = 0; i < count; ++i) {
    co_await queue.put(1);
    co_await hop;
  }
  keep(sum);
}

}  // namespace

const CoroPrograms coro_programs{
    .ready_future = &ready_future,
    .finished_coroutine = &finished_coroutine,
    .hop = &hop,
    .pending_promise = &pending_promise,
    .child_that_hops = &child_that_hops,
    .spawn = &spawn,
    .timeout = &timeout,
    .queue = &queue,
};

}  // namespace bench
