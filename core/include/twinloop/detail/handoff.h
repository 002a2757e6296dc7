// Items that one coroutine at a time takes, in order.  An item stays in the queue until its taker really has it: a taker that is
// dropped between being woken and resuming leaves it for the next.
#pragma once

#include <deque>
#include <utility>

#include "twinloop/future.h"

namespace twinloop::detail {

template <class T>
class Handoff final : private OperationBase {
 public:
  Handoff() noexcept : OperationBase(&kHooks) {}
  ~Handoff() {
    deliver_now();
    fail_pending(Errc::cancelled);
  }

  Future<T> take() {
    if (pending()) return Future<T>::failed(Errc::busy);
    deliver_now();
    if (items_.empty() && closed_) return Future<T>::failed(failure_);
    Future<T> future = OperationAccess::make_future<T>(*this);
    if (!items_.empty()) reserve();
    return future;
  }

  void put(T item) {
    items_.push_back(std::move(item));
    if (pending()) reserve();
  }

  void close(Failure failure) {
    closed_ = true;
    failure_ = failure;
    if (pending()) fail_pending(std::move(failure));
  }
  // What is queued can still be taken; then takers fail with this.

  void fail(Failure failure) {
    if (pending()) fail_pending(std::move(failure));
  }
  // The one who waits fails; others may come.

  void clear() noexcept {
    deliver_now();  // it was taken already
    items_.clear();
  }
  std::size_t size() const noexcept { return items_.size(); }
  bool closed() const noexcept { return closed_; }
  bool awaited() const noexcept { return pending(); }

 private:
  static void on_dropped(OperationBase&) noexcept {}
  static void on_deliver(OperationBase& operation, FutureBase& future) {
    auto& self = static_cast<Handoff&>(operation);
    T item = std::move(self.items_.front());
    self.items_.pop_front();
    OperationAccess::emplace<T>(future, std::move(item));
  }
  static constexpr Hooks kHooks{&Handoff::on_dropped, &Handoff::on_deliver};

  std::deque<T> items_;
  Failure failure_;
  bool closed_ = false;
};

}  // namespace twinloop::detail
