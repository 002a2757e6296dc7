// The futures that a combinator waits for, of several types or of one, and where their values go.
#pragma once

#include <array>
#include <optional>
#include <tuple>
#include <variant>
#include <vector>

#include "twinloop/detail/branch.h"
#include "twinloop/detail/pool.h"
#include "twinloop/quiet.h"

namespace twinloop {

// Which of several futures, and what it gave.
template <class T>
struct Indexed {
  std::size_t index;
  T value;
};

namespace detail {

template <class T>
using StoredValue = typename Future<T>::Stored;

// Drops a child.  What it was doing is cancelled; a failure that it already has is logged unless it was expected.
template <class T>
void discard(Future<T>& future, const Quiet& quiet) {
  if (!future.valid()) return;
  if (!OperationAccess::failed(future)) {
    future = Future<T>();
    return;
  }
  const Failure failure = OperationAccess::take_failure(future);
  if (!quiet.covers(failure)) log_unseen(failure);
}

// Those that were given one by one.
template <class... Ts>
class Several {
 public:
  static constexpr std::size_t kSize = sizeof...(Ts);
  static constexpr bool kVoid = (std::is_void_v<Ts> && ...);
  using All = std::conditional_t<kVoid, void, std::tuple<StoredValue<Ts>...>>;
  using One = std::variant<StoredValue<Ts>...>;
  template <class Arm>
  using Arms = std::array<Arm, kSize>;

  explicit Several(Future<Ts>... futures) noexcept : futures_(std::move(futures)...) {}

  static constexpr std::size_t size() noexcept { return kSize; }

  FutureBase& operator[](std::size_t index) noexcept {
    return std::apply(
        [index](auto&... futures) -> FutureBase& {
          const std::array<FutureBase*, kSize> all{&futures...};
          return *all[index];
        },
        futures_);
  }

  void discard_but(std::size_t kept, const Quiet& quiet) {
    std::size_t index = 0;
    std::apply([&](auto&... futures) { ((index++ != kept ? discard(futures, quiet) : void()), ...); }, futures_);
  }

  void deliver_all(FutureBase& into) {
    std::apply([&into](auto&... futures) { emplace_all(into, OperationAccess::take(futures)...); }, futures_);
  }

  void deliver_one(std::size_t index, FutureBase& into) { deliver_one(index, into, std::index_sequence_for<Ts...>()); }

 private:
  template <class... Values>
  static void emplace_all(FutureBase& into, Values&&... values) {
    if constexpr (kVoid) {
      OperationAccess::emplace<void>(into);
    } else {
      OperationAccess::emplace<All>(into, std::forward<Values>(values)...);
    }
  }

  template <std::size_t... I>
  void deliver_one(std::size_t index, FutureBase& into, std::index_sequence<I...>) {
    const auto deliver = [&]<std::size_t N>(std::integral_constant<std::size_t, N>) {
      OperationAccess::emplace<One>(into, std::in_place_index<N>, OperationAccess::take(std::get<N>(futures_)));
    };
    ((I == index ? deliver(std::integral_constant<std::size_t, I>()) : void()), ...);
  }

  std::tuple<Future<Ts>...> futures_;
};

// Those that came in a vector.
template <class T>
class Many {
 public:
  static constexpr bool kVoid = std::is_void_v<T>;
  using Values = std::conditional_t<kVoid, Unit, std::vector<StoredValue<T>>>;
  using All = std::conditional_t<kVoid, void, Values>;
  using One = std::conditional_t<kVoid, std::size_t, Indexed<StoredValue<T>>>;
  template <class Arm>
  using Arms = std::vector<Arm, PoolAllocator<Arm>>;

  explicit Many(std::vector<Future<T>> futures) noexcept : futures_(std::move(futures)) {}

  std::size_t size() const noexcept { return futures_.size(); }
  Future<T>& operator[](std::size_t index) noexcept { return futures_[index]; }

  void discard_but(std::size_t kept, const Quiet& quiet) {
    for (std::size_t index = 0; index < futures_.size(); ++index) {
      if (index != kept) discard(futures_[index], quiet);
    }
  }

  void deliver_all(FutureBase& into) {
    if constexpr (kVoid) {
      OperationAccess::emplace<void>(into);
    } else {
      Values values;
      values.reserve(futures_.size());
      for (Future<T>& future : futures_) values.push_back(OperationAccess::take(future));
      OperationAccess::emplace<All>(into, std::move(values));
    }
  }

  void deliver_one(std::size_t index, FutureBase& into) {
    if constexpr (kVoid) {
      OperationAccess::emplace<One>(into, index);
    } else {
      OperationAccess::emplace<One>(into, One{index, OperationAccess::take(futures_[index])});
    }
  }

 private:
  std::vector<Future<T>> futures_;
};

}  // namespace detail
}  // namespace twinloop
