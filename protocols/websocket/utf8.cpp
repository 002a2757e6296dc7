#include "protocols/websocket/utf8.h"

#include <cstddef>
#include <cstring>

namespace twinloop::detail {
namespace {

std::size_t length_of_ascii(const char* at, const char* end) noexcept {
  const char* const begin = at;
  for (; end - at >= 16; at += 16) {
    std::uint64_t words[2];
    std::memcpy(words, at, sizeof words);
    if (((words[0] | words[1]) & 0x8080808080808080U) != 0) break;
  }
  while (at != end && static_cast<signed char>(*at) >= 0) ++at;
  return static_cast<std::size_t>(at - begin);
}

// What a lead byte asks for (Unicode 15, table 3-7): how many bytes follow, and between what the first of them lies.
struct Lead {
  std::uint8_t follow;
  std::uint8_t least;
  std::uint8_t most;
};

constexpr Lead lead_of(unsigned byte) noexcept {
  if (byte >= 0xc2 && byte <= 0xdf) return {1, 0x80, 0xbf};
  if (byte == 0xe0) return {2, 0xa0, 0xbf};
  if (byte == 0xed) return {2, 0x80, 0x9f};
  if (byte >= 0xe1 && byte <= 0xef) return {2, 0x80, 0xbf};
  if (byte == 0xf0) return {3, 0x90, 0xbf};
  if (byte == 0xf4) return {3, 0x80, 0x8f};
  if (byte >= 0xf1 && byte <= 0xf3) return {3, 0x80, 0xbf};
  return {0, 0, 0};
}

}  // namespace

bool Utf8Checker::take(std::string_view piece) noexcept {
  const char* at = piece.data();
  const char* const end = at + piece.size();
  for (;;) {
    for (; missing_ > 0; --missing_) {
      if (at == end) return true;
      const auto byte = static_cast<unsigned char>(*at++);
      if (byte < least_ || byte > most_) return false;
      least_ = 0x80;
      most_ = 0xbf;
    }
    at += length_of_ascii(at, end);
    if (at == end) return true;
    const Lead lead = lead_of(static_cast<unsigned char>(*at++));
    if (lead.follow == 0) return false;
    missing_ = lead.follow;
    least_ = lead.least;
    most_ = lead.most;
  }
}

bool is_utf8(std::string_view text) noexcept {
  Utf8Checker checker;
  return checker.take(text) && checker.complete();
}

}  // namespace twinloop::detail
