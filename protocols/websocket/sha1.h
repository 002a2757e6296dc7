// SHA-1 and base64 for the opening handshake of RFC 6455 §1.3.  They protect nothing there: they prove that the other end knows
// WebSocket.  Having them here keeps plain ws:// free of a cryptographic library.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace twinloop::detail {

std::array<std::uint8_t, 20> sha1(std::string_view text);
std::string base64(std::string_view bytes);

std::string websocket_accept_key(std::string_view key);
// The Sec-WebSocket-Accept that answers a Sec-WebSocket-Key.

}  // namespace twinloop::detail
