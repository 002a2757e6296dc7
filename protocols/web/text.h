// Small things about text.
#pragma once

#include <string>
#include <string_view>

#include "protocols/websocket/utf8.h"

namespace twinloop::detail {

std::string html_escape(std::string_view text);
std::string printable(std::string_view text);
// Control characters as \xHH, for messages.
std::string_view without_spaces(std::string_view text) noexcept;
// At either end.
void blank_controls(std::string& text) noexcept;
// Makes control characters, except white space, spaces.

}  // namespace twinloop::detail
