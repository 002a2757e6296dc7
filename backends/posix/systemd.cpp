#include "twinloop/systemd.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

#include "twinloop/error.h"

namespace twinloop {
namespace {

constexpr int kFirst = 3;  // SD_LISTEN_FDS_START

std::optional<std::string> take_variable(const char* name) {
  const char* value = std::getenv(name);
  std::optional<std::string> text = value != nullptr ? std::optional<std::string>(value) : std::nullopt;
  ::unsetenv(name);
  return text;
}

[[noreturn]] void refuse(const std::string& what) { throw Error(Errc::bad_descriptor, "systemd_listeners: " + what); }

long read_number(const char* variable, const std::string& text) {
  long number = -1;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && rest == text.data() + text.size() && number >= 0) return number;
  refuse(std::string(variable) + " is '" + text + "'");
}

// The names stand between colons; there may be fewer of them than descriptors.
std::string take_name(std::string_view& names) {
  const std::size_t colon = names.find(':');
  std::string name(names.substr(0, colon));
  names.remove_prefix(colon == std::string_view::npos ? names.size() : colon + 1);
  return name;
}

}  // namespace

std::vector<InheritedListener> systemd_listeners() {
  const std::optional<std::string> process = take_variable("LISTEN_PID");
  const std::optional<std::string> count = take_variable("LISTEN_FDS");
  const std::string names = take_variable("LISTEN_FDNAMES").value_or("");
  take_variable("LISTEN_PIDFDID");
  if (!process || !count || read_number("LISTEN_PID", *process) != ::getpid()) return {};
  const long number = read_number("LISTEN_FDS", *count);
  std::string_view unread = names;
  std::vector<InheritedListener> listeners;
  for (int fd = kFirst; fd - kFirst < number; ++fd) {
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) refuse("descriptor " + std::to_string(fd) + " is not open");
    listeners.push_back({"fd:" + std::to_string(fd), take_name(unread)});
  }
  return listeners;
}

}  // namespace twinloop
