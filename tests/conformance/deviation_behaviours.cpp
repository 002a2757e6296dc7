// Where futures, combinators, locks and queues deliberately do otherwise than Tornado's, and how.
#include <memory>
#include <string>
#include <vector>

#include "fixtures.h"
#include "twinloop/all.h"
#include "twinloop/locks.h"
#include "twinloop/queues.h"
#include "twinloop/timing.h"
#include "twinloop/wait_iterator.h"
#include "work.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;
using namespace work;

namespace {

Future<void> await_finished_futures(int count, int& done) {
  for (; done < count; ++done) co_await Future<void>::ready();
}

Future<void> hold(Lock& lock, Future<void> until) {
  const Permit held = co_await lock.acquire();
  co_await std::move(until);
}

Future<void> take_from(Queue<int>& queue, int& taken) { taken = co_await queue.get(); }

Future<void> note_when_done(Future<void> signal, std::string& order) {
  co_await std::move(signal);
  order += "coroutine ";
}

std::size_t timers() { return IOLoop::current().stats().pending_timers; }

}  // namespace

BEHAVIOUR("unlike Tornado's, a coroutine ends when its future is dropped", Needs::nothing) {
  int alive = 0;
  Signal signal;
  Future<void> work = wait_for(std::move(signal.future), alive);
  expect_equal(alive, 1);
  work = Future<void>();
  expect_equal(alive, 0);
  expect(!signal.promise.set_value(), "nor does it hear of what it waited for");
  co_return;
}

BEHAVIOUR("unlike Tornado's, with_timeout ends the work that is late", Needs::nothing) {
  int alive = 0;
  co_await expect_failure(with_timeout(1ms, never(alive)), Errc::timeout);
  expect_equal(alive, 0);
}

BEHAVIOUR("unlike Tornado's multi, dropping all ends those it waits for", Needs::nothing) {
  int alive = 0;
  auto both = all(never(alive), never(alive));
  expect_equal(alive, 2);
  both = decltype(both)();
  expect_equal(alive, 0);
  co_return;
}

BEHAVIOUR("unlike Tornado's, a WaitIterator owns what it waits for", Needs::nothing) {
  int alive = 0;
  {
    std::vector<Future<int>> futures;
    futures.push_back(never(alive));
    WaitIterator<int> iterator(std::move(futures));
    expect_equal(alive, 1);
  }
  expect_equal(alive, 0);
  co_return;
}

BEHAVIOUR("unlike Tornado's, a sleep that is dropped takes its timer back", Needs::nothing) {
  const std::size_t before = timers();
  Future<void> sleep = sleep_for(1h);
  expect_equal(timers(), before + 1);
  sleep = Future<void>();
  expect_equal(timers(), before);
  co_return;
}

BEHAVIOUR("unlike Tornado's, a future gives its result once, to the one who awaits it", Needs::nothing) {
  Future<int> future = Future<int>::ready(3);
  expect_equal(co_await future, 3);
  expect(!future.valid() && !future.done(), "the value has moved out");
}

BEHAVIOUR("unlike Tornado's, a coroutine runs in the very turn in which it is woken", Needs::nothing) {
  std::string order;
  Signal signal;
  Future<void> work = note_when_done(std::move(signal.future), order);
  IOLoop::current().add_callback([&] {
    signal.promise.set_value();
    order += "set ";
  });
  IOLoop::current().add_callback([&order] { order += "next "; });
  co_await turns(2);
  expect_equal(order, "set coroutine next ");
}

BEHAVIOUR("unlike Tornado's, a coroutine that awaits what is finished again and again lets the loop turn",
          Needs::nothing) {
  constexpr int kMany = 10'000;
  int done = 0;
  int seen = 0;
  Future<void> work = await_finished_futures(kMany, done);
  expect(done < kMany, "its call returns before it is through");
  IOLoop::current().add_callback([&] { seen = done; });
  co_await std::move(work);
  expect(seen > 0 && seen < kMany, "a callback ran in between");
}

BEHAVIOUR("unlike Tornado's, a lock is given back by the end of its holder, however it ends", Needs::nothing) {
  Lock lock;
  Signal never_given;
  Future<void> holder = hold(lock, std::move(never_given.future));
  expect(lock.locked(), "it is held");
  holder = Future<void>();
  expect(!lock.locked(), "nobody had to call release()");
  co_return;
}

BEHAVIOUR("unlike Tornado's, a cancelled getter loses no item", Needs::nothing) {
  Queue<int> queue;
  int taken = 0;
  Future<void> getter = take_from(queue, taken);
  queue.put(1).ignore();
  expect(queue.empty(), "it was set aside");
  getter = Future<void>();
  expect_equal(queue.qsize(), 1U);
  expect_equal(taken, 0);
  co_return;
}

BEHAVIOUR("unlike Tornado's put_nowait and get_nowait, try_put and try_get tell without an exception", Needs::nothing) {
  Queue<int> queue(1);
  expect(!queue.try_get(), "there is nothing");
  expect(queue.try_put(1) && !queue.try_put(2), "there is room for one");
  expect_equal(*queue.try_get(), 1);
  co_return;
}

BEHAVIOUR("unlike Tornado's, a future that was cancelled logs nothing, and one that failed unseen logs at once",
          Needs::nothing) {
  RecordedLog log;
  int alive = 0;
  {
    [[maybe_unused]] const Future<int> cancelled = never(alive);
  }
  expect_equal(log.count(LogLevel::error), 0);
  {
    [[maybe_unused]] const Future<int> failed = Future<int>::failed(Errc::protocol);
  }
  expect_equal(log.count(LogLevel::error), 1);
  co_return;
}
