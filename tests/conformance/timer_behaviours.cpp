// Timers at their edges: now, never, in the past, from inside another, with copies of their handles.  RULES §1.
#include <string>

#include "fixtures.h"
#include "twinloop/ioloop.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

Future<void> turn_of_callbacks() {
  Promise<void> promise;
  Future<void> next = promise.get_future();
  IOLoop::current().add_callback([&promise] { promise.set_value(); });
  co_await std::move(next);
}

}  // namespace

BEHAVIOUR("a timer beyond the end of time never fires and overflows nothing", Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  bool ran = false;
  const auto note = [&ran] { ran = true; };
  Timeout far = loop.call_later(Duration::max(), note);
  Timeout never = loop.call_at(kNever, note);
  Timeout years = loop.call_later(std::chrono::hours(24 * 365 * 200), note);
  co_await sleep_for(2ms);
  expect(!ran && far.pending() && never.pending() && years.pending(), "they are still to come");
  for (Timeout* each : {&far, &never, &years}) loop.remove_timeout(*each);
}

BEHAVIOUR("timers of the distant past and of no delay fire in the next turn, the oldest first", Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  co_await moment();  // in a turn, where delays begin at its end
  std::string order;
  Promise<void> promise;
  Future<void> done = promise.get_future();
  loop.call_later(0ns, [&] { order += 'z'; });
  loop.call_later(-1h, [&] { order += 'p'; });
  loop.call_at(kAlready, [&] { order += 'a'; });
  loop.call_later(Duration::min(), [&] { order += 'm'; });
  loop.call_later(1ms, [&] { promise.set_value(); });
  expect_equal(order, "");
  co_await done;
  expect_equal(order.size(), 4u);
  expect_equal(order.back(), 'z');
}

BEHAVIOUR("a timer that is added by a timer waits for the next turn, even if it is due", Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  std::uint64_t first_turn = 0;
  std::uint64_t second_turn = 0;
  Promise<void> promise;
  Future<void> done = promise.get_future();
  loop.call_later(0ns, [&] {
    first_turn = loop.stats().turns;
    loop.call_at(kAlready, [&] {
      second_turn = loop.stats().turns;
      promise.set_value();
    });
  });
  co_await done;
  expect(second_turn > first_turn, "a later turn");
}

BEHAVIOUR("a callback that a timer adds runs without waiting for anything", Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  Promise<void> promise;
  Future<void> done = promise.get_future();
  loop.call_later(0ns, [&] { loop.add_callback([&] { promise.set_value(); }); });
  co_await done;
}

BEHAVIOUR("a delay counts from the end of the turn that asks for it: what keeps the loop uses none of it up",
          Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  for (const bool sleeps_after : {true, false}) {
    co_await turn_of_callbacks();
    Future<void> slept = sleep_for(5ms);
    keep_busy(10ms);
    const TimePoint free_again = loop.clock();
    if (!sleeps_after) loop.add_callback([] {});
    co_await std::move(slept);
    expect(loop.clock() - free_again >= 5ms, "five milliseconds from then on");
  }
}

BEHAVIOUR("a delay does not count from the beginning of the turn", Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  co_await turn_of_callbacks();
  keep_busy(10ms);
  const TimePoint begun = loop.clock();
  expect(loop.time() < begun - 5ms, "the turn's own clock stands still");
  co_await sleep_for(5ms);
  expect(loop.clock() - begun >= 5ms, "five milliseconds from then on");
}

BEHAVIOUR("after a sleep the turn's clock is read anew", Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  co_await turn_of_callbacks();
  const TimePoint before = loop.time();
  co_await sleep_for(3ms);
  expect(loop.time() - before >= 3ms, "time() in what a timer woke");
}

BEHAVIOUR("removing a timeout that has fired, or twice, or none at all, is harmless", Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  int fired = 0;
  Timeout timeout = loop.call_later(0ns, [&] { ++fired; });
  Timeout copy = timeout;
  co_await sleep_for(1ms);
  expect(!timeout.pending() && !copy.pending(), "it has fired");
  loop.remove_timeout(timeout);
  loop.remove_timeout(copy);
  Timeout none;
  loop.remove_timeout(none);
  expect_equal(fired, 1);
}

BEHAVIOUR("any copy of a timeout's handle takes it back, and a dropped handle does not", Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  int fired = 0;
  {
    Timeout dropped = loop.call_later(0ns, [&] { ++fired; });
  }
  Timeout one = loop.call_later(0ns, [&] { fired += 10; });
  Timeout other = one;
  loop.remove_timeout(other);
  expect(!one.pending(), "both know");
  co_await sleep_for(1ms);
  expect_equal(fired, 1);
}

BEHAVIOUR("a timer may remove itself while it runs", Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  Timeout own;
  Promise<void> promise;
  Future<void> done = promise.get_future();
  own = loop.call_later(0ns, [&] {
    loop.remove_timeout(own);
    promise.set_value();
  });
  co_await done;
}

BEHAVIOUR("stats count turns, callbacks, timers and what is pending", Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  co_await turn_of_callbacks();
  const LoopStats before = loop.stats();
  Timeout pending = loop.call_later(1h, [] {});
  for (int i = 0; i < 3; ++i) loop.add_callback([] {});
  co_await sleep_for(1ms);
  const LoopStats after = loop.stats();
  expect_equal(after.callbacks - before.callbacks, 3u);
  expect_equal(after.timers - before.timers, 1u);
  expect_equal(after.pending_timers - before.pending_timers, 1u);
  expect(after.turns > before.turns && after.resumptions > before.resumptions, "turns and resumptions");
  loop.remove_timeout(pending);
}
