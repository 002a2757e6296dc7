#include "protocols/websocket/frame.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace twinloop::detail {
namespace {

bool known(std::uint8_t opcode) noexcept { return opcode <= 2 || (opcode >= 8 && opcode <= 10); }

std::uint64_t big_endian(std::string_view bytes) noexcept {
  std::uint64_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<std::uint8_t>(byte);
  return value;
}

}  // namespace

ParsedHeader parse_frame_header(std::string_view bytes, Role receiver, bool compression) noexcept {
  constexpr ParsedHeader kIncomplete{ParsedHeader::Status::incomplete, {}, 0};
  const auto malformed = [](std::string_view why) { return ParsedHeader{ParsedHeader::Status::malformed, {}, 0, why}; };
  if (bytes.empty()) return kIncomplete;
  const auto first = static_cast<std::uint8_t>(bytes[0]);
  const std::uint8_t opcode = first & 0x0f;
  const bool begins_data = opcode == 1 || opcode == 2;
  const int allowed_bits = compression && begins_data ? 0x40 : 0;
  if ((first & 0x70 & ~allowed_bits) != 0) return malformed("a reserved bit is set");
  if (!known(opcode)) return malformed("the opcode is reserved");
  if (bytes.size() < 2) return kIncomplete;

  ParsedHeader parsed{ParsedHeader::Status::complete, {}, 2};
  FrameHeader& header = parsed.header;
  const auto second = static_cast<std::uint8_t>(bytes[1]);
  header.opcode = static_cast<Opcode>(opcode);
  header.final = (first & 0x80) != 0;
  header.compressed = (first & 0x40) != 0;
  header.masked = (second & 0x80) != 0;
  header.length = second & 0x7f;
  if (header.masked != (receiver == Role::server)) {
    return malformed(header.masked ? "a server's frame is masked" : "a client's frame is not masked");
  }
  if (header.is_control() && !header.final) return malformed("a control frame is fragmented");
  if (header.is_control() && header.length > 125) return malformed("a control frame is longer than 125 bytes");

  if (header.length >= 126) {
    const std::size_t width = header.length == 126 ? 2 : 8;
    if (bytes.size() < 2 + width) return kIncomplete;
    header.length = big_endian(bytes.substr(2, width));
    if (header.length < (width == 2 ? 126U : 65536U)) return malformed("a length is not in its shortest form");
    if (header.length >> 63 != 0) return malformed("a length has its highest bit set");
    parsed.size += width;
  }
  if (header.masked) {
    if (bytes.size() < parsed.size + 4) return kIncomplete;
    std::memcpy(header.mask.data(), bytes.data() + parsed.size, 4);
    parsed.size += 4;
  }
  return parsed;
}

std::size_t write_frame_header(std::span<char, kMaxFrameHeader> into, const FrameHeader& header) noexcept {
  into[0] =
      static_cast<char>((header.final ? 0x80 : 0) | (header.compressed ? 0x40 : 0) | static_cast<int>(header.opcode));
  const char mask_bit = header.masked ? '\x80' : '\0';
  std::size_t size = 2;
  const std::size_t width = header.length < 126 ? 0 : header.length < 65536 ? 2 : 8;
  const std::uint64_t shown = width == 0 ? header.length : width == 2 ? 126U : 127U;
  into[1] = static_cast<char>(mask_bit | static_cast<char>(shown));
  for (std::size_t i = width; i-- > 0;) into[size++] = static_cast<char>(header.length >> (8 * i));
  if (header.masked) {
    for (const char byte : header.mask) into[size++] = byte;
  }
  return size;
}

void apply_mask(char* bytes, std::size_t count, const Mask& mask, std::uint64_t offset) noexcept {
  std::array<char, 8> wide;
  for (std::size_t i = 0; i < wide.size(); ++i) wide[i] = mask[(offset + i) % 4];
  std::uint64_t key;
  std::memcpy(&key, wide.data(), sizeof key);
  std::size_t at = 0;
  for (; at + 8 <= count; at += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes + at, sizeof word);
    word ^= key;
    std::memcpy(bytes + at, &word, sizeof word);
  }
  for (; at < count; ++at) bytes[at] = static_cast<char>(bytes[at] ^ wide[at % 8]);
}

// ---- FrameParser

FrameStep FrameParser::next(std::span<char> input) noexcept {
  FrameStep step;
  if (!in_frame_ && !read_header(input, step)) return step;
  if (header_.is_control()) {
    read_control(input.subspan(step.consumed), step);
  } else {
    read_payload(input.subspan(step.consumed), step);
  }
  return step;
}

// True when a header is complete and a frame has begun.
bool FrameParser::read_header(std::span<char> input, FrameStep& step) noexcept {
  const std::size_t before = held_;
  const std::size_t added = std::min(input.size(), held_header_.size() - before);
  std::memcpy(held_header_.data() + before, input.data(), added);
  const ParsedHeader parsed = parse_frame_header({held_header_.data(), before + added}, receiver_, rules_.compression);
  if (parsed.status == ParsedHeader::Status::incomplete) {
    held_ = static_cast<std::uint8_t>(before + added);
    step.consumed = added;
    return false;
  }
  held_ = 0;
  header_ = parsed.header;
  const bool malformed = parsed.status == ParsedHeader::Status::malformed;
  if (malformed ? refuse(1002, parsed.why) : begin_frame()) {
    step.consumed = parsed.size - before;
    return true;
  }
  step.event = FrameStep::Event::malformed;
  step.consumed = input.size();
  return false;
}

bool FrameParser::begin_frame() noexcept {
  if (header_.opcode == Opcode::text && !rules_.text) return refuse(1003, "text is not spoken here");
  if (!header_.is_control()) {
    const bool continues = header_.opcode == Opcode::continuation;
    if (in_message_ && !continues) return refuse(1002, "a message begins inside another");
    if (!in_message_ && continues) return refuse(1002, "a continuation has nothing to continue");
    if (!in_message_) {
      message_empty_ = true;
      message_told_ = false;
      message_opcode_ = header_.opcode;
      message_compressed_ = header_.compressed;
    }
    in_message_ = true;
  }
  in_frame_ = true;
  offset_ = 0;
  return true;
}

bool FrameParser::refuse(std::uint16_t code, std::string_view why) noexcept {
  error_code_ = code;
  why_ = why;
  return false;
}

bool FrameParser::continues_with_control(char next) const noexcept {
  if (in_frame_) return header_.is_control();
  return ((held_ > 0 ? held_header_[0] : next) & 0x08) != 0;
}

void FrameParser::read_control(std::span<char> input, FrameStep& step) noexcept {
  const auto size = static_cast<std::size_t>(header_.length);
  const auto have = static_cast<std::size_t>(offset_);
  const std::size_t count = std::min(input.size(), size - have);
  if (count > 0) std::memcpy(control_.data() + have, input.data(), count);
  if (header_.masked) apply_mask(control_.data() + have, count, header_.mask, offset_);
  offset_ += count;
  step.consumed += count;
  if (offset_ < header_.length) return;
  in_frame_ = false;
  control_size_ = static_cast<std::uint8_t>(size);
  step.event = FrameStep::Event::control;
}

void FrameParser::read_payload(std::span<char> input, FrameStep& step) noexcept {
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(input.size(), header_.length - offset_));
  if (count == 0 && offset_ < header_.length) return;
  if (count > 0) message_empty_ = false;
  if (header_.masked) apply_mask(input.data(), count, header_.mask, offset_);
  offset_ += count;
  step.event = FrameStep::Event::payload;
  step.payload = input.first(count);
  step.begins_message = !std::exchange(message_told_, true);
  step.consumed += count;
  if (offset_ < header_.length) return;
  in_frame_ = false;
  if (!header_.final) return;
  in_message_ = false;
  step.ends_message = true;
  step.ends_empty_message = message_empty_;
}

}  // namespace twinloop::detail
