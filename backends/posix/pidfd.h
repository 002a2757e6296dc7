// A descriptor that becomes readable when a process ends: where there is such a thing.
#pragma once

#include <sys/types.h>

#include "backends/posix/descriptor.h"

namespace twinloop::detail {

Descriptor open_pidfd(pid_t pid) noexcept;
// Empty where the system has none.  `pid` is a child that nobody has waited for yet.

}  // namespace twinloop::detail
