// The Cookie header of requests.
#include <algorithm>

#include "twinloop/httputil.h"

namespace twinloop {
namespace {

bool is_octal(char c) noexcept { return c >= '0' && c <= '7'; }

// The byte that "\ooo" at the front of the text stands for, else -1.
int octal_escape(std::string_view text) noexcept {
  if (text.size() < 4 || text[1] > '3' || !is_octal(text[1]) || !is_octal(text[2]) || !is_octal(text[3])) return -1;
  return (text[1] - '0') * 64 + (text[2] - '0') * 8 + (text[3] - '0');
}

// "\"" for a quote, "\012" for a newline: as Python's http.cookies writes them, and so Tornado's set_cookie.
std::string unquote(std::string_view value) {
  if (value.size() < 2 || !value.starts_with('"') || !value.ends_with('"')) return std::string(value);
  value = value.substr(1, value.size() - 2);
  std::string plain;
  plain.reserve(value.size());
  while (!value.empty()) {
    std::size_t taken = 1;
    if (value.front() != '\\' || value.size() == 1) {
      plain += value.front();
    } else if (const int byte = octal_escape(value); byte >= 0) {
      plain += static_cast<char>(byte);
      taken = 4;
    } else {
      plain += value[1];
      taken = 2;
    }
    value.remove_prefix(taken);
  }
  return plain;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> parse_cookies(std::string_view header) {
  std::vector<std::pair<std::string, std::string>> cookies;
  while (!header.empty()) {
    const std::size_t end = std::min(header.find(';'), header.size());
    const std::string_view piece = header.substr(0, end);
    header.remove_prefix(std::min(end + 1, header.size()));
    const std::size_t equals = piece.find('=');
    const bool named = equals != std::string_view::npos;
    const std::string_view name = named ? trim_http_space(piece.substr(0, equals)) : std::string_view();
    const std::string_view value = trim_http_space(named ? piece.substr(equals + 1) : piece);
    if (!name.empty() || !value.empty()) cookies.emplace_back(name, unquote(value));
  }
  return cookies;
}

}  // namespace twinloop
