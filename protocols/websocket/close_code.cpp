#include "protocols/websocket/close_code.h"

#include <cstddef>

namespace twinloop::detail {
namespace {

using namespace close_code;

bool may_be_sent(std::uint16_t code) noexcept {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

// The length of the UTF-8 character at the front (Unicode 15, table 3-7), or 0 when there is none.
std::size_t utf8_length(std::string_view text) noexcept {
  const auto at = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const auto follows = [&](std::size_t i) { return (at(i) & 0xc0U) == 0x80U; };
  const unsigned lead = at(0);
  const unsigned second = at(1);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return follows(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    const bool allowed = lead == 0xe0 ? second >= 0xa0 : lead == 0xed ? second <= 0x9f : true;
    return follows(1) && follows(2) && allowed ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const bool allowed = lead == 0xf0 ? second >= 0x90 : lead == 0xf4 ? second <= 0x8f : true;
    return follows(1) && follows(2) && follows(3) && allowed ? 4 : 0;
  }
  return 0;
}

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace

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

std::string close_payload(std::uint16_t code) { return {static_cast<char>(code >> 8), static_cast<char>(code & 0xff)}; }

}  // namespace twinloop::detail
