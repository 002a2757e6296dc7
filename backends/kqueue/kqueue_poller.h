// The Poller of macOS and the BSDs.  It uses no more of kqueue than all of them have.
//
// A kqueue is not inherited by fork: a loop made before cannot be used in the child, which should exec or make its own.
#pragma once

#include <memory>

#include "backends/posix/poller.h"

namespace twinloop::detail {

std::unique_ptr<Poller> make_kqueue_poller();
// Throws Error when the system has no descriptor left for it.

}  // namespace twinloop::detail
