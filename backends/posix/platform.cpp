// The few things core asks of a platform that belong to no backend.
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
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

constexpr std::array kErrors = {
    ErrorWords{Errc::not_found, "not_found", "no such file or directory"},
    ErrorWords{Errc::descriptors_exhausted, "descriptors_exhausted", "no file descriptor is available"},
    ErrorWords{Errc::bad_descriptor, "bad_descriptor", "no such file descriptor is open or watched"},
    ErrorWords{Errc::plaintext_before_tls, "plaintext_before_tls", "bytes arrived before TLS started"},
    ErrorWords{Errc::bad_certificate, "bad_certificate", "a certificate was not accepted"},
    ErrorWords{Errc::process_failed, "process_failed", "the program failed"},
};

}  // namespace

std::span<const ErrorWords> platform_errors() noexcept { return kErrors; }

// One write a line, so that lines of several threads do not mix.
void platform_log(LogLevel level, std::string_view text) noexcept {
  std::string line("twinloop: ");
  line.append(prefix(level)).append(text).append("\n");
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

void platform_exit(int) noexcept {}

const char* platform_environment(const char* variable) noexcept { return std::getenv(variable); }

void platform_on_trace_request(Function<void()>) {}

bool platform_has_threads() noexcept { return true; }

// Signals are for the program's own threads.
std::thread platform_start_thread(Function<void()> function) {
  sigset_t all;
  sigset_t former;
  sigfillset(&all);  // unqualified: a macro on some systems
  ::pthread_sigmask(SIG_SETMASK, &all, &former);
  std::thread thread(std::move(function));
  ::pthread_sigmask(SIG_SETMASK, &former, nullptr);
  return thread;
}

bool platform_save(const char* path, std::string_view text) noexcept {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path, "w"), &std::fclose);
  return file != nullptr && std::fwrite(text.data(), 1, text.size(), file.get()) == text.size();
}

}  // namespace twinloop::detail
