#include "protocols/http/client_url.h"

#include <algorithm>
#include <charconv>

#include "twinloop/httputil.h"

namespace twinloop::detail {
namespace {

bool is_control_or_space(char c) noexcept { return static_cast<unsigned char>(c) <= ' ' || c == '\x7f'; }
bool is_ascii(char c) noexcept { return static_cast<unsigned char>(c) < 0x80; }
char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool is_letter_or_digit(char c) noexcept { return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z'); }
bool is_host_character(char c) noexcept {
  return is_letter_or_digit(c) || c == '.' || c == '-' || c == '_' || c == '~';
}
bool is_scheme_character(char c) noexcept { return is_letter_or_digit(c) || c == '+' || c == '-' || c == '.'; }

std::string lowered(std::string_view text) {
  std::string low(text);
  std::transform(low.begin(), low.end(), low.begin(), lower);
  return low;
}

Failure invalid(std::string_view text, std::string_view what) {
  std::string message = "'";
  for (const char c : text.substr(0, 200)) message += is_control_or_space(c) ? '?' : c;
  message.append("': ").append(what);
  return {Errc::invalid_url, std::move(message)};
}

std::string escaped(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (is_ascii(c) && !is_control_or_space(c)) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out.append({'%', kDigits[byte >> 4U], kDigits[byte & 15U]});
  }
  return out;
}

// The scheme in front of the first colon, in lower case; empty where there is none.
std::string scheme_of(std::string_view text) {
  const std::string_view scheme = text.substr(0, text.find(':'));
  const bool valid = scheme.size() < text.size() && std::all_of(scheme.begin(), scheme.end(), is_scheme_character);
  return valid ? lowered(scheme) : std::string();
}

std::uint16_t usual_port(bool secure) noexcept { return secure ? 443 : 80; }

void take_credentials(std::string_view& authority, HTTPUrl& url) {
  const std::size_t at = authority.rfind('@');
  if (at == std::string_view::npos) return;
  const std::string_view text = authority.substr(0, at);
  const std::size_t colon = std::min(text.find(':'), text.size());
  const std::string_view password = colon < text.size() ? text.substr(colon + 1) : std::string_view();
  url.credentials.emplace(url_unescape(text.substr(0, colon), false), url_unescape(password, false));
  authority.remove_prefix(at + 1);
}

bool take_host(std::string_view& authority, HTTPUrl& url) {
  const bool bracketed = authority.starts_with('[');
  const std::size_t end = bracketed ? authority.find(']') : std::min(authority.find(':'), authority.size());
  if (end == std::string_view::npos) return false;
  url.host = lowered(authority.substr(bracketed ? 1 : 0, end - (bracketed ? 1 : 0)));
  authority.remove_prefix(end + (bracketed ? 1 : 0));
  const auto allowed = [bracketed](char c) { return is_host_character(c) || (bracketed && (c == ':' || c == '%')); };
  return !url.host.empty() && std::all_of(url.host.begin(), url.host.end(), allowed);
}

bool take_port(std::string_view text, HTTPUrl& url) {
  url.port = usual_port(url.secure);
  if (text.empty() || text == ":") return true;
  if (!text.starts_with(':')) return false;
  text.remove_prefix(1);
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), url.port);
  return error == std::errc() && rest == text.data() + text.size() && url.port != 0;
}

// RFC 3986 §5.2.4.
std::string without_dot_segments(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/', 1), path.size());
    const std::string_view segment = path.substr(0, end);
    path.remove_prefix(end);
    if (segment == "/.." || segment == "/.") {
      if (segment == "/..") out.resize(out.empty() ? 0 : out.rfind('/'));
      if (path.empty()) out += '/';
    } else {
      out += segment;
    }
  }
  return out;
}

std::string normal_target(std::string_view target) {
  const std::size_t query = std::min(target.find('?'), target.size());
  return without_dot_segments(target.substr(0, query)).append(target.substr(query));
}

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && is_control_or_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_control_or_space(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

Result<HTTPUrl> HTTPUrl::parse(std::string_view text) {
  const std::string scheme = scheme_of(text);
  if (scheme.empty()) return invalid(text, "it has no scheme; write http://host/path or https://host/path");
  if (scheme != "http" && scheme != "https") return invalid(text, "only http and https are fetched");
  if (std::any_of(text.begin(), text.end(), is_control_or_space)) {
    return invalid(text, "it has a space or a control character; url_escape() writes them as %20");
  }
  std::string_view rest = text.substr(scheme.size() + 1);
  if (!rest.starts_with("//")) return invalid(text, "it has no host; write http://host/path");
  rest = rest.substr(2, rest.find('#') - 2);

  HTTPUrl url;
  url.secure = scheme == "https";
  std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  const std::string_view target = rest.substr(authority.size());
  take_credentials(authority, url);
  if (!take_host(authority, url)) {
    return invalid(text,
                   "its host is none; a name beyond ASCII is written in its xn-- form, an IPv6 address in brackets");
  }
  if (!take_port(authority, url)) return invalid(text, "its port is no number from 1 to 65535");
  url.target = escaped(target);
  if (!url.target.starts_with('/')) url.target.insert(0, 1, '/');
  return url;
}

Result<HTTPUrl> HTTPUrl::resolve(std::string_view reference) const {
  const std::string text = escaped(trimmed(reference));
  if (!scheme_of(text).empty()) return parse(text);
  const std::string scheme = secure ? "https:" : "http:";
  if (text.starts_with("//")) return parse(scheme + text);

  HTTPUrl url = *this;
  url.credentials.reset();
  const std::string_view ours = std::string_view(target).substr(0, target.find('?'));
  const std::string relative = text.substr(0, text.find('#'));
  if (relative.empty()) return url;
  if (relative.starts_with('?')) {
    url.target = std::string(ours) + relative;
  } else if (relative.starts_with('/')) {
    url.target = normal_target(relative);
  } else {
    url.target = normal_target(std::string(ours.substr(0, ours.rfind('/') + 1)) + relative);
  }
  return url;
}

std::string HTTPUrl::host_and_port() const {
  const std::string shown = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return shown + ":" + std::to_string(port);
}

std::string HTTPUrl::authority() const {
  std::string text = host_and_port();
  if (port == usual_port(secure)) text.resize(text.rfind(':'));
  return text;
}

std::string HTTPUrl::to_string() const { return (secure ? "https://" : "http://") + authority() + target; }

}  // namespace twinloop::detail
