// Result<T>: what an operation gave, a value or the reason why not.  `co_await as_result(f)` yields one instead of throwing;
// use it where an error is an ordinary outcome, and in loops (throwing costs a hundred times as much).
#pragma once

#include <cassert>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "twinloop/error.h"

namespace twinloop {

struct Unit {};

// Why something failed: an error code, perhaps with what was being tried, or an exception that carries more.
class Failure {
 public:
  Failure() noexcept = default;
  Failure(std::error_code code) noexcept : code_(code) {}        // NOLINT(google-explicit-constructor)
  Failure(Errc code) noexcept : code_(make_error_code(code)) {}  // NOLINT(google-explicit-constructor)
  Failure(std::exception_ptr exception) noexcept : exception_(std::move(exception)) {}  // NOLINT

  Failure(Errc code, std::string context)
      : code_(make_error_code(code)), context_(std::make_shared<const std::string>(std::move(context))) {}
  // As throwing Error(code, context), without the throw.

  explicit operator bool() const noexcept { return code_ || exception_; }
  bool has_context() const noexcept { return context_ != nullptr; }

  std::error_code code() const noexcept;
  // The code; for an exception that is an Error its code, otherwise `io`.

  const std::exception_ptr& exception() const noexcept { return exception_; }
  std::exception_ptr take_exception() && noexcept { return std::move(exception_); }

  std::string message() const;

  [[noreturn]] void raise() const;

 private:
  std::error_code code_;
  std::exception_ptr exception_;
  std::shared_ptr<const std::string> context_;
};

template <class T = void>
class [[nodiscard]] Result {
 public:
  using Value = std::conditional_t<std::is_void_v<T>, Unit, T>;

  Result(Value value) : value_(std::move(value)) {}          // NOLINT(google-explicit-constructor)
  Result(Failure failure) : failure_(std::move(failure)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const noexcept { return value_.has_value(); }
  explicit operator bool() const noexcept { return ok(); }

  Value& operator*() noexcept {
    assert(ok());
    return *value_;
  }
  const Value& peek() const noexcept {
    assert(ok());
    return *value_;
  }
  Value* operator->() noexcept {
    assert(ok());
    return &*value_;
  }

  T value() && {
    if (!ok()) failure_.raise();
    if constexpr (!std::is_void_v<T>) return std::move(*value_);
  }
  // The value, or throws what the operation would have thrown.

  const Failure& failure() const noexcept { return failure_; }
  std::error_code error() const noexcept { return failure_.code(); }
  Errc reason() const noexcept { return reason_of(error()); }

 private:
  std::optional<Value> value_;
  Failure failure_;
};

}  // namespace twinloop
