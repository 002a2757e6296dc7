#include "twinloop/ip_address.h"

#include <algorithm>
#include <charconv>

namespace twinloop {
namespace {

constexpr std::size_t kGroups = 8;  // of an IPv6 address, two bytes each

template <class Number>
bool read_number(std::string_view digits, int base, std::size_t longest, Number& number) noexcept {
  if (digits.empty() || digits.size() > longest) return false;
  const auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
  return error == std::errc() && rest == digits.data() + digits.size();
}

bool read_v4(std::string_view text, std::span<std::uint8_t, 4> bytes) noexcept {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::string_view digits = text.substr(0, text.find('.'));
    const bool shortest = digits.size() < 2 || digits.front() != '0';
    if (!shortest || !read_number(digits, 10, 3, bytes[i])) return false;
    text.remove_prefix(digits.size());
    if (i + 1 == bytes.size()) return text.empty();
    if (text.empty()) return false;
    text.remove_prefix(1);
  }
  return false;
}

// The groups of an IPv6 address as they stand in its text.
struct Groups {
  std::array<std::uint8_t, 2 * kGroups> bytes{};
  std::size_t count = 0;
  std::optional<std::size_t> gap;  // "::" stands in front of this one

  bool add(std::string_view digits) noexcept {
    std::uint16_t number = 0;
    if (count == kGroups || !read_number(digits, 16, 4, number)) return false;
    bytes[2 * count] = static_cast<std::uint8_t>(number >> 8);
    bytes[2 * count + 1] = static_cast<std::uint8_t>(number);
    ++count;
    return true;
  }

  bool add_v4(std::string_view text) noexcept {
    if (count + 2 > kGroups) return false;
    count += 2;
    return read_v4(text, std::span(bytes).subspan(2 * (count - 2)).first<4>());
  }

  bool begin_gap() noexcept {
    if (gap) return false;
    gap = count;
    return true;
  }

  // Moves what stands behind the gap to the end.
  bool fill_gap() noexcept {
    if (!gap) return count == kGroups;
    if (count == kGroups) return false;
    const auto used = bytes.begin() + static_cast<std::ptrdiff_t>(2 * count);
    std::rotate(bytes.begin() + static_cast<std::ptrdiff_t>(2 * *gap), used, bytes.end());
    return true;
  }
};

bool read_v6(std::string_view text, Groups& groups) noexcept {
  if (text.starts_with("::")) {
    groups.begin_gap();
    text.remove_prefix(2);
  }
  while (!text.empty()) {
    const std::string_view piece = text.substr(0, text.find(':'));
    text.remove_prefix(piece.size());
    if (piece.find('.') != std::string_view::npos) return text.empty() && groups.add_v4(piece) && groups.fill_gap();
    if (!groups.add(piece)) return false;
    if (text.empty()) break;
    text.remove_prefix(1);
    if (text.empty()) return false;
    if (text.front() != ':') continue;
    if (!groups.begin_gap()) return false;
    text.remove_prefix(1);
  }
  return groups.fill_gap();
}

std::string v4_text(std::span<const std::uint8_t> bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes) text += (text.empty() ? "" : ".") + std::to_string(byte);
  return text;
}

// The longest run of groups that are zero, at least two of them; the first of several.
struct Run {
  std::size_t begin = kGroups;
  std::size_t end = kGroups;
};

Run longest_zeros(const std::array<unsigned, kGroups>& groups) noexcept {
  Run longest;
  for (std::size_t begin = 0; begin < kGroups; ++begin) {
    std::size_t end = begin;
    while (end < kGroups && groups[end] == 0) ++end;
    if (end - begin >= 2 && end - begin > longest.end - longest.begin) longest = {begin, end};
  }
  return longest;
}

void append_groups(std::string& text, std::span<const unsigned> groups) {
  bool first = true;
  for (const unsigned group : groups) {
    char digits[4];
    char* const end = std::to_chars(digits, digits + sizeof digits, group, 16).ptr;
    if (!first) text += ':';
    text.append(digits, end);
    first = false;
  }
}

std::string v6_text(std::span<const std::uint8_t> bytes) {
  std::array<unsigned, kGroups> groups;
  for (std::size_t i = 0; i < kGroups; ++i) groups[i] = 256U * bytes[2 * i] + bytes[2 * i + 1];
  const Run zeros = longest_zeros(groups);
  if (zeros.begin == 0 && zeros.end == 5 && groups[5] == 0xffff) return "::ffff:" + v4_text(bytes.subspan(12));
  std::string text;
  append_groups(text, std::span(groups).first(zeros.begin));
  if (zeros.begin == kGroups) return text;
  text += "::";
  append_groups(text, std::span(groups).subspan(zeros.end));
  return text;
}

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) noexcept {
  IpAddress address;
  if (read_v4(text, std::span(address.bytes_).first<4>())) {
    address.size_ = 4;
    return address;
  }
  Groups groups;
  if (text.empty() || !read_v6(text, groups)) return std::nullopt;
  return v6(groups.bytes);
}

IpAddress IpAddress::v4(std::span<const std::uint8_t, 4> bytes) noexcept {
  IpAddress address;
  std::ranges::copy(bytes, address.bytes_.begin());
  address.size_ = 4;
  return address;
}

IpAddress IpAddress::v6(std::span<const std::uint8_t, 16> bytes) noexcept {
  IpAddress address;
  std::ranges::copy(bytes, address.bytes_.begin());
  address.size_ = 16;
  return address;
}

std::string IpAddress::to_string() const { return is_v4() ? v4_text(bytes()) : v6_text(bytes()); }

}  // namespace twinloop
