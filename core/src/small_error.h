// An error code in half the room, for objects of which there may be many.
#pragma once

#include <cstdint>
#include <system_error>

namespace twinloop::detail {

class SmallError {
 public:
  SmallError() noexcept = default;
  SmallError(std::error_code code) noexcept;  // NOLINT(google-explicit-constructor)

  explicit operator bool() const noexcept { return value_ != 0; }
  std::error_code code() const noexcept;

 private:
  std::int32_t value_ = 0;
  std::uint8_t category_ = 0;  // a number for it
};

}  // namespace twinloop::detail
