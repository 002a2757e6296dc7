// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstdint>
#include <string_view>

namespace twinloop::detail {

// Text that comes in pieces, cut anywhere.
class Utf8Checker {
 public:
  bool take(std::string_view piece) noexcept;
  // False at the first byte that no continuation could make right; then reset() before anything else.

  bool complete() const noexcept { return missing_ == 0; }
  // Whether the text may end here.

  void reset() noexcept { *this = Utf8Checker(); }

 private:
  std::uint8_t missing_ = 0;  // bytes of the character under way
  std::uint8_t least_ = 0x80;
  std::uint8_t most_ = 0xbf;  // what the next of them may be
};

bool is_utf8(std::string_view text) noexcept;

}  // namespace twinloop::detail
