// The line in which operations wait for their turn: events, conditions, semaphores, queues and rate limiters are built on it.
//
// A Waiting is one operation: a pooled block that stands in its primitive's line until it ends, with a deadline if it has one.  It
// ends in one of four ways, and each takes it out of the line, takes its timer back and frees the block: complete() and fail()
// settle its future at once; serve() sets something aside for it, which it keeps until the coroutine resumes and takes it; and if
// the future goes away first, the primitive is told and takes back what was set aside.  Nothing here ever resumes a coroutine.
#pragma once

#include <memory>

#include "twinloop/detail/list.h"
#include "twinloop/detail/task.h"
#include "twinloop/future.h"

namespace twinloop {

inline constexpr Duration kNoTimeout = Duration::max();

namespace detail {

class Waiting : public Pooled, public ListNode, public OperationBase, private Timer {
 public:
  Waiting() noexcept : Waiting(this) {}
  virtual ~Waiting() = default;

  template <class T, class... Args>
  void complete(Args&&... args) {
    leave();
    OperationAccess::emplace<T>(detach<FutureBase>(), std::forward<Args>(args)...);
    delete this;
  }
  void fail(Failure failure);

 protected:
  template <class Final>
  explicit Waiting(Final*) noexcept : OperationBase(&kHooks<Final>) {}
  // What a final class gives its `this` for, so that delivering to it asks nobody what it is.

  virtual void deliver(FutureBase&) {}
  // Build the result from what was set aside.
  virtual void dropped(bool /*served*/) noexcept {}
  // The future went away before it took its result; if it had been served, what was set aside is for others now.
  virtual void time_out() { fail(Errc::timeout); }

 private:
  template <class>
  friend class WaitLine;

  template <class Final>
  static void on_dropped(OperationBase& operation) noexcept {
    const std::unique_ptr<Final> self(&static_cast<Final&>(operation));
    self->leave();
    self->dropped(self->served_);
  }
  template <class Final>
  static void on_deliver(OperationBase& operation, FutureBase& future) {
    const std::unique_ptr<Final> self(&static_cast<Final&>(operation));
    self->leave();
    self->deliver(future);
  }
  template <class Final>
  static constexpr Hooks kHooks{&Waiting::on_dropped<Final>, &Waiting::on_deliver<Final>};

  void fire() override { time_out(); }
  void expire() noexcept override { fail(Errc::loop_closed); }

  void set_deadline(Duration timeout);
  // Fails it when the loop is closed.
  void leave() noexcept {
    unlink();
    if (scheduled()) cancel_deadline();
  }
  void cancel_deadline() noexcept;

  IOLoop* loop_ = nullptr;  // whose timer it is, if it has a deadline
  bool served_ = false;
};

// First come, first served.  What is destroyed under waiters fails them with `cancelled`; those already served keep what they got.
template <class W>
class WaitLine {
 public:
  WaitLine() noexcept = default;
  ~WaitLine() {
    fail_all(Errc::cancelled);
    while (!served_.empty()) served_.front().deliver_now();
  }

  bool empty() const noexcept { return waiting_.empty(); }
  W& front() noexcept { return waiting_.front(); }

  template <class T, class... Args>
  Future<T> enter(Duration timeout, Args&&... args) {
    W& waiting = *new W(std::forward<Args>(args)...);
    waiting_.push_back(waiting);
    Future<T> future = OperationAccess::make_future<T>(waiting);
    if (timeout != kNoTimeout) waiting.set_deadline(timeout);
    return future;
  }
  // Behind all others, with a W made from the arguments.  Throws Error(loop_closed) for a timeout on a thread without a loop.

  void serve_front() noexcept {
    W& waiting = front();
    waiting.leave();
    waiting.served_ = true;
    served_.push_back(waiting);
    waiting.reserve();
  }
  // Wakes the first one, for which something was set aside.

  template <class T>
  void complete_all() {
    while (!empty()) front().template complete<T>();
  }
  void fail_all(const Failure& failure) noexcept {
    while (!empty()) front().fail(failure);
  }

 private:
  List<W> waiting_;
  List<W> served_;
};

}  // namespace detail
}  // namespace twinloop
