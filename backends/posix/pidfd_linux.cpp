#include <sys/syscall.h>
#include <unistd.h>

#include "backends/posix/pidfd.h"

namespace twinloop::detail {

// Linux 5.3; close-on-exec by itself.  A sandbox may forbid it.
Descriptor open_pidfd(pid_t pid) noexcept { return Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

}  // namespace twinloop::detail
