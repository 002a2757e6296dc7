// Opening one connection to one address.
#pragma once

#include <memory>

#include "backends/posix/reactor.h"
#include "backends/posix/socket.h"
#include "twinloop/future.h"

namespace twinloop::detail {

Future<std::unique_ptr<Transport>> connect_to(Reactor& reactor, const Address& address);
// Fails with the bare code: refused, unreachable, timeout …  `address` may die before it is done.

}  // namespace twinloop::detail
