// How an operation waits for futures of others: time limits, all, race, a group of tasks stand on it.
#pragma once

#include "twinloop/future.h"

namespace twinloop::detail {

// The wait for one future on behalf of an operation.  Calls `done` from the ready queue once that future is done, never at once.
// Destroy it before the future.
class Branch : public Waiter {
 public:
  using Done = void (*)(Branch&);
  explicit Branch(Done done) noexcept : Waiter(&Branch::run), done_(done) {}
  Branch(const Branch&) = delete;
  Branch& operator=(const Branch&) = delete;
  ~Branch() { stop(); }

  void watch(FutureBase& future, OperationBase* operation) noexcept;
  void follow(FutureBase& future, OperationBase& operation) noexcept;
  // As watch, but a value is told at once, from within what completes the future, unless that is itself an operation that stands
  // for another: for a `done` that then only reserves.
  // Until it is done the future stays where it is.  Whoever awaits the operation counts as waiting for that future.
  void stop() noexcept;

  OperationBase* operation() const noexcept { return operation_; }

 private:
  friend class ::twinloop::CoroutineBase;
  static void run(Waiter& waiter);

  Done done_;
  OperationBase* operation_ = nullptr;
};

}  // namespace twinloop::detail
