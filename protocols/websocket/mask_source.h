// The masks of a client's frames.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "protocols/websocket/frame.h"

namespace twinloop::detail {

// Masking exists so that whoever chooses the payload cannot choose the bytes on the wire, and so cannot make a proxy in between
// take them for a request of its own (RFC 6455 §10.3).  The server sees every mask and may be in league with the one who chooses
// the payload; a generator whose future follows from its past, like std::mt19937, would therefore be no protection.  This is the
// key stream of ChaCha20 (RFC 8439 §2.3), keyed by the system: 16 masks a block.
class MaskSource {
 public:
  MaskSource();
  explicit MaskSource(const std::array<std::uint32_t, 12>& key_counter_nonce) noexcept;
  // The second one is for tests.

  Mask next() noexcept;

 private:
  void refill() noexcept;

  std::array<std::uint32_t, 16> state_;
  std::array<std::uint32_t, 16> block_;
  std::size_t used_ = 16;
};

}  // namespace twinloop::detail
