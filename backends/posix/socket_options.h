// SocketOptions, applied to a descriptor and read from one.
#pragma once

#include "twinloop/result.h"
#include "twinloop/socket_options.h"

namespace twinloop::detail {

Result<> apply_socket_options(int fd, const SocketOptions& options);
// In the order in which SocketOptions lists them, up to the first that fails; the failure names it.  not_supported where the kind of
// socket, or the system, has no such option.

Result<SocketOptions> read_socket_options(int fd);
// Those that this kind of socket has.

}  // namespace twinloop::detail
