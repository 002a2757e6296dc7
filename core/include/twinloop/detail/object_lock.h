// ObjectLock: guards for moments what threads share of an object of which there may be many.  In a forked child nobody could go round
// and give back those that a thread held which is not there; so each tells by its holder's process that it was left behind.
#pragma once

#include <atomic>
#include <thread>

namespace twinloop::detail {

inline constinit std::atomic<unsigned> process_generation = 1;
// One more in each forked child: IOLoop::after_fork().

class ObjectLock {
 public:
  bool lock() noexcept {
    const unsigned ours = process_generation.load(std::memory_order_relaxed);
    for (;; std::this_thread::yield()) {
      unsigned holder = kNobody;
      if (holder_.compare_exchange_strong(holder, ours, std::memory_order_acquire)) return false;
      if (holder != ours && holder_.compare_exchange_strong(holder, ours, std::memory_order_acquire)) return true;
    }
  }
  // True when a thread held it that a fork has left behind: what is guarded may be in the middle of a change that nobody will finish.

  void unlock() noexcept { holder_.store(kNobody, std::memory_order_release); }

 private:
  static constexpr unsigned kNobody = 0;
  std::atomic<unsigned> holder_ = kNobody;  // the generation of its process
};

}  // namespace twinloop::detail
