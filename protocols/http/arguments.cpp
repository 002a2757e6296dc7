// Queries and forms: "a=1&b=%20".
#include <algorithm>

#include "twinloop/httputil.h"

namespace twinloop {
namespace {

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_unreserved(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

}  // namespace

const std::string* HTTPArguments::find(std::string_view name) const noexcept {
  const auto found =
      std::find_if(pairs_.rbegin(), pairs_.rend(), [name](const auto& pair) { return pair.first == name; });
  return found != pairs_.rend() ? &found->second : nullptr;
}

std::vector<std::string_view> HTTPArguments::all(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const auto& [key, value] : pairs_) {
    if (key == name) values.emplace_back(value);
  }
  return values;
}

HTTPArguments parse_query(std::string_view text, std::size_t max_fields) {
  HTTPArguments arguments;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('&'), text.size());
    const std::string_view piece = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (piece.empty()) continue;
    if (arguments.size() == max_fields) {
      throw_error(Errc::limit, "a query or form of more than " + std::to_string(max_fields) + " fields");
    }
    const std::size_t equals = std::min(piece.find('='), piece.size());
    arguments.add(url_unescape(piece.substr(0, equals)),
                  url_unescape(piece.substr(std::min(equals + 1, piece.size()))));
  }
  return arguments;
}

std::string url_escape(std::string_view text, bool plus) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    if (is_unreserved(c) || (c == '/' && !plus)) {
      escaped += c;
    } else if (c == ' ' && plus) {
      escaped += '+';
    } else {
      const auto byte = static_cast<unsigned char>(c);
      escaped += '%';
      escaped += kDigits[byte >> 4];
      escaped += kDigits[byte & 15];
    }
  }
  return escaped;
}

std::string url_unescape(std::string_view text, bool plus) {
  std::string plain;
  plain.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_value(text[i + 2]) : -1;
    if (low >= 0) {
      plain += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      plain += plus && text[i] == '+' ? ' ' : text[i];
    }
  }
  return plain;
}

std::string url_concat(std::string_view url, const HTTPArguments& arguments) {
  const std::size_t fragment = std::min(url.find('#'), url.size());
  std::string text(url.substr(0, fragment));
  for (const auto& [name, value] : arguments) {
    const std::size_t question = text.find('?');
    if (question == std::string::npos) {
      text += '?';
    } else if (question + 1 != text.size() && text.back() != '&') {
      text += '&';
    }
    text.append(url_escape(name)).append("=").append(url_escape(value));
  }
  return text.append(url.substr(fragment));
}

}  // namespace twinloop
