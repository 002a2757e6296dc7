#include <algorithm>

#include "protocols/websocket/head.h"

namespace twinloop {
namespace {

std::string_view take_until(char mark, std::string_view& text) noexcept {
  const std::size_t end = std::min(text.find(mark), text.size());
  const std::string_view taken = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return taken;
}

std::string_view take_line(std::string_view& text) noexcept { return take_until('\n', text); }

std::pair<std::string_view, std::string_view> take_header(std::string_view& lines) noexcept {
  std::string_view line = take_line(lines);
  const std::string_view name = take_until(':', line);
  return {name, line};
}

std::string_view headers_of(std::string_view text) noexcept {
  take_line(text);
  take_line(text);
  return text;
}

}  // namespace

WebSocketSession::WebSocketSession(std::string_view subprotocol, const RequestHead& head) {
  std::size_t size = subprotocol.size() + head.target.size() + 2;
  for (const auto& [name, value] : head.headers) size += name.size() + value.size() + 2;
  text_.reserve(size);
  text_.append(subprotocol).append("\n").append(head.target).append("\n");
  for (const auto& [name, value] : head.headers) text_.append(name).append(":").append(value).append("\n");
}

std::string_view WebSocketSession::selected_subprotocol() const noexcept {
  std::string_view text = text_;
  return take_line(text);
}

std::string_view WebSocketSession::target() const noexcept {
  std::string_view text = text_;
  take_line(text);
  return take_line(text);
}

std::optional<std::string_view> WebSocketSession::header(std::string_view name) const noexcept {
  for (std::string_view lines = headers_of(text_); !lines.empty();) {
    const auto [key, value] = take_header(lines);
    if (detail::same_ignoring_case(key, name)) return value;
  }
  return std::nullopt;
}

std::vector<std::pair<std::string_view, std::string_view>> WebSocketSession::headers() const {
  std::vector<std::pair<std::string_view, std::string_view>> all;
  for (std::string_view lines = headers_of(text_); !lines.empty();) all.push_back(take_header(lines));
  return all;
}

}  // namespace twinloop
