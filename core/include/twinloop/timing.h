// Time limits on work.  They really cancel: what did not finish in time is destroyed where it waits, and a read that was given up
// leaves its bytes in the stream.
#pragma once

#include <array>

#include "twinloop/ioloop.h"

namespace twinloop {

namespace detail {

// Wakes one coroutine when the first of two futures is done.  Lives in that coroutine's frame.
class FirstOf {
 public:
  FirstOf(FutureBase& a, FutureBase& b) noexcept : branches_{Branch(a), Branch(b)} {}
  ~FirstOf() {
    for (Branch& branch : branches_) branch.stop();
  }
  FirstOf(const FirstOf&) = delete;
  FirstOf& operator=(const FirstOf&) = delete;

  bool await_ready() noexcept {
    const bool done = branches_[0].future.done() || branches_[1].future.done();
    return done && Scheduler::current().continue_inline();
  }
  void await_suspend(Waiter& waiter) noexcept {
    for (Branch& branch : branches_) branch.watch(waiter);
  }
  void await_resume() noexcept {
    for (Branch& branch : branches_) branch.stop();
  }

 private:
  class Branch : public Waiter {
   public:
    explicit Branch(FutureBase& f) noexcept : Waiter(&Branch::run), future(f) {}
    void watch(Waiter& waiter) noexcept {
      target_ = &waiter;
      if (future.done()) return wake();
      OperationAccess::attach(future, *this);
      watching_ = true;
    }
    void stop() noexcept {
      if (std::exchange(watching_, false)) OperationAccess::detach_waiter(future);
      unlink();
    }
    FutureBase& future;

   private:
    static void run(Waiter& waiter) { static_cast<Branch&>(waiter).target_->wake(); }
    Waiter* target_ = nullptr;
    bool watching_ = false;
  };

  std::array<Branch, 2> branches_;
};

}  // namespace detail

template <class T>
Future<T> with_deadline(TimePoint when, Future<T> work) {
  Future<void> timer = sleep_until(when);
  if (!work.done()) {
    detail::FirstOf first(work, timer);
    co_await first;
  }
  if (!work.done()) {
    work = Future<T>();
    const Result<void> rung = timer.take_result();  // fails when it was not the time that came but the loop's end
    co_await detail::Fail(rung.ok() ? Failure(Errc::timeout) : rung.failure());
  }
  Result<T> result = co_await as_result(std::move(work));
  if (!result.ok()) co_await detail::Fail(result.failure());
  co_return std::move(result).value();
}
// What `work` gives, or TimeoutError once that time has come: then the work is cancelled.  A result that exists wins over the
// deadline.

template <class T>
Future<T> with_timeout(Duration timeout, Future<T> work) {
  return with_deadline(IOLoop::current().after(timeout), std::move(work));
}

}  // namespace twinloop
