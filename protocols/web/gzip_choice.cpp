#include <array>
#include <optional>

#include "protocols/web/gzip.h"
#include "protocols/web/text.h"

namespace twinloop::detail {
namespace {

constexpr std::array<std::string_view, 10> kTypes = {
    "application/javascript", "application/x-javascript", "application/xml", "application/atom+xml",
    "application/json",       "application/xhtml+xml",    "image/svg+xml",   "application/wasm",
    "application/rss+xml",    "application/ld+json",
};

bool same_word(std::string_view a, std::string_view lower) noexcept {
  if (a.size() != lower.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const char c = a[i] >= 'A' && a[i] <= 'Z' ? static_cast<char>(a[i] - 'A' + 'a') : a[i];
    if (c != lower[i]) return false;
  }
  return true;
}

// "gzip;q=0.5" has a weight, "gzip;q=0.0" has none.
bool is_refused(std::string_view parameters) noexcept {
  const std::size_t q = parameters.find("q=");
  if (q == std::string_view::npos) return false;
  const std::string_view weight = without_spaces(parameters.substr(q + 2));
  return weight.starts_with('0') && weight.find_first_of("123456789") == std::string_view::npos;
}

}  // namespace

bool is_compressible(std::string_view content_type) noexcept {
  const std::string_view type = without_spaces(content_type.substr(0, content_type.find(';')));
  if (type.starts_with("text/")) return !same_word(type, "text/event-stream");
  for (const std::string_view known : kTypes) {
    if (same_word(type, known)) return true;
  }
  return false;
}

bool accepts_gzip(std::string_view accept_encoding) noexcept {
  std::optional<bool> any;
  for (std::string_view rest = accept_encoding; !rest.empty();) {
    const std::size_t comma = rest.find(',');
    const std::string_view item = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    const std::size_t semicolon = item.find(';');
    const std::string_view coding = without_spaces(item.substr(0, semicolon));
    const bool refused = semicolon != std::string_view::npos && is_refused(item.substr(semicolon));
    if (same_word(coding, "gzip") || same_word(coding, "x-gzip")) return !refused;
    if (coding == "*") any = !refused;
  }
  return any.value_or(false);
}

}  // namespace twinloop::detail
