// ProcessLock: guards for moments what belongs to the whole process.  Unlike a std::mutex it can be taken back from a thread that
// held it at a fork() and is not there in the child.
#pragma once

#include <atomic>
#include <thread>

namespace twinloop::detail {

class ProcessLock {
 public:
  void lock() noexcept {
    while (held_.test_and_set(std::memory_order_acquire)) std::this_thread::yield();
  }
  void unlock() noexcept { held_.clear(std::memory_order_release); }

  bool forget_holder() noexcept {
    const bool held = held_.test(std::memory_order_relaxed);
    unlock();
    return held;
  }
  // In a forked child.  True when somebody held it: what is guarded may be in the middle of a change that nobody will finish.

 private:
  std::atomic_flag held_;
};

}  // namespace twinloop::detail
