// A move-only std::function: what a loop keeps until it calls it.  Small callables are stored inside.
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <new>
#include <type_traits>
#include <utility>

namespace twinloop::detail {

template <class Signature>
class Function;

template <class R, class... Args>
class Function<R(Args...)> {
 public:
  Function() noexcept = default;

  template <class F>
    requires(!std::same_as<std::remove_cvref_t<F>, Function> && std::is_invocable_r_v<R, std::decay_t<F>&, Args...>)
  Function(F&& callable) {  // NOLINT(google-explicit-constructor)
    using Callable = std::decay_t<F>;
    if constexpr (fits<Callable>) {
      new (storage_) Callable(std::forward<F>(callable));
    } else {
      *reinterpret_cast<Callable**>(storage_) = new Callable(std::forward<F>(callable));
    }
    table_ = &kTable<Callable>;
  }

  Function(Function&& other) noexcept : table_(std::exchange(other.table_, nullptr)) {
    if (table_ != nullptr) table_->move(other.storage_, storage_);
  }
  Function& operator=(Function&& other) noexcept {
    if (this == &other) return *this;
    reset();
    table_ = std::exchange(other.table_, nullptr);
    if (table_ != nullptr) table_->move(other.storage_, storage_);
    return *this;
  }
  ~Function() { reset(); }

  explicit operator bool() const noexcept { return table_ != nullptr; }
  R operator()(Args... args) { return table_->call(storage_, std::forward<Args>(args)...); }

  void reset() noexcept {
    const Table* table = std::exchange(table_, nullptr);
    if (table != nullptr && table->destroy != nullptr) table->destroy(storage_);
  }

 private:
  static constexpr std::size_t kSize = 4 * sizeof(void*);

  struct Table {
    R (*call)(void*, Args...);
    void (*move)(void*, void*) noexcept;
    void (*destroy)(void*) noexcept;  // null where there is nothing to do
  };

  template <class F>
  static constexpr bool fits =
      sizeof(F) <= kSize && alignof(F) <= alignof(void*) && std::is_nothrow_move_constructible_v<F>;

  template <class F>
  static F& get(void* storage) noexcept {
    if constexpr (fits<F>) {
      return *std::launder(reinterpret_cast<F*>(storage));
    } else {
      return **reinterpret_cast<F**>(storage);
    }
  }

  template <class F>
  static void move(void* from, void* to) noexcept {
    if constexpr (fits<F>) {
      new (to) F(std::move(get<F>(from)));
      get<F>(from).~F();
    } else {
      *reinterpret_cast<F**>(to) = *reinterpret_cast<F**>(from);
    }
  }

  template <class F>
  static void destroy(void* storage) noexcept {
    if constexpr (fits<F>) {
      get<F>(storage).~F();
    } else {
      delete &get<F>(storage);
    }
  }

  template <class F>
  static constexpr Table kTable = {
      [](void* storage, Args... args) -> R { return std::invoke(get<F>(storage), std::forward<Args>(args)...); },
      &move<F>,
      fits<F>&& std::is_trivially_destructible_v<F> ? nullptr : &destroy<F>,
  };

  alignas(void*) std::byte storage_[kSize];
  const Table* table_ = nullptr;
};

}  // namespace twinloop::detail
