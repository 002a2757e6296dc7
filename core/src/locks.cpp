#include "twinloop/locks.h"

namespace twinloop {

// ---- Event

void Event::set() noexcept {
  set_ = true;
  line_.complete_all<void>();
}

Future<void> Event::wait(Duration timeout) {
  if (set_) return Future<void>::ready();
  return line_.enter<void>(timeout);
}

// ---- Condition

Future<bool> Condition::wait(Duration timeout) { return line_.enter<bool>(timeout, *this, arrivals_++); }

void Condition::notify(std::size_t count) noexcept {
  for (; count > 0 && !line_.empty(); --count) notify_first(arrivals_);
}

void Condition::notify_all() noexcept {
  while (!line_.empty()) notify_first(arrivals_);
}

void Condition::notify_first(std::uint64_t before) noexcept {
  if (line_.empty() || line_.front().number() >= before) return;
  line_.front().notify(before);
  line_.serve_front();
}

void Condition::Wait::notify(std::uint64_t before) noexcept { number_ = before; }

void Condition::Wait::deliver(FutureBase& future) { detail::OperationAccess::emplace<bool>(future, true); }

void Condition::Wait::dropped(bool served) noexcept {
  if (served) condition_.notify_first(number_);
}

// ---- Semaphore

namespace detail {

Future<Permit> PermitPool::wait(Duration timeout) { return line_.enter<Permit>(timeout); }

void PermitPool::put() noexcept {
  if (line_.empty()) {
    ++available_;
  } else {
    line_.front().complete<Permit>(Permit(*this));
  }
}

void PermitPool::put_detached() {
  if (detached_ > 0) {
    --detached_;
  } else if (bounded_) {
    throw_error(Errc::limit, "release() without a detached Permit: nothing was acquired, or its Permit gives it back");
  }
  put();
}

void PermitPool::close() noexcept {
  line_.fail_all(Errc::cancelled);
  let_go();
}

}  // namespace detail

Semaphore::~Semaphore() { pool_->close(); }

}  // namespace twinloop
