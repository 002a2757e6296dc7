// PeriodicCallback: something to be done again and again, on a fixed grid of times (Tornado's).
#pragma once

#include <memory>
#include <random>

#include "twinloop/ioloop.h"

namespace twinloop {

class PeriodicCallback final : private detail::Timer, private Waiter {
 public:
  template <class F>
  PeriodicCallback(F&& callback, Duration period, double jitter = 0, Origin origin = {})
      : PeriodicCallback(std::make_shared<std::decay_t<F>>(std::forward<F>(callback)), &beat<std::decay_t<F>>, period,
                         jitter, origin) {}
  // Calls a function or a coroutine.  The first time is one period after start(), the next ones are multiples of the period after
  // that, measured from beginning to beginning.  A coroutine is waited for; times that pass while it runs, or while the loop is kept
  // by something else, are left out.  With a jitter of 0.1 each period is a random one between 95 % and 105 %.
  //
  // What it throws is logged, and it goes on.  Throws Error(limit) when the period is not positive or the jitter not from 0 to 1.

  ~PeriodicCallback();
  // Also from inside the callback.  A coroutine that is under way is cancelled.

  PeriodicCallback(const PeriodicCallback&) = delete;
  PeriodicCallback& operator=(const PeriodicCallback&) = delete;

  void start();
  // On the thread's current loop.  Harmless when it is running.
  void stop() noexcept;
  // Not called any more; a coroutine that is under way goes on to its end.  Legal from inside the callback.
  bool is_running() const noexcept { return loop_ != nullptr; }

 private:
  struct LoopEnd final : detail::CloseHook {
    explicit LoopEnd(PeriodicCallback& o) noexcept : owner(o) {}
    void on_loop_close() noexcept override { owner.on_loop_close(); }
    PeriodicCallback& owner;
  };
  using Beat = Future<void> (*)(std::shared_ptr<void> callback);

  PeriodicCallback(std::shared_ptr<void> callback, Beat begin, Duration period, double jitter, const Origin& origin);

  // Its frame keeps the callable until that has run, even when it destroys the PeriodicCallback.
  template <class F>
  static Future<void> beat(std::shared_ptr<void> callback) {
    F& function = *static_cast<F*>(callback.get());
    if constexpr (ReturnsFuture<F&>) {
      Future<void> running = function();
      co_await std::move(running);
    } else {
      function();
      co_return;
    }
  }

  void fire() override;
  void expire() noexcept override {}
  Origin origin() const noexcept override { return origin_; }
  static void on_done(Waiter& waiter);
  void on_loop_close() noexcept;
  void finish_beat();
  void schedule_next();
  Duration next_period();

  const std::shared_ptr<void> callback_;
  const Beat begin_;
  const Duration period_;
  const double jitter_;
  const Origin origin_;
  std::minstd_rand random_;
  IOLoop* loop_ = nullptr;  // null while stopped
  LoopEnd loop_end_{*this};
  TimePoint next_{};
  Future<void> beat_;          // what is under way
  bool* destroyed_ = nullptr;  // while the callback is called
};

namespace detail {
TimePoint next_beat(TimePoint last, Duration period, TimePoint now) noexcept;
// The first time after `now` on the grid that `last` and `period` make, and not before last + period.
}  // namespace detail

}  // namespace twinloop
