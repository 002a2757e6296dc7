// Generator<T>: a coroutine that gives a sequence of values, one at a time, and may wait in between.
//
//   Generator<int> count(int limit) {
//     for (int i = 0; i < limit; ++i) {
//       co_await sleep_for(1s);
//       co_yield i;
//     }
//   }
//
//   Generator<int> numbers = count(10);
//   while (auto number = co_await numbers.next()) use(*number);
#pragma once

#include <memory>
#include <optional>

#include "twinloop/detail/branch.h"

namespace twinloop {

namespace detail {
template <class T>
class GeneratorPromise;
template <class T>
class Generation;
}  // namespace detail

template <class T>
class [[nodiscard("a dropped Generator gives nothing: call next()")]] Generator {
 public:
  using promise_type = detail::GeneratorPromise<T>;
  static_assert(!std::is_void_v<T> && !std::is_reference_v<T>, "a Generator gives values");

  Generator(Generator&&) noexcept = default;
  Generator& operator=(Generator&&) noexcept = default;
  ~Generator() = default;
  // Ends the coroutine where it is suspended, at a co_yield or inside a co_await; a pending next() fails with `cancelled`.  If it
  // is running, it ends at its next suspension.

  Future<std::optional<T>> next() { return generation_->next(); }
  // The next value, or nullopt once the coroutine has returned.  Fails with what it threw, once; then there are no more.  The
  // coroutine begins with the first next() and goes on from its co_yield with the one after that.
  //
  // Dropping the future loses nothing: the coroutine goes on to its next co_yield, and the value waits there for the next next().
  // One at a time: fails with `busy` while another next() is pending.

  bool done() const noexcept { return generation_->ended(); }
  // True once the coroutine has ended.

 private:
  friend class detail::GeneratorPromise<T>;
  explicit Generator(std::unique_ptr<detail::Generation<T>> generation) noexcept : generation_(std::move(generation)) {}
  std::unique_ptr<detail::Generation<T>> generation_;
};

namespace detail {

// Between a generator's coroutine and its consumer.  At a fixed address, so that the Generator may move.
template <class T>
class Generation final : public Pooled, public OperationBase {
 public:
  Generation() noexcept : OperationBase(&kHooks) {}
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;
  ~Generation() { this->fail_pending(Errc::cancelled); }

  void begin(Future<void> work, CoroutineBase& coroutine) noexcept {
    work_ = std::move(work);
    coroutine_ = &coroutine;
    completion_.watch(work_, this);
  }

  bool ended() const noexcept { return !OperationAccess::pending(work_); }

  Future<std::optional<T>> next() {
    if (this->pending()) return Future<std::optional<T>>::failed(Errc::busy);
    this->deliver_now();
    if (ended()) return last();
    auto future = OperationAccess::make_future<std::optional<T>>(*this);
    if (item_ != nullptr) {
      this->reserve();
    } else if (std::exchange(resting_, false)) {
      coroutine_->wake();
    }
    return future;
  }

  void yield(T* item, bool movable) noexcept {
    item_ = item;
    movable_ = movable;
    if (this->pending()) this->reserve();
  }

 private:
  struct Completion : Branch {
    explicit Completion(Generation& g) noexcept : Branch(&Generation::on_ended), generation(g) {}
    Generation& generation;
  };

  Future<std::optional<T>> last() {
    if (!OperationAccess::failed(work_) || !work_.valid()) return Future<std::optional<T>>::ready(std::nullopt);
    return Future<std::optional<T>>::failed(OperationAccess::take_failure(work_));
  }

  static void on_ended(Branch& branch) {
    Generation& self = static_cast<Completion&>(branch).generation;
    if (!self.pending()) return;
    if (OperationAccess::failed(self.work_)) {
      self.fail_pending(OperationAccess::take_failure(self.work_));
    } else {
      OperationAccess::emplace<std::optional<T>>(self.template detach<FutureBase>(), std::nullopt);
    }
  }

  T take_item() {
    if constexpr (std::is_copy_constructible_v<T>) {
      if (!movable_) return std::as_const(*item_);
    }
    return std::move(*item_);
  }

  static void on_dropped(OperationBase&) noexcept {}
  static void on_deliver(OperationBase& operation, FutureBase& into) {
    auto& self = static_cast<Generation&>(operation);
    OperationAccess::emplace<std::optional<T>>(into, self.take_item());
    self.item_ = nullptr;
    self.resting_ = true;
  }
  static constexpr
      typename OperationBase::Hooks kHooks{&Generation::on_dropped, &Generation::on_deliver, nullptr, true};

  Future<void> work_;
  Completion completion_{*this};
  CoroutineBase* coroutine_ = nullptr;  // while it has not ended
  T* item_ = nullptr;                   // what it yields, in its frame
  bool movable_ = false;
  bool resting_ = true;  // before its start, or at a co_yield whose value was taken: next() wakes it
};

template <class T>
class GeneratorPromise final : public CoroutinePromiseBase<T> {
 public:
  Generator<T> get_return_object() {
    auto generation = std::make_unique<Generation<T>>();
    generation_ = generation.get();
    generation_->begin(OperationAccess::make_coroutine_future(*this), *this);
    return Generator<T>(std::move(generation));
  }

  // At its beginning and at each co_yield the coroutine sleeps until next() wakes it.
  struct Rest {
    CoroutineBase* self;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) const noexcept { self->sleep(handle); }
    void await_resume() const noexcept {}
  };

  Rest initial_suspend() noexcept { return {this}; }

  Rest yield_value(T&& item, Location where = Location::current()) noexcept {
    this->note(where);
    give(&item, true);
    return {this};
  }
  Rest yield_value(const T& item, Location where = Location::current()) noexcept
    requires std::is_copy_constructible_v<T>
  {
    this->note(where);
    give(const_cast<T*>(&item), false);
    return {this};
  }

  void return_void() noexcept {
    if (this->attached()) OperationAccess::emplace<void>(this->template detach<FutureBase>());
  }

 private:
  // A generator that was dropped while it ran gives its last value to nobody.
  void give(T* item, bool movable) noexcept {
    if (this->attached()) generation_->yield(item, movable);
  }

  Generation<T>* generation_ = nullptr;
};

static_assert(alignof(GeneratorPromise<int>) == alignof(void*));

}  // namespace detail
}  // namespace twinloop

template <class T, class... Parameters>
struct std::coroutine_traits<twinloop::Generator<T>, Parameters...> {
  static_assert((!std::is_rvalue_reference_v<Parameters> && ...),
                "a generator's T&& parameter dangles before its first value: take it by value");
  using promise_type = twinloop::detail::GeneratorPromise<T>;
};
