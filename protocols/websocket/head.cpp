#include "protocols/websocket/head.h"

#include <algorithm>

namespace twinloop {
namespace detail {
namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

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

bool is_version(std::string_view text) noexcept {
  return text.size() == 8 && text.starts_with("HTTP/1.") && text[7] >= '0' && text[7] <= '9';
}

std::string_view without_line_end(std::string_view line) noexcept { return line.substr(0, line.size() - 2); }

}  // namespace

std::vector<std::string_view> split_list(std::string_view text) {
  std::vector<std::string_view> items;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    if (const std::string_view item = trimmed(text.substr(0, comma)); !item.empty()) items.push_back(item);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return items;
}

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

bool has_token(const RequestHead& head, std::string_view header, std::string_view token) {
  for (const auto& [name, value] : head.headers) {
    if (!same_ignoring_case(name, header)) continue;
    for (const std::string_view item : split_list(value)) {
      if (same_ignoring_case(item, token)) return true;
    }
  }
  return false;
}

bool is_request_line(std::string_view line) noexcept {
  const std::size_t first = line.find(' ');
  const std::size_t second = line.rfind(' ');
  if (first == std::string_view::npos || first == second) return false;
  const std::string_view target = line.substr(first + 1, second - first - 1);
  const bool target_ok = std::all_of(target.begin(), target.end(),
                                     [](char c) { return static_cast<unsigned char>(c) > ' ' && c != '\x7f'; });
  return is_token(line.substr(0, first)) && !target.empty() && target_ok && is_version(line.substr(second + 1));
}

bool is_status_line(std::string_view line) noexcept {
  if (line.size() < 12 || !is_version(line.substr(0, 8)) || line[8] != ' ') return false;
  const std::string_view code = line.substr(9, 3);
  const bool digits = std::all_of(code.begin(), code.end(), [](char c) { return c >= '0' && c <= '9'; });
  return digits && (line.size() == 12 || line[12] == ' ') && is_field_text(line);
}

bool parse_request_head(std::string_view text, RequestHead& head) {
  const std::string_view line = next_line(text);
  if (!is_request_line(line)) return false;
  const std::size_t first = line.find(' ');
  const std::size_t second = line.rfind(' ');
  head.method = line.substr(0, first);
  head.target = line.substr(first + 1, second - first - 1);
  head.version = line.substr(second + 1);
  return parse_headers(text, head);
}

bool parse_response_head(std::string_view text, ResponseHead& head) {
  const std::string_view line = next_line(text);
  if (!is_status_line(line)) return false;
  head.line = excerpt(line);
  head.status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
  return parse_headers(text, head.fields);
}

Future<ReceivedHead> read_head(IOStream& stream, std::size_t max_bytes, bool (*is_first_line)(std::string_view line)) {
  ReceivedHead head;
  while (!head.error) {
    Result<std::string> line = co_await as_result(stream.read_until("\n", max_bytes));
    if (!line.ok()) {
      head.error = line.error();
      break;
    }
    const std::string_view text = *line;
    const bool first = head.text.empty();
    head.text += text;
    if (!text.ends_with("\r\n") || (first && !is_first_line(without_line_end(text)))) head.error = Errc::protocol;
    if (head.text.size() > max_bytes) head.error = Errc::unsatisfiable_read;
    if (text == "\r\n" && !head.error) co_return head;
  }
  if (stream.buffered() == 0) co_return head;
  Result<std::string> rest = co_await as_result(stream.read_some());
  if (rest.ok()) head.text += *rest;
  co_return head;
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

}  // namespace twinloop
