// The Poller that every Unix has.  It watches descriptors below FD_SETSIZE (1024), costs a scan of all of them a turn, and sees
// the peer's end only by reading: for tests, and for systems with nothing better.
#pragma once

#include <memory>

#include "backends/posix/poller.h"

namespace twinloop::detail {

std::unique_ptr<Poller> make_select_poller();
// Throws Error when the system has no descriptor left for it, or only ones that select cannot watch.

}  // namespace twinloop::detail
