// IOLoop: the event loop of a thread (Tornado's).  It runs callbacks, timers and coroutines and waits for what the network
// brings.  Most programs never name one: `run_main` makes the loop, runs a coroutine on it and ends with it, natively and in a
// browser.
//
// A turn: the callbacks queued when it began, the timers due, the bytes that streams accepted, then a poll that sleeps only when
// nothing waits, then what the poll found.  Coroutines that became ready run after each of these.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "twinloop/backend.h"
#include "twinloop/detail/function.h"
#include "twinloop/detail/task.h"
#include "twinloop/future.h"

namespace twinloop {

class Timeout;

struct BackendInfo {
  std::string name;
  bool available = false;  // false: built in, but this system cannot run it
  bool hosted = false;
};

class IOLoop {
 public:
  IOLoop();
  // A loop on the configured backend: configure()'s, else the environment variable TWINLOOP_BACKEND, else the best one here.
  // Becomes the thread's current loop if it has none.  Throws Error(unknown_backend) with the list of those there are.

  explicit IOLoop(std::unique_ptr<Backend> backend);
  ~IOLoop();
  // As close().

  IOLoop(const IOLoop&) = delete;
  IOLoop& operator=(const IOLoop&) = delete;

  static IOLoop& current();
  // The thread's loop.  Throws Error(loop_closed) when it has none.
  static IOLoop* current_or_null() noexcept;

  static void configure(std::string_view backend);
  // The backend of loops made from now on, in every thread; "" for the default.  Throws Error(unknown_backend).

  static std::vector<BackendInfo> available_backends();

  std::string_view backend_name() const noexcept;

  // ---- running

  void start();
  // Turns until stop().  Throws Error(not_supported) in a browser, where the host turns the loop: use run_main.

  void stop() noexcept;
  // Ends start() after the current turn; before start(), the next one ends after its first turn.  From any thread.

  template <class F, class... Args>
  auto run_sync(F&& work, Args&&... args);
  // Starts the coroutine, runs the loop until it is done and gives its result.  Throws what it threw.

  TimePoint turn();
  // One turn without sleeping, for hosts.  Says when the next one is due (kAlready: at once).

  void close() noexcept;
  // Refuses new work, ends spawned coroutines (newest first), fails what is pending elsewhere with loop_closed, then lets the
  // network go.  From inside a turn it happens at that turn's end.

  void wind_down(Duration limit);
  // Ends spawned coroutines, newest first, and turns until every closed stream has delivered what it had accepted, for at most
  // `limit`.  What run_main does at the end.

  // ---- work

  template <class F>
  void add_callback(F&& callback) {
    static_assert(!ReturnsFuture<F>, "this callback is a coroutine and would be cancelled at once: use spawn");
    post(detail::Function<void()>(std::forward<F>(callback)));
  }
  // Runs it in the next turn.  From any thread.  An exception it throws is logged, and the loop goes on.

  template <class F>
  Timeout call_later(Duration delay, F&& callback);
  template <class F>
  Timeout call_at(TimePoint when, F&& callback);
  // Runs it once, not before then; equal times in the order of the calls.  The delay counts from the clock itself, not from the
  // beginning of the turn.

  void remove_timeout(Timeout& timeout) noexcept;
  // The callback will not run, also when it is due in this very turn.  Harmless when it has run.

  template <class F, class... Args>
  void spawn(F&& work, Args&&... args);
  // Lets a coroutine go on by itself: the loop keeps the callable, its arguments and the Future until it ends, and cancels it
  // at close().  A failure is logged unless it is the ordinary end of a connection.
  void spawn(Future<void> work);

  bool on_signal(int number, detail::Function<void()> handler);
  // Runs the handler on the loop when the process gets that signal; an empty one restores the default.  False where there are
  // no signals (a browser).

  TimePoint time() const noexcept { return now_; }
  // The clock, frozen for the turn.
  TimePoint clock() const noexcept;
  // The clock itself.

  // ---- for backends, transports and streams

  Backend& backend() noexcept { return *backend_; }
  void add_hook(detail::TurnHook& hook) noexcept;
  // Calls hook.on_turn() once, where this turn (or the next) dispatches its events.
  void add_flush(detail::TurnHook& hook) noexcept;
  // Calls hook.on_turn() once, just before the loop polls.
  void add_closer(detail::CloseHook& hook) noexcept { closers_.push_back(hook); }
  // Calls hook.on_loop_close() when the loop closes.
  void add_timer(detail::Timer& timer, TimePoint when) noexcept;
  void remove_timer(detail::Timer& timer) noexcept;
  void count_lingering(int change) noexcept { lingering_ += change; }
  void arrange_turn();
  // Hosted: asks the host for the turn that is due.  Called after anything outside a turn that may have made work.

 private:
  struct Remote;
  friend class Timeout;

  void post(detail::Function<void()> callback);
  void turn_once(bool may_sleep);
  void run_callbacks();
  void run_timers();
  void run_hooks(detail::List<detail::TurnHook>& hooks);
  void poll(bool may_sleep);
  void take_remote_callbacks();
  bool work_waits() const noexcept;
  TimePoint next_deadline() const noexcept;
  void adopt(detail::Task* task);
  void run_until(FutureBase& future);
  void close_now() noexcept;

  std::unique_ptr<Backend> backend_;
  std::shared_ptr<Remote> remote_;
  TimePoint now_{};
  TimePoint last_poll_{};
  detail::TimerHeap timers_;
  std::vector<detail::Function<void()>> callbacks_;
  detail::List<detail::TurnHook> hooks_;
  detail::List<detail::TurnHook> flushes_;
  detail::List<detail::CloseHook> closers_;
  detail::List<detail::Task> tasks_;
  TimePoint requested_ = kNever;
  unsigned polls_skipped_ = 0;
  int lingering_ = 0;
  bool running_ = false;
  bool in_turn_ = false;
  bool closing_ = false;
  bool closed_ = false;
};

// A handle to a pending call_later or call_at.  Dropping it does not cancel the call; it may outlive the call and its loop's turn.
class Timeout {
 public:
  Timeout() noexcept = default;

 private:
  friend class IOLoop;
  explicit Timeout(std::shared_ptr<detail::CallbackTimer> timer) noexcept : timer_(std::move(timer)) {}
  std::shared_ptr<detail::CallbackTimer> timer_;
};

Future<void> sleep_for(Duration);
Future<void> sleep_until(TimePoint);
// Completes then, on the current loop.  Dropping it takes the timer back.

// ---- bodies of the templates

template <class F>
Timeout IOLoop::call_later(Duration delay, F&& callback) {
  return call_at(clock() + delay, std::forward<F>(callback));
}

template <class F>
Timeout IOLoop::call_at(TimePoint when, F&& callback) {
  static_assert(!ReturnsFuture<F>, "this callback is a coroutine and would be cancelled at once: use spawn");
  auto timer = std::make_shared<detail::CallbackTimer>(detail::Function<void()>(std::forward<F>(callback)));
  timer->self = timer;
  add_timer(*timer, when);
  return Timeout(std::move(timer));
}

template <class F, class... Args>
void IOLoop::spawn(F&& work, Args&&... args) {
  adopt(detail::make_task(std::forward<F>(work), std::forward<Args>(args)...));
}

template <class F, class... Args>
auto IOLoop::run_sync(F&& work, Args&&... args) {
  auto future = std::invoke(work, std::forward<Args>(args)...);
  run_until(future);
  return future.result();
}

}  // namespace twinloop
