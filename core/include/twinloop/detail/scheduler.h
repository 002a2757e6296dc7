// The thread's queue of coroutines to resume.  Completing a future only pushes to it; the loop drains it after every callback,
// timer and event, so nothing is ever resumed from inside somebody else's call and the stack stays flat.
#pragma once

#include <cstddef>
#include <cstdint>

#include "twinloop/detail/list.h"

namespace twinloop {

class FutureBase;
namespace detail {
class Branch;
class Follower;
class Observers;
}  // namespace detail

// Something that can be woken: a suspended coroutine, or a library object that waits for a future.  What a user's own
// awaitable is given in await_suspend(Waiter&).
class Waiter : public detail::ListNode {
 public:
  void wake() noexcept;
  // Puts it on the thread's ready queue, unless it is there.  Only on the thread it belongs to.

 protected:
  using Run = void (*)(Waiter&);
  explicit Waiter(Run run) noexcept : run_(run) {}
  ~Waiter() = default;
  void set_run(Run run) noexcept { run_ = run; }

  FutureBase* awaiting_ = nullptr;  // the future it sleeps on; the link that cancelling walks down

 private:
  friend class detail::List<Waiter>;
  friend class detail::Follower;
  friend class CoroutineBase;
  friend class FutureBase;
  friend class Scheduler;
  Run run_;
};

class CoroutineBase;

class Scheduler {
 public:
  static Scheduler& current();

  bool idle() const noexcept { return ready_.empty() && deferred_.empty(); }
  bool has_ready() const noexcept { return !ready_.empty(); }

  void begin_turn(detail::Observers* observers) noexcept;
  // Lets in what was deferred in the last turn and grants a new budget.  Resumptions are told to the observers, if any.
  void end_turn() noexcept { in_turn_ = false; }
  bool in_turn() const noexcept { return in_turn_; }
  // Of any loop of this thread: no other may turn meanwhile, since the coroutines of all are in this one queue.

  void forget_all() noexcept;
  // In a forked child, whose parent has these coroutines too: none of them is resumed here.

  void drain();
  // Resumes ready coroutines, and those they wake, until none is left or the turn's budget is spent.

  std::uint64_t resumptions() const noexcept { return resumptions_; }
  // So far, on this thread.

  bool continue_inline() noexcept {
    if (inline_left_ <= 0) return false;
    inline_left_ -= kContinuation;
    return true;
  }
  // Whether a coroutine that awaits something finished may go on at once.  Otherwise it is deferred behind a flush and a poll,
  // so that no chain of ready work starves the other connections.

  void spend_bytes(std::size_t count) noexcept { inline_left_ -= static_cast<std::ptrdiff_t>(count); }

  void refill_inline() noexcept { inline_left_ = kInlineBytes; }

  // One budget for both: a continuation costs as much as 512 bytes, so that 128 of them spend what one read chunk does.
  static constexpr unsigned kInlineContinuations = 128;
  static constexpr std::ptrdiff_t kInlineBytes = 64 * 1024;
  static constexpr std::ptrdiff_t kContinuation = kInlineBytes / kInlineContinuations;
  static constexpr unsigned kResumptionsPerTurn = 1000;
  static constexpr std::int64_t kNanosecondsPerTurn = 1'000'000;

 private:
  friend class Waiter;
  friend class FutureBase;
  friend class CoroutineBase;

  // One cancellation in progress.  Frames that die meanwhile by another way are struck from it.
  struct Burial {
    CoroutineBase* root;
    CoroutineBase* next;
    Burial* outer;
  };

  void push(Waiter& waiter) noexcept { ready_.push_back(waiter); }
  void defer(Waiter& waiter) noexcept { deferred_.push_back(waiter); }
  bool over_budget() noexcept;
  void bury(CoroutineBase& root) noexcept;
  void bury_doomed() noexcept;
  void run(Waiter& waiter);
  void resume(CoroutineBase& coroutine) noexcept;
  void run_observed(Waiter& waiter);

  detail::List<Waiter> ready_;
  detail::List<Waiter> deferred_;
  CoroutineBase* current_ = nullptr;
  detail::List<Waiter> doomed_;
  Burial* burials_ = nullptr;
  detail::Observers* observers_ = nullptr;  // of the loop whose turn it is
  std::uint64_t resumptions_ = 0;
  std::ptrdiff_t inline_left_ = kInlineBytes;
  std::uint64_t last_resumption_ = kResumptionsPerTurn;  // of this turn
  std::int64_t turn_ends_ = 0;
  bool in_turn_ = false;
};

namespace detail {
extern constinit thread_local Scheduler* current_scheduler;
Scheduler& make_scheduler();
}  // namespace detail

inline Scheduler& Scheduler::current() {
  Scheduler* scheduler = detail::current_scheduler;
  return scheduler != nullptr ? *scheduler : detail::make_scheduler();
}

inline void Waiter::wake() noexcept {
  if (!linked()) Scheduler::current().push(*this);
}

}  // namespace twinloop
