#include "protocols/tls/key_log.h"

#include <cerrno>
#include <system_error>

#include "twinloop/error.h"

namespace twinloop::detail {

KeyLog::KeyLog(const std::string& path) : file_(std::fopen(path.c_str(), "ae")) {
  if (!file_) throw Error(std::error_code(errno, std::generic_category()), "the key log " + path);
}

// Several processes may append to one file: a line leaves in one piece.
void KeyLog::write(std::string_view line) noexcept {
  const std::lock_guard lock(mutex_);
  std::fprintf(file_.get(), "%.*s\n", static_cast<int>(line.size()), line.data());
  std::fflush(file_.get());
}

}  // namespace twinloop::detail
