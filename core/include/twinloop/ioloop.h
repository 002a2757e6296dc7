// IOLoop: the event loop of a thread (Tornado's).  It runs callbacks, timers and coroutines and waits for what the network
// brings.  Most programs never name one: `run_main` makes the loop, runs a coroutine on it and ends with it, natively and in a
// browser.
//
// A turn: the callbacks queued when it began, the timers due, the bytes that streams accepted, then a poll that sleeps only when
// nothing waits, then what the poll found.  Coroutines that became ready run after each of these.
//
// A loop belongs to the thread that made it; add_callback, spawn_callback, stop and what remote() gives may be used from others.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "twinloop/backend.h"
#include "twinloop/capabilities.h"
#include "twinloop/detail/function.h"
#include "twinloop/detail/mailbox.h"
#include "twinloop/detail/observers.h"
#include "twinloop/detail/task.h"
#include "twinloop/future.h"
#include "twinloop/stats.h"

namespace twinloop {

class Executor;
class RemoteLoop;
class Timeout;

struct BackendInfo {
  std::string name;
  bool available = false;  // false: built in, but this system cannot run it
  bool hosted = false;     // by the page's own event loop
  Capabilities capabilities = Capabilities::nothing;
};

class IOLoop {
 public:
  IOLoop();
  // A loop on the configured backend: configure()'s, else the environment variable TWINLOOP_BACKEND, else the best one here.
  // Becomes the thread's current loop if it has none.  Throws Error(unknown_backend) with the list of those there are.  A page has
  // one at a time: there a second one throws Error(busy).

  explicit IOLoop(std::unique_ptr<Backend> backend);
  ~IOLoop();
  // As close().

  IOLoop(const IOLoop&) = delete;
  IOLoop& operator=(const IOLoop&) = delete;

  static IOLoop& current();
  // The thread's loop.  Throws Error(loop_closed) when it has none.
  static IOLoop* current_or_null() noexcept;

  static IOLoop& instance();
  // As current(), but a thread that has none is given its own, which is made the first time and closed when the thread ends.

  void make_current() noexcept;
  static void clear_current() noexcept;
  // Which loop current() finds.  Seldom needed: a loop that runs is the current one while it does.

  static void configure(std::string_view backend);
  // The backend of loops made from now on, in every thread; "" for the default.  Throws Error(unknown_backend).

  static std::vector<BackendInfo> available_backends();
  // Those of this build, best first.

  std::string_view backend_name() const noexcept;

  // ---- running

  void start();
  // Turns until stop().  Throws Error(not_supported) where the host turns the loop (a browser: use run_main; an application's
  // libuv: its uv_run) and on another thread than the one that made it, Error(busy) from inside a turn, also of another loop.

  void stop() noexcept;
  // Ends start() after the current turn; before start(), the next one ends after its first turn.  From any thread.

  template <class F, class... Args>
    requires std::invocable<F&, Args...>
  auto run_sync(F&& work, Args&&... args);
  // Starts the coroutine, runs the loop until it is done and gives its result.  Throws what it threw, and Error(loop_closed) when
  // somebody stopped the loop before.
  template <class F, class... Args>
  auto run_sync(Duration timeout, F&& work, Args&&... args);
  // The same; after that time the coroutine is cancelled and TimeoutError thrown.

  TimePoint turn();
  // One turn without sleeping, for hosts.  Says when the next one is due (kAlready: at once).  Throws Error(busy) from inside a turn.

  void close(bool all_fds = false) noexcept;
  // Refuses new work, ends spawned coroutines (newest first), fails what is pending elsewhere with loop_closed, then lets the
  // network go.  From inside a turn, or from a coroutine that spawn() is starting, it happens at the end of that.  With `all_fds` the descriptors that have handlers are closed.

  void wind_down(Duration limit);
  // Ends spawned coroutines, newest first, and turns until every closed stream has delivered what it had accepted, for at most
  // `limit`.  What run_main does at the end.  Throws as start() does, but does nothing on a closed loop.

  static void after_fork() noexcept;
  // In a child that fork() made: forgets the parent's current loop, so that the child can make its own, without the parent's loop
  // or connections noticing.  What belonged to that loop stays as it is and must not be used; the child ends by _exit() or exec().

  // ---- callbacks, timers, coroutines

  template <class F>
  void add_callback(F&& callback, Origin origin = {}) {
    static_assert(!ReturnsFuture<F>, "this callback is a coroutine and would be cancelled at once: use spawn");
    if (mailbox_->on_own_thread())
      post_here(std::forward<F>(callback), origin);
    else
      mailbox_->post(detail::Callback(std::forward<F>(callback), origin));
  }
  // Runs it in the next turn.  From any thread.  On a closed loop it is dropped (RemoteLoop::post tells).  An exception it throws
  // is logged with where the callback came from, and the loop goes on.

  template <class F>
  Timeout call_later(Duration delay, F&& callback, Origin origin = {});
  template <class F>
  Timeout call_at(TimePoint when, F&& callback, Origin origin = {});
  // Runs it once, not before then; equal times in the order of the calls.  A delay counts from the end of the turn in which it
  // was asked for (from the clock itself outside of one): work that keeps the loop does not use it up.  On a closed loop it is dropped.

  void remove_timeout(Timeout& timeout) noexcept;
  // The callback will not run, also when it is due in this very turn.  Harmless when it has run.

  template <class F, class... Args>
    requires std::invocable<std::decay_t<F>&, std::decay_t<Args>...>
  void spawn(F&& work, Args&&... args);
  // Lets a coroutine go on by itself: the loop keeps the callable, its arguments and the Future until it ends, and cancels it
  // at close().  A failure is logged unless it is the ordinary end of a connection.
  void spawn(Future<void> work);
  template <class F, class... Args>
  void spawn(const Origin& origin, F&& work, Args&&... args);
  // The same with a name for describe_tasks() (tasks.h): `loop.spawn(Origin("session"), &serve, std::move(stream))`.

  template <class F>
  void spawn_callback(F&& work, Origin origin = {});
  // In the next turn, calls a function or spawns a coroutine.  From any thread.

  template <class T, class F>
  void add_future(Future<T> future, F callback, Origin origin = {});
  // Calls callback(Result<T>) in a turn after the future is done, never at once.  The loop keeps the future until then.

  template <class F, class... Args>
    requires std::invocable<std::decay_t<F>&, std::decay_t<Args>...>
  auto run_in_executor(F&& function, Args&&... args);
  // Calls the function in a thread of the executor and gives its result as a Future.  Function and arguments are copied or moved
  // there.  Dropping the Future withdraws the call if it has not begun; else its result is thrown away.  Needs twinloop/executor.h.
  template <class F, class... Args>
    requires std::invocable<std::decay_t<F>&, std::decay_t<Args>...>
  auto run_in_executor(Executor& executor, F&& function, Args&&... args);
  // The same in that executor, for this one call.  Nobody keeps it alive: a call that it has not begun when it goes fails with
  // broken_promise.
  void set_default_executor(std::shared_ptr<Executor> executor) noexcept { executor_ = std::move(executor); }
  Executor& executor();
  // The one that was set, else the process's own.  Throws Error(not_supported) where there are no threads.

  RemoteLoop remote() const;
  // A handle for other threads, which may outlive the loop.  Needs twinloop/remote.h.

  // ---- descriptors and signals

  template <class F>
  void add_handler(int fd, F&& handler, FdEvents events, Origin origin = {}) {
    static_assert(std::is_invocable_v<F&, int, FdEvents>, "a handler takes (int fd, FdEvents events)");
    add_fd_handler(fd, FdWatcher::Handler(std::forward<F>(handler)), events, origin);
  }
  // Calls handler(fd, events) in every turn in which the descriptor is ready for what was asked for (level-triggered).  A hang-up
  // or an error makes it ready for all that was asked for, and adds FdEvents::error where the platform tells; the read or write
  // then says what happened.  The handler may remove itself, others, and close descriptors; what it throws is logged.
  //
  // Throws Error(busy) when the descriptor has a handler or a stream, Error(bad_descriptor) for what is not open or cannot be
  // watched (a regular file), Error(descriptors_exhausted) for a number beyond FD_SETSIZE on select, and Error(not_supported)
  // where there are no descriptors (a browser).  Remove the handler before the descriptor is closed.

  void update_handler(int fd, FdEvents events);
  // Asks for these events from now on.  Throws Error(bad_descriptor) when the descriptor has no handler.
  void remove_handler(int fd) noexcept;
  // Its handler is not called any more, also when the descriptor was found ready in this very turn.  Harmless when there is none.

  bool on_signal(int number, detail::Function<void()> handler);
  // Runs the handler on the loop when the process gets that signal; an empty one restores the default.  False where there are
  // no signals (a browser).

  // ---- the clock, and seeing inside

  TimePoint time() const noexcept { return now_; }
  // The clock, frozen for the turn and read anew after it slept.
  TimePoint clock() const noexcept;
  // The clock itself.
  TimePoint after(Duration delay) const noexcept;
  // clock() + delay, or kNever when that is beyond the end of time.

  LoopStats stats() noexcept;

  void set_blocking_log_threshold(Duration threshold, detail::Function<void(const Step&)> report = {});
  // Reports every callback, timer, handler (of a stream: "I/O") or stretch of a coroutine that keeps the loop for that long or longer,
  // once it is over; without `report` as a warning in the log, with its label and place.  Zero switches it off.

  // ---- for backends, transports and streams

  Backend& backend() noexcept { return *backend_; }
  template <class... Parts>
  bool post_here(Parts&&... callback) {
    if (closed()) return false;
    callbacks_.emplace_back(std::forward<Parts>(callback)...);
    arrange_turn();
    return true;
  }
  // As add_callback, on the loop's own thread.  False once it closes.
  template <class F>
  void run_step(StepKind kind, const Origin& origin, F&& function) noexcept;
  // Calls the function as a step of the turn: what it throws is logged, the coroutines it woke run after it.
  void begin_step() noexcept {
    scheduler_->refill_inline();
    if (++unlooked_ == detail::kStepsBetweenLooks) [[unlikely]]
      look();
  }
  // A step begins, of somebody who does the rest of run_step himself.
  detail::Observers& observers() noexcept { return observers_; }
  void awake() noexcept;
  // A backend that slept says so before it tells the listeners of what it found.
  void count_handlers(std::int64_t called) noexcept { counts_.handlers += static_cast<std::uint64_t>(called); }
  void add_observer(detail::StepObserver& observer) noexcept { observers_.add(observer); }
  // Until the observer is destroyed.
  void add_hook(detail::TurnHook& hook) noexcept;
  // Calls hook.on_turn() once, where this turn (or the next) dispatches its events.
  void add_flush(detail::TurnHook& hook) noexcept;
  // Calls hook.on_turn() once, just before the loop polls.
  void add_closer(detail::CloseHook& hook) noexcept { closers_.push_back(hook); }
  // Calls hook.on_loop_close() when the loop closes.
  void add_timer(detail::Timer& timer, TimePoint when) noexcept;
  void add_timer(detail::Timer& timer, Duration delay) noexcept {
    if (in_turn_ && !closed()) return timers_.add(timer, delay);
    add_timer(timer, after(delay));
  }
  // Not once it closes: then the timer is not scheduled.
  void remove_timer(detail::Timer& timer) noexcept;
  void count_lingering(int change) noexcept { lingering_ += change; }
  void count_moved(std::uint64_t bytes) noexcept { counts_.moved += bytes; }
  void arrange_turn();
  // Hosted: asks the host for the turn that is due.  Called after anything outside a turn that may have made work.
  void adopt(detail::Task* task, detail::Function<Future<void>()> start);
  // Owns the task until what it starts has ended.  A closed loop destroys it at once.
  template <class F>
  void for_each_task(F visit) {
    tasks_.for_each(std::move(visit));
  }
  void cancel_tasks(const void* group) noexcept;
  // Those of this group, leaf first each.
  bool closed() const noexcept { return closing_; }
  bool has_spawned() const noexcept { return !tasks_.empty(); }
  // Whether spawned coroutines are under way: a host that ends when nothing is pending waits for them.

 private:
  // What start() and run_sync() hold: one at a time, and the loop is the current one.
  class Run {
   public:
    explicit Run(IOLoop& loop);
    ~Run();
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;

   private:
    IOLoop& loop_;
    IOLoop* former_;
  };

  // A spawned coroutine that is in its first run, perhaps inside that of another.
  struct Start {
    detail::Task* task;  // null once it has been cancelled
    Start* outer;
  };

  template <class F>
  void run_observed_step(StepKind kind, const Origin& origin, F& function);
  void add_fd_handler(int fd, FdWatcher::Handler handler, FdEvents events, const Origin& origin);
  template <class When, class F>
  Timeout schedule(When when, F&& callback, const Origin& origin);
  static void refuse(detail::CallbackTimer& timer) noexcept;
  FdWatcher& fd_watcher(int fd, std::string_view what);
  void check_that_it_can_run(std::string_view call) const;
  void turn_once(bool may_sleep);
  void run_ready();
  void run_callbacks();
  void run_timers();
  void run_hooks(detail::List<detail::TurnHook>& hooks);
  void poll(bool may_sleep);
  void look() noexcept;
  bool work_waits() const noexcept;
  TimePoint next_deadline() noexcept;
  bool asks_for_turns() const noexcept;
  void request_turn(TimePoint when);
  void turn_until_stopped();
  void run_until(FutureBase& future);
  void close_now() noexcept;
  void resume_failed() noexcept;
  void end_tasks() noexcept;
  void end_task(detail::Task& task) noexcept;
  void abandon() noexcept;

  std::unique_ptr<Backend> backend_;
  std::shared_ptr<detail::Mailbox> mailbox_;
  Scheduler* scheduler_ = nullptr;  // the thread's
  TimePoint now_{};
  TimePoint last_poll_{};
  TimePoint turn_began_{};  // the last turn whose timers have run
  detail::TimerHeap timers_;
  std::vector<detail::Callback> callbacks_;
  std::vector<detail::Callback> running_callbacks_;  // this turn's; keeps its memory
  detail::List<detail::TurnHook> hooks_;
  detail::List<detail::TurnHook> flushes_;
  detail::List<detail::CloseHook> closers_;
  detail::List<detail::Task> tasks_;
  std::shared_ptr<Executor> executor_;
  TimePoint requested_ = kNever;
  unsigned polls_skipped_ = 0;
  int lingering_ = 0;
  bool running_ = false;
  bool in_turn_ = false;
  Start* starting_ = nullptr;
  bool closing_ = false;  // and stays so
  bool close_fds_ = false;
  bool closed_ = false;

  LoopStats counts_;
  TimePoint looked_{};     // when the clock was last read for counts_.longest_callback
  unsigned unlooked_ = 0;  // steps since then
  detail::Observers observers_;
  std::unique_ptr<detail::BlockingWatch> blocking_;
};

// A handle to a pending call_later or call_at.  Dropping it does not cancel the call; it may outlive the call, not its thread.
class Timeout {
 public:
  Timeout() noexcept = default;
  Timeout(const Timeout& other) noexcept : timer_(other.timer_) {
    if (timer_ != nullptr) timer_->keep();
  }
  Timeout(Timeout&& other) noexcept : timer_(std::exchange(other.timer_, nullptr)) {}
  Timeout& operator=(Timeout other) noexcept {
    std::swap(timer_, other.timer_);
    return *this;
  }
  ~Timeout() {
    if (timer_ != nullptr) timer_->let_go();
  }

  bool pending() const noexcept { return timer_ != nullptr && timer_->scheduled(); }
  // True until it is called, removed, or its loop closes.

 private:
  friend class IOLoop;
  explicit Timeout(detail::CallbackTimer& timer) noexcept : timer_(&timer) {}
  detail::CallbackTimer* timer_ = nullptr;
};

Future<void> sleep_for(Duration);
Future<void> sleep_until(TimePoint);
// Completes then, on the current loop.  Dropping it takes the timer back.

Future<void> moment();
// Completes as a callback of the next turn: others get theirs in between, timers and the network too.

// ---- bodies of the templates

template <class F>
Timeout IOLoop::call_later(Duration delay, F&& callback, Origin origin) {
  return schedule(delay, std::forward<F>(callback), origin);
}

template <class F>
Timeout IOLoop::call_at(TimePoint when, F&& callback, Origin origin) {
  return schedule(when, std::forward<F>(callback), origin);
}

template <class When, class F>
Timeout IOLoop::schedule(When when, F&& callback, const Origin& origin) {
  static_assert(!ReturnsFuture<F>, "this callback is a coroutine and would be cancelled at once: use spawn");
  auto& timer = *new detail::CallbackTimer(std::forward<F>(callback), origin);
  add_timer(timer, when);
  if (!timer.scheduled()) refuse(timer);
  return Timeout(timer);
}

template <class F, class... Args>
  requires std::invocable<std::decay_t<F>&, std::decay_t<Args>...>
void IOLoop::spawn(F&& work, Args&&... args) {
  auto* task = new detail::TaskOf<F, Args...>(std::forward<F>(work), std::forward<Args>(args)...);
  adopt(task, [task] { return task->start(); });
}

template <class F, class... Args>
void IOLoop::spawn(const Origin& origin, F&& work, Args&&... args) {
  using Named = detail::NamedTask<detail::TaskOf<F, Args...>>;
  auto* task = new Named(origin, std::forward<F>(work), std::forward<Args>(args)...);
  adopt(task, [task] { return task->start(); });
}

template <class F>
void IOLoop::spawn_callback(F&& work, Origin origin) {
  if constexpr (ReturnsFuture<F>) {
    add_callback([this, work = std::decay_t<F>(std::forward<F>(work))]() mutable { spawn(std::move(work)); }, origin);
  } else {
    add_callback(std::forward<F>(work), origin);
  }
}

namespace detail {
template <class T, class F>
Future<void> call_when_done(IOLoop& loop, Future<T> future, F callback, Origin origin) {
  Result<T> result = co_await as_result(std::move(future));
  loop.add_callback(
      [callback = std::move(callback), result = std::move(result)]() mutable { callback(std::move(result)); }, origin);
}
}  // namespace detail

template <class T, class F>
void IOLoop::add_future(Future<T> future, F callback, Origin origin) {
  static_assert(std::is_invocable_v<F&, Result<T>>, "the callback of a Future<T> takes a Result<T>");
  static_assert(!detail::kIsFuture<std::invoke_result_t<F&, Result<T>>>,
                "this callback is a coroutine and would be cancelled at once: use spawn");
  spawn(detail::call_when_done(*this, std::move(future), std::move(callback), origin));
}

template <class T>
template <class F>
void Future<T>::add_done_callback(F callback, Origin origin) && {
  IOLoop::current().add_future(std::move(*this), std::move(callback), origin);
}

template <class F, class... Args>
  requires std::invocable<F&, Args...>
auto IOLoop::run_sync(F&& work, Args&&... args) {
  const Run run(*this);
  auto future = std::invoke(work, std::forward<Args>(args)...);
  run_until(future);
  return future.result();
}

template <class F, class... Args>
auto IOLoop::run_sync(Duration timeout, F&& work, Args&&... args) {
  return run_sync([&] { return with_timeout(timeout, std::invoke(work, std::forward<Args>(args)...)); });
}

template <class F>
inline void IOLoop::run_step(StepKind kind, const Origin& origin, F&& function) noexcept {
  begin_step();
  try {
    if (observers_.any()) [[unlikely]]
      run_observed_step(kind, origin, function);
    else
      function();
  } catch (...) {
    detail::log_failed_step(kind, origin);
  }
  if (scheduler_->has_ready()) scheduler_->drain();
}

template <class F>
void IOLoop::run_observed_step(StepKind kind, const Origin& origin, F& function) {
  const detail::ObservedStep observed(observers_, kind, origin);
  function();
}

}  // namespace twinloop

#include "twinloop/timing.h"
