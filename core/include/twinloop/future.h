// Future<T>: the result of work that may still be going on, and its owner.  A coroutine that returns Future<T> starts at once
// and runs to its first unfinished co_await; destroying its Future stops it there, destructors run, what it waited for is
// withdrawn.  Await it, keep it, or hand it to IOLoop::spawn.  Promise<T> is the producer's end for code that is no coroutine.
//
// A Future, its Promise and everything awaiting it belong to one thread.
#pragma once

#include <concepts>
#include <coroutine>
#include <memory>
#include <new>
#include <type_traits>

#include "twinloop/detail/future_base.h"
#include "twinloop/origin.h"
#include "twinloop/result.h"

namespace twinloop {

namespace detail {
template <class T>
class CoroutinePromise;
void log_ignored_coroutine(const Location& where) noexcept;

// Room for a value that is not always there.
template <class T>
class Room {
 public:
  Room() noexcept {}
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  ~Room() {}

  template <class... Args>
  void make(Args&&... args) {
    new (&value_) T(std::forward<Args>(args)...);
  }
  void end() noexcept { value_.~T(); }
  T&& take() noexcept { return std::move(value_); }

 private:
  union {
    T value_;
  };
};

// A Unit says nothing, and needs none.
template <>
class Room<Unit> {
 public:
  template <class... Args>
  void make(Args&&...) noexcept {}
  void end() noexcept {}
  Unit take() noexcept { return {}; }
};
}  // namespace detail

template <class T>
class Promise;
template <class T = void>
class SharedFuture;

#if defined(__GNUC__) && !defined(__clang__)
// gcc does not see that the value is destroyed only where source_ says that there is one.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

template <class T = void>
class [[nodiscard("a dropped Future cancels its work: await it, keep it, or spawn it")]] Future : public FutureBase {
 public:
  using value_type = T;
  using Stored = std::conditional_t<std::is_void_v<T>, Unit, T>;
  using promise_type = detail::CoroutinePromise<T>;
  static_assert(std::is_nothrow_move_constructible_v<Stored>, "a Future's value must move without throwing");

  Future() noexcept {}  // NOLINT(modernize-use-equals-default): the union has no default
  // An empty future: valid() is false, awaiting it is a mistake.

  Future(Future&& other) noexcept : FutureBase(std::move(other)) { take_value(other); }
  // Legal at any time except while a coroutine awaits `other`.

  Future& operator=(Future&& other) noexcept {
    if (this != &other) {
      this->~Future();
      new (this) Future(std::move(other));
    }
    return *this;
  }
  // Cancels the work it held before.  When the new work needs what the old one holds, assign Future{} first.

  ~Future() {
    if (holds_value()) room_.end();
    drop();
  }
  // Cancels unfinished work before it returns; work that is itself running (a coroutine that drops its own owner) ends at its
  // next co_await instead.  A failure that nobody looked at is logged, unless it is the ordinary end of a connection.

  static Future ready(Stored value) {
    Future future;
    future.emplace(std::move(value));
    return future;
  }

  static Future ready()
    requires std::is_void_v<T>
  {
    return ready(Unit{});
  }

  static Future failed(Failure failure) {
    Future future;
    future.fail(std::move(failure));
    return future;
  }

  T result() {
    assert(done());
    if (!gives_value()) raise();
    Stored value = room_.take();
    room_.end();
    clear();
    if constexpr (!std::is_void_v<T>) return value;
  }
  // Takes the value out, or throws why there is none.  Only when done(); the future is empty afterwards.

  Result<T> take_result() {
    assert(done());
    if (!gives_value()) return take_failure();
    Result<T> result(room_.take());
    room_.end();
    clear();
    return result;
  }

  Failure exception() { return holds_failure() && valid() ? look_at_failure() : Failure(); }
  // Why it failed; empty when it did not, or not yet.  It stays where it is, but counts as looked at.

  template <class F>
  void add_done_callback(F callback, Origin origin = {}) &&;
  // Calls callback(Result<T>) in a turn after the future is done, never at once.  The loop keeps the future until then, so it is
  // given away: `std::move(future).add_done_callback(…)`.  Where others wait for the same result, share() it first.

  template <class F>
  void add_done_callback(F, Origin = {}) & {
    static_assert(sizeof(F) == 0,
                  "a Future has one owner: std::move(future).add_done_callback(f) gives it to the loop; "
                  "where you need it as well, share() it");
  }

  void ignore(Location where = Location::current()) noexcept
    requires std::is_void_v<T>
  {
    if (coroutine() != nullptr) [[unlikely]]
      detail::log_ignored_coroutine(where);
  }
  // Says that the outcome does not matter: `stream.write("bye").ignore();`.  Only for leaf operations.  Dropping a coroutine's
  // Future cancels it, ignored or not, so for one that is not done this logs an error: give it to IOLoop::spawn.

 private:
  friend class Promise<T>;
  friend class detail::CoroutinePromise<T>;
  friend struct detail::OperationAccess;

  explicit Future(detail::Producer& producer, Source source) noexcept : FutureBase(producer, source) {}

  void take_value(Future& other) noexcept {
    if (!holds_value()) return;
    room_.make(other.room_.take());
    other.room_.end();
  }

  template <class... Args>
  void emplace(Args&&... args) {
    room_.make(std::forward<Args>(args)...);
    complete_with_value();
  }

  [[no_unique_address]] detail::Room<Stored> room_;
};

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

// The producer's end.  One Promise, one Future; both may move.
template <class T = void>
class Promise : private detail::OperationBase {
 public:
  using Stored = typename Future<T>::Stored;

  Promise() noexcept = default;
  Promise(Promise&& other) noexcept = default;
  Promise& operator=(Promise&& other) noexcept {
    if (this != &other) {
      this->~Promise();
      new (this) Promise(std::move(other));
    }
    return *this;
  }
  ~Promise() {
    if (attached()) fail_pending(Errc::broken_promise);
  }
  // A pending future fails with broken_promise.

  Future<T> get_future() noexcept {
    assert(!attached());
    return Future<T>(*this, FutureBase::Source::promise);
  }
  // Once.  Until then set_value and set_error have nobody to tell and return false.

  bool set_value(Stored value) {
    if (!attached()) return false;
    detach<Future<T>>().emplace(std::move(value));
    return true;
  }
  bool set_value()
    requires std::is_void_v<T>
  {
    return set_value(Unit{});
  }
  // Completes the future.  False when it was completed before or dropped.

  bool set_error(Failure failure) { return fail_pending(std::move(failure)); }

  bool wanted() const noexcept { return attached(); }
  // False once the future was dropped: the work need not be done.
};

namespace detail {
template <class T>
struct AsResult {
  Future<T>* future;
};
struct Settled {
  FutureBase* future;
};
}  // namespace detail

template <class T>
detail::AsResult<T> as_result(Future<T>&& future) noexcept {
  return {&future};
}
// `Result<T> r = co_await as_result(f());` — never throws what `f` failed with.

inline detail::Settled settled(FutureBase& future) noexcept { return {&future}; }
// `co_await settled(future);` waits until it is done and leaves the result in it, good or bad: then ask ok().  Where failures are
// everyday, as the end of a connection is, this is the cheapest way to hear of them: an exception costs some 10 µs.

template <class F>
concept ReturnsFuture = requires(std::invoke_result_t<F> result) { typename decltype(result)::promise_type; };

namespace detail {
template <class T>
constexpr bool kIsFuture = std::is_base_of_v<FutureBase, std::remove_cvref_t<T>>;
}  // namespace detail

}  // namespace twinloop

#include "twinloop/detail/coroutine.h"
