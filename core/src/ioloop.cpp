#include "twinloop/ioloop.h"

#include <atomic>
#include <mutex>
#include <thread>

#include "twinloop/detail/builtin.h"
#include "twinloop/log.h"

namespace twinloop {
namespace {

constexpr unsigned kPollsSkipped = 16;
constexpr Duration kPollsSkippedFor = std::chrono::microseconds(100);

thread_local IOLoop* current_loop = nullptr;

std::mutex configuration_mutex;
std::string configured_backend;  // guarded by configuration_mutex

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
  std::string name;
  {
    const std::lock_guard lock(configuration_mutex);
    name = configured_backend;
  }
  if (name.empty()) {
    if (const char* variable = detail::platform_environment("TWINLOOP_BACKEND")) name = variable;
  }
  return find_backend(name).make();
}

void log_current_exception(const char* origin) noexcept {
  const Failure failure(std::current_exception());
  log(LogLevel::error, std::string("exception in ") + origin + ": " + failure.message());
}

template <class F>
void run_logged(const char* origin, F&& function) noexcept {
  try {
    function();
  } catch (...) {
    log_current_exception(origin);
  }
}

// True while it lives, whatever is thrown.
class Running {
 public:
  explicit Running(bool& flag) noexcept : flag_(flag) { flag_ = true; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() { flag_ = false; }

 private:
  bool& flag_;
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

// A coroutine that was started before it was spawned.
class StartedTask final : public detail::Task {
 public:
  explicit StartedTask(Future<void> work) noexcept : work_(std::move(work)) {}
  ~StartedTask() override { cancel(); }
  Future<void> start() override { return std::move(work_); }

 private:
  Future<void> work_;
};

}  // namespace

// What other threads may touch.  It outlives the loop in the hands of those that post to it.
struct IOLoop::Remote {
  std::mutex mutex;
  std::vector<detail::Function<void()>> callbacks;  // guarded by mutex
  Backend* backend = nullptr;                       // guarded by mutex; nullptr once the loop is closed
  std::atomic<bool> stopping = false;
  std::atomic<bool> waiting = false;  // callbacks is not empty
  const std::thread::id thread = std::this_thread::get_id();

  bool on_own_thread() const noexcept { return std::this_thread::get_id() == thread; }
};

IOLoop::IOLoop() : IOLoop(make_configured_backend()) {}

IOLoop::IOLoop(std::unique_ptr<Backend> backend) : backend_(std::move(backend)), remote_(std::make_shared<Remote>()) {
  remote_->backend = backend_.get();
  now_ = backend_->now();
  if (current_loop == nullptr) current_loop = this;
  backend_->attach(*this);
}

IOLoop::~IOLoop() {
  assert(!in_turn_ && "a loop may not be destroyed from inside its turn");
  close();
  if (current_loop == this) current_loop = nullptr;
}

IOLoop& IOLoop::current() {
  if (current_loop == nullptr) throw Error(Errc::loop_closed, "this thread has no IOLoop: make one, or use run_main");
  return *current_loop;
}

IOLoop* IOLoop::current_or_null() noexcept { return current_loop; }

void IOLoop::configure(std::string_view backend) {
  if (!backend.empty()) find_backend(backend);
  const std::lock_guard lock(configuration_mutex);
  configured_backend = backend;
}

std::vector<BackendInfo> IOLoop::available_backends() {
  std::vector<BackendInfo> all;
  for (const detail::BackendEntry& entry : detail::builtin_backends()) {
    all.push_back({std::string(entry.name), entry.available(), entry.name == "browser"});
  }
  return all;
}

std::string_view IOLoop::backend_name() const noexcept { return backend_->name(); }

TimePoint IOLoop::clock() const noexcept { return backend_->now(); }

// ---- running

void IOLoop::start() {
  if (backend_->hosted()) throw Error(Errc::not_supported, "start and run_sync: the host runs this loop; use run_main");
  if (running_) throw Error(Errc::busy, "start and run_sync: this loop is already running");
  if (closed_) throw Error(Errc::loop_closed, "IOLoop::start");
  const Running running(running_);
  do {
    turn_once(true);
  } while (!remote_->stopping.load(std::memory_order_relaxed) && !closed_);
  remote_->stopping = false;
}

void IOLoop::stop() noexcept {
  remote_->stopping = true;
  const std::lock_guard lock(remote_->mutex);
  if (remote_->backend != nullptr && !(remote_->on_own_thread() && in_turn_)) remote_->backend->wake();
}

void IOLoop::wind_down(Duration limit) {
  while (!tasks_.empty()) delete &tasks_.back();
  bool late = false;
  Timeout timeout = call_later(limit, [&late] { late = true; });
  while (lingering_ > 0 && !late && !closed_) turn_once(true);
  remove_timeout(timeout);
}

void IOLoop::run_until(FutureBase& future) {
  if (future.done()) return;
  StopWhenDone watcher(*this, future);
  start();
  if (!future.done()) throw Error(Errc::loop_closed, "IOLoop::run_sync: the loop was stopped before the work was done");
}

TimePoint IOLoop::turn() {
  turn_once(false);
  requested_ = work_waits() ? kAlready : next_deadline();
  return requested_;
}

void IOLoop::turn_once(bool may_sleep) {
  if (closed_) return;
  assert(!in_turn_ && "a turn inside a turn");
  Scheduler& scheduler = Scheduler::current();
  {
    const Running in_turn(in_turn_);
    now_ = backend_->now();
    scheduler.begin_turn();
    scheduler.drain();
    run_callbacks();
    run_timers();
    run_hooks(flushes_);
    poll(may_sleep);
    run_hooks(hooks_);
    scheduler.drain();
  }
  if (closing_) close_now();
}

void IOLoop::run_callbacks() {
  take_remote_callbacks();
  std::vector<detail::Function<void()>> batch = std::exchange(callbacks_, {});
  Scheduler& scheduler = Scheduler::current();
  for (auto& callback : batch) {
    if (closing_) return;
    scheduler.refill_inline();
    run_logged("a callback", callback);
    callback.reset();
    scheduler.drain();
  }
  batch.clear();
  if (callbacks_.empty()) callbacks_ = std::move(batch);  // keeps its memory
}

void IOLoop::run_timers() {
  const std::uint64_t before = timers_.ticket();
  Scheduler& scheduler = Scheduler::current();
  while (detail::Timer* timer = timers_.pop_due(now_, before)) {
    scheduler.refill_inline();
    run_logged("a timer", [timer] { timer->fire(); });
    scheduler.drain();
  }
}

void IOLoop::run_hooks(detail::List<detail::TurnHook>& hooks) {
  detail::List<detail::TurnHook> batch;
  batch.append(hooks);
  while (detail::TurnHook* hook = batch.pop_front()) {
    run_logged("a transport", [hook] { hook->on_turn(); });
  }
}

// With work waiting a poll only looks, and a short run of such turns may leave it out: a hop costs no system call.
void IOLoop::poll(bool may_sleep) {
  const bool waits = work_waits() || closing_ || !may_sleep || remote_->stopping.load(std::memory_order_relaxed);
  if (waits && polls_skipped_ < kPollsSkipped && now_ - last_poll_ < kPollsSkippedFor && !backend_->hosted()) {
    ++polls_skipped_;
    return;
  }
  polls_skipped_ = 0;
  backend_->wait(waits ? kAlready : next_deadline());
  last_poll_ = now_;
}

bool IOLoop::work_waits() const noexcept {
  return !callbacks_.empty() || !hooks_.empty() || !flushes_.empty() || !Scheduler::current().idle() ||
         remote_->waiting.load(std::memory_order_acquire);
}

TimePoint IOLoop::next_deadline() const noexcept { return timers_.earliest(); }

void IOLoop::arrange_turn() {
  if (in_turn_ || closed_ || !backend_->hosted()) return;
  const TimePoint when = work_waits() ? kAlready : next_deadline();
  if (when == requested_) return;
  requested_ = when;
  backend_->request_turn(when);
}

// ---- work

void IOLoop::post(detail::Function<void()> callback) {
  if (remote_->on_own_thread()) {
    if (closed_ || closing_) return;
    callbacks_.push_back(std::move(callback));
    return arrange_turn();
  }
  const std::lock_guard lock(remote_->mutex);
  if (remote_->backend == nullptr) return;
  remote_->callbacks.push_back(std::move(callback));
  if (!remote_->waiting.exchange(true, std::memory_order_acq_rel)) remote_->backend->wake();
}

void IOLoop::take_remote_callbacks() {
  if (!remote_->waiting.load(std::memory_order_acquire)) return;
  const std::lock_guard lock(remote_->mutex);
  remote_->waiting.store(false, std::memory_order_relaxed);
  for (auto& callback : remote_->callbacks) callbacks_.push_back(std::move(callback));
  remote_->callbacks.clear();
}

void IOLoop::add_timer(detail::Timer& timer, TimePoint when) noexcept {
  timers_.add(timer, when);
  arrange_turn();
}

void IOLoop::remove_timer(detail::Timer& timer) noexcept { timers_.remove(timer); }

void IOLoop::remove_timeout(Timeout& timeout) noexcept {
  if (const auto timer = std::move(timeout.timer_)) {
    timers_.remove(*timer);
    timer->callback.reset();
    timer->self.reset();
  }
}

void IOLoop::add_hook(detail::TurnHook& hook) noexcept {
  if (!hook.linked()) hooks_.push_back(hook);
  arrange_turn();
}

void IOLoop::add_flush(detail::TurnHook& hook) noexcept {
  if (!hook.linked()) flushes_.push_back(hook);
  arrange_turn();
}

void IOLoop::spawn(Future<void> work) { adopt(new StartedTask(std::move(work))); }

void IOLoop::adopt(detail::Task* task) {
  if (closed_ || closing_) {
    delete task;
    return;
  }
  tasks_.push_back(*task);
  task->run();
  arrange_turn();
}

bool IOLoop::on_signal(int number, detail::Function<void()> handler) {
  return backend_->on_signal(number, std::move(handler));
}

// ---- closing

void IOLoop::close() noexcept {
  if (closed_) return;
  closing_ = true;
  if (!in_turn_) close_now();
}

void IOLoop::close_now() noexcept {
  while (!tasks_.empty()) delete &tasks_.back();
  while (detail::CloseHook* hook = closers_.pop_front()) hook->on_loop_close();
  hooks_.clear();
  flushes_.clear();
  callbacks_.clear();
  while (detail::Timer* timer = timers_.pop()) timer->expire();
  Scheduler::current().begin_turn();
  Scheduler::current().drain();
  {
    const std::lock_guard lock(remote_->mutex);
    remote_->backend = nullptr;
    remote_->callbacks.clear();
  }
  closed_ = true;
  backend_.reset();
}

}  // namespace twinloop
