// WakePipe: how a poller without something better is woken.  A byte in a pipe is what every poller can watch, and write() is
// what may be called from a signal handler.
#pragma once

#include <unistd.h>

#include "backends/posix/descriptor.h"

namespace twinloop::detail {

class WakePipe {
 public:
  bool open() noexcept { return make_pipe(reading_, writing_); }
  // False with errno set.

  int fd() const noexcept { return reading_.get(); }
  // To be watched for reading, level-triggered.

  void wake() noexcept {
    const char byte = 0;
    [[maybe_unused]] const ssize_t written = ::write(writing_.get(), &byte, 1);
  }
  // From any thread and from signal handlers.  A full pipe wakes as well as one more byte would.

  void close() noexcept {
    reading_.reset();
    writing_.reset();
  }

  void drain() noexcept {
    char bytes[64];
    while (::read(reading_.get(), bytes, sizeof bytes) == sizeof bytes) {
    }
  }

 private:
  Descriptor reading_;
  Descriptor writing_;
};

}  // namespace twinloop::detail
