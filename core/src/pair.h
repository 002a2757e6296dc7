// The in-process pipe: two transports joined back to back, and `pair:` URLs that name a place to meet.
#pragma once

#include <memory>

#include "twinloop/backend.h"

namespace twinloop::detail {

Future<std::unique_ptr<Transport>> connect_pair(Url url);
// Fails with refused when nobody on this thread listens there.

std::unique_ptr<Acceptor> listen_pair(Url url);
// Throws Error(in_use) when somebody does.

}  // namespace twinloop::detail
