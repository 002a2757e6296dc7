#include "protocols/websocket/frame.h"

#include <cstring>
#include <random>

namespace twinloop::detail {
namespace {

bool known(std::uint8_t opcode) noexcept { return opcode <= 2 || (opcode >= 8 && opcode <= 10); }

std::uint64_t big_endian(std::string_view bytes) noexcept {
  std::uint64_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<std::uint8_t>(byte);
  return value;
}

}  // namespace

ParsedHeader parse_frame_header(std::string_view bytes, Role receiver) noexcept {
  constexpr ParsedHeader kIncomplete{ParsedHeader::Status::incomplete, {}, 0};
  constexpr ParsedHeader kMalformed{ParsedHeader::Status::malformed, {}, 0};
  if (bytes.empty()) return kIncomplete;
  const auto first = static_cast<std::uint8_t>(bytes[0]);
  if ((first & 0x70) != 0 || !known(first & 0x0f)) return kMalformed;
  if (bytes.size() < 2) return kIncomplete;

  ParsedHeader parsed{ParsedHeader::Status::complete, {}, 2};
  FrameHeader& header = parsed.header;
  const auto second = static_cast<std::uint8_t>(bytes[1]);
  header.opcode = static_cast<Opcode>(first & 0x0f);
  header.final = (first & 0x80) != 0;
  header.masked = (second & 0x80) != 0;
  header.length = second & 0x7f;
  if (header.masked != (receiver == Role::server)) return kMalformed;
  if (header.is_control() && (!header.final || header.length > 125)) return kMalformed;

  if (header.length >= 126) {
    const std::size_t width = header.length == 126 ? 2 : 8;
    if (bytes.size() < 2 + width) return kIncomplete;
    header.length = big_endian(bytes.substr(2, width));
    if (header.length < (width == 2 ? 126U : 65536U) || header.length >> 63 != 0) return kMalformed;
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
  into[0] = static_cast<char>((header.final ? 0x80 : 0) | static_cast<int>(header.opcode));
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

void apply_mask(char* bytes, std::size_t count, const Mask& mask, std::size_t offset) noexcept {
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

Mask make_mask() {
  static thread_local std::mt19937 generator = [] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device()};
    return std::mt19937(seed);
  }();
  const auto word = static_cast<std::uint32_t>(generator());
  Mask mask;
  std::memcpy(mask.data(), &word, sizeof word);
  return mask;
}

}  // namespace twinloop::detail
