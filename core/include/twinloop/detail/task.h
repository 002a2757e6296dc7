// What a loop keeps lists of: spawned coroutines, timers, and hooks into its turn.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "twinloop/backend.h"
#include "twinloop/detail/function.h"
#include "twinloop/detail/mailbox.h"
#include "twinloop/future.h"

namespace twinloop {

class IOLoop;

namespace detail {

// Something that wants to be called at one point of the turn.  Unlinks itself when destroyed.
class TurnHook : public ListNode {
 public:
  virtual void on_turn() = 0;

 protected:
  ~TurnHook() = default;
};

// Something that must be told when the loop goes away, so that destroying it later touches nothing.
class CloseHook : public ListNode {
 public:
  virtual void on_loop_close() noexcept = 0;

 protected:
  ~CloseHook() = default;
};

// A coroutine that goes on by itself: its Future, and what to do when it ends.
class Task : public Pooled, public ListNode, protected Future<void> {
 public:
  virtual ~Task() { cancel(); }
  virtual std::string what() const { return "a spawned coroutine"; }
  // For the message when it fails.
  virtual Origin origin() const { return Origin("", {}); }
  virtual const void* group() const noexcept { return nullptr; }
  // Tasks with the same one can be cancelled together.

  void run(Function<Future<void>()>& start);
  // From now on the task deletes itself when the coroutine ends, from the ready queue.

  std::vector<Origin> stack() const;
  // Where its coroutines wait, the outermost first.

 protected:
  void cancel() noexcept {
    OperationAccess::detach_waiter(future());
    completion_.unlink();
    future() = Future<void>();
  }
  // First in a derived destructor: the coroutine uses what the derived class holds.  Nobody hears of it: what it holds may close the
  // loop when it ends, which resumes all that is ready.

 private:
  // Waits for the task's Future, which is how it finds the task.
  class Completion : public Waiter {
   public:
    explicit Completion(Future<void>& future) noexcept : Waiter(&Completion::run) { awaiting_ = &future; }

   private:
    static void run(Waiter& waiter);
  };

  Future<void>& future() noexcept { return *this; }
  const Future<void>& future() const noexcept { return *this; }
  void finish();

  Completion completion_{future()};
};

template <class F, class... Args>
class CallableTask : public Task {
 public:
  template <class G, class... Brgs>
  explicit CallableTask(G&& callable, Brgs&&... args)
      : callable_(std::forward<G>(callable)), args_(std::forward<Brgs>(args)...) {}
  ~CallableTask() override { cancel(); }

  Future<void> start() {
    return std::apply([this](Args&... args) { return std::invoke(callable_, std::move(args)...); }, args_);
  }

 private:
  F callable_;
  std::tuple<Args...> args_;
};

// One that says where it comes from.
template <class T>
class NamedTask final : public T {
 public:
  template <class... Parts>
  explicit NamedTask(const Origin& origin, Parts&&... parts) : T(std::forward<Parts>(parts)...), origin_(origin) {}
  Origin origin() const override { return origin_; }

 private:
  Origin origin_;
};

template <class F, class... Args>
using TaskOf = CallableTask<std::decay_t<F>, std::decay_t<Args>...>;

// A point in time at which fire() is called.  Intrusive: it knows its place among the loop's timers.
class Timer {
 public:
  Timer() noexcept = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  virtual void fire() = 0;
  virtual void expire() noexcept = 0;
  // The loop closes: it will not fire.
  virtual Origin origin() const noexcept { return Origin("", {}); }
  bool scheduled() const noexcept { return index_ != kNowhere; }

 protected:
  ~Timer() = default;

 private:
  friend class TimerHeap;
  static constexpr std::uint32_t kNowhere = static_cast<std::uint32_t>(-1);
  std::uint32_t index_ = kNowhere;
};

// A heap of timers, behind which those that are new stand as they came until settle() sorts them in.  Most limits on work are
// taken back in the turn that set them: they cost no place in the heap, and no reading of the clock.
class TimerHeap {
 public:
  TimerHeap() noexcept = default;
  TimerHeap(const TimerHeap&) = delete;
  TimerHeap& operator=(const TimerHeap&) = delete;
  ~TimerHeap() { std::allocator<Entry>().deallocate(entries_, capacity_); }

  TimePoint earliest() const noexcept { return sorted_ == 0 ? kNever : entries_[0].when; }
  // Of those that are sorted in.
  std::size_t size() const noexcept { return size_; }
  void add(Timer& timer, TimePoint when) { append(timer, when, next_++); }
  void add(Timer& timer, Duration delay) { append(timer, TimePoint(delay), next_++ | kDelay); }
  void remove(Timer& timer) noexcept {
    if (timer.scheduled()) take_out(timer);
  }

  bool settled() const noexcept { return sorted_ == size_; }
  void settle(TimePoint now) noexcept {
    if (!settled()) sort_in(now);
  }
  // Sorts the new ones in; their delays count from now.

  Timer* pop_due(TimePoint now) noexcept;
  // The next timer due at `now`, taken out; nullptr when there is none.
  Timer* pop() noexcept;
  // Those that are sorted in.

 private:
  static constexpr std::uint64_t kDelay = std::uint64_t{1} << 63;
  struct Entry {
    TimePoint when;       // of a new one with kDelay: how long after settle()
    std::uint64_t order;  // equal times in the order of the calls
    Timer* timer;
  };
  static bool before(const Entry& a, const Entry& b) noexcept {
    return a.when != b.when ? a.when < b.when : a.order < b.order;
  }
  void place(std::size_t index, const Entry& entry) noexcept {
    entries_[index] = entry;
    entry.timer->index_ = static_cast<std::uint32_t>(index);
  }
  void sort_in(TimePoint now) noexcept;
  void sift_up(std::size_t index, const Entry& entry) noexcept;
  void sift_down(std::size_t index, const Entry& entry) noexcept;
  void append(Timer& timer, TimePoint when, std::uint64_t order) {
    assert(!timer.scheduled());
    if (size_ == capacity_) return append_to_more(timer, when, order);
    std::construct_at(entries_ + size_, when, order, &timer);
    timer.index_ = static_cast<std::uint32_t>(size_++);
  }
  void take_out(Timer& timer) noexcept {
    std::size_t index = std::exchange(timer.index_, Timer::kNowhere);
    if (index < sorted_) index = take_from_heap(index);
    --size_;
    if (index < size_) place(index, entries_[size_]);
  }
  std::size_t take_from_heap(std::size_t index) noexcept;
  void append_to_more(Timer& timer, TimePoint when, std::uint64_t order);

  // An array and not a vector, so that adding is a few instructions where it need not grow.
  Entry* entries_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  std::size_t sorted_ = 0;  // how many of them are the heap
  std::uint64_t next_ = 0;
};

// call_at's timer.  The loop holds a reference while it is scheduled, and each Timeout one: there are two at first.
class CallbackTimer final : public Pooled, public Timer {
 public:
  template <class F>
  CallbackTimer(F&& function, const Origin& origin) : callback_(std::forward<F>(function), origin) {}

  void fire() override;
  void expire() noexcept override {
    if (references_ > 1) callback_.run.reset();  // else it goes with the timer
    let_go();
  }
  Origin origin() const noexcept override { return callback_.origin; }

  void keep() noexcept { ++references_; }
  void let_go() noexcept {
    if (--references_ == 0) delete this;
  }

 private:
  ~CallbackTimer() = default;
  unsigned references_ = 2;
  Callback callback_;
};

}  // namespace detail
}  // namespace twinloop
