#include "twinloop/rate_limiter.h"

#include <algorithm>

#include "durations.h"
#include "twinloop/ioloop.h"

namespace twinloop {
namespace {

// Rounded up: never faster than what was asked for.
Duration interval_of(std::size_t operations, Duration period) {
  if (operations == 0 || period <= Duration::zero())
    throw_error(Errc::limit, "RateLimiter: operations and period must be positive");
  const auto count = static_cast<std::uint64_t>(operations);
  return Duration(static_cast<Duration::rep>((static_cast<std::uint64_t>(period.count()) - 1) / count + 1));
}

Duration allowance_of(std::size_t burst, Duration interval) {
  if (burst == 0) throw_error(Errc::limit, "RateLimiter: the burst must be positive");
  if (burst - 1 > static_cast<std::uint64_t>(Duration::max() / interval)) return Duration::max();
  return interval * static_cast<Duration::rep>(burst - 1);
}

}  // namespace

RateLimiter::RateLimiter(std::size_t operations, Duration period, std::size_t burst)
    : interval_(interval_of(operations, period)), allowance_(allowance_of(burst, interval_)) {}

RateLimiter::~RateLimiter() {
  if (scheduled()) loop_->remove_timer(*this);
}

Future<void> RateLimiter::acquire(Duration timeout) {
  if (line_.empty()) loop_ = &IOLoop::current();
  if (loop_->closed()) return Future<void>::failed(Errc::loop_closed);
  Future<void> future = line_.enter<void>(timeout, *this);
  serve();
  return future;
}

bool RateLimiter::try_acquire() { return line_.empty() && take(IOLoop::current().clock()); }

bool RateLimiter::take(TimePoint now) noexcept {
  if (next_at() > now) return false;
  full_at_ = later(std::max(full_at_, now), interval_);
  return true;
}

void RateLimiter::serve() noexcept {
  if (scheduled()) loop_->remove_timer(*this);
  if (line_.empty()) return;
  const TimePoint now = loop_->clock();
  while (!line_.empty() && take(now)) line_.serve_front();
  if (!line_.empty()) loop_->add_timer(*this, next_at());
}

void RateLimiter::expire() noexcept { line_.fail_all(Errc::loop_closed); }

void RateLimiter::Wait::deliver(FutureBase& future) { detail::OperationAccess::emplace<void>(future); }

void RateLimiter::Wait::dropped(bool served) noexcept {
  if (served) limiter_.full_at_ -= limiter_.interval_;
  limiter_.serve();
}

void RateLimiter::Wait::time_out() {
  RateLimiter& limiter = limiter_;
  fail(Errc::timeout);
  limiter.serve();
}

}  // namespace twinloop
