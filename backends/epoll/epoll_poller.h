// The Poller of Linux.
#pragma once

#include <memory>

#include "backends/posix/poller.h"

namespace twinloop::detail {

std::unique_ptr<Poller> make_epoll_poller();
// Throws Error when the system has no descriptor left for it.

}  // namespace twinloop::detail
