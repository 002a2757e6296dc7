#include "protocols/websocket/close_code.h"

#include "protocols/websocket/utf8.h"

namespace twinloop::detail {
using namespace close_code;

bool may_be_sent(std::uint16_t code) noexcept {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

std::uint16_t close_code_of(Errc reason) noexcept {
  switch (reason) {
    case Errc::local:
    case Errc::end:
      return kNormal;
    case Errc::loop_closed:
    case Errc::timeout:
    case Errc::idle_timeout:
      return kGoingAway;
    case Errc::protocol:
      return kProtocolError;
    case Errc::limit:
    case Errc::unsatisfiable_read:
      return kTooBig;
    case Errc::overflow:
      return kOverflow;
    default:
      return kInternalError;
  }
}

bool is_orderly(std::uint16_t code) noexcept { return code == kNormal || code == kGoingAway || code == kNone; }

Errc reason_of_close(std::uint16_t code) noexcept {
  if (is_orderly(code)) return Errc::end;
  return code == kProtocolError || code == kUnsupportedData || code == kInvalidPayload ? Errc::protocol : Errc::reset;
}

CloseFrame parse_close(std::string_view payload) noexcept {
  if (payload.empty()) return {};
  if (payload.size() == 1) return {false, kProtocolError, {}};
  const auto code =
      static_cast<std::uint16_t>(static_cast<unsigned char>(payload[0]) << 8 | static_cast<unsigned char>(payload[1]));
  if (!may_be_sent(code)) return {false, kProtocolError, {}};
  const std::string_view text = payload.substr(2);
  if (!is_utf8(text)) return {false, kInvalidPayload, {}};
  return {true, code, text};
}

std::string close_payload(std::uint16_t code, std::string_view text) {
  std::string payload{static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
  return payload.append(text);
}

}  // namespace twinloop::detail
