#include "twinloop/web_values.h"

#include "protocols/web/text.h"
#include "twinloop/httputil.h"

namespace twinloop {
namespace {

constexpr std::string_view kTokenSigns = "!#$%&'*+-.^_`|~";

class HttpCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "http"; }
  std::string message(int status) const override {
    return "HTTP " + std::to_string(status) + ": " + std::string(reason_phrase(status));
  }
};

bool is_token(std::string_view text) noexcept {
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && kTokenSigns.find(c) == std::string_view::npos) return false;
  }
  return !text.empty();
}

// What RFC 6265 §4.1.1 allows in a value without quotes.
bool is_cookie_octet(char c) noexcept { return c > ' ' && c < '\x7f' && c != '"' && c != ',' && c != ';' && c != '\\'; }

bool all_cookie_octets(std::string_view text) noexcept {
  for (const char c : text) {
    if (!is_cookie_octet(c)) return false;
  }
  return true;
}

// What stays inside its attribute: no control character and no semicolon.
void check_attribute(std::string_view what, std::string_view text) {
  for (const char c : text) {
    if (c >= ' ' && c < '\x7f' && c != ';') continue;
    throw Error(Errc::protocol,
                "a cookie's " + std::string(what) + " must not contain this: '" + detail::printable(text) + "'");
  }
}

}  // namespace

const std::error_category& http_category() noexcept {
  static const HttpCategory category;
  return category;
}

Failure http_failure(int status) noexcept { return std::error_code(status, http_category()); }

HTTPError::HTTPError(int status, std::string_view log_message, std::string reason)
    : Error(std::error_code(status, http_category()), log_message), reason_(std::move(reason)) {}

int http_status_of(const Failure& failure) noexcept {
  const std::error_code code = failure.code();
  if (code.category() == http_category()) return code.value();
  return 500;
}

std::string format_cookie(std::string_view name, std::string_view value, const CookieOptions& options) {
  if (!is_token(name)) throw Error(Errc::protocol, "'" + detail::printable(name) + "' cannot be the name of a cookie");
  if (!all_cookie_octets(value)) {
    throw Error(Errc::protocol,
                "the value of cookie '" + std::string(name) +
                    "' has characters that a cookie cannot: " + "escape it, with url_escape for instance");
  }
  check_attribute("domain", options.domain());
  check_attribute("path", options.path());
  check_attribute("same_site", options.same_site());
  std::string text = std::string(name).append("=").append(value);
  if (!options.domain().empty()) text += "; Domain=" + options.domain();
  if (options.expires()) text += "; expires=" + format_timestamp(*options.expires());
  if (options.max_age()) text += "; Max-Age=" + std::to_string(options.max_age()->count());
  if (!options.path().empty()) text += "; Path=" + options.path();
  if (options.http_only()) text += "; HttpOnly";
  if (options.secure()) text += "; Secure";
  if (!options.same_site().empty()) text += "; SameSite=" + options.same_site();
  return text;
}

}  // namespace twinloop
