#include "backends/browser/glue.h"
#include "twinloop/detail/builtin.h"

namespace twinloop::detail {

void platform_log(LogLevel level, std::string_view text) noexcept {
  host::log(static_cast<int>(level), text.data(), static_cast<int>(text.size()));
}

void platform_exit(int status) noexcept { host::exit(status); }

const char* platform_environment(const char* variable) noexcept {
  static char value[256];
  return host::environment(variable, value, sizeof value) ? value : nullptr;
}

}  // namespace twinloop::detail
