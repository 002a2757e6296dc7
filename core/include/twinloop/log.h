// Where the library says what nobody else can hear: a callback that threw, an error that no one looked at.
#pragma once

#include <string_view>

#include "twinloop/origin.h"

namespace twinloop {

enum class LogLevel { debug, info, warning, error };

using LogHandler = void (*)(LogLevel, std::string_view text, const Location& where);

LogHandler set_log_handler(LogHandler) noexcept;
// Replaces the handler of the whole process and returns the former one; nullptr restores the default, which writes warnings
// and errors to stderr, or to the console in a browser.  The handler may be called from any thread that runs a loop and must
// not throw.

void log(LogLevel, std::string_view text, const Location& where = Location::current()) noexcept;

}  // namespace twinloop
