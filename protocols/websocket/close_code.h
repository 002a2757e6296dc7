// What a Close frame says (RFC 6455 §7.4), in the words of this library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "twinloop/error.h"

namespace twinloop::detail {

namespace close_code {
inline constexpr std::uint16_t kNormal = 1000;
inline constexpr std::uint16_t kGoingAway = 1001;
inline constexpr std::uint16_t kProtocolError = 1002;
inline constexpr std::uint16_t kUnsupportedData = 1003;
inline constexpr std::uint16_t kNone = 1005;      // never on the wire: a Close without a code
inline constexpr std::uint16_t kAbnormal = 1006;  // never on the wire: the connection ended without a Close
inline constexpr std::uint16_t kInvalidPayload = 1007;
inline constexpr std::uint16_t kTooBig = 1009;
inline constexpr std::uint16_t kInternalError = 1011;
inline constexpr std::uint16_t kOverflow = 3009;  // twinloop's own: more arrived than the receiver may hold
}  // namespace close_code

inline constexpr std::size_t kMaxCloseText = 123;

bool may_be_sent(std::uint16_t code) noexcept;
// 1004 to 1006 and 1015 never stand in a frame, and what is below 1000, between 1015 and 3000, or above 4999 is nobody's.

std::uint16_t close_code_of(Errc reason) noexcept;
// What to tell the peer: 1000 for local and end, 1001 for loop_closed and timeouts, 1002 protocol, 1009 limit and
// unsatisfiable_read, 3009 overflow, 1011 for all else.

bool is_orderly(std::uint16_t code) noexcept;
// 1000, 1001, and a Close without a code, which is what a page's `socket.close()` sends: the end of the stream.

Errc reason_of_close(std::uint16_t code) noexcept;
// end when orderly; protocol for 1002, 1003 and 1007 (the peer says that we broke it); reset for all else.

struct CloseFrame {
  bool valid = true;
  std::uint16_t code = close_code::kNone;  // when not valid, what to answer
  std::string_view text;
};

CloseFrame parse_close(std::string_view payload) noexcept;
// Not valid: one byte only, a code that may not be sent, or a text that is no UTF-8.

std::string close_payload(std::uint16_t code, std::string_view text = {});
// `text` is at most kMaxCloseText bytes.

}  // namespace twinloop::detail
