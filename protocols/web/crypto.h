// What signed values and ETags need of a cryptographic library, and what there is without one.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace twinloop::detail {

std::string hmac_sha256(std::string_view key, std::string_view text);
// 32 bytes.  Throws Error(not_supported) in a build without OpenSSL.

std::string sha1_hex(std::string_view text);
// For ETags; in any build.

bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept;
// The time it takes does not tell where they differ.

std::string random_bytes(std::size_t count);
// From the system.

std::string to_hex(std::string_view bytes);
std::optional<std::string> from_hex(std::string_view text);
std::optional<std::string> from_base64(std::string_view text);

}  // namespace twinloop::detail
