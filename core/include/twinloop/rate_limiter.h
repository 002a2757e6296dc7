// RateLimiter: so many operations in so much time, for calling a service that allows no more.
#pragma once

#include <cstddef>

#include "twinloop/detail/wait_line.h"
#include "twinloop/future.h"

namespace twinloop {

class RateLimiter final : private detail::Timer {
 public:
  RateLimiter(std::size_t operations, Duration period, std::size_t burst = 1);
  // Lets an operation begin every period / operations.  After a pause up to `burst` of them may begin at once: with 1 they are
  // evenly spaced and no period ever sees more than `operations`; with more it makes up for pauses and for late timers.
  //
  // Throws Error(limit) when one of the three is not positive.

  ~RateLimiter();
  RateLimiter(const RateLimiter&) = delete;
  RateLimiter& operator=(const RateLimiter&) = delete;

  Future<void> acquire(Duration timeout = kNoTimeout);
  // Completes when the operation may begin, at once if it may now; first come, first served.  Fails with TimeoutError; with
  // Error(cancelled) when the limiter is destroyed, with Error(loop_closed) when the loop is.  Dropped before its coroutine has
  // resumed, it counts for nothing: the next one begins in its place.

  bool try_acquire();
  // Whether the operation may begin now; if so it is counted.

 private:
  class Wait final : public detail::Waiting {
   public:
    explicit Wait(RateLimiter& limiter) noexcept : limiter_(limiter) {}

   private:
    void deliver(FutureBase& future) override;
    void dropped(bool served) noexcept override;
    void time_out() override;
    RateLimiter& limiter_;
  };

  void fire() override { serve(); }
  void expire() noexcept override;
  bool take(TimePoint now) noexcept;
  TimePoint next_at() const noexcept { return full_at_ - allowance_; }
  void serve() noexcept;

  const Duration interval_;
  const Duration allowance_;  // how far ahead of an even pace a burst may be
  TimePoint full_at_{};       // when a whole burst may begin again: each operation moves it by one interval
  IOLoop* loop_ = nullptr;    // whose clock and timer it is, while somebody waits
  detail::WaitLine<Wait> line_;
};

}  // namespace twinloop
