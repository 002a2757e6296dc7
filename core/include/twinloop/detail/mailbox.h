// What other threads may touch of a loop.  It outlives the loop in the hands of those that post to it.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "twinloop/detail/function.h"
#include "twinloop/origin.h"

namespace twinloop {

class Backend;
class IOLoop;

namespace detail {

// A function that a loop will run, and where it came from.
struct Callback {
  template <class F>
  Callback(F&& function, const Origin& from) : run(std::forward<F>(function)), origin(from) {}

  Function<void()> run;
  Origin origin;
};

class Mailbox {
 public:
  Mailbox(IOLoop& loop, Backend& backend) noexcept : loop_(&loop), backend_(&backend) {}

  bool on_own_thread() const noexcept { return std::this_thread::get_id() == thread_; }

  // ---- from any thread

  bool post(Callback callback);
  // False, and the callback is destroyed unrun, once the loop is closed.
  void stop() noexcept;
  bool closed() noexcept;

  // ---- from the loop

  bool stopping() const noexcept { return stopping_.load(std::memory_order_relaxed); }
  bool waiting() const noexcept { return waiting_.load(std::memory_order_acquire); }
  void forget_stop() noexcept { stopping_ = false; }
  void stop_this_turn() noexcept { stopping_ = true; }
  void take(std::vector<Callback>& into);
  void close() noexcept;

 private:
  void wake(std::unique_lock<std::mutex> lock) noexcept;

  const std::thread::id thread_ = std::this_thread::get_id();
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> waiting_ = false;  // callbacks_ is not empty
  std::atomic<int> waking_ = 0;        // threads that use the backend without the lock
  std::mutex mutex_;
  std::vector<Callback> callbacks_;  // guarded by mutex_
  IOLoop* loop_;                     // the own thread's; null once closed
  Backend* backend_;                 // guarded by mutex_; null once closed
};

}  // namespace detail
}  // namespace twinloop
