// The part of a Future that does not depend on its type: who produces, who waits, how it ended.
#pragma once

#include <cassert>
#include <cstdint>
#include <exception>
#include <utility>

#include "twinloop/detail/scheduler.h"
#include "twinloop/origin.h"
#include "twinloop/result.h"

namespace twinloop {

namespace detail {

// What will complete a future.  It and the Future point at each other, and both re-link when they move.
class Producer {
 public:
  Producer() noexcept = default;
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;

  bool attached() const noexcept { return future_ != nullptr; }

 protected:
  ~Producer() = default;
  template <class F>
  F& detach() noexcept {
    return static_cast<F&>(*std::exchange(future_, nullptr));
  }

 private:
  friend class ::twinloop::FutureBase;
  friend class ::twinloop::CoroutineBase;
  friend class OperationBase;
  FutureBase* future_ = nullptr;
};

// Who is told that a future is done: nobody, a waiter from the ready queue, or one that only passes the news on and hears of a value
// at once.
class Follower {
 public:
  Follower() noexcept = default;
  Follower(Waiter& waiter) noexcept  // NOLINT(google-explicit-constructor)
      : bits_(reinterpret_cast<std::uintptr_t>(&waiter)) {}
  static Follower at_once(Waiter& waiter) noexcept {
    Follower follower(waiter);
    follower.bits_ |= kAtOnce;
    return follower;
  }

  Waiter* waiter() const noexcept { return reinterpret_cast<Waiter*>(bits_ & ~kAtOnce); }
  void tell() const noexcept {
    if (bits_ == 0) return;
    Waiter& waiter = *this->waiter();
    if (bits_ & kAtOnce) [[unlikely]]
      waiter.run_(waiter);
    else
      waiter.wake();
  }
  // That there is a value.  A failure is told with wake().

 private:
  static constexpr std::uintptr_t kAtOnce = 1;
  std::uintptr_t bits_ = 0;
};

class Branch;
struct OperationAccess;

void log_unseen(const Failure& failure, const Location& where = {});
std::string after(const Location& where);
// ", after chat.cpp:42", for messages; nothing where nothing is known.
// Says that nobody looked at it, unless it is the ordinary end of a connection.

// The producer of a leaf operation.  Completion reserves, taking the result delivers: between the two the waiter may be
// dropped, and then the operation takes back what it had set aside (bytes, an item, a permit).
class OperationBase : public Producer {
 public:
  struct Hooks {
    void (*dropped)(OperationBase&) noexcept;      // the future went away, before or after the reservation
    void (*deliver)(OperationBase&, FutureBase&);  // build the reserved result in the future
    FutureBase* (*inner)(OperationBase&) noexcept = nullptr;
    // The one future that the operation owns and stands for: cancelling and stacks of coroutines see through to it.
    bool gathers = false;  // other coroutines complete it through Branches
  };

  explicit OperationBase(const Hooks* hooks = nullptr) noexcept : hooks_(hooks) {}
  OperationBase(OperationBase&& other) noexcept;

  bool fail_pending(Failure failure);
  // Completes the future with a failure; false when nobody waits.

  bool pending() const noexcept;
  bool reserved() const noexcept;

  void reserve() noexcept;
  // Wakes the waiter; the result is built by Hooks::deliver when it is taken.  Only for a value: a failure is there at once.

  void deliver_now();
  // Builds a reserved result in the future at once, because what it is made of goes away or the next operation begins.

 protected:
  ~OperationBase() = default;

 private:
  friend class ::twinloop::FutureBase;
  friend class ::twinloop::CoroutineBase;
  const Hooks* hooks_;
};

}  // namespace detail

class FutureBase {
 public:
  enum class Source : std::uintptr_t { coroutine = 0, promise = 1, reserved = 2, terminal = 3 };

  FutureBase(const FutureBase&) = delete;
  FutureBase& operator=(const FutureBase&) = delete;

  bool valid() const noexcept { return source_ != kEmpty; }
  // False for a default-constructed, moved-from or consumed future.

  bool done() const noexcept {
    return valid() && (source_ & kTagMask) >= static_cast<std::uintptr_t>(Source::reserved);
  }
  // True once the result, good or bad, is there.

  bool ok() const noexcept { return done() && !holds_failure(); }
  // True once it is there and good.

 protected:
  FutureBase() noexcept = default;
  FutureBase(detail::Producer& producer, Source source) noexcept
      : source_(reinterpret_cast<std::uintptr_t>(&producer) | static_cast<std::uintptr_t>(source)) {
    producer.future_ = this;
  }

  FutureBase(FutureBase&& other) noexcept : source_(other.source_) {
    if (other.pending_or_reserved()) {
      assert(other.word_.follower.waiter() == nullptr && "a future that is being awaited may not move");
      other.producer().future_ = this;
    } else if (source_ == kDescribed) {
      word_.described = other.word_.described;
    } else {
      word_.category = other.word_.category;
    }
    other.clear();
  }

  ~FutureBase() = default;

  void drop() noexcept {
    if (source_ != kEmpty && source_ != kValue) drop_slowly();
  }

  bool holds_value() const noexcept { return source_ == kValue; }
  bool holds_failure() const noexcept { return tag() == Source::terminal && source_ != kValue; }
  // Also when it is empty: taking its result gives one.
  void clear() noexcept {
    source_ = kEmpty;
    word_.follower = {};
  }

  void complete_with_value() noexcept { complete(kValue); }
  void fail(Failure failure, const Location& where = {}) noexcept;
  // `where` is for the message, should nobody look at it.
  void deliver() {
    if ((source_ & kTagMask) == static_cast<std::uintptr_t>(Source::reserved)) deliver_reserved();
  }
  bool gives_value() {
    if (holds_value()) return true;
    deliver();
    return holds_value();
  }
  // Of one that is done.
  [[noreturn]] void raise();
  Failure take_failure() noexcept;
  Failure look_at_failure();
  Location failed_after() const noexcept { return source_ == kDescribed ? word_.described->where : Location{}; }
  // The co_await behind which the exception was thrown, as far as it is known.
  CoroutineBase* coroutine() const noexcept;

 private:
  friend class CoroutineBase;
  friend class Scheduler;
  friend class detail::OperationBase;
  friend struct detail::OperationAccess;

  static constexpr std::uintptr_t kTagMask = 3;
  static constexpr std::uintptr_t kEmpty = 3;
  static constexpr std::uintptr_t kValue = 7;
  static constexpr std::uintptr_t kDescribed = 11;  // an exception, or an error with its context: word_ says where
  static constexpr std::uintptr_t kError = 15;      // the code's value stands above this, the category in word_
  static constexpr unsigned kErrorShift = 4;

  struct Described {
    Failure failure;
    Location where{};
    bool looked_at = false;
  };

  union Word {
    Word() noexcept : follower() {}
    ~Word() {}
    detail::Follower follower;
    const std::error_category* category;
    Described* described;
  };

  Source tag() const noexcept { return static_cast<Source>(source_ & kTagMask); }
  bool pending_or_reserved() const noexcept { return tag() != Source::terminal; }
  bool pending() const noexcept { return tag() <= Source::promise; }
  Waiter* waiter() const noexcept { return pending() ? word_.follower.waiter() : nullptr; }
  bool is_error() const noexcept { return (source_ & kError) == kError; }
  detail::Producer& producer() const noexcept;
  FutureBase* inner() const noexcept;
  CoroutineBase* coroutine_within() const noexcept;
  std::error_code error_code() const noexcept {
    return {static_cast<int>(static_cast<std::intptr_t>(source_) >> kErrorShift), *word_.category};
  }

  void attach(detail::Follower follower) noexcept {
    assert(pending() && word_.follower.waiter() == nullptr && "one coroutine awaits a future");
    word_.follower = follower;
  }

  void complete(std::uintptr_t state) noexcept {
    assert(pending() || !valid());
    const detail::Follower follower = word_.follower;  // none where it is empty
    source_ = state;
    follower.tell();
  }

  void drop_slowly() noexcept;
  void deliver_reserved();
  void abandon_waiter() noexcept;

  std::uintptr_t source_ = kEmpty;
  Word word_;
};

namespace detail {

inline OperationBase::OperationBase(OperationBase&& other) noexcept : hooks_(other.hooks_) {
  if (!other.attached()) return;
  FutureBase& future = other.detach<FutureBase>();
  future_ = &future;
  future.source_ =
      reinterpret_cast<std::uintptr_t>(static_cast<Producer*>(this)) | (future.source_ & FutureBase::kTagMask);
}

inline void OperationBase::reserve() noexcept {
  assert(pending());
  FutureBase& future = *future_;
  const Follower follower = std::exchange(future.word_.follower, {});
  future.source_ = (future.source_ & ~FutureBase::kTagMask) | static_cast<std::uintptr_t>(FutureBase::Source::reserved);
  follower.tell();
}
inline void OperationBase::deliver_now() {
  if (reserved()) future_->deliver();
}
inline bool OperationBase::pending() const noexcept {
  return attached() && future_->tag() == FutureBase::Source::promise;
}
inline bool OperationBase::reserved() const noexcept {
  return attached() && future_->tag() == FutureBase::Source::reserved;
}

}  // namespace detail
}  // namespace twinloop
