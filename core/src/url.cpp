#include "twinloop/url.h"

#include <algorithm>
#include <charconv>

namespace twinloop {
namespace {

bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_scheme_character(char c) noexcept {
  return is_letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
}
char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

Failure invalid(std::string_view text, const char* what) {
  std::string message = "'";
  message.append(text).append("': ").append(what);
  return {Errc::invalid_url, std::move(message)};
}

bool parse_port(std::string_view digits, std::uint16_t& port) noexcept {
  const auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  return error == std::errc() && rest == digits.data() + digits.size() && !digits.empty();
}

// Splits "host:port" or "[v6]:port"; false when it is neither.
bool parse_authority(std::string_view authority, Url& url) {
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t bracket = authority.find(']');
    if (bracket == std::string_view::npos) return false;
    url.host = authority.substr(1, bracket - 1);
    port = authority.substr(bracket + 1);
  } else {
    const std::size_t colon = authority.find(':');
    url.host = authority.substr(0, colon);
    port = colon == std::string_view::npos ? std::string_view() : authority.substr(colon);
  }
  if (port.empty()) return true;
  return port.starts_with(':') && parse_port(port.substr(1), url.port);
}

}  // namespace

Result<Url> Url::parse(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0)
    return invalid(text, "it has no scheme; write scheme://host:port/path");
  Url url;
  for (const char c : text.substr(0, colon)) {
    if (!is_scheme_character(c)) return invalid(text, "its scheme has a character that none may have");
    url.scheme += lower(c);
  }
  if (std::any_of(text.begin(), text.end(),
                  [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '\x7f'; })) {
    return invalid(text, "it has a space or a control character");
  }
  std::string_view rest = text.substr(colon + 1);
  if (!rest.starts_with("//")) {
    url.path = rest;
    return url;
  }
  rest.remove_prefix(2);
  const std::size_t slash = std::min(rest.find_first_of("/?"), rest.size());
  const std::string_view authority = rest.substr(0, slash);
  url.path = rest.substr(slash);
  if (authority.find('@') != std::string_view::npos) return invalid(text, "a user name has no meaning here");
  if (url.path.find('#') != std::string::npos) return invalid(text, "a fragment has no meaning here");
  if (!parse_authority(authority, url)) return invalid(text, "its port is no number from 0 to 65535");
  return url;
}

std::string Url::authority() const {
  std::string text = host.find(':') == std::string::npos ? host : "[" + host + "]";
  if (port == 0) return text;
  char digits[8];
  const auto end = std::to_chars(digits, digits + sizeof digits, static_cast<unsigned>(port)).ptr;
  return text.append(":").append(digits, end);
}

std::string Url::to_string() const {
  if (host.empty() && port == 0) return scheme + ":" + path;
  return scheme + "://" + authority() + path;
}

}  // namespace twinloop
