// RateLimiter: the pace, its order, and what dropping and destroying must not break.
#include "twinloop/rate_limiter.h"

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "twinloop/ioloop.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

Future<void> note_start(Future<void> turn, std::vector<TimePoint>& starts) {
  co_await std::move(turn);
  starts.push_back(IOLoop::current().clock());
}

template <class Function>
bool refused(Function function) {
  try {
    function();
  } catch (const Error& error) {
    return error.reason() == Errc::limit;
  }
  return false;
}

}  // namespace

BEHAVIOUR("a rate limiter lets operations begin evenly, in the order in which they came", Needs::nothing) {
  RateLimiter limiter(1000, 1s);
  const TimePoint before = IOLoop::current().clock();
  std::vector<TimePoint> starts;
  std::vector<Future<void>> operations;
  for (int i = 0; i < 5; ++i) operations.push_back(note_start(limiter.acquire(), starts));
  expect_equal(starts.size(), 1U);
  for (Future<void>& operation : operations) co_await std::move(operation);
  for (std::size_t i = 0; i < starts.size(); ++i) {
    expect(starts[i] - before >= static_cast<Duration::rep>(i) * Duration(1ms), "never faster than 1,000 a second");
  }
}

BEHAVIOUR("a rate limiter begins a burst at once, and again after a pause", Needs::nothing) {
  RateLimiter limiter(1000, 1s, 3);
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 3; ++i) {
      Future<void> operation = limiter.acquire();
      expect(operation.done(), "within the burst");
      co_await std::move(operation);
    }
    co_await sleep_for(3ms);
  }
}

BEHAVIOUR("a rate limiter refuses to hurry: try_acquire beyond the burst is false", Needs::nothing) {
  RateLimiter limiter(1, 1h, 2);
  expect(limiter.try_acquire() && limiter.try_acquire() && !limiter.try_acquire(), "two and no more");
  co_return;
}

BEHAVIOUR("try_acquire does not overtake those who wait", Needs::nothing) {
  RateLimiter limiter(1000, 1s);
  expect(limiter.try_acquire(), "the first");
  Future<void> waiting = limiter.acquire();
  co_await sleep_for(0s);
  expect(waiting.done() || !limiter.try_acquire(), "it is the other one's turn");
  co_await std::move(waiting);
}

BEHAVIOUR("an operation whose turn came, but which was dropped before it resumed, counts for nothing", Needs::nothing) {
  RateLimiter limiter(1, 1h);
  Future<void> first = limiter.acquire();
  Future<void> second = limiter.acquire();
  expect(first.done() && !second.done(), "one may begin");
  first = Future<void>();
  expect(second.done(), "the other begins in its place");
  second = Future<void>();
  expect(limiter.try_acquire(), "nobody did");
  expect(!limiter.try_acquire(), "now somebody did");
  co_return;
}

BEHAVIOUR("waiting for a rate limiter can time out and counts for nothing then", Needs::nothing) {
  RateLimiter limiter(1, 1h);
  co_await limiter.acquire();
  co_await sleep_for(0s);
  const std::size_t timers_before = IOLoop::current().stats().pending_timers;
  co_await expect_failure(limiter.acquire(1ms), Errc::timeout);
  expect_equal(IOLoop::current().stats().pending_timers, timers_before);
  co_await expect_failure(with_timeout(1ms, limiter.acquire()), Errc::timeout);
  expect_equal(IOLoop::current().stats().pending_timers, timers_before);
}

BEHAVIOUR("a rate limiter destroyed under its waiters fails them with cancelled", Needs::nothing) {
  auto limiter = std::make_unique<RateLimiter>(1, 1h);
  Future<void> served = limiter->acquire();
  Future<void> waiting = limiter->acquire();
  Future<void> dropped = limiter->acquire();
  Future<void> timed = limiter->acquire(2h);
  const std::size_t timers = IOLoop::current().stats().pending_timers;
  limiter.reset();
  dropped = Future<void>();
  expect_equal(IOLoop::current().stats().pending_timers, timers - 2);
  co_await std::move(served);
  co_await expect_failure(std::move(waiting), Errc::cancelled);
  co_await expect_failure(std::move(timed), Errc::cancelled);
}

BEHAVIOUR("an operation whose turn came may be dropped after its rate limiter is gone", Needs::nothing) {
  auto limiter = std::make_unique<RateLimiter>(1, 1h);
  Future<void> served = limiter->acquire();
  expect(served.done(), "it may begin");
  limiter.reset();
  served = Future<void>();
  co_return;
}

BEHAVIOUR("a rate limiter outlives its loop, whose end fails the waiters", Needs::nothing) {
  RateLimiter limiter(1, 1h);
  Future<void> served;
  Future<void> waiting;
  IOLoop& outer = IOLoop::current();
  {
    IOLoop inner(std::make_unique<ManualBackend>());
    inner.make_current();
    served = limiter.acquire();
    waiting = limiter.acquire();
    outer.make_current();
  }
  outer.make_current();
  co_await expect_failure(std::move(waiting), Errc::loop_closed);
  served = Future<void>();  // touches no loop
}

BEHAVIOUR("a rate limiter's pace and burst may be as long and as large as they like", Needs::nothing) {
  RateLimiter unlimited(std::numeric_limits<std::size_t>::max(), Duration::max());
  expect(unlimited.try_acquire(), "the first");
  RateLimiter once(1, Duration::max());
  expect(once.try_acquire(), "the first");
  expect(!once.try_acquire(), "and then never again");
  RateLimiter daily(1, 24h, 1'000'000);
  for (int i = 0; i < 10; ++i) expect(daily.try_acquire(), "of its burst");
  co_return;
}

BEHAVIOUR("a rate limiter of nothing is refused", Needs::nothing) {
  expect(refused([] { RateLimiter limiter(0, 1s); }), "no operations");
  expect(refused([] { RateLimiter limiter(1, 0s); }), "no time");
  expect(refused([] { RateLimiter limiter(1, 1s, 0); }), "no burst");
  co_return;
}
