#include "protocols/web/text.h"

#include "protocols/web/crypto.h"

namespace twinloop::detail {
namespace {

constexpr std::string_view kSpaces = " \t\r\n\f\v";

bool is_control(char c) noexcept { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }

}  // namespace

std::string html_escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#x27;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string printable(std::string_view text) {
  std::string shown;
  for (const char c : text) {
    if (is_control(c))
      shown.append("\\x").append(to_hex(std::string_view(&c, 1)));
    else
      shown += c;
  }
  return shown;
}

std::string_view without_spaces(std::string_view text) noexcept {
  const std::size_t first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

void blank_controls(std::string& text) noexcept {
  for (char& c : text) {
    if (is_control(c) && kSpaces.find(c) == std::string_view::npos) c = ' ';
  }
}

}  // namespace twinloop::detail
