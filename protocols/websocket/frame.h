// Frames of RFC 6455 §5: their headers, in and out, and masking.  Payload is never assembled; it streams past.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace twinloop::detail {

enum class Opcode : std::uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

enum class Role : std::uint8_t { client, server };

using Mask = std::array<char, 4>;

struct FrameHeader {
  Opcode opcode = Opcode::binary;
  bool final = true;
  bool masked = false;
  Mask mask{};
  std::uint64_t length = 0;

  bool is_control() const noexcept { return static_cast<std::uint8_t>(opcode) >= 8; }
};

struct ParsedHeader {
  enum class Status : std::uint8_t { complete, incomplete, malformed } status;
  FrameHeader header;
  std::size_t size = 0;  // bytes of the header itself
};

ParsedHeader parse_frame_header(std::string_view bytes, Role receiver) noexcept;
// Strict: reserved bits and opcodes, lengths that are not in their shortest form, fragmented or long control frames, and masking
// that does not fit the sender's role are malformed.

inline constexpr std::size_t kMaxFrameHeader = 14;

std::size_t write_frame_header(std::span<char, kMaxFrameHeader> into, const FrameHeader& header) noexcept;

void apply_mask(char* bytes, std::size_t count, const Mask& mask, std::size_t offset) noexcept;
// Masks or unmasks in place; `offset` is where in the payload the bytes stand.

Mask make_mask();
// Unpredictable to the page or program above, so that it cannot choose the bytes on the wire and talk to a proxy between (RFC
// 6455 §10.3).  Seeded by the system, then a fast generator.

}  // namespace twinloop::detail
