#include "backends/browser/glue.h"
#include "twinloop/detail/builtin.h"

namespace twinloop::detail {
namespace {

Function<void()> trace_request;

}  // namespace

std::span<const ErrorWords> platform_errors() noexcept { return {}; }

void on_trace_request() noexcept {
  if (trace_request) trace_request();
}

void platform_on_trace_request(Function<void()> function) {
  trace_request = std::move(function);
  host::offer_trace(static_cast<bool>(trace_request));
}

void platform_log(LogLevel level, std::string_view text) noexcept {
  host::log(static_cast<int>(level), text.data(), static_cast<int>(text.size()));
}

void platform_exit(int status) noexcept { host::exit(status); }

const char* platform_environment(const char* variable) noexcept {
  static char value[256];
  return host::environment(variable, value, sizeof value) ? value : nullptr;
}

void platform_after_fork() noexcept {}

bool platform_has_threads() noexcept { return false; }

std::thread platform_start_thread(Function<void()>) { throw Error(Errc::not_supported, "threads, in a browser"); }

bool platform_save(const char* path, std::string_view text) noexcept {
  return host::save(path, text.data(), static_cast<int>(text.size()));
}

}  // namespace twinloop::detail
