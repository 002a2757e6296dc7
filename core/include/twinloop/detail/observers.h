// Who watches a loop's steps, and how a step is measured for them.
#pragma once

#include <memory>
#include <utility>

#include "twinloop/trace.h"

namespace twinloop {

class Waiter;

namespace detail {

constexpr unsigned kStepsBetweenLooks = 16;

class Observers {
 public:
  bool any() const noexcept { return TWINLOOP_INSPECTION && !list_.empty(); }
  void add(StepObserver& observer) noexcept { list_.push_back(observer); }
  void attach(const Backend& backend) noexcept { backend_ = &backend; }
  TimePoint clock() const noexcept { return backend_->now(); }
  void tell(const Step& step) noexcept;

 private:
  List<StepObserver> list_;
  const Backend* backend_ = nullptr;
};

#if TWINLOOP_INSPECTION
// Measures what happens while it lives, for those who watch.
class ObservedStep {
 public:
  ObservedStep(Observers& observers, StepKind kind, const Origin& origin) noexcept
      : observers_(observers), step_{kind, origin, observers.clock(), {}} {}
  ObservedStep(const ObservedStep&) = delete;
  ObservedStep& operator=(const ObservedStep&) = delete;
  ~ObservedStep() {
    step_.ended = observers_.clock();
    observers_.tell(step_);
  }

 private:
  Observers& observers_;
  Step step_;
};
#else
struct ObservedStep {
  ObservedStep(const Observers&, StepKind, const Origin&) noexcept {}
};
#endif

// IOLoop::set_blocking_log_threshold.
class BlockingWatch final : private StepObserver {
 public:
  BlockingWatch(Observers& observers, Duration threshold, Function<void(const Step&)> report);

 private:
  void on_step(const Step& step) override;

  const Duration threshold_;
  const std::shared_ptr<Function<void(const Step&)>> report_;
};

void log_failed_step(StepKind kind, const Origin& origin) noexcept;
// Logs the exception that is being handled.

}  // namespace detail
}  // namespace twinloop
