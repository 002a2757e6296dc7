// Messages compressed by DEFLATE, as permessage-deflate has them (RFC 7692 §7.2): without a header, and without the four bytes at
// the end that are always the same.
//
// What it costs.  A compressor with a window of 2^15 is 256 KiB, one that decompresses 40 KiB.  An end that remembers earlier
// messages (context takeover) keeps its own from its first compressed message on; one that forgets borrows the thread's for the
// length of a message and holds nothing between.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace twinloop::detail {

struct DeflateSettings {
  int level = 6;
  int memory_level = 8;
  int window_bits = 15;
  bool operator==(const DeflateSettings&) const noexcept = default;
};

inline constexpr int kLeastDeflateBits = 9;
// zlib writes no raw stream with a smaller window.

bool can_deflate() noexcept;
// False where this build has no zlib; nothing else here may be used then.

class Deflater {
 public:
  Deflater(const DeflateSettings& settings, bool remembers);
  ~Deflater();

  std::string compress(std::string_view message);
  // A whole message, not empty.

  void forget() noexcept;
  // The peer has decompressed a message of this end's that did not come from here: nothing before it may be referred to.

  struct Stream;

 private:
  DeflateSettings settings_;
  bool remembers_;
  bool forgets_once_ = false;
  std::unique_ptr<Stream> stream_;
};

enum class Inflated : unsigned char { ok, malformed, too_big };

class Inflater {
 public:
  explicit Inflater(bool remembers) noexcept;
  ~Inflater();

  Inflated add(std::string_view piece, std::string& message, std::size_t max_size);
  // Appends what the piece decompresses to; stops, too_big, once `message` would be longer than `max_size`.
  Inflated finish(std::string& message, std::size_t max_size);
  // Behind the last piece of a message.

  struct Stream;

 private:
  bool remembers_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace twinloop::detail
