// The few things core asks of a platform that belong to no backend.
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "twinloop/detail/builtin.h"

namespace twinloop::detail {
namespace {

std::string_view prefix(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::debug:
      return "debug: ";
    case LogLevel::info:
      return "info: ";
    case LogLevel::warning:
      return "warning: ";
    case LogLevel::error:
      return "error: ";
  }
  return "";
}

}  // namespace

// One write a line, so that lines of several threads do not mix.
void platform_log(LogLevel level, std::string_view text) noexcept {
  std::string line("twinloop: ");
  line.append(prefix(level)).append(text).append("\n");
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

void platform_exit(int) noexcept {}

const char* platform_environment(const char* variable) noexcept { return std::getenv(variable); }

}  // namespace twinloop::detail
