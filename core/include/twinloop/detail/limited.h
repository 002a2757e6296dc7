// An operation that stands for a future until a limit cuts it short.
#pragma once

#include <memory>

#include "twinloop/detail/branch.h"
#include "twinloop/detail/pool.h"

namespace twinloop::detail {

// `Limit` is armed by its constructor, calls cut(failure) when it is reached, and stands down in lift().
template <class T, class Limit>
class Limited final : public Pooled, public OperationBase, private Limit {
 public:
  template <class... Args>
  static Future<T> start(Future<T>&& work, Args&&... args) {
    if (!OperationAccess::pending(work)) return std::move(work);
    auto* self = new Limited(std::move(work), std::forward<Args>(args)...);
    return OperationAccess::make_future<T>(*self);
  }

 private:
  template <class... Args>
  explicit Limited(Future<T>&& work, Args&&... args)
      : OperationBase(&kHooks), Limit(std::forward<Args>(args)...), work_(std::move(work)) {
    branch_.follow(work_, *this);
  }

  static void on_done(Branch& branch) {
    auto& self = static_cast<Limited&>(*branch.operation());
    self.lift();
    if (OperationAccess::reserved(self.work_)) return self.reserve();
    const std::unique_ptr<Limited> ends(&self);
    auto& future = self.template detach<Future<T>>();
    if (OperationAccess::failed(self.work_))
      return OperationAccess::fail(future, OperationAccess::take_failure(self.work_));
    OperationAccess::pass(self.work_, future);
  }

  // Whoever waits hears of it before the work is destroyed, but runs only afterwards.
  void cut(Failure failure) noexcept override {
    if (!OperationAccess::pending(work_)) return;
    branch_.stop();
    [[maybe_unused]] const Future<T> late = std::move(work_);
    fail_pending(std::move(failure));
    delete this;
  }

  static void on_dropped(OperationBase& operation) noexcept { delete &static_cast<Limited&>(operation); }
  static void on_deliver(OperationBase& operation, FutureBase& future) {
    const std::unique_ptr<Limited> self(&static_cast<Limited&>(operation));
    OperationAccess::pass(self->work_, future);
  }
  static FutureBase* inner(OperationBase& operation) noexcept { return &static_cast<Limited&>(operation).work_; }
  static constexpr Hooks kHooks{&Limited::on_dropped, &Limited::on_deliver, &Limited::inner};

  Future<T> work_;
  Branch branch_{&Limited::on_done};
};

// The limit that is somebody's word: once `signal` is done the work is cancelled.
class Signal : private Branch {
 protected:
  explicit Signal(Future<void> signal) : Branch(&Signal::on_signal), signal_(std::move(signal)) {
    watch(signal_, nullptr);
  }
  ~Signal() { lift(); }
  void lift() noexcept { stop(); }
  virtual void cut(Failure failure) noexcept = 0;

 private:
  static void on_signal(Branch& branch) { static_cast<Signal&>(branch).cut(Errc::cancelled); }
  Future<void> signal_;
};

}  // namespace twinloop::detail
