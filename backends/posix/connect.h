// Opening one connection to one address.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backends/posix/reactor.h"
#include "backends/posix/socket.h"
#include "twinloop/future.h"

namespace twinloop::detail {

Future<std::unique_ptr<Transport>> connect_to(Reactor& reactor, const Address& address, const Address& source = {});
// From `source` where that has a family.  Fails with the bare code: refused, unreachable, timeout …  The addresses may die before it
// is done.

Future<std::unique_ptr<Transport>> connect_to_any(Reactor& reactor, std::string what, std::vector<Address> addresses,
                                                  Address source = {});
// To the first of them that answers, IPv6 and IPv4 in turn (Happy Eyeballs, RFC 8305 §4 and §5): each has 250 ms of its own, then
// the next is tried beside it; after a failure at once.  The losers are closed.  Fails with the last reason, and `what` and all of
// them in the message.

}  // namespace twinloop::detail
