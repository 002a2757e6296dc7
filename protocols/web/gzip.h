// Compressed responses: which ones, and the compression itself (zlib).
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace twinloop::detail {

inline constexpr std::size_t kCompressFrom = 1024;  // bytes; below it the gzip header eats what is gained

bool is_compressible(std::string_view content_type) noexcept;
// Text of some kind.
bool accepts_gzip(std::string_view accept_encoding) noexcept;
// Whether it names gzip, or *, with a weight above 0 (RFC 9110 §12.5.3).

class GzipEncoder {
 public:
  GzipEncoder();
  ~GzipEncoder();
  GzipEncoder(GzipEncoder&&) noexcept;
  GzipEncoder& operator=(GzipEncoder&&) noexcept;

  std::string encode(std::string_view bytes, bool last);
  // What the client needs to have these bytes now.

 private:
  struct Stream;
  std::unique_ptr<Stream> stream_;
};

}  // namespace twinloop::detail
