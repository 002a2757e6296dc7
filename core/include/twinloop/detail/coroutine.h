// How a coroutine that returns Future<T> runs: the promise types the compiler asks for, and the awaiters.
#pragma once

#include <coroutine>

#include "twinloop/detail/config.h"
#include "twinloop/detail/pool.h"
#include "twinloop/future.h"
#include "twinloop/origin.h"

namespace twinloop {

// A running or suspended coroutine.  It lives at the start of the coroutine's promise, where the compiler's two code pointers
// (resume, destroy) stand directly before it; that needs the alignment of a pointer.
class CoroutineBase : public Waiter, public detail::Producer {
 public:
  CoroutineBase() noexcept : Waiter(&CoroutineBase::resume) {}
  ~CoroutineBase() {
    if (Scheduler* scheduler = detail::current_scheduler; scheduler != nullptr && scheduler->burials_ != nullptr)
      strike();
  }

  static void* operator new(std::size_t size) { return detail::pool_allocate(size); }
  static void operator delete(void* frame, std::size_t size) noexcept { detail::pool_free(frame, size); }

  std::suspend_never initial_suspend() const noexcept { return {}; }
  std::suspend_never final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept;

  void sleep(std::coroutine_handle<> handle) noexcept { frame_ = handle.address(); }

  void await(FutureBase& future) noexcept { awaiting_ = &future; }
  bool may_go_on() const noexcept { return !awaiting_->pending() && Scheduler::current().continue_inline(); }
  void sleep_on_awaited(std::coroutine_handle<> handle) noexcept {
    frame_ = handle.address();
    if (awaiting_->pending()) return awaiting_->attach(*this);
    if (!linked()) Scheduler::current().defer(*this);
  }
  FutureBase& awake() {
    if (awaiting_ == nullptr) throw_error(Errc::cancelled, "a future was destroyed while a coroutine awaited it");
    return *std::exchange(awaiting_, nullptr);
  }
  // The four steps of awaiting a future, by the awaiters below.

  void end_with(Failure failure, std::coroutine_handle<> handle) noexcept;

  void note(Location where) noexcept { where_ = where; }
  const Location& where() const noexcept { return where_; }
  // The co_await that it came to last.

  static const CoroutineBase* of(const FutureBase& future) noexcept { return future.coroutine_within(); }
  const CoroutineBase* awaited() const noexcept {
    return awaiting_ != nullptr ? awaiting_->coroutine_within() : nullptr;
  }
  // The coroutine behind a future, or behind the one that this coroutine awaits; nullptr when there is none.  Also through a
  // time limit and the like, which stand for one future.

 private:
  friend class Scheduler;
  friend class FutureBase;

  static void resume(Waiter& waiter) noexcept;
  static void end(Waiter& waiter) noexcept;
  void destroy() noexcept;
  void strike() noexcept;
  CoroutineBase& leaf() noexcept;
  CoroutineBase* parent() const noexcept;
  bool awaits_a_gathering() const noexcept;
  bool runs_for(CoroutineBase& root) const noexcept;
  CoroutineBase* release_from_parent() noexcept;
  void stop_waiting() noexcept;

  void* frame_ = nullptr;  // set at each suspension; null while the first run lasts
  Location where_{};       // of the co_await that it last came to
};

inline detail::Producer& FutureBase::producer() const noexcept {
  return *reinterpret_cast<detail::Producer*>(source_ & ~kTagMask);
}
inline CoroutineBase* FutureBase::coroutine() const noexcept {
  return tag() == Source::coroutine ? static_cast<CoroutineBase*>(&producer()) : nullptr;
}

namespace detail {

// What it awaits the coroutine itself knows: an awaiter is one pointer of its frame.
struct Awaiter {
  CoroutineBase* self;

  bool await_ready() const noexcept { return self->may_go_on(); }
  void await_suspend(std::coroutine_handle<> handle) const noexcept { self->sleep_on_awaited(handle); }
};

template <class T>
struct FutureAwaiter : Awaiter {
  T await_resume() const { return static_cast<Future<T>&>(self->awake()).result(); }
};

template <class T>
struct ResultAwaiter : Awaiter {
  Result<T> await_resume() const { return static_cast<Future<T>&>(self->awake()).take_result(); }
};

struct SettledAwaiter : Awaiter {
  void await_resume() const { self->awake(); }
};

// `co_await Fail(failure)` ends the coroutine with that failure; what stands behind it does not run.  As a throw, but cheap, and
// in coroutines that return Future<void> the only other way.
class Fail {
 public:
  explicit Fail(Failure failure) noexcept : failure_(std::move(failure)) {}
  Failure& failure() noexcept { return failure_; }

 private:
  Failure failure_;
};

struct FailAwaiter {
  Failure* failure;
  CoroutineBase* self;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) noexcept { self->end_with(std::move(*failure), handle); }
  void await_resume() const noexcept {}
};

template <class A>
concept WaiterAwaitable = requires(A& awaitable, Waiter& waiter) {
  { awaitable.await_ready() } -> std::convertible_to<bool>;
  awaitable.await_suspend(waiter);
  awaitable.await_resume();
};

template <class A>
concept StandardFuture = requires(A& awaitable) {
  awaitable.wait();
  awaitable.valid();
  awaitable.get();
};

template <class A>
concept StandardAwaiter = requires(A& awaitable, std::coroutine_handle<> handle) {
  { awaitable.await_ready() } -> std::convertible_to<bool>;
  awaitable.await_suspend(handle);
};

template <class A>
concept Acquirable = requires(A& lock) { lock.acquire(); };

template <class A>
concept Sequence = requires(A& sequence) { sequence.next(); };

// Says what is wrong with `co_await x`, where x is nothing that can be awaited.
template <class A>
void refuse_to_await() noexcept {
  constexpr bool kConstFuture = kIsFuture<A> && std::is_const_v<A>;
  constexpr bool kCallable = std::is_invocable_v<A&>;
  constexpr bool kPointer = std::is_pointer_v<A> && kIsFuture<std::remove_pointer_t<A>>;
  static_assert(!kConstFuture, "co_await takes the result out of the Future, and this one is const");
  static_assert(!StandardFuture<A>,
                "co_await of a std::future: its get() would block the loop; call what makes it with "
                "IOLoop::run_in_executor, or let its producer fulfil a RemotePromise");
  static_assert(!StandardAwaiter<A>,
                "co_await of an awaitable made for other coroutine libraries: its await_suspend must take "
                "a twinloop::Waiter&");
  static_assert(!kCallable, "co_await of a function or a lambda: call it, and await the Future that it returns");
  static_assert(!kPointer, "co_await of a pointer to a Future: dereference it");
  static_assert(!Acquirable<A>,
                "co_await of a lock or a limiter: await its acquire(), and keep the Permit that it gives");
  static_assert(!Sequence<A>, "co_await of a sequence: await its next()");
  static_assert(
      kConstFuture || StandardFuture<A> || StandardAwaiter<A> || kCallable || kPointer || Acquirable<A> || Sequence<A>,
      "co_await takes a Future, a SharedFuture, as_result(…), or an awaitable whose await_suspend takes a "
      "twinloop::Waiter&");
}

// A user's own awaitable: the coroutine hands it the Waiter to wake.
template <class A>
struct UserAwaiter {
  A* awaitable;
  CoroutineBase* self;

  bool await_ready() { return awaitable->await_ready(); }
  void await_suspend(std::coroutine_handle<> handle) {
    self->sleep(handle);
    awaitable->await_suspend(static_cast<Waiter&>(*self));
  }
  decltype(auto) await_resume() { return awaitable->await_resume(); }
};

// As FutureAwaiter, for what gives each waiter a Future of its own.
template <class T>
class OwnFutureAwaiter {
 public:
  OwnFutureAwaiter(Future<T> future, CoroutineBase& self) noexcept : future_(std::move(future)), awaiter_{{&self}} {
    self.await(future_);
  }
  OwnFutureAwaiter(const OwnFutureAwaiter&) = delete;
  OwnFutureAwaiter& operator=(const OwnFutureAwaiter&) = delete;
  ~OwnFutureAwaiter() = default;

  bool await_ready() noexcept { return awaiter_.await_ready(); }
  void await_suspend(std::coroutine_handle<> handle) noexcept { awaiter_.await_suspend(handle); }
  T await_resume() { return awaiter_.await_resume(); }

 private:
  Future<T> future_;
  FutureAwaiter<T> awaiter_;
};

template <class T>
class CoroutinePromiseBase : public CoroutineBase {
 public:
  template <class U>
  FutureAwaiter<U> await_transform(Future<U>&& future, Location where = Location::current()) noexcept {
    this->note(where);
    this->await(future);
    return {{this}};
  }
  template <class U>
  FutureAwaiter<U> await_transform(Future<U>& future, Location where = Location::current()) noexcept {
    this->note(where);
    this->await(future);
    return {{this}};
  }
  template <class U>
  ResultAwaiter<U> await_transform(AsResult<U> wanted, Location where = Location::current()) noexcept {
    this->note(where);
    this->await(*wanted.future);
    return {{this}};
  }
  SettledAwaiter await_transform(Settled wanted, Location where = Location::current()) noexcept {
    this->note(where);
    this->await(*wanted.future);
    return {{this}};
  }
  template <class U>
  OwnFutureAwaiter<U> await_transform(SharedFuture<U> shared, Location where = Location::current()) {
    this->note(where);
    return OwnFutureAwaiter<U>(shared.get_future(), *this);
  }
  FailAwaiter await_transform(Fail&& fail) noexcept { return {&fail.failure(), this}; }
  template <class A>
    requires WaiterAwaitable<std::remove_reference_t<A>>
  auto await_transform(A&& awaitable, Location where = Location::current()) noexcept {
    this->note(where);
    return UserAwaiter<std::remove_reference_t<A>>{&awaitable, this};
  }
  template <class A>
    requires(!WaiterAwaitable<std::remove_reference_t<A>>)
  std::suspend_never await_transform(A&&) noexcept {
    refuse_to_await<std::remove_reference_t<A>>();
    return {};
  }
};

template <class T>
class CoroutinePromise final : public CoroutinePromiseBase<T> {
 public:
  Future<T> get_return_object() noexcept { return Future<T>(*this, FutureBase::Source::coroutine); }

  template <class U = T>
  void return_value(U&& value) {
    if (!this->attached()) return;
    Future<T>& future = this->template detach<Future<T>>();
    if constexpr (std::is_constructible_v<T, U>) {
      future.emplace(std::forward<U>(value));
    } else {
      static_assert(std::is_constructible_v<Failure, U>, "co_return a value of the Future's type, or a Failure");
      future.fail(Failure(std::forward<U>(value)));
    }
  }
};

template <>
class CoroutinePromise<void> final : public CoroutinePromiseBase<void> {
 public:
  Future<void> get_return_object() noexcept { return Future<void>(*this, FutureBase::Source::coroutine); }
  void return_void() noexcept {
    if (attached()) detach<Future<void>>().emplace();
  }
};

static_assert(alignof(CoroutinePromise<void>) == alignof(void*));

// Grants the library's own leaf operations what Promise does in public.
struct OperationAccess {
  template <class T>
  static Future<T> make_future(OperationBase& operation) noexcept {
    return Future<T>(operation, FutureBase::Source::promise);
  }
  static Future<void> make_coroutine_future(CoroutineBase& coroutine) noexcept {
    return Future<void>(coroutine, FutureBase::Source::coroutine);
  }
  template <class T, class... Args>
  static void emplace(FutureBase& future, Args&&... args) {
    static_cast<Future<T>&>(future).emplace(std::forward<Args>(args)...);
  }
  static void attach(FutureBase& future, Follower follower) noexcept { future.attach(follower); }
  static void detach_waiter(FutureBase& future) noexcept {
    if (future.pending()) future.word_.follower = {};
  }
  static bool pending(const FutureBase& future) noexcept { return future.pending(); }
  static bool stands_for_another(const FutureBase& future) noexcept { return future.inner() != nullptr; }
  static bool reserved(const FutureBase& future) noexcept { return future.tag() == FutureBase::Source::reserved; }
  static bool failed(const FutureBase& future) noexcept { return future.holds_failure(); }
  static Failure take_failure(FutureBase& future) noexcept { return future.take_failure(); }
  static Location failed_after(const FutureBase& future) noexcept { return future.failed_after(); }
  template <class T>
  static typename Future<T>::Stored take(Future<T>& future) {
    if constexpr (std::is_void_v<T>) {
      future.result();
      return {};
    } else {
      return future.result();
    }
  }
  // The value of a future that is done, also where it is none.
  template <class T>
  static void pass(Future<T>& from, FutureBase& to) {
    static_cast<Future<T>&>(to).emplace(take<T>(from));
  }
  static void fail(FutureBase& future, Failure failure) noexcept { future.fail(std::move(failure)); }
};

}  // namespace detail
}  // namespace twinloop

// A coroutine's parameters live in its frame, but what a reference refers to does not.  For T& and const T& nobody can tell how
// long it lives; T&& says that it is about to go.
template <class T, class... Parameters>
struct std::coroutine_traits<twinloop::Future<T>, Parameters...> {
  static_assert((!std::is_rvalue_reference_v<Parameters> && ...),
                "a coroutine's T&& parameter dangles after its first co_await: take it by value");
  using promise_type = twinloop::detail::CoroutinePromise<T>;
};
