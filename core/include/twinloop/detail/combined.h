// What all, any and race are made of: one pooled block that holds the futures, watches them, and completes as its Rule says.
#pragma once

#include <limits>
#include <memory>

#include "twinloop/detail/children.h"

namespace twinloop::detail {

enum class Verdict { wait, succeed, fail };

// A Rule says with verdict(failed, left, failures) what the completion of one future means, `left` being how many are still
// under way and `failures` how many have failed; with kOne whether the value is that of one future or of all; with kInTime
// whether the failure is that of the future that completed or of the first in order.
template <class Rule, class Children>
class Combined final : public Pooled, public OperationBase {
 public:
  using Value = std::conditional_t<Rule::kOne, typename Children::One, typename Children::All>;

  static Future<Value> start(Children children, const Quiet& quiet) {
    auto* self = new Combined(std::move(children), quiet);
    Future<Value> future = OperationAccess::make_future<Value>(*self);
    self->begin();
    return future;
  }

 private:
  static constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();

  struct Arm : Branch {
    Arm() noexcept : Branch(&Combined::on_done) {}
  };

  Combined(Children children, const Quiet& quiet)
      : OperationBase(&kHooks),
        quiet_(quiet),
        children_(std::move(children)),
        arms_(make_arms()),
        left_(children_.size()) {}

  typename Children::template Arms<Arm> make_arms() const {
    if constexpr (requires { Children::kSize; }) {
      return {};
    } else {
      return typename Children::template Arms<Arm>(children_.size());
    }
  }

  // Those that are done already count in the order in which they were given.
  void begin() {
    for (std::size_t index = 0; index < children_.size(); ++index) {
      if (OperationAccess::pending(children_[index])) continue;
      if (completed(index)) return;
    }
    for (std::size_t index = 0; index < children_.size(); ++index) {
      if (OperationAccess::pending(children_[index])) arms_[index].watch(children_[index], this);
    }
  }

  static void on_done(Branch& branch) {
    auto& self = static_cast<Combined&>(*branch.operation());
    self.completed(static_cast<std::size_t>(static_cast<Arm*>(&branch) - self.arms_.data()));
  }

  // True when that settles the matter; this may be gone then.
  bool completed(std::size_t index) {
    const bool failed = OperationAccess::failed(children_[index]);
    --left_;
    if (failed) ++failures_;
    switch (Rule::verdict(failed, left_, failures_)) {
      case Verdict::wait:
        return false;
      case Verdict::succeed:
        succeed(index);
        return true;
      case Verdict::fail:
        fail(index);
        return true;
    }
    return false;
  }

  // The losers end before the winner's waiter runs.  One of them may drop that waiter meanwhile.
  void succeed(std::size_t index) {
    for (Arm& arm : arms_) arm.stop();
    if constexpr (Rule::kOne) {
      winner_ = index;
      discarding_ = true;
      children_.discard_but(index, quiet_);
      discarding_ = false;
      if (!attached()) return delete this;
    }
    reserve();
  }

  void fail(std::size_t index) {
    const std::unique_ptr<Combined> self(this);
    fail_pending(OperationAccess::take_failure(children_[Rule::kInTime ? index : first_failure()]));
    for (Arm& arm : arms_) arm.stop();
    children_.discard_but(kNone, quiet_);
  }

  std::size_t first_failure() noexcept {
    std::size_t index = 0;
    while (!OperationAccess::failed(children_[index])) ++index;
    return index;
  }

  static void on_dropped(OperationBase& operation) noexcept {
    auto& self = static_cast<Combined&>(operation);
    if (self.discarding_) return;
    const std::unique_ptr<Combined> owned(&self);
    for (Arm& arm : self.arms_) arm.stop();
    self.children_.discard_but(kNone, self.quiet_);
  }

  static void on_deliver(OperationBase& operation, FutureBase& future) {
    const std::unique_ptr<Combined> self(&static_cast<Combined&>(operation));
    if constexpr (Rule::kOne) {
      self->children_.deliver_one(self->winner_, future);
    } else {
      self->children_.deliver_all(future);
    }
  }

  static constexpr Hooks kHooks{&Combined::on_dropped, &Combined::on_deliver, nullptr, true};

  Quiet quiet_;
  Children children_;
  typename Children::template Arms<Arm> arms_;
  std::size_t left_;
  std::size_t failures_ = 0;
  std::size_t winner_ = kNone;
  bool discarding_ = false;
};

}  // namespace twinloop::detail
