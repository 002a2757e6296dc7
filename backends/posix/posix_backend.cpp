#include "backends/posix/posix_backend.h"

#include "backends/posix/subprocess.h"

namespace twinloop::detail {

void PosixBackend::attach(IOLoop& loop) {
  reactor_.attach(loop);
  network_.emplace(loop, reactor_);
}

void PosixBackend::wait(TimePoint deadline) {
  reactor_.wait(deadline);
  signals_.dispatch();
  children_.dispatch();
}

StartedProcess PosixBackend::start_process(const std::vector<std::string>& argv, const SubprocessOptions& options) {
  return start_program(reactor_, children_, argv, options);
}

}  // namespace twinloop::detail
