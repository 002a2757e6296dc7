// How an opening handshake fails, in words: to the peer where it is a client, and to the program.
#pragma once

#include <string>

#include "protocols/websocket/handshake.h"
#include "protocols/websocket/head.h"

namespace twinloop::detail {

inline constexpr std::size_t kMaxHead = 8192;

[[noreturn]] void refuse(IOStream& stream, const Refusal& refusal);
// Answers the request with that, and throws.

[[noreturn]] void fail_request(IOStream& stream, const ReceivedHead& received);
// For what is no request: answers where there is somebody to answer, and throws.

[[noreturn]] void fail_response(const std::string& where, const ReceivedHead& received);
// For what is no response.

}  // namespace twinloop::detail
