#include "twinloop/detail/mailbox.h"

#include <iterator>
#include <utility>

#include "twinloop/ioloop.h"

namespace twinloop::detail {

bool Mailbox::post(Callback callback) {
  if (on_own_thread()) return loop_ != nullptr && loop_->post_here(std::move(callback));
  std::unique_lock lock(mutex_);
  if (backend_ == nullptr) return false;
  callbacks_.push_back(std::move(callback));
  if (!waiting_.exchange(true, std::memory_order_acq_rel)) wake(std::move(lock));
  return true;
}

void Mailbox::stop() noexcept {
  stopping_ = true;
  std::unique_lock lock(mutex_);
  if (backend_ != nullptr) wake(std::move(lock));
}

// Without the lock, which whoever wakes asks for first.  close() waits meanwhile.
void Mailbox::wake(std::unique_lock<std::mutex> lock) noexcept {
  Backend* const backend = backend_;
  waking_.fetch_add(1, std::memory_order_relaxed);
  lock.unlock();
  backend->wake();
  waking_.fetch_sub(1, std::memory_order_release);
}

bool Mailbox::closed() noexcept {
  const std::lock_guard lock(mutex_);
  return backend_ == nullptr;
}

void Mailbox::take(std::vector<Callback>& into) {
  if (!waiting()) return;
  const std::lock_guard lock(mutex_);
  into.insert(into.end(), std::make_move_iterator(callbacks_.begin()), std::make_move_iterator(callbacks_.end()));
  callbacks_.clear();
  waiting_.store(false, std::memory_order_relaxed);
}

// What is dropped may post again when it is destroyed, so that happens without the lock.
void Mailbox::close() noexcept {
  std::vector<Callback> dropped;
  {
    const std::lock_guard lock(mutex_);
    loop_ = nullptr;
    backend_ = nullptr;
    dropped.swap(callbacks_);
  }
  while (waking_.load(std::memory_order_acquire) > 0) std::this_thread::yield();
}

}  // namespace twinloop::detail
