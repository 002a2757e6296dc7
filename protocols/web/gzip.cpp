#include <zlib.h>

#include <array>
#include <new>
#include <utility>

#include "protocols/web/gzip.h"

namespace twinloop::detail {
namespace {

constexpr int kLevel = 6;
constexpr int kGzipWindow = 15 + 16;  // the largest window, in gzip's wrapping
constexpr int kMemory = 8;

}  // namespace

struct GzipEncoder::Stream {
  Stream() {
    if (::deflateInit2(&z, kLevel, Z_DEFLATED, kGzipWindow, kMemory, Z_DEFAULT_STRATEGY) != Z_OK)
      throw std::bad_alloc();
  }
  ~Stream() { ::deflateEnd(&z); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  z_stream z{};
};

GzipEncoder::GzipEncoder() : stream_(std::make_unique<Stream>()) {}
GzipEncoder::~GzipEncoder() = default;
GzipEncoder::GzipEncoder(GzipEncoder&&) noexcept = default;
GzipEncoder& GzipEncoder::operator=(GzipEncoder&&) noexcept = default;

// zlib counts in 32 bits: more than that goes in several pieces.
std::string GzipEncoder::encode(std::string_view bytes, bool last) {
  constexpr std::size_t kPiece = std::size_t{1} << 30U;
  std::string encoded;
  std::array<char, 16 * 1024> block;
  z_stream& z = stream_->z;
  do {
    const std::string_view piece = bytes.substr(0, kPiece);
    bytes.remove_prefix(piece.size());
    z.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(piece.data()));
    z.avail_in = static_cast<uInt>(piece.size());
    const int flush = !bytes.empty() ? Z_NO_FLUSH : last ? Z_FINISH : Z_SYNC_FLUSH;
    do {
      z.next_out = reinterpret_cast<Bytef*>(block.data());
      z.avail_out = static_cast<uInt>(block.size());
      ::deflate(&z, flush);
      encoded.append(block.data(), block.size() - z.avail_out);
    } while (z.avail_out == 0);
  } while (!bytes.empty());
  return encoded;
}

}  // namespace twinloop::detail
