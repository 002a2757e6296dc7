// How an operation waits for futures of others: time limits, all, race, a group of tasks stand on it.
#pragma once

#include "twinloop/future.h"

namespace twinloop::detail {

// The wait for one future on behalf of an operation.  Calls `done` from the ready queue once that future is done.
// Destroy it before the future.
class Branch : public Waiter {
 public:
  using Done = void (*)(Branch&);
  explicit Branch(Done done) noexcept : Waiter(&Branch::run), done_(done) {}
  Branch(const Branch&) = delete;
  Branch& operator=(const Branch&) = delete;
  ~Branch() { stop(); }

  void watch(FutureBase& future, OperationBase* operation) noexcept;
  // Until it is done the future stays where it is.  Whoever awaits the operation counts as waiting for that future.
  void follow(FutureBase& future, OperationBase& operation) noexcept;
  // As watch, for a `done` that runs nobody's code: a value is told at once, from within what completes the future.  Not where that
  // future's operation stands for another one, so that the stack stays flat.
  void stop() noexcept;

  OperationBase* operation() const noexcept { return operation_; }

 private:
  friend class ::twinloop::CoroutineBase;
  static void run(Waiter& waiter);

  Done done_;
  OperationBase* operation_ = nullptr;
};

}  // namespace twinloop::detail
