// What coroutines of one loop wait for among themselves (Tornado's locks): Event, Condition, Semaphore, BoundedSemaphore, Lock.
//
// Waiters are served in the order in which they came.  Every wait may be dropped or given a timeout at any moment and then leaves
// no trace: it swallows no permit and no notification, not even when it had been served and only its coroutine had not run yet.
// set, notify and release never run anybody else's code: who is served continues from the ready queue.  Waiting for what is
// there already completes at once.
//
// A timeout given to the operation itself is cheaper than with_timeout around it.  It counts as call_later does; zero means until the
// loop's next turn.
//
// Destroying one under its waiters fails them with Error(cancelled).  None of these may move or be used from another thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "twinloop/detail/wait_line.h"
#include "twinloop/future.h"

namespace twinloop {

// Something that has happened or not yet.
class Event {
 public:
  Event() noexcept = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  bool is_set() const noexcept { return set_; }
  void set() noexcept;
  // Wakes all who wait now, also when clear() follows at once.
  void clear() noexcept { set_ = false; }

  Future<void> wait(Duration timeout = kNoTimeout);
  // Completes when it is set; at once if it is.  Fails with TimeoutError.

 private:
  bool set_ = false;
  detail::WaitLine<detail::Waiting> line_;
};

// Something that happens again and again; only those who wait at that moment hear of it.
class Condition {
 public:
  Condition() noexcept = default;
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;

  Future<bool> wait(Duration timeout = kNoTimeout);
  // True when it was notified, false when the time was up: no exception.

  void notify(std::size_t count = 1) noexcept;
  // Wakes the `count` that have waited longest.  When one of them is dropped before it resumes, its notification goes to the next
  // that was waiting at the time of the call; whoever came later never gets it.
  void notify_all() noexcept;

 private:
  class Wait final : public detail::Waiting {
   public:
    Wait(Condition& condition, std::uint64_t number) noexcept : condition_(condition), number_(number) {}
    void notify(std::uint64_t before) noexcept;
    std::uint64_t number() const noexcept { return number_; }

   private:
    void deliver(FutureBase& future) override;
    void dropped(bool served) noexcept override;
    void time_out() override { complete<bool>(false); }

    Condition& condition_;
    std::uint64_t
        number_;  // while it waits: how many came before it; afterwards: how many had come when it was notified
  };

  void notify_first(std::uint64_t before) noexcept;

  std::uint64_t arrivals_ = 0;
  detail::WaitLine<Wait> line_;
};

class Permit;

namespace detail {

// What a semaphore shares with the permits it gave, so that either may go first.
class PermitPool final : public Pooled {
 public:
  PermitPool(std::size_t available, bool bounded) noexcept : available_(available), bounded_(bounded) {}

  std::size_t available() const noexcept { return available_; }
  bool try_take() noexcept {
    if (available_ == 0) return false;
    --available_;
    return true;
  }
  Future<Permit> wait(Duration timeout);
  void put() noexcept;
  void detach() noexcept { ++detached_; }
  void put_detached();
  void close() noexcept;

  void keep() noexcept { ++references_; }
  void let_go() noexcept {
    if (--references_ == 0) delete this;
  }

 private:
  std::size_t available_;
  std::size_t detached_ = 0;
  std::size_t references_ = 1;
  const bool bounded_;
  WaitLine<Waiting> line_;
};

}  // namespace detail

// A permit that was acquired; destroying it gives it back, once.  It may outlive its semaphore and then gives back nothing.
//
// `co_await lock.acquire();` alone gives the lock back at the end of the line: name what it returns.  (clang warns, gcc 12 does not.)
class [[nodiscard("it is given back at once: keep it in a variable")]] Permit {
 public:
  Permit() noexcept = default;
  // Holds nothing.
  Permit(Permit&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)) {}
  Permit& operator=(Permit&& other) noexcept {
    Permit moved(std::move(other));
    std::swap(pool_, moved.pool_);
    return *this;
  }
  ~Permit() { release(); }

  explicit operator bool() const noexcept { return pool_ != nullptr; }
  // Whether it holds one.

  void release() noexcept;
  // Gives it back now.  Harmless when it holds nothing.

  void detach() noexcept;
  // It stays taken: Semaphore::release() gives it back, anywhere and any time later.

 private:
  friend class Semaphore;
  friend class detail::PermitPool;
  explicit Permit(detail::PermitPool& pool) noexcept : pool_(&pool) { pool.keep(); }

  detail::PermitPool* pool_ = nullptr;
};

// A number of permits.
class Semaphore {
 public:
  explicit Semaphore(std::size_t value = 1) : Semaphore(value, false) {}
  ~Semaphore();
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  Future<Permit> acquire(Duration timeout = kNoTimeout) {
    if (pool_->try_take()) return Future<Permit>::ready(Permit(*pool_));
    return pool_->wait(timeout);
  }
  // A permit, at once if there is one.  `Permit permit = co_await semaphore.acquire();`  Fails with TimeoutError.

  Permit try_acquire() noexcept { return pool_->try_take() ? Permit(*pool_) : Permit(); }
  // Empty when there is none.

  void release() { pool_->put_detached(); }
  // Adds a permit, which goes to the first waiter: one that was detached, or a new one, so that a semaphore can count what there
  // is to do.  A BoundedSemaphore and a Lock take back only what was detached, and throw Error(limit) otherwise.

  std::size_t value() const noexcept { return pool_->available(); }
  // How many can be acquired at once.

 protected:
  Semaphore(std::size_t value, bool bounded) : pool_(new detail::PermitPool(value, bounded)) {}

 private:
  detail::PermitPool* const pool_;
};

// A Semaphore that never has more permits than it began with.
class BoundedSemaphore : public Semaphore {
 public:
  explicit BoundedSemaphore(std::size_t value = 1) : Semaphore(value, true) {}
};

// One holder at a time.  Not recursive: who holds it and acquires it again waits for ever.
class Lock {
 public:
  Future<Permit> acquire(Duration timeout = kNoTimeout) { return semaphore_.acquire(timeout); }
  // `Permit held = co_await lock.acquire();`  Fails with TimeoutError.

  Permit try_acquire() noexcept { return semaphore_.try_acquire(); }
  // Empty when it is locked.

  void release() { semaphore_.release(); }
  // After Permit::detach() only; throws Error(limit) when it is unlocked or its Permit lives.

  bool locked() const noexcept { return semaphore_.value() == 0; }

 private:
  BoundedSemaphore semaphore_{1};
};

// ---- private

inline void Permit::release() noexcept {
  if (pool_ == nullptr) return;
  detail::PermitPool* pool = std::exchange(pool_, nullptr);
  pool->put();
  pool->let_go();
}

inline void Permit::detach() noexcept {
  if (pool_ == nullptr) return;
  detail::PermitPool* pool = std::exchange(pool_, nullptr);
  pool->detach();
  pool->let_go();
}

}  // namespace twinloop
