// Frames of RFC 6455 §5: their headers, in and out, masking, and a parser through which payload streams.  No message is ever
// assembled: a frame of 2^62 bytes takes no more memory than one of 2.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace twinloop::detail {

enum class Opcode : std::uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

enum class Role : std::uint8_t { client, server };

using Mask = std::array<char, 4>;

struct FrameHeader {
  Opcode opcode = Opcode::binary;
  bool final = true;
  bool compressed = false;  // RSV1, where permessage-deflate was agreed (RFC 7692 §6)
  bool masked = false;
  Mask mask{};
  std::uint64_t length = 0;

  bool is_control() const noexcept { return static_cast<std::uint8_t>(opcode) >= 8; }
};

struct ParsedHeader {
  enum class Status : std::uint8_t { complete, incomplete, malformed } status;
  FrameHeader header;
  std::size_t size = 0;    // bytes of the header itself
  std::string_view why{};  // malformed: what is wrong with it
};

ParsedHeader parse_frame_header(std::string_view bytes, Role receiver, bool compression = false) noexcept;
// Strict: reserved bits and opcodes, lengths that are not in their shortest form, fragmented or long control frames, and masking
// that does not fit the sender's role are malformed, as soon as the byte that shows it is there.  With `compression` the first
// frame of a message may have RSV1 set.

inline constexpr std::size_t kMaxFrameHeader = 14;
inline constexpr std::size_t kMaxControlPayload = 125;

std::size_t write_frame_header(std::span<char, kMaxFrameHeader> into, const FrameHeader& header) noexcept;
// Gives the header's size.

void apply_mask(char* bytes, std::size_t count, const Mask& mask, std::uint64_t offset) noexcept;
// Masks or unmasks in place; `offset` is where in the payload the bytes stand.

// What FrameParser::next found.
struct FrameStep {
  enum class Event : std::uint8_t { more, payload, control, malformed } event = Event::more;
  std::size_t consumed = 0;         // of the input
  std::span<char> payload;          // payload: part of a message, unmasked where it lay; may be empty
  bool begins_message = false;      // payload: the first of its message
  bool ends_message = false;        // payload: the last of its message
  bool ends_empty_message = false;  // payload: the last frame of a message without a single byte
};

// What is spoken in the frames: bytes (the transport), or messages of either kind, perhaps compressed.
struct FrameRules {
  bool text = false;
  bool compression = false;
};

class FrameParser {
 public:
  explicit FrameParser(Role receiver, FrameRules rules = {}) noexcept : receiver_(receiver), rules_(rules) {}

  FrameStep next(std::span<char> input) noexcept;
  // Takes input up to the next thing worth telling, and all of it where there is none (`more`).  `input` is not empty.  After
  // `malformed` nothing can follow.

  Opcode control() const noexcept { return header_.opcode; }
  std::string_view control_payload() const noexcept { return {control_.data(), control_size_}; }
  // The control frame that was told last, until the next call.

  Opcode message_opcode() const noexcept { return message_opcode_; }
  bool message_compressed() const noexcept { return message_compressed_; }
  // Of the message whose payload was told last.
  std::uint64_t payload_to_come() const noexcept { return in_data_frame() ? header_.length - offset_ : 0; }
  // Of the data frame under way.
  bool in_data_frame() const noexcept { return in_frame_ && !header_.is_control(); }
  bool continues_with_control(char next) const noexcept;
  // Whether the bytes to come, of which `next` is the first, belong to a control frame.

  std::uint16_t error_code() const noexcept { return error_code_; }
  // The close code that says what was malformed: 1002, or 1003 for text.
  std::string_view why() const noexcept { return why_; }

 private:
  bool read_header(std::span<char> input, FrameStep& step) noexcept;
  bool begin_frame() noexcept;
  void read_control(std::span<char> input, FrameStep& step) noexcept;
  void read_payload(std::span<char> input, FrameStep& step) noexcept;
  bool refuse(std::uint16_t code, std::string_view why) noexcept;

  Role receiver_;
  FrameRules rules_;
  bool in_frame_ = false;
  bool in_message_ = false;  // a message has begun whose last frame has not
  bool message_told_ = false;
  bool message_empty_ = true;
  bool message_compressed_ = false;
  Opcode message_opcode_ = Opcode::binary;
  std::uint8_t held_ = 0;  // bytes of an unfinished header
  std::uint8_t control_size_ = 0;
  std::uint16_t error_code_ = 0;
  std::array<char, kMaxFrameHeader> held_header_;
  std::array<char, kMaxControlPayload> control_;
  FrameHeader header_;
  std::uint64_t offset_ = 0;  // payload bytes of this frame so far
  std::string_view why_;
};

}  // namespace twinloop::detail
