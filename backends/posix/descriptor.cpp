#include "backends/posix/descriptor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace twinloop::detail {
namespace {

constexpr std::size_t kPieces = 16;

// With pipe2 no other thread can start a program between the making of a pipe and its flags; macOS lacks it.
#if TWINLOOP_HAVE_PIPE2
bool open_pipe(int (&ends)[2]) noexcept { return ::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0; }
#else
bool set_flags(int fd) noexcept {
  return ::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK) == 0;
}
bool open_pipe(int (&ends)[2]) noexcept { return ::pipe(ends) == 0 && set_flags(ends[0]) && set_flags(ends[1]); }
#endif

bool is_closed(int fd) noexcept { return ::fcntl(fd, F_GETFD) == -1 && errno == EBADF; }

}  // namespace

Descriptor open_null(int flags) noexcept { return Descriptor(::open("/dev/null", flags | O_CLOEXEC)); }

bool make_pipe(Descriptor& reading, Descriptor& writing) noexcept {
  int ends[2] = {-1, -1};
  const bool opened = open_pipe(ends);
  reading.reset(ends[0]);
  writing.reset(ends[1]);
  return opened;
}

bool set_blocking(int fd) noexcept { return ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK) == 0; }

ssize_t write_pieces(int fd, std::span<const ConstBytes> pieces, std::size_t limit) noexcept {
  std::array<iovec, kPieces> vectors;
  std::size_t count = 0;
  for (const ConstBytes piece : pieces.first(std::min(pieces.size(), kPieces))) {
    const std::size_t size = std::min(piece.size(), limit);
    vectors[count++] = {const_cast<std::byte*>(piece.data()), size};
    limit -= size;
  }
  return ::writev(fd, vectors.data(), static_cast<int>(count));
}

void ignore_sigpipe() noexcept {
  struct sigaction current{};
  if (::sigaction(SIGPIPE, nullptr, &current) == 0 && current.sa_handler == SIG_DFL) ::signal(SIGPIPE, SIG_IGN);
}

// open() takes the lowest free number.  Reading the substitute gives the end at once; writing the others fails.
void reserve_standard_descriptors() noexcept {
  for (int fd = 0; fd <= 2; ++fd) {
    if (is_closed(fd)) (void)::open("/dev/null", fd == 0 ? O_RDWR : O_RDONLY);
  }
}

}  // namespace twinloop::detail
