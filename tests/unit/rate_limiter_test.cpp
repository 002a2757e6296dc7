// The pace of a RateLimiter to the nanosecond, which takes a clock that jumps.
#include <catch2/catch_test_macros.hpp>
#include <vector>

#include "twinloop/ioloop.h"
#include "twinloop/rate_limiter.h"
#include "twinloop/testing.h"

using namespace std::chrono_literals;
using namespace twinloop;

namespace {

Duration since(TimePoint start) { return IOLoop::current().clock() - start; }

Future<void> begin_six(std::vector<Duration>& offsets) {
  RateLimiter limiter(3, 1s, 2);
  const TimePoint start = IOLoop::current().clock();
  for (int i = 0; i < 6; ++i) {
    co_await limiter.acquire();
    offsets.push_back(since(start));
  }
}

Future<Duration> drop_five_before_one() {
  RateLimiter limiter(1, 1h);
  co_await limiter.acquire();
  const TimePoint start = IOLoop::current().clock();
  std::vector<Future<void>> others;
  for (int i = 0; i < 5; ++i) others.push_back(limiter.acquire());
  Future<void> last = limiter.acquire();
  others.clear();
  co_await std::move(last);
  co_return since(start);
}

Future<Duration> time_out_before_one() {
  RateLimiter limiter(1, 1h);
  co_await limiter.acquire();
  const TimePoint start = IOLoop::current().clock();
  Future<void> impatient = limiter.acquire(1min);
  Future<void> last = limiter.acquire();
  const Result<void> result = co_await as_result(std::move(impatient));
  if (result.ok()) co_return Duration(0);
  co_await std::move(last);
  co_return since(start);
}

}  // namespace

TEST_CASE("a rate limiter begins its burst at once and the rest when each is due") {
  IOLoop loop(std::make_unique<testing::ManualBackend>());
  std::vector<Duration> offsets;
  loop.run_sync([&] { return begin_six(offsets); });
  REQUIRE(offsets.size() == 6);
  constexpr Duration kThird(333'333'334);  // rounded up: never too fast
  for (int i = 0; i < 6; ++i) {
    const Duration due = i < 2 ? Duration(0) : (i - 1) * kThird;
    CHECK(offsets[static_cast<std::size_t>(i)] >= due);
    CHECK(offsets[static_cast<std::size_t>(i)] < due + 1ms);
  }
}

TEST_CASE("operations that are dropped while they wait for a rate limiter leave no gap") {
  IOLoop loop(std::make_unique<testing::ManualBackend>());
  const Duration waited = loop.run_sync(&drop_five_before_one);
  CHECK(waited >= 1h);
  CHECK(waited < 61min);
}

TEST_CASE("an operation that times out waiting for a rate limiter leaves no gap") {
  IOLoop loop(std::make_unique<testing::ManualBackend>());
  const Duration waited = loop.run_sync(&time_out_before_one);
  CHECK(waited >= 1h);
  CHECK(waited < 61min);
}
