#include "protocols/tls/key_log.h"

#include <cerrno>
#include <system_error>

#include "twinloop/error.h"

namespace twinloop::detail {

KeyLog::KeyLog(const std::string& path) : file_(std::fopen(path.c_str(), "ae")) {
  if (!file_) throw Error(std::error_code(errno, std::generic_category()), "the key log " + path);
  std::setvbuf(file_.get(), nullptr, _IOLBF, BUFSIZ);
}

// Several threads and processes may append to one file: a line leaves in one piece.  The file's own lock is enough, and the C library
// gives it back in a forked child.
void KeyLog::write(std::string_view line) noexcept {
  std::fprintf(file_.get(), "%.*s\n", static_cast<int>(line.size()), line.data());
}

}  // namespace twinloop::detail
