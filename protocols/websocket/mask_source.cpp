#include "protocols/websocket/mask_source.h"

#include <algorithm>
#include <bit>
#include <random>

namespace twinloop::detail {
namespace {

std::array<std::uint32_t, 12> random_words() {
  std::random_device device;
  std::array<std::uint32_t, 12> words;
  for (std::uint32_t& word : words) word = device();
  return words;
}

void quarter_round(std::uint32_t& a, std::uint32_t& b, std::uint32_t& c, std::uint32_t& d) noexcept {
  a += b, d = std::rotl(d ^ a, 16);
  c += d, b = std::rotl(b ^ c, 12);
  a += b, d = std::rotl(d ^ a, 8);
  c += d, b = std::rotl(b ^ c, 7);
}

}  // namespace

MaskSource::MaskSource() : MaskSource(random_words()) {}

MaskSource::MaskSource(const std::array<std::uint32_t, 12>& key_counter_nonce) noexcept
    : state_{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574} {
  std::copy(key_counter_nonce.begin(), key_counter_nonce.end(), state_.begin() + 4);
}

Mask MaskSource::next() noexcept {
  if (used_ == block_.size()) refill();
  const std::uint32_t word = block_[used_++];
  return {static_cast<char>(word), static_cast<char>(word >> 8), static_cast<char>(word >> 16),
          static_cast<char>(word >> 24)};
}

void MaskSource::refill() noexcept {
  std::array<std::uint32_t, 16>& b = block_;
  b = state_;
  for (int round = 0; round < 10; ++round) {
    for (std::size_t i = 0; i < 4; ++i) quarter_round(b[i], b[4 + i], b[8 + i], b[12 + i]);
    for (std::size_t i = 0; i < 4; ++i)
      quarter_round(b[i], b[4 + (i + 1) % 4], b[8 + (i + 2) % 4], b[12 + (i + 3) % 4]);
  }
  for (std::size_t i = 0; i < b.size(); ++i) b[i] += state_[i];
  ++state_[12];
  used_ = 0;
}

}  // namespace twinloop::detail
