// shield: work that must be finished although the one who waits for it may be cancelled.
#pragma once

#include "twinloop/detail/branch.h"
#include "twinloop/ioloop.h"

namespace twinloop {

namespace detail {

template <class T>
class Shielded final : public Pooled, public OperationBase, private CloseHook {
 public:
  static Future<T> start(Future<T> work) {
    if (!OperationAccess::pending(work)) return work;
    auto* self = new Shielded(std::move(work));
    return OperationAccess::make_future<T>(*self);
  }

 private:
  explicit Shielded(Future<T> work) : OperationBase(&kHooks), work_(std::move(work)) {
    branch_.watch(work_, this);
    IOLoop::current().add_closer(*this);
  }

  static void on_done(Branch& branch) {
    auto& self = static_cast<Shielded&>(*branch.operation());
    self.unlink();
    if (self.attached() && !OperationAccess::failed(self.work_)) return self.reserve();
    const std::unique_ptr<Shielded> owned(&self);  // a failure that nobody waits for any more is logged
    if (self.attached()) self.fail_pending(OperationAccess::take_failure(self.work_));
  }

  void on_loop_close() noexcept override {
    branch_.stop();
    [[maybe_unused]] const Future<T> late = std::move(work_);
    fail_pending(Errc::loop_closed);
    delete this;
  }

  static void on_dropped(OperationBase& operation) noexcept {
    auto& self = static_cast<Shielded&>(operation);
    if (!self.CloseHook::linked()) delete &self;
  }
  static void on_deliver(OperationBase& operation, FutureBase& future) {
    const std::unique_ptr<Shielded> self(&static_cast<Shielded&>(operation));
    OperationAccess::pass(self->work_, future);
  }
  static constexpr Hooks kHooks{&Shielded::on_dropped, &Shielded::on_deliver, nullptr, true};

  Future<T> work_;
  Branch branch_{&Shielded::on_done};
};

}  // namespace detail

template <class T>
Future<T> shield(Future<T> work) {
  return detail::Shielded<T>::start(std::move(work));
}
// What `work` gives.  Dropping this future does not cancel the work: it goes on until it ends or the loop closes.  What it gives
// then is thrown away, a failure is logged.  To look at it again later, share() the work instead and keep a copy.

}  // namespace twinloop
