#include "protocols/websocket/head.h"

#include <algorithm>

namespace twinloop {
namespace detail {
namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// RFC 9110 §5.6.2
bool is_token(std::string_view text) noexcept {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || kMarks.find(c) != std::string_view::npos;
  });
}

bool is_field_text(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c == '\t' || (static_cast<unsigned char>(c) >= ' ' && c != '\x7f'); });
}

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string_view next_line(std::string_view& text) noexcept {
  const std::size_t end = text.find("\r\n");
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 2);
  return line;
}

bool parse_headers(std::string_view text, RequestHead& head) {
  for (std::string_view line = next_line(text); !line.empty(); line = next_line(text)) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon)) || !is_field_text(line)) return false;
    head.headers.emplace_back(line.substr(0, colon), trimmed(line.substr(colon + 1)));
  }
  return true;
}

Failure no_head(const char* what, std::string_view text) {
  return std::make_exception_ptr(
      Error(Errc::protocol, std::string("no HTTP ") + what + " but '" + excerpt(text) + "'"));
}

}  // namespace

std::string excerpt(std::string_view text) {
  std::string shown;
  for (const char c : text.substr(0, 60)) {
    if (c == '\r' || c == '\n') break;
    shown += static_cast<unsigned char>(c) < ' ' || static_cast<unsigned char>(c) > '~' ? '?' : c;
  }
  return shown;
}

bool same_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

std::vector<std::string_view> split_list(std::string_view text) {
  std::vector<std::string_view> items;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    if (const std::string_view item = trimmed(text.substr(0, comma)); !item.empty()) items.push_back(item);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return items;
}

bool has_token(const RequestHead& head, std::string_view header, std::string_view token) noexcept {
  for (const auto& [name, value] : head.headers) {
    if (!same_ignoring_case(name, header)) continue;
    for (const std::string_view item : split_list(value)) {
      if (same_ignoring_case(item, token)) return true;
    }
  }
  return false;
}

Result<RequestHead> parse_request_head(std::string_view text) {
  RequestHead head;
  std::string_view rest = text;
  const std::string_view line = next_line(rest);
  const std::size_t first = line.find(' ');
  const std::size_t second = line.rfind(' ');
  if (first == std::string_view::npos || first == second) return no_head("request", text);
  head.method = line.substr(0, first);
  head.target = line.substr(first + 1, second - first - 1);
  head.version = line.substr(second + 1);
  const bool target_ok =
      !head.target.empty() && head.target.find(' ') == std::string::npos && is_field_text(head.target);
  if (!is_token(head.method) || !target_ok || !head.version.starts_with("HTTP/1.") || head.version.size() != 8) {
    return no_head("request", text);
  }
  if (!parse_headers(rest, head)) return no_head("request headers", rest);
  return head;
}

Result<ResponseHead> parse_response_head(std::string_view text) {
  ResponseHead head;
  std::string_view rest = text;
  const std::string_view line = next_line(rest);
  head.line = excerpt(line);
  const bool shaped = line.size() >= 12 && line.starts_with("HTTP/1.") && line[8] == ' ';
  for (std::size_t i = 9; shaped && i < 12; ++i) {
    if (line[i] < '0' || line[i] > '9') return no_head("response", text);
    head.status = head.status * 10 + (line[i] - '0');
  }
  if (!shaped || !parse_headers(rest, head.fields)) return no_head("response", text);
  return head;
}

}  // namespace detail

const std::string* RequestHead::find(std::string_view name) const noexcept {
  for (const auto& [key, value] : headers) {
    if (detail::same_ignoring_case(key, name)) return &value;
  }
  return nullptr;
}

std::size_t RequestHead::count(std::string_view name) const noexcept {
  return static_cast<std::size_t>(std::count_if(headers.begin(), headers.end(), [&](const auto& field) {
    return detail::same_ignoring_case(field.first, name);
  }));
}

Future<RequestHead> read_request_head(IOStream& stream, std::size_t max_bytes) {
  const std::string text = co_await stream.read_until("\r\n\r\n", max_bytes);
  co_return detail::parse_request_head(text).value();
}

}  // namespace twinloop
