// Linux: sendfile(2), for what is in the page cache.
#include <sys/sendfile.h>
#include <sys/uio.h>

#include <cerrno>

#include "backends/posix/descriptor.h"
#include "backends/posix/send_file.h"

namespace twinloop::detail {
namespace {

// False also where a file system cannot tell.
bool is_in_memory(int file, std::uint64_t offset) noexcept {
  char byte;
  const iovec into{&byte, 1};
  return ::preadv2(file, &into, 1, static_cast<off_t>(offset), RWF_NOWAIT) == 1;
}

// Files are read from their beginning to their end: what lies between two bytes that are there is there, too.
bool is_in_memory(int file, std::uint64_t offset, std::size_t size) noexcept {
  return size > 0 && is_in_memory(file, offset) && is_in_memory(file, offset + size - 1);
}

}  // namespace

// sendfile() knows no MSG_NOSIGNAL.
IoResult send_from_file(int socket, int file, std::uint64_t offset, std::size_t most) noexcept {
  if (!is_in_memory(file, offset, most)) return IoResult::not_supported();
  static const bool pipe_signal_is_ignored = (ignore_sigpipe(), true);
  static_cast<void>(pipe_signal_is_ignored);
  auto at = static_cast<off_t>(offset);
  const ssize_t count = ::sendfile(socket, file, &at, most);
  if (count > 0) return IoResult::done(static_cast<std::size_t>(count));
  return count == -1 && errno == EAGAIN ? IoResult::would_block() : IoResult::not_supported();
}

}  // namespace twinloop::detail
