#include "twinloop/ioloop.h"

#include <algorithm>
#include <atomic>

#include "current.h"
#include "durations.h"
#include "twinloop/detail/builtin.h"
#include "twinloop/detail/object_lock.h"
#include "twinloop/detail/pool.h"
#include "twinloop/executor.h"
#include "twinloop/log.h"
#include "twinloop/remote.h"

namespace twinloop {
namespace {

constexpr unsigned kPollsSkipped = 16;
constexpr Duration kPollsSkippedFor = std::chrono::microseconds(100);
constexpr unsigned kClosingRounds = 1000;

thread_local IOLoop* current_loop = nullptr;

// Without a lock, which a forked child might find held by a thread that it does not have.
constinit std::atomic<const detail::BackendEntry*> configured_backend = nullptr;  // null: the default

std::string names_of_backends() {
  std::string names;
  for (const detail::BackendEntry& entry : detail::builtin_backends()) {
    if (!entry.available()) continue;
    if (!names.empty()) names += ", ";
    names += entry.name;
  }
  return names;
}

const detail::BackendEntry& find_backend(std::string_view name) {
  for (const detail::BackendEntry& entry : detail::builtin_backends()) {
    if (!entry.available()) continue;
    if (name.empty() || entry.name == name) return entry;
  }
  throw Error(Errc::unknown_backend, "'" + std::string(name) + "' (there are: " + names_of_backends() + ")");
}

std::unique_ptr<Backend> make_configured_backend() {
  const detail::BackendEntry* const configured = configured_backend.load(std::memory_order_relaxed);
  if (configured != nullptr) return configured->make();
  const char* const variable = detail::platform_environment("TWINLOOP_BACKEND");
  return find_backend(variable != nullptr ? variable : "").make();
}

[[noreturn]] void refuse_to(std::string_view call, Errc reason, std::string_view why) {
  throw Error(reason, std::string(call) + std::string(why));
}

// The loop that instance() made for this thread, if any.
std::unique_ptr<IOLoop>& own_loop() {
  Scheduler::current();  // first, so that it outlives the loop
  static thread_local std::unique_ptr<IOLoop> own;
  return own;
}

// A turn, whatever is thrown in it.
class Turn {
 public:
  Turn(bool& in_turn, Scheduler& scheduler, detail::Observers& observers) noexcept
      : in_turn_(in_turn), scheduler_(scheduler) {
    in_turn_ = true;
    scheduler_.begin_turn(observers.any() ? &observers : nullptr);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    in_turn_ = false;
    scheduler_.end_turn();
  }

 private:
  bool& in_turn_;
  Scheduler& scheduler_;
};

// Stops the loop in the turn in which a future completes, before that turn would sleep.
class StopWhenDone final : private Waiter {
 public:
  StopWhenDone(IOLoop& loop, FutureBase& future) noexcept : Waiter(&StopWhenDone::run), loop_(loop), future_(future) {
    detail::OperationAccess::attach(future, *this);
  }
  ~StopWhenDone() { detail::OperationAccess::detach_waiter(future_); }

 private:
  static void run(Waiter& waiter) { static_cast<StopWhenDone&>(waiter).loop_.stop(); }
  IOLoop& loop_;
  FutureBase& future_;
};

}  // namespace

IOLoop::IOLoop() : IOLoop(make_configured_backend()) {}

IOLoop::IOLoop(std::unique_ptr<Backend> backend)
    : backend_(std::move(backend)), mailbox_(std::make_shared<detail::Mailbox>(*this, *backend_)) {
  observers_.attach(*backend_);
  scheduler_ = &Scheduler::current();
  now_ = turn_began_ = backend_->now();
  if (current_loop == nullptr) current_loop = this;
  backend_->attach(*this);
}

IOLoop::~IOLoop() {
  assert(!in_turn_ && starting_ == nullptr &&
         "a loop may not be destroyed from inside its turn, or by what it is starting");
  close();
  if (current_loop == this) current_loop = nullptr;
}

IOLoop& IOLoop::current() {
  if (current_loop == nullptr) throw Error(Errc::loop_closed, "this thread has no IOLoop: make one, or use run_main");
  return *current_loop;
}

IOLoop* IOLoop::current_or_null() noexcept { return current_loop; }

IOLoop& IOLoop::instance() {
  if (current_loop != nullptr) return *current_loop;
  std::unique_ptr<IOLoop>& own = own_loop();
  if (own == nullptr || own->closed_) own = std::make_unique<IOLoop>();
  own->make_current();
  return *own;
}

void IOLoop::make_current() noexcept { current_loop = this; }

void IOLoop::clear_current() noexcept { current_loop = nullptr; }

void IOLoop::configure(std::string_view backend) {
  configured_backend.store(backend.empty() ? nullptr : &find_backend(backend), std::memory_order_relaxed);
}

std::vector<BackendInfo> IOLoop::available_backends() {
  std::vector<BackendInfo> all;
  for (const detail::BackendEntry& entry : detail::builtin_backends()) {
    all.push_back({std::string(entry.name), entry.available(), entry.hosted, entry.capabilities});
  }
  return all;
}

std::string_view IOLoop::backend_name() const noexcept { return closed_ ? "closed" : backend_->name(); }

TimePoint IOLoop::clock() const noexcept { return closed_ ? now_ : backend_->now(); }

TimePoint IOLoop::after(Duration delay) const noexcept { return later(clock(), delay); }

// ---- running

void IOLoop::check_that_it_can_run(std::string_view call) const {
  if (!mailbox_->on_own_thread()) refuse_to(call, Errc::not_supported, ": another thread made this loop");
  if (!closed_ && backend_->hosted()) {
    refuse_to(call, Errc::not_supported, ": the host runs this loop; use run_main, or spawn on this loop");
  }
  if (closed()) refuse_to(call, Errc::loop_closed, "");
  if (scheduler_->in_turn()) refuse_to(call, Errc::busy, ": this thread is inside the turn of a loop");
}

IOLoop::Run::Run(IOLoop& loop) : loop_(loop) {
  loop.check_that_it_can_run("start and run_sync");
  if (loop.running_) throw Error(Errc::busy, "start and run_sync: this loop is already running");
  loop.running_ = true;
  former_ = std::exchange(current_loop, &loop);
}

IOLoop::Run::~Run() {
  loop_.running_ = false;
  if (current_loop == &loop_) current_loop = former_;
}

void IOLoop::start() {
  const Run run(*this);
  turn_until_stopped();
}

void IOLoop::turn_until_stopped() {
  looked_ = clock();
  do {
    turn_once(true);
  } while (!mailbox_->stopping() && !closed_);
  mailbox_->forget_stop();
  if (!closed_) look();  // until it is started again, the delays of new timers have begun
  timers_.settle(looked_);
}

void IOLoop::stop() noexcept {
  if (mailbox_->on_own_thread() && in_turn_) return mailbox_->stop_this_turn();
  mailbox_->stop();
}

void IOLoop::wind_down(Duration limit) {
  if (closed()) return;
  check_that_it_can_run("wind_down");
  end_tasks();
  bool late = false;
  Timeout timeout = call_later(limit, [this, &late] {
    late = true;
    stop();  // this turn does not sleep
  });
  while (lingering_ > 0 && !late && !closed_) {
    turn_once(true);
    mailbox_->forget_stop();
  }
  remove_timeout(timeout);
}

void IOLoop::run_until(FutureBase& future) {
  if (future.done()) return;
  StopWhenDone watcher(*this, future);
  turn_until_stopped();
  if (!future.done()) throw Error(Errc::loop_closed, "IOLoop::run_sync: the loop was stopped before the work was done");
}

TimePoint IOLoop::turn() {
  if (closed_) return kNever;
  assert(mailbox_->on_own_thread() && "another thread made this loop");
  if (scheduler_->in_turn()) throw Error(Errc::busy, "IOLoop::turn: this thread is inside the turn of a loop");
  const detail::Current current(*this);
  looked_ = clock();
  turn_once(false);
  if (closed_) return kNever;
  look();
  requested_ = work_waits() ? kAlready : next_deadline();
  return requested_;
}

void IOLoop::turn_once(bool may_sleep) {
  if (closed_) return;
  assert(!in_turn_ && "a turn inside a turn");
  {
    const Turn turn(in_turn_, *scheduler_, observers_);
    look();
    now_ = looked_;
    timers_.settle(now_);
    ++counts_.turns;
    run_ready();
    if (!callbacks_.empty() || mailbox_->waiting()) run_callbacks();
    if (timers_.earliest() <= now_) run_timers();
    turn_began_ = now_;
    if (!flushes_.empty()) run_hooks(flushes_);
    poll(may_sleep);
    if (!hooks_.empty()) {
      begin_step();
      run_hooks(hooks_);
    }
    run_ready();
  }
  if (closing_) close_now();
}

void IOLoop::run_ready() {
  if (!scheduler_->has_ready()) return;
  begin_step();
  scheduler_->drain();
}

// Reads the clock, and sees how long the steps since the last look have taken.  Flushing is none: it would cost each message a look.
void IOLoop::look() noexcept {
  const TimePoint seen = clock();
  if (std::exchange(unlooked_, 0) > 0) counts_.longest_callback = std::max(counts_.longest_callback, seen - looked_);
  looked_ = seen;
}

// Of a loop that closes nothing runs any more; in a forked child, to which it does not belong, it is not even dropped.
void IOLoop::run_callbacks() {
  if (closing_) return;
  mailbox_->take(callbacks_);
  running_callbacks_.swap(callbacks_);
  for (detail::Callback& callback : running_callbacks_) {
    if (closing_) break;
    ++counts_.callbacks;
    run_step(StepKind::callback, callback.origin, callback.run);
    if (closed_) return;
    callback.run.reset();
  }
  running_callbacks_.clear();
}

void IOLoop::run_timers() {
  while (!closing_) {
    const TimePoint due = timers_.earliest();
    detail::Timer* timer = timers_.pop_due(now_);
    if (timer == nullptr) return;
    ++counts_.timers;
    if (due > turn_began_) counts_.lag = std::max(counts_.lag, now_ - due);  // others were due when they were asked for
    run_step(StepKind::timer, timer->origin(), [timer] { timer->fire(); });
  }
}

void IOLoop::run_hooks(detail::List<detail::TurnHook>& hooks) {
  detail::List<detail::TurnHook> batch;
  batch.append(hooks);
  while (detail::TurnHook* hook = batch.pop_front()) {
    try {
      hook->on_turn();
    } catch (...) {
      detail::log_failed_step(StepKind::handler, Origin("a transport", {}));
    }
  }
}

// With work waiting a poll only looks, and a short run of such turns may leave it out: a hop costs no system call.
void IOLoop::poll(bool may_sleep) {
  if (closing_) return;
  const bool sleeps = may_sleep && !work_waits() && !mailbox_->stopping();
  if (!sleeps && polls_skipped_ < kPollsSkipped && now_ - last_poll_ < kPollsSkippedFor && !backend_->hosted()) {
    ++polls_skipped_;
    return;
  }
  if (sleeps && (unlooked_ > 0 || !timers_.settled())) look();
  polls_skipped_ = 0;
  backend_->wait(sleeps ? next_deadline() : kAlready);
  last_poll_ = now_;
}

void IOLoop::awake() noexcept {
  now_ = backend_->now();
  counts_.asleep += now_ - looked_;
  if (observers_.any()) observers_.tell({StepKind::sleep, Origin("", {}), looked_, now_});
  looked_ = now_;
}

bool IOLoop::work_waits() const noexcept {
  return !callbacks_.empty() || !hooks_.empty() || !flushes_.empty() || !Scheduler::current().idle() ||
         mailbox_->waiting();
}

TimePoint IOLoop::next_deadline() noexcept {
  timers_.settle(looked_);
  return timers_.earliest();
}

bool IOLoop::asks_for_turns() const noexcept { return !in_turn_ && !closed_ && backend_->hosted(); }

void IOLoop::arrange_turn() {
  assert(mailbox_->on_own_thread() && "from other threads: add_callback, spawn_callback, stop, remote()");
  if (asks_for_turns()) request_turn(work_waits() ? kAlready : next_deadline());
}

void IOLoop::request_turn(TimePoint when) {
  if (when == requested_) return;
  requested_ = when;
  backend_->request_turn(when);
}

// ---- work

void IOLoop::add_timer(detail::Timer& timer, TimePoint when) noexcept {
  if (closed()) return;
  timers_.add(timer, std::max(when, TimePoint{}));  // long ago is long ago: differences of times must not overflow
  arrange_turn();
}

void IOLoop::refuse(detail::CallbackTimer& timer) noexcept { timer.expire(); }

void IOLoop::remove_timer(detail::Timer& timer) noexcept { timers_.remove(timer); }

void IOLoop::remove_timeout(Timeout& timeout) noexcept {
  const Timeout removed = std::move(timeout);
  if (!removed.pending()) return;
  timers_.remove(*removed.timer_);
  removed.timer_->expire();
}

void IOLoop::add_hook(detail::TurnHook& hook) noexcept {
  if (!hook.linked()) hooks_.push_back(hook);
  arrange_turn();
}

void IOLoop::add_flush(detail::TurnHook& hook) noexcept {
  if (!hook.linked()) flushes_.push_back(hook);
  arrange_turn();
}

void IOLoop::spawn(Future<void> work) {
  adopt(new detail::Task, [&work] { return std::move(work); });
}

void IOLoop::adopt(detail::Task* task, detail::Function<Future<void>()> start) {
  assert(mailbox_->on_own_thread() && "from other threads: spawn_callback");
  if (closed()) {
    delete task;
    return;
  }
  tasks_.push_back(*task);
  Start first{task, starting_};
  starting_ = &first;
  task->run(start);
  starting_ = first.outer;
  if (first.task == nullptr) delete task;
  if (closing_ && starting_ == nullptr && !in_turn_) return close_now();
  if (asks_for_turns()) request_turn(kAlready);  // also when it only waits: has_spawned() is looked at after turns
}

void IOLoop::cancel_tasks(const void* group) noexcept {
  detail::List<detail::Task> others;
  while (!tasks_.empty()) {
    detail::Task& task = tasks_.front();
    if (task.group() == group) {
      end_task(task);
    } else {
      task.unlink();
      others.push_back(task);
    }
  }
  tasks_.append(others);
}

RemoteLoop IOLoop::remote() const { return RemoteLoop(mailbox_); }

Executor& IOLoop::executor() {
  if (executor_ == nullptr) executor_ = detail::process_executor();
  return *executor_;
}

// ---- descriptors and signals

FdWatcher& IOLoop::fd_watcher(int fd, std::string_view what) {
  assert(mailbox_->on_own_thread() && "descriptors are watched from the loop's own thread");
  const auto call = [&] { return std::string(what) + "(" + std::to_string(fd) + ")"; };
  if (closed()) throw Error(Errc::loop_closed, call());
  if (FdWatcher* watcher = backend_->fd_watcher()) return *watcher;
  throw Error(Errc::not_supported, call() + ": the backend '" + std::string(backend_name()) +
                                       "' has no file descriptors; " + std::string(backend_->network().alternatives()));
}

void IOLoop::add_fd_handler(int fd, FdWatcher::Handler handler, FdEvents events, const Origin& origin) {
  const std::error_code error = fd_watcher(fd, "add_handler").add(fd, std::move(handler), events, origin);
  if (error) throw Error(error, "add_handler(" + std::to_string(fd) + ")");
}

void IOLoop::update_handler(int fd, FdEvents events) {
  const std::error_code error = fd_watcher(fd, "update_handler").update(fd, events);
  if (error) throw Error(error, "update_handler(" + std::to_string(fd) + ")");
}

void IOLoop::remove_handler(int fd) noexcept {
  FdWatcher* watcher = closed_ ? nullptr : backend_->fd_watcher();
  if (watcher != nullptr) watcher->remove(fd);
}

bool IOLoop::on_signal(int number, detail::Function<void()> handler) {
  return !closed_ && backend_->on_signal(number, std::move(handler));
}

// ---- seeing inside

LoopStats IOLoop::stats() noexcept {
  LoopStats stats = counts_;
  stats.resumptions = Scheduler::current().resumptions();
  stats.pending_timers = timers_.size();
  tasks_.for_each([&stats](detail::Task&) { ++stats.spawned; });
  if (FdWatcher* watcher = closed_ ? nullptr : backend_->fd_watcher()) stats.descriptors = watcher->size();
  return stats;
}

void IOLoop::set_blocking_log_threshold(Duration threshold, detail::Function<void(const Step&)> report) {
  blocking_.reset();
  if (threshold <= Duration::zero()) return;
  blocking_ = std::make_unique<detail::BlockingWatch>(observers_, threshold, std::move(report));
}

// ---- closing

void IOLoop::close(bool all_fds) noexcept {
  if (closed_) return;
  closing_ = true;
  close_fds_ = close_fds_ || all_fds;
  if (!in_turn_ && starting_ == nullptr) close_now();
}

void IOLoop::close_now() noexcept {
  if (closed_) return;  // abandoned, by a forked child
  const detail::Current current(*this);
  in_turn_ = true;  // whatever ends now may ask to close, too
  end_tasks();
  while (detail::CloseHook* hook = closers_.pop_front()) hook->on_loop_close();
  hooks_.clear();
  flushes_.clear();
  callbacks_.clear();
  timers_.settle(now_);
  while (detail::Timer* timer = timers_.pop()) timer->expire();
  resume_failed();
  mailbox_->close();
  closed_ = true;
  if (FdWatcher* watcher = backend_->fd_watcher(); watcher != nullptr && close_fds_) watcher->close_descriptors();
  backend_.reset();
  in_turn_ = false;
}

// Newest first.  What ends may close the loop, which ends the rest.
void IOLoop::end_tasks() noexcept {
  while (!tasks_.empty()) end_task(tasks_.back());
}

// One that is in its first run is deleted when it comes back from it.
void IOLoop::end_task(detail::Task& task) noexcept {
  task.unlink();
  for (Start* start = starting_; start != nullptr; start = start->outer) {
    if (start->task == &task) {
      start->task = nullptr;
      return;
    }
  }
  delete &task;
}

// Those that waited for what the loop has failed, all of them; one that never waits for anything cannot hold it up for ever.  Where
// another loop of this thread closes this one, its turn resumes them.
void IOLoop::resume_failed() noexcept {
  Scheduler& scheduler = Scheduler::current();
  if (scheduler.in_turn()) return;
  for (unsigned round = 0; !scheduler.idle() && round < kClosingRounds; ++round) {
    scheduler.begin_turn(nullptr);
    scheduler.drain();
  }
  scheduler.end_turn();
}

void IOLoop::after_fork() noexcept {
  if (IOLoop* own = own_loop().release()) own->abandon();
  if (current_loop != nullptr) current_loop->abandon();
  current_loop = nullptr;
  Scheduler::current().forget_all();
  detail::current_scheduler = nullptr;
  detail::process_generation.fetch_add(1, std::memory_order_relaxed);
  detail::pool_after_fork();
  detail::forget_process_executor();
  detail::platform_after_fork();
}

// What the parent's loop holds are copies: to destroy them properly would end the parent's connections.  A turn under way ends.
void IOLoop::abandon() noexcept {
  if (closed_) return;
  closing_ = closed_ = true;
  hooks_.clear();
  flushes_.clear();
  backend_->after_fork();
  [[maybe_unused]] const auto* backend = backend_.release();
}

}  // namespace twinloop
