#include "twinloop/log.h"

#include <atomic>

#include "twinloop/detail/builtin.h"

namespace twinloop {
namespace {

void default_handler(LogLevel level, std::string_view text, const Location&) {
  if (level >= LogLevel::warning) detail::platform_log(level, text);
}

std::atomic<LogHandler> handler{&default_handler};

}  // namespace

LogHandler set_log_handler(LogHandler next) noexcept {
  return handler.exchange(next != nullptr ? next : &default_handler);
}

void log(LogLevel level, std::string_view text, const Location& where) noexcept { handler.load()(level, text, where); }

}  // namespace twinloop
