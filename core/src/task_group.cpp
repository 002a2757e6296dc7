#include "twinloop/task_group.h"

#include <memory>

namespace twinloop {

TaskGroup::~TaskGroup() {
  while (size_ > 0) cancel();  // again if a destructor spawned
  if (failure_) detail::log_unseen(failure_);
}

TaskGroup::Child& TaskGroup::add() {
  auto* child = new Child(*this);
  children_.push_back(*child);
  ++size_;
  return *child;
}

void TaskGroup::spawn(Future<void> work) {
  if (failure_) return;
  start(add(), std::move(work));
}

// Its first run may have cancelled or even destroyed the group: then the child has none any more.
void TaskGroup::start(Child& child, Future<void> work) {
  child.starting_ = false;
  if (child.group_ == nullptr) {
    const std::unique_ptr<Child> cancelled(&child);
    child.work_ = std::move(work);
    return;
  }
  child.work_ = std::move(work);
  child.completion_.watch(child.work_, &child.group_->join_);
}

void TaskGroup::Child::on_done(detail::Branch& branch) {
  Child& child = static_cast<Completion&>(branch).child;
  child.group_->ended(child);
}

void TaskGroup::ended(Child& child) {
  const std::unique_ptr<Child> owned(&child);
  child.unlink();
  --size_;
  if (detail::OperationAccess::failed(child.work_)) {
    Failure failure = detail::OperationAccess::take_failure(child.work_);
    if (failure_) return detail::log_unseen(failure);
    failure_ = std::move(failure);
    return cancel();
  }
  if (size_ == 0) report();
}

// What one of them destroys on its way may destroy the others or the group itself.
void TaskGroup::cancel() noexcept {
  detail::List<Child> cancelled;
  cancelled.append(children_);
  cancelled.for_each([](Child& child) { child.group_ = nullptr; });
  size_ = 0;
  report();
  while (!cancelled.empty()) {
    Child& child = cancelled.back();
    child.unlink();
    if (!child.starting_) delete &child;
  }
}

void TaskGroup::report() {
  if (!join_.attached()) return;
  if (!failure_) return join_.complete();
  join_.fail_pending(std::exchange(failure_, Failure()));
}

Future<void> TaskGroup::join() {
  if (join_.attached()) return Future<void>::failed(Errc::busy);
  Future<void> future = detail::OperationAccess::make_future<void>(join_);
  if (size_ == 0) report();
  return future;
}

}  // namespace twinloop
