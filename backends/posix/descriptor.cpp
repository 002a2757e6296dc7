#include "backends/posix/descriptor.h"

#include <fcntl.h>

#include <cerrno>

namespace twinloop::detail {
namespace {

bool set_flags(int fd) noexcept {
  return ::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK) == 0;
}

bool is_closed(int fd) noexcept { return ::fcntl(fd, F_GETFD) == -1 && errno == EBADF; }

}  // namespace

Descriptor open_null(int flags) noexcept { return Descriptor(::open("/dev/null", flags | O_CLOEXEC)); }

bool make_pipe(Descriptor& reading, Descriptor& writing) noexcept {
  int ends[2];
  if (::pipe(ends) != 0) return false;
  reading.reset(ends[0]);
  writing.reset(ends[1]);
  return set_flags(ends[0]) && set_flags(ends[1]);
}

// open() takes the lowest free number.  Reading the substitute gives the end at once; writing the others fails.
void reserve_standard_descriptors() noexcept {
  for (int fd = 0; fd <= 2; ++fd) {
    if (is_closed(fd)) (void)::open("/dev/null", fd == 0 ? O_RDWR : O_RDONLY);
  }
}

}  // namespace twinloop::detail
