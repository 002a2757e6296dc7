// retry: the same operation again and again until it succeeds, with growing pauses.
//
//   std::string page = co_await retry(Retry().attempts(5).when(&is_transient), &fetch, url);
#pragma once

#include <functional>
#include <limits>

#include "twinloop/ioloop.h"

namespace twinloop {

// How often, and how long between.  The first pause is `delay`, each further one `factor` times as long, up to `max_delay`.
class Retry {
 public:
  Retry& attempts(unsigned count) { return attempts_ = count, *this; }
  // In all, the first included; 5 if not set.
  Retry& delay(Duration first) { return delay_ = first, *this; }
  // 100 ms if not set.
  Retry& factor(double growth) { return factor_ = growth, *this; }
  // 2 if not set.
  Retry& max_delay(Duration longest) { return max_delay_ = longest, *this; }
  // 10 s if not set.
  Retry& jitter(double share) { return jitter_ = share, *this; }
  // Each pause is shortened by a random part of it, at most this share, so that many that failed together do not come back
  // together; 0.5 if not set, 0 for none.
  Retry& within(Duration total) { return within_ = total, *this; }
  // No pause begins that would end later than that after the first attempt began.  An attempt that is under way is not cut short:
  // with_timeout does that.
  Retry& when(std::function<bool(const Failure&)> worth_it) { return when_ = std::move(worth_it), *this; }
  // Only failures for which this is true are worth another attempt; all are if not set.

  Duration pause_after(unsigned failed_attempts) const;
  // The next pause, its jitter drawn anew.
  bool allows_another(unsigned failed_attempts, const Failure& failure) const;
  Duration total() const noexcept { return within_; }

 private:
  unsigned attempts_ = 5;
  Duration delay_ = std::chrono::milliseconds(100);
  double factor_ = 2;
  Duration max_delay_ = std::chrono::seconds(10);
  double jitter_ = 0.5;
  Duration within_ = Duration::max();
  std::function<bool(const Failure&)> when_;
};

template <class F, class... Args>
std::invoke_result_t<F&, const Args&...> retry(Retry options, F operation, Args... args) {
  const TimePoint last = IOLoop::current().after(options.total());
  for (unsigned failed = 1;; ++failed) {
    auto attempt = std::invoke(operation, std::as_const(args)...);
    auto result = co_await as_result(std::move(attempt));
    if (result.ok()) co_return std::move(result).value();
    if (!options.allows_another(failed, result.failure())) co_await detail::Fail(result.failure());
    const Duration pause = options.pause_after(failed);
    if (IOLoop::current().after(pause) > last) co_await detail::Fail(result.failure());
    co_await sleep_for(pause);
  }
}
// Calls operation(args…), which returns a Future, until one succeeds.  Fails as the last attempt did.  Callable and arguments are
// kept until then; each attempt gets the arguments as const references.  Dropping it cancels the attempt or the pause.

}  // namespace twinloop
