// The turn: callbacks, timers, tasks.  RULES §1.
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "fixtures.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

Future<void> fail_at_once() {
  throw_error(Errc::protocol, "a task");
  co_return;
}

Future<void> fail_after_a_wait() {
  co_await sleep_for(1ms);
  throw_error(Errc::protocol, "a task");
}

Future<void> add_when_woken(Future<void> signal, std::string& order) {
  co_await std::move(signal);
  order += 'c';
}

Future<void> spin(bool& stop, long& rounds) {
  while (!stop) {
    co_await Future<void>::ready();
    ++rounds;
  }
}

}  // namespace

BEHAVIOUR("callbacks run in the order in which they were added, in a later turn", Needs::nothing) {
  std::string order;
  Signal done;
  IOLoop& loop = IOLoop::current();
  for (char c = 'a'; c <= 'e'; ++c) loop.add_callback([&order, c] { order += c; });
  loop.add_callback([&] { done.promise.set_value(); });
  expect(order.empty(), "none ran inside add_callback");
  co_await done.future;
  expect_equal(order, "abcde");
}

BEHAVIOUR("a callback that adds itself does not keep timers from running", Needs::nothing) {
  struct Again {
    IOLoop& loop;
    bool& stop;
    int& times;
    void operator()() {
      ++times;
      if (!stop) loop.add_callback(Again{loop, stop, times});
    }
  };
  bool stop = false;
  int times = 0;
  IOLoop::current().add_callback(Again{IOLoop::current(), stop, times});
  co_await sleep_for(5ms);
  stop = true;
  co_await sleep_for(1ms);
  expect(times > 1, "it ran more than once");
}

BEHAVIOUR("a coroutine woken by a callback runs before the next callback", Needs::nothing) {
  std::string order;
  Signal woken;
  Signal done;
  IOLoop& loop = IOLoop::current();
  Future<void> work = add_when_woken(std::move(woken.future), order);
  loop.add_callback([&] { woken.promise.set_value(); });
  loop.add_callback([&] { order += 'n'; });
  loop.add_callback([&] { done.promise.set_value(); });
  co_await done.future;
  expect_equal(order, "cn");
  expect(work.done(), "the woken coroutine ended");
}

BEHAVIOUR("a callback that throws is logged and the loop goes on", Needs::nothing) {
  const RecordedLog log;
  Signal done;
  IOLoop& loop = IOLoop::current();
  loop.add_callback([] { throw Error(Errc::protocol, "a callback"); });
  loop.add_callback([&] { done.promise.set_value(); });
  co_await done.future;
  expect_equal(log.count(LogLevel::error), 1);
}

BEHAVIOUR("a spawned coroutine that fails is logged once", Needs::nothing) {
  const RecordedLog log;
  IOLoop::current().spawn(&fail_at_once);
  co_await sleep_for(1ms);
  expect_equal(log.count(LogLevel::error), 1);
}

BEHAVIOUR("a failure that nobody looked at is logged once", Needs::nothing) {
  const RecordedLog log;
  {
    Future<void> failed = fail_at_once();
  }
  expect_equal(log.count(LogLevel::error), 1);
  co_return;
}

BEHAVIOUR("a failure that nobody looked at says behind which co_await it was thrown", Needs::nothing) {
  const RecordedLog log;
  {
    Future<void> failed = fail_after_a_wait();
    while (!failed.done()) co_await moment();
  }
  IOLoop::current().spawn(Origin("session"), &fail_after_a_wait);
  while (log.count(LogLevel::error) < 2) co_await moment();
  expect(log.mentions("a failure that nobody looked at, after loop_behaviours.cpp:"), log.text());
  expect(log.mentions("a spawned coroutine, session (loop_behaviours.cpp:"), log.text());
  expect(log.mentions("), failed, after loop_behaviours.cpp:"), log.text());
}

BEHAVIOUR("timers run by deadline, and equal deadlines in the order of the calls", Needs::nothing) {
  std::string order;
  Signal done;
  IOLoop& loop = IOLoop::current();
  const TimePoint soon = loop.clock() + 2ms;
  loop.call_at(soon + 1ms, [&] { order += 'd'; });
  loop.call_at(soon, [&] { order += 'a'; });
  loop.call_at(soon, [&] { order += 'b'; });
  loop.call_at(soon, [&] { order += 'c'; });
  loop.call_at(soon + 2ms, [&] { done.promise.set_value(); });
  co_await done.future;
  expect_equal(order, "abcd");
}

BEHAVIOUR("a timer can take back another that is due in the same turn", Needs::nothing) {
  bool ran = false;
  Signal done;
  IOLoop& loop = IOLoop::current();
  const TimePoint soon = loop.clock() + 1ms;
  Timeout second;
  loop.call_at(soon, [&] { loop.remove_timeout(second); });
  second = loop.call_at(soon, [&] { ran = true; });
  loop.call_at(soon + 1ms, [&] { done.promise.set_value(); });
  co_await done.future;
  expect(!ran, "the second timer was taken back");
}

BEHAVIOUR("a timer in the past runs in the next turn and none before it is due", Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  Signal past;
  loop.call_at(loop.clock() - 1h, [&] { past.promise.set_value(); });
  co_await past.future;
  const TimePoint begun = loop.clock();
  co_await sleep_for(3ms);
  expect(loop.clock() - begun >= 3ms, "a timer never fires early");
}

BEHAVIOUR("ten thousand timers with one deadline fire in order", Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  const TimePoint soon = loop.clock() + 20ms;
  int next = 0;
  bool in_order = true;
  Signal done;
  for (int i = 0; i < 10'000; ++i) {
    loop.call_at(soon, [&, i] { in_order = in_order && next++ == i; });
  }
  loop.call_at(soon + 1ms, [&] { done.promise.set_value(); });
  co_await done.future;
  expect(in_order, "in the order of the calls");
  expect_equal(next, 10'000);
}

BEHAVIOUR("a coroutine that never waits leaves room for timers", Needs::nothing) {
  bool stop = false;
  long rounds = 0;
  Future<void> spinning = spin(stop, rounds);
  co_await sleep_for(3ms);
  stop = true;
  co_await spinning;
  expect(rounds > 0, "it did run");
}

BEHAVIOUR("the clock of a turn is frozen", Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  const TimePoint first = loop.time();
  const TimePoint second = loop.time();
  expect(first == second, "time() twice in a turn is the same");
  co_return;
}

BEHAVIOUR("add_callback from another thread wakes the loop", Needs::threads) {
  IOLoop& loop = IOLoop::current();
  Signal done;
  std::thread other([&] { loop.add_callback([&] { done.promise.set_value(); }); });
  co_await done.future;
  other.join();
}

BEHAVIOUR("callbacks from eight threads all arrive", Needs::threads) {
  constexpr int kThreads = 8;
  constexpr int kEach = 1000;
  IOLoop& loop = IOLoop::current();
  int arrived = 0;
  Signal done;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        loop.add_callback([&] {
          if (++arrived == kThreads * kEach) done.promise.set_value();
        });
      }
    });
  }
  co_await done.future;
  for (std::thread& thread : threads) thread.join();
  expect_equal(arrived, kThreads * kEach);
}
