// TaskGroup: several coroutines with one owner.  Nothing outlives it; the first failure cancels the rest.
//
//   TaskGroup group;
//   for (IOStream& stream : streams) group.spawn(&relay, std::ref(stream));
//   co_await group.join();
#pragma once

#include <functional>

#include "twinloop/detail/branch.h"
#include "twinloop/detail/pool.h"

namespace twinloop {

class TaskGroup {
 public:
  TaskGroup() noexcept = default;
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  ~TaskGroup();
  // Cancels all, newest first; a pending join() fails with `cancelled`.  A failure that no join() has reported is logged.

  template <class F, class... Args>
  void spawn(F&& work, Args&&... args);
  // Starts a coroutine.  Callable and arguments are kept, moved or copied, until it ends.  Once one has failed, what is spawned is
  // dropped at once, until join() has reported the failure.
  void spawn(Future<void> work);

  Future<void> join();
  // Completes when none is left, those included that are spawned meanwhile, and fails with the first failure once all others have
  // ended.  The group may then be used again.  One at a time (`busy`); dropping it changes nothing.

  void cancel() noexcept;
  // Ends all, newest first, before it returns.  The one that calls it, or whom it works for, ends at its next co_await; until then
  // it may use what belongs to its own frame and to those that await it, the arguments of spawn() among them.  join() completes.

  std::size_t size() const noexcept { return size_; }
  // How many are under way.

 private:
  class Child;
  class Join final : public detail::OperationBase {
   public:
    Join() noexcept : OperationBase(&kHooks) {}
    ~Join() { fail_pending(Errc::cancelled); }
    void complete() {
      if (attached()) detail::OperationAccess::emplace<void>(detach<FutureBase>());
    }

   private:
    static void on_dropped(OperationBase&) noexcept {}
    static constexpr Hooks kHooks{&Join::on_dropped, nullptr, nullptr, true};
  };

  // Keeps the callable in a frame that awaits the coroutine, so that it lives as long as that runs.
  template <class F, class... Args>
  static Future<void> keep(F work, Args... args) {
    Future<void> running = std::invoke(work, std::move(args)...);
    co_await std::move(running);
  }

  Child& add();
  static void start(Child& child, Future<void> work);
  void ended(Child& child);
  void report();

  Join join_;
  detail::List<Child> children_;
  std::size_t size_ = 0;
  Failure failure_;
};

class TaskGroup::Child final : public detail::Pooled, public detail::ListNode {
 public:
  explicit Child(TaskGroup& group) noexcept : group_(&group) {}

 private:
  friend class TaskGroup;
  static void on_done(detail::Branch& branch);

  struct Completion : detail::Branch {
    explicit Completion(Child& c) noexcept : Branch(&Child::on_done), child(c) {}
    Child& child;
  };

  TaskGroup* group_;  // null once the group has let go of it
  bool starting_ = true;
  Future<void> work_;
  Completion completion_{*this};
};

template <class F, class... Args>
void TaskGroup::spawn(F&& work, Args&&... args) {
  static_assert(std::is_same_v<std::invoke_result_t<std::decay_t<F>&, std::decay_t<Args>...>, Future<void>>,
                "a TaskGroup spawns coroutines that return Future<void>");
  if (failure_) return;
  Child& child = add();
  Future<void> running;
  try {
    running = keep<std::decay_t<F>, std::decay_t<Args>...>(std::forward<F>(work), std::forward<Args>(args)...);
  } catch (...) {  // copying an argument threw
    running = Future<void>::failed(std::current_exception());
  }
  start(child, std::move(running));
}

}  // namespace twinloop
