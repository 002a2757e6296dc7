// IpAddress: the text of an IPv4 or IPv6 address, checked and brought into its one usual form.  It asks nobody and knows no names.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace twinloop {

class IpAddress {
 public:
  static std::optional<IpAddress> parse(std::string_view text) noexcept;
  // "192.0.2.1" or "2001:db8::1" and nothing around it: no port, no brackets, no zone, no space, no octal or shortened number.

  static IpAddress v4(std::span<const std::uint8_t, 4> bytes) noexcept;
  static IpAddress v6(std::span<const std::uint8_t, 16> bytes) noexcept;
  // In the order of the network.

  bool is_v4() const noexcept { return size_ == 4; }
  std::span<const std::uint8_t> bytes() const noexcept { return std::span(bytes_).first(size_); }

  std::string to_string() const;
  // IPv6 as RFC 5952 wants it: "2001:db8::1", "::ffff:192.0.2.1".

  bool operator==(const IpAddress&) const noexcept = default;

 private:
  IpAddress() noexcept = default;

  std::array<std::uint8_t, 16> bytes_{};
  std::uint8_t size_ = 0;
};

inline bool is_valid_ip(std::string_view text) noexcept { return IpAddress::parse(text).has_value(); }
// Tornado's.

}  // namespace twinloop
