#include "backends/posix/posix_backend.h"

namespace twinloop::detail {

void PosixBackend::attach(IOLoop& loop) {
  reactor_.attach(loop);
  network_.emplace(loop, reactor_);
}

void PosixBackend::wait(TimePoint deadline) {
  reactor_.wait(deadline);
  signals_.dispatch();
}

void PosixBackend::after_fork() noexcept {
  signals_.end();
  reactor_.after_fork();
}

}  // namespace twinloop::detail
