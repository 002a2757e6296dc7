// Text as people send it: UTF-8 without what could play tricks on a terminal.
#pragma once

#include <cstddef>
#include <string_view>

std::string_view trimmed(std::string_view text) noexcept;
// Without spaces at both ends.

bool is_text(std::string_view text) noexcept;
// Well-formed UTF-8 without control characters (the tab excepted), line separators and marks that reverse the writing direction.

std::size_t count_characters(std::string_view text) noexcept;
// Code points of well-formed UTF-8.
