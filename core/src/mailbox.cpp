#include "twinloop/detail/mailbox.h"

#include <iterator>
#include <utility>

#include "twinloop/ioloop.h"

namespace twinloop::detail {

bool Mailbox::post(Callback callback) {
  if (on_own_thread()) return loop_ != nullptr && loop_->post_here(std::move(callback));
  const std::lock_guard lock(mutex_);
  if (backend_ == nullptr) return false;
  callbacks_.push_back(std::move(callback));
  if (!waiting_.exchange(true, std::memory_order_acq_rel)) backend_->wake();
  return true;
}

void Mailbox::stop() noexcept {
  stopping_ = true;
  const std::lock_guard lock(mutex_);
  if (backend_ != nullptr) backend_->wake();
}

bool Mailbox::closed() noexcept {
  const std::lock_guard lock(mutex_);
  return backend_ == nullptr;
}

void Mailbox::take(std::vector<Callback>& into) {
  if (!waiting()) return;
  const std::lock_guard lock(mutex_);
  waiting_.store(false, std::memory_order_relaxed);
  into.insert(into.end(), std::make_move_iterator(callbacks_.begin()), std::make_move_iterator(callbacks_.end()));
  callbacks_.clear();
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
}

}  // namespace twinloop::detail
