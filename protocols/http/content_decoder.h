// ContentDecoder: takes gzip and deflate off a body while it streams.  What it makes of a piece is as much as there is room for, so
// that a small piece that means gigabytes costs no memory.
#pragma once

#include <memory>
#include <span>
#include <string_view>

namespace twinloop::detail {

class ContentDecoder {
 public:
  virtual ~ContentDecoder() = default;

  enum class Status : unsigned char {
    room,    // the output is full; there may be more
    hungry,  // all input was taken
    broken   // it is not what its encoding says
  };

  virtual Status decode(std::string_view& input, std::span<char>& output) noexcept = 0;
  // Takes from the front of `input`; `output` becomes what was not filled.
  virtual bool complete() const noexcept = 0;
  // The input may end here.

  static std::unique_ptr<ContentDecoder> make(std::string_view encoding);
  // For "gzip", "x-gzip" or "deflate", whatever their case; nullptr for all others.
  static std::string_view encodings() noexcept;
  // For Accept-Encoding; empty in a build without zlib.
};

}  // namespace twinloop::detail
