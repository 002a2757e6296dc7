#include "protocols/web/xsrf.h"

#include <charconv>

#include "protocols/web/crypto.h"

namespace twinloop::detail {
namespace {

constexpr std::size_t kTokenSize = 16;
constexpr std::size_t kMaskSize = 4;

std::string masked(std::string bytes, std::string_view mask) {
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(bytes[i] ^ mask[i % mask.size()]);
  return bytes;
}

// Takes what is in front of the next '|'.
std::string_view take_part(std::string_view& text) noexcept {
  const std::size_t bar = text.find('|');
  const std::string_view part = text.substr(0, bar);
  text.remove_prefix(bar == std::string_view::npos ? text.size() : bar + 1);
  return part;
}

}  // namespace

XsrfToken new_xsrf_token() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return {random_bytes(kTokenSize), std::chrono::duration_cast<std::chrono::seconds>(now).count()};
}

std::string mask_xsrf_token(const XsrfToken& token) {
  const std::string mask = random_bytes(kMaskSize);
  return "2|" + to_hex(mask) + "|" + to_hex(masked(token.token, mask)) + "|" + std::to_string(token.time);
}

std::optional<XsrfToken> unmask_xsrf_token(std::string_view text) {
  if (take_part(text) != "2") return std::nullopt;
  const std::optional<std::string> mask = from_hex(take_part(text));
  const std::optional<std::string> bytes = from_hex(take_part(text));
  if (!mask || mask->size() != kMaskSize || !bytes || bytes->size() != kTokenSize) return std::nullopt;
  XsrfToken token{masked(*bytes, *mask), 0};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), token.time);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return token;
}

}  // namespace twinloop::detail
