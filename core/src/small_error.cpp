#include "small_error.h"

#include <array>
#include <atomic>

#include "twinloop/error.h"

namespace twinloop::detail {
namespace {

// A program has a handful of categories: each gets the next number when it is first seen.
std::array<std::atomic<const std::error_category*>, 256> categories{};

std::uint8_t number_of(const std::error_category& category) noexcept {
  std::size_t number = 0;
  for (; number + 1 < categories.size(); ++number) {
    const std::error_category* known = nullptr;
    if (categories[number].compare_exchange_strong(known, &category) || known == &category) break;
  }
  return static_cast<std::uint8_t>(number);
}

}  // namespace

SmallError::SmallError(std::error_code code) noexcept
    : value_(std::bit_cast<Bytes>(std::int32_t{code.value()})),
      category_(code ? number_of(code.category()) : std::uint8_t{0}) {}

std::error_code SmallError::code() const noexcept {
  if (!*this) return {};
  const std::error_category* category = categories[category_].load(std::memory_order_relaxed);
  return category != nullptr ? std::error_code(value(), *category) : make_error_code(Errc::io);
}

}  // namespace twinloop::detail
