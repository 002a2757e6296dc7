// An error code in a third of the room, for objects of which there may be many.  It needs no alignment, so it lies in a gap.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <system_error>

namespace twinloop::detail {

class SmallError {
 public:
  SmallError() noexcept = default;
  SmallError(std::error_code code) noexcept;  // NOLINT(google-explicit-constructor)

  explicit operator bool() const noexcept { return value() != 0; }
  std::error_code code() const noexcept;

 private:
  using Bytes = std::array<std::uint8_t, sizeof(std::int32_t)>;
  std::int32_t value() const noexcept { return std::bit_cast<std::int32_t>(value_); }

  Bytes value_{};
  std::uint8_t category_ = 0;  // a number for it
};
static_assert(sizeof(SmallError) == 5 && alignof(SmallError) == 1);

}  // namespace twinloop::detail
