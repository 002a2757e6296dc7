// A part of a file out of a socket, without its bytes coming into this process, where the system can.
#pragma once

#include <cstddef>
#include <cstdint>

#include "twinloop/transport.h"

namespace twinloop::detail {

IoResult send_from_file(int socket, int file, std::uint64_t offset, std::size_t most) noexcept;
// Waits for nothing: ok, would_block when the socket is full, else not_supported.

}  // namespace twinloop::detail
