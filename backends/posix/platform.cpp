// The few things core asks of a platform that belong to no backend.
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "backends/posix/children.h"
#include "backends/posix/signals.h"
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

// In this thread, while it lives.  A thread begins with the mask of the one that starts it.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept {
    sigset_t all;
    sigfillset(&all);  // unqualified: a macro on some systems
    ::pthread_sigmask(SIG_SETMASK, &all, &former_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &former_, nullptr); }

 private:
  sigset_t former_;
};

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
  const SignalsBlocked blocked;
  return std::thread(std::move(function));
}

void platform_after_fork() noexcept {
  SignalWatch::after_fork();
  Children::after_fork();
}

bool platform_save(const char* path, std::string_view text) noexcept {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path, "w"), &std::fclose);
  return file != nullptr && std::fwrite(text.data(), 1, text.size(), file.get()) == text.size();
}

}  // namespace twinloop::detail
