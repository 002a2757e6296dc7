#include "twinloop/future.h"

#include <chrono>
#include <memory>

#include "twinloop/detail/branch.h"
#include "twinloop/detail/observers.h"
#include "twinloop/log.h"

namespace twinloop {

namespace detail {

constinit thread_local Scheduler* current_scheduler = nullptr;

Scheduler& make_scheduler() {
  struct Owner {
    std::unique_ptr<Scheduler> scheduler = std::make_unique<Scheduler>();
    Owner() { current_scheduler = scheduler.get(); }
    ~Owner() { current_scheduler = nullptr; }
  };
  static thread_local Owner owner;
  // A future that dies after its thread's Scheduler still needs one: it stays until the process ends.
  if (current_scheduler == nullptr) current_scheduler = new Scheduler;
  return *current_scheduler;
}

bool OperationBase::fail_pending(Failure failure) {
  if (!attached()) return false;
  detach<FutureBase>().fail(std::move(failure));
  return true;
}

void log_unseen(const Failure& failure, const Location& where) {
  if (is_ordinary_end(failure.code())) return;
  log(LogLevel::error, "a failure that nobody looked at" + after(where) + ": " + failure.message(), where);
}

std::string after(const Location& where) {
  const std::string place = Origin("", where).text();
  return place.empty() ? place : ", after " + place;
}

void log_ignored_coroutine(const Location& where) noexcept {
  log(LogLevel::error, "ignore() of a coroutine's Future cancels the coroutine: give it to IOLoop::spawn", where);
}

// ---- Branch

void Branch::watch(FutureBase& future, OperationBase* operation) noexcept {
  operation_ = operation;
  if (!OperationAccess::pending(future)) return wake();
  awaiting_ = &future;
  OperationAccess::attach(future, *this);
}

void Branch::follow(FutureBase& future, OperationBase& operation) noexcept {
  if (!OperationAccess::pending(future) || OperationAccess::stands_for_another(future))
    return watch(future, &operation);
  operation_ = &operation;
  awaiting_ = &future;
  OperationAccess::attach(future, Follower::at_once(*this));
}

void Branch::stop() noexcept {
  if (FutureBase* future = std::exchange(awaiting_, nullptr)) OperationAccess::detach_waiter(*future);
  unlink();
}

void Branch::run(Waiter& waiter) {
  auto& branch = static_cast<Branch&>(waiter);
  branch.awaiting_ = nullptr;
  branch.done_(branch);
}

}  // namespace detail

// The future that this one's operation stands for.
FutureBase* FutureBase::inner() const noexcept {
  if (tag() != Source::promise) return nullptr;
  auto& operation = static_cast<detail::OperationBase&>(producer());
  if (operation.hooks_ == nullptr || operation.hooks_->inner == nullptr) return nullptr;
  return operation.hooks_->inner(operation);
}

CoroutineBase* FutureBase::coroutine_within() const noexcept {
  const FutureBase* future = this;
  while (const FutureBase* within = future->inner()) future = within;
  return future->coroutine();
}

// ---- Scheduler

void Scheduler::begin_turn(detail::Observers* observers) noexcept {
  observers_ = observers;
  ready_.append(deferred_);
  last_resumption_ = resumptions_ + kResumptionsPerTurn;
  turn_ends_ = 0;
  in_turn_ = true;
}

void Scheduler::forget_all() noexcept {
  ready_.clear();
  deferred_.clear();
}

bool Scheduler::over_budget() noexcept {
  const std::uint64_t left = last_resumption_ - resumptions_;
  if (left == 0) return true;
  if (left % 32 != 0) return false;
  const std::int64_t now = std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
  if (turn_ends_ == 0) turn_ends_ = now + kNanosecondsPerTurn;
  if (now < turn_ends_) return false;
  last_resumption_ = resumptions_;
  return true;
}

void Scheduler::drain() {
  while (!ready_.empty() && !over_budget()) {
    Waiter& waiter = ready_.take_front();
    ++resumptions_;
    if (observers_ != nullptr) [[unlikely]]
      run_observed(waiter);
    else
      run(waiter);
  }
}

// Most are coroutines: to ask costs less than the call through a pointer.
inline void Scheduler::run(Waiter& waiter) {
  if (waiter.run_ == &CoroutineBase::resume)
    resume(static_cast<CoroutineBase&>(waiter));
  else
    waiter.run_(waiter);
}

inline void Scheduler::resume(CoroutineBase& coroutine) noexcept {
  current_ = &coroutine;
  refill_inline();
#if TWINLOOP_RESUME_THROUGH_PROMISE
  reinterpret_cast<void (**)(void*)>(&coroutine)[-2](coroutine.frame_);
#else
  std::coroutine_handle<>::from_address(coroutine.frame_).resume();
#endif
  current_ = nullptr;
  if (!doomed_.empty()) bury_doomed();
}

void Scheduler::run_observed(Waiter& waiter) {
  if (waiter.run_ != &CoroutineBase::resume) return waiter.run_(waiter);
  const Origin origin("", static_cast<CoroutineBase&>(waiter).where_);
  const detail::ObservedStep step(*observers_, StepKind::coroutine, origin);
  resume(static_cast<CoroutineBase&>(waiter));
}

// Ends `root` and everything it awaits, leaf first, in constant stack.  A destructor in one of the frames may end others of
// them: ~CoroutineBase strikes those from the burial, which then walks down anew.
void Scheduler::bury(CoroutineBase& root) noexcept {
  if (current_ != nullptr && current_->runs_for(root)) {
    root.unlink();
    doomed_.push_back(root);
    return;
  }
  Burial burial{&root, nullptr, burials_};
  burials_ = &burial;
  while (burial.root != nullptr) {
    CoroutineBase& frame = (burial.next != nullptr ? burial.next : burial.root)->leaf();
    burial.next = &frame == burial.root ? nullptr : frame.release_from_parent();
    frame.stop_waiting();
    frame.destroy();
  }
  burials_ = burial.outer;
}

void Scheduler::bury_doomed() noexcept {
  while (Waiter* root = doomed_.pop_front()) bury(static_cast<CoroutineBase&>(*root));
}

// ---- CoroutineBase

void CoroutineBase::resume(Waiter& waiter) noexcept {
  Scheduler::current().resume(static_cast<CoroutineBase&>(waiter));
}

void CoroutineBase::destroy() noexcept {
  assert(frame_ != nullptr && "a coroutine in its first run cannot be destroyed");
#if TWINLOOP_RESUME_THROUGH_PROMISE
  reinterpret_cast<void (**)(void*)>(this)[-1](frame_);
#else
  std::coroutine_handle<>::from_address(frame_).destroy();
#endif
}

void CoroutineBase::strike() noexcept {
  for (auto* burial = Scheduler::current().burials_; burial != nullptr; burial = burial->outer) {
    if (burial->root == this) burial->root = nullptr;
    if (burial->next == this) burial->next = nullptr;
  }
}

CoroutineBase& CoroutineBase::leaf() noexcept {
  CoroutineBase* frame = this;
  while (CoroutineBase* below = frame->awaiting_ != nullptr ? frame->awaiting_->coroutine_within() : nullptr) {
    frame = below;
  }
  return *frame;
}

// Whether this coroutine, which is running, is what `root` waits for in the end.  Where an operation waits for several others
// there is no way down, so the question is asked upwards.
bool CoroutineBase::runs_for(CoroutineBase& root) const noexcept {
  const CoroutineBase& leaf = root.leaf();
  if (&leaf == this) return true;
  if (!leaf.awaits_a_gathering()) return false;
  const CoroutineBase* frame = this;
  while (frame != nullptr && frame != &root) frame = frame->parent();
  return frame != nullptr;
}

bool CoroutineBase::awaits_a_gathering() const noexcept {
  const FutureBase* future = awaiting_;
  while (future != nullptr && future->tag() == FutureBase::Source::promise) {
    auto& operation = static_cast<detail::OperationBase&>(future->producer());
    if (operation.hooks_ == nullptr) return false;
    if (operation.hooks_->gathers) return true;
    future = operation.hooks_->inner != nullptr ? operation.hooks_->inner(operation) : nullptr;
  }
  return false;
}

// The coroutine that waits for this one, perhaps through operations between the two.
CoroutineBase* CoroutineBase::parent() const noexcept {
  const detail::Producer* producer = this;
  while (producer != nullptr && producer->attached()) {
    Waiter* waiter = producer->future_->waiter();
    if (waiter == nullptr) return nullptr;
    if (waiter->run_ == &CoroutineBase::resume) return static_cast<CoroutineBase*>(waiter);
    if (waiter->run_ != &detail::Branch::run) return nullptr;
    producer = static_cast<detail::Branch*>(waiter)->operation();
  }
  return nullptr;
}

CoroutineBase* CoroutineBase::release_from_parent() noexcept {
  CoroutineBase* above = parent();
  if (attached()) detach<FutureBase>().clear();
  return above;
}

void CoroutineBase::stop_waiting() noexcept {
  FutureBase* future = std::exchange(awaiting_, nullptr);
  if (future != nullptr && future->pending()) future->word_.follower = {};
}

// The frame is destroyed from the ready queue, before its waiter runs: nothing may be destroyed inside its own await_suspend.
void CoroutineBase::end_with(Failure failure, std::coroutine_handle<> handle) noexcept {
  frame_ = handle.address();
  set_run(&CoroutineBase::end);
  wake();
  if (attached()) detach<FutureBase>().fail(std::move(failure));
}

void CoroutineBase::end(Waiter& waiter) noexcept { static_cast<CoroutineBase&>(waiter).destroy(); }

void CoroutineBase::unhandled_exception() noexcept {
  if (attached()) detach<FutureBase>().fail(std::current_exception(), where_);
}

// ---- FutureBase

void FutureBase::fail(Failure failure, const Location& where) noexcept {
  Waiter* waiter = this->waiter();
  if (failure.exception() || failure.has_context()) {
    source_ = kDescribed;
    word_.described = new Described{std::move(failure), where};
  } else {
    const std::error_code code = failure.code();
    source_ = (static_cast<std::uintptr_t>(static_cast<std::intptr_t>(code.value())) << kErrorShift) | kError;
    word_.category = &code.category();
  }
  if (waiter != nullptr) waiter->wake();
}

void FutureBase::deliver_reserved() {
  auto& operation = static_cast<detail::OperationBase&>(producer());
  operation.future_ = nullptr;
  clear();
  operation.hooks_->deliver(operation, *this);
}

Failure FutureBase::take_failure() noexcept {
  Failure failure(Errc::broken_promise);  // what awaiting an empty future gives
  if (source_ == kDescribed) {
    failure = std::move(std::unique_ptr<Described>(word_.described)->failure);
  } else if (is_error()) {
    failure = Failure(error_code());
  }
  clear();
  return failure;
}

Failure FutureBase::look_at_failure() {
  if (source_ == kDescribed) {
    word_.described->looked_at = true;
    return word_.described->failure;
  }
  Failure failure = take_failure();
  word_.described = new Described{failure, {}, true};
  source_ = kDescribed;
  return failure;
}

// Nothing here needs cleaning up: each function that does, on the way of an exception, makes it dearer.
void FutureBase::raise() {
  if (!is_error()) take_failure().raise();
  const std::error_code code = error_code();
  clear();
  throw_error(code);
}

void FutureBase::abandon_waiter() noexcept {
  Waiter* waiter = std::exchange(word_.follower, {}).waiter();
  if (waiter == nullptr) return;
  waiter->awaiting_ = nullptr;
  waiter->wake();
}

void FutureBase::drop_slowly() noexcept {
  switch (tag()) {
    case Source::coroutine: {
      CoroutineBase& work = *coroutine();
      abandon_waiter();
      work.future_ = nullptr;
      clear();
      return Scheduler::current().bury(work);
    }
    case Source::promise:
    case Source::reserved: {
      auto& operation = static_cast<detail::OperationBase&>(producer());
      if (pending()) abandon_waiter();
      operation.future_ = nullptr;
      clear();
      if (operation.hooks_ != nullptr) operation.hooks_->dropped(operation);
      return;
    }
    case Source::terminal: {
      const bool looked_at = source_ == kDescribed && word_.described->looked_at;
      const Location where = failed_after();
      const Failure failure = take_failure();
      if (!looked_at) detail::log_unseen(failure, where);
    }
  }
}

// ---- Failure

std::error_code Failure::code() const noexcept {
  if (!exception_) return code_;
  try {
    std::rethrow_exception(exception_);
  } catch (const Error& error) {
    return error.code();
  } catch (...) {
    return make_error_code(Errc::io);
  }
}

std::string Failure::message() const {
  if (!exception_) return context_ != nullptr ? *context_ + ": " + code_.message() : code_.message();
  try {
    std::rethrow_exception(exception_);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception of an unknown type";
  }
}

void Failure::raise() const {
  if (exception_) std::rethrow_exception(exception_);
  throw_error(code_, context_ != nullptr ? std::string_view(*context_) : std::string_view());
}

}  // namespace twinloop
