// A file descriptor that is closed by its owner, and the small things that are done to descriptors.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <span>
#include <utility>

#include "twinloop/transport.h"

namespace twinloop::detail {

class Descriptor {
 public:
  Descriptor() noexcept = default;
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~Descriptor() { reset(); }

  explicit operator bool() const noexcept { return fd_ >= 0; }
  int get() const noexcept { return fd_; }
  int release() noexcept { return std::exchange(fd_, -1); }
  void reset(int fd = -1) noexcept {
    if (const int old = std::exchange(fd_, fd); old >= 0) ::close(old);
  }
  // Never closes again after EINTR: the number may already be somebody else's.

 private:
  int fd_ = -1;
};

Descriptor open_null(int flags) noexcept;
// /dev/null, not inherited by programs that are started.

bool make_pipe(Descriptor& reading, Descriptor& writing) noexcept;
// Both ends nonblocking and not inherited.  False with errno set.

bool set_blocking(int fd) noexcept;
// False with errno set.

ssize_t write_pieces(int fd, std::span<const ConstBytes> pieces,
                     std::size_t limit = static_cast<std::size_t>(-1)) noexcept;
// As write(), for as many pieces as one call takes, `limit` bytes of them at most.

void ignore_sigpipe() noexcept;
// For writing to pipes, which unlike sockets have no other way: a reader that has gone is an error to report, not a reason to
// die.  A handler that the program set itself stays.

void reserve_standard_descriptors() noexcept;
// A program may be started with 0, 1 or 2 closed.  Without this the next descriptor that is opened would become its "stdin".

}  // namespace twinloop::detail
