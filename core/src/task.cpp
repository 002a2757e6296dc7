#include "twinloop/detail/task.h"

#include "durations.h"
#include "twinloop/ioloop.h"
#include "twinloop/log.h"

namespace twinloop {
namespace detail {

void Task::run(Function<Future<void>()>& start) {
  try {
    future() = start();
  } catch (...) {
    future() = Future<void>::failed(std::current_exception());
  }
  if (done() || !valid()) return completion_.wake();
  OperationAccess::attach(*this, completion_);
}

std::vector<Origin> Task::stack() const {
  std::vector<Origin> places;
  for (const CoroutineBase* frame = CoroutineBase::of(future()); frame != nullptr; frame = frame->awaited()) {
    places.emplace_back("", frame->where());
  }
  return places;
}

void Task::Completion::run(Waiter& waiter) {
  FutureBase& future = *static_cast<Completion&>(waiter).awaiting_;
  static_cast<Task&>(static_cast<Future<void>&>(future)).finish();
}

void Task::finish() {
  const std::unique_ptr<Task> owned(this);
  unlink();
  if (!valid() || !OperationAccess::failed(*this)) return;
  const Location where = OperationAccess::failed_after(*this);
  const Failure failure = OperationAccess::take_failure(*this);
  if (is_ordinary_end(failure.code())) return;
  const std::string place = origin().text();
  log(LogLevel::error,
      what() + (place.empty() ? "" : ", " + place) + ", failed" + after(where) + ": " + failure.message(), where);
}

// ---- TimerHeap: four children a node, so that a heap of a million is ten levels deep and a level is one cache line.

inline void TimerHeap::sift_up(std::size_t index, const Entry& entry) noexcept {
  while (index > 0) {
    const std::size_t parent = (index - 1) / 4;
    if (!before(entry, entries_[parent])) break;
    place(index, entries_[parent]);
    index = parent;
  }
  place(index, entry);
}

void TimerHeap::sift_down(std::size_t index, const Entry& entry) noexcept {
  for (;;) {
    const std::size_t first = 4 * index + 1;
    if (first >= sorted_) break;
    std::size_t least = first;
    for (std::size_t child = first + 1; child < std::min(first + 4, sorted_); ++child) {
      if (before(entries_[child], entries_[least])) least = child;
    }
    if (!before(entries_[least], entry)) break;
    place(index, entries_[least]);
    index = least;
  }
  place(index, entry);
}

void TimerHeap::sort_in(TimePoint now) noexcept {
  while (!settled()) {
    Entry entry = entries_[sorted_];
    if (entry.order & kDelay) {
      const TimePoint when = later(now, entry.when.time_since_epoch());
      entry = {std::max(when, TimePoint{}), entry.order & ~kDelay, entry.timer};
    }
    sift_up(sorted_++, entry);
  }
}

void TimerHeap::append_to_more(Timer& timer, TimePoint when, std::uint64_t order) {
  constexpr std::size_t kFirstCapacity = 16;
  const std::size_t capacity = std::max(2 * capacity_, kFirstCapacity);
  if (capacity > Timer::kNowhere) throw std::bad_alloc();
  Entry* const entries = std::allocator<Entry>().allocate(capacity);
  std::uninitialized_copy_n(entries_, size_, entries);
  std::allocator<Entry>().deallocate(std::exchange(entries_, entries), std::exchange(capacity_, capacity));
  append(timer, when, order);
}

// The heap's last goes where it belongs; the place that was its own is free then.
std::size_t TimerHeap::take_from_heap(std::size_t index) noexcept {
  const Entry last = entries_[--sorted_];
  if (index == sorted_) return sorted_;
  const bool up = index > 0 && before(last, entries_[(index - 1) / 4]);
  up ? sift_up(index, last) : sift_down(index, last);
  return sorted_;
}

Timer* TimerHeap::pop_due(TimePoint now) noexcept { return earliest() <= now ? pop() : nullptr; }

Timer* TimerHeap::pop() noexcept {
  if (sorted_ == 0) return nullptr;
  Timer* timer = entries_[0].timer;
  take_out(*timer);
  return timer;
}

// The reference that the loop held ends with the call, the callable before whatever it may have destroyed.
void CallbackTimer::fire() {
  struct Reference {
    CallbackTimer& timer;
    ~Reference() { timer.let_go(); }
  } const loops{*this};
  Function<void()> run = std::move(callback_.run);
  run();
}

namespace {

// sleep_for: a timer and the promise it fulfils, in one pooled block that lives as long as both do.
class Sleep final : public Pooled, public Timer, public OperationBase {
 public:
  explicit Sleep(IOLoop& loop) noexcept : OperationBase(&kHooks), loop_(loop) {}

  void fire() override {
    if (attached()) OperationAccess::emplace<void>(detach<FutureBase>());
    delete this;
  }

  void expire() noexcept override {
    fail_pending(Errc::loop_closed);
    delete this;
  }

 private:
  static void on_dropped(OperationBase& operation) noexcept {
    auto& self = static_cast<Sleep&>(operation);
    self.loop_.remove_timer(self);
    delete &self;
  }

  static constexpr Hooks kHooks{&Sleep::on_dropped, nullptr};
  IOLoop& loop_;
};

// moment: a callback that completes its future, or fails it when the loop closes first.
class Moment : public OperationBase {
 public:
  Moment() noexcept = default;
  Moment(Moment&&) noexcept = default;
  Moment& operator=(Moment&&) = delete;
  ~Moment() { fail_pending(Errc::loop_closed); }

  Future<void> get_future() noexcept { return OperationAccess::make_future<void>(*this); }
  void operator()() {
    if (attached()) OperationAccess::emplace<void>(detach<FutureBase>());
  }
};

}  // namespace
}  // namespace detail

namespace {

template <class When>
Future<void> sleep(When when) {
  IOLoop& loop = IOLoop::current();
  if (loop.closed()) return Future<void>::failed(Errc::loop_closed);
  auto* sleep = new detail::Sleep(loop);
  Future<void> future = detail::OperationAccess::make_future<void>(*sleep);
  loop.add_timer(*sleep, when);
  return future;
}

}  // namespace

Future<void> sleep_until(TimePoint when) { return sleep(when); }

Future<void> moment() {
  detail::Moment callback;
  Future<void> future = callback.get_future();
  IOLoop::current().post_here(std::move(callback), Origin("moment", {}));
  return future;
}

Future<void> sleep_for(Duration delay) { return sleep(delay); }

}  // namespace twinloop
