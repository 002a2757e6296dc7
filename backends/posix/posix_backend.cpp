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

}  // namespace twinloop::detail
