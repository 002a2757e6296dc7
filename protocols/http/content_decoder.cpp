#include <zlib.h>

#include <algorithm>
#include <limits>
#include <new>

#include "protocols/http/content_decoder.h"
#include "twinloop/httputil.h"

namespace twinloop::detail {
namespace {

constexpr int kZlib = 15;  // inflateInit2's window bits
constexpr int kGzip = 15 + 16;
constexpr int kRaw = -15;

class Inflater final : public ContentDecoder {
 public:
  explicit Inflater(bool gzip) : gzip_(gzip) {
    if (inflateInit2(&stream_, gzip ? kGzip : kZlib) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() override { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  Status decode(std::string_view& input, std::span<char>& output) noexcept override {
    if (broken_) return Status::broken;
    if (!begun_ && !input.empty()) begin(input.front());
    while (!ended_ || begin_another(input)) {
      if (output.empty()) return Status::room;
      const int result = step(input, output);
      ended_ = result == Z_STREAM_END;
      if (ended_) continue;
      if (result != Z_OK && result != Z_BUF_ERROR) return give_up();
      if (input.empty() && !output.empty()) return Status::hungry;
    }
    if (input.find_first_not_of('\0') != std::string_view::npos) return give_up();
    padded_ |= !input.empty();
    input = {};
    return Status::hungry;
  }

  bool complete() const noexcept override { return ended_ || stream_.total_in == 0; }

 private:
  // What was decoded before is given out first; broken it stays.
  Status give_up() noexcept {
    broken_ = true;
    return Status::broken;
  }

  // By "deflate" some servers mean it raw, without zlib's header, whose first byte ends in 8.
  void begin(char first) noexcept {
    begun_ = true;
    if (!gzip_ && (first & 15) != 8) inflateReset2(&stream_, kRaw);
  }

  // A gzip file may be several, one behind the other (RFC 1952 §2.2), but none behind padding: whether that was cut off from it
  // must not matter.
  bool begin_another(std::string_view input) noexcept {
    if (!gzip_ || padded_ || !input.starts_with('\x1f')) return false;
    ended_ = false;
    return inflateReset(&stream_) == Z_OK;
  }

  int step(std::string_view& input, std::span<char>& output) noexcept {
    constexpr std::size_t kMost = std::numeric_limits<uInt>::max();
    const auto in = static_cast<uInt>(std::min(input.size(), kMost));
    const auto out = static_cast<uInt>(std::min(output.size(), kMost));
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));  // zlib does not write there
    stream_.avail_in = in;
    stream_.next_out = reinterpret_cast<Bytef*>(output.data());
    stream_.avail_out = out;
    const int result = inflate(&stream_, Z_NO_FLUSH);
    input.remove_prefix(in - stream_.avail_in);
    output = output.subspan(out - stream_.avail_out);
    return result;
  }

  z_stream stream_{};
  bool gzip_;
  bool begun_ = false;
  bool ended_ = false;
  bool padded_ = false;  // zeros came behind the end
  bool broken_ = false;
};

}  // namespace

std::unique_ptr<ContentDecoder> ContentDecoder::make(std::string_view encoding) {
  const bool gzip = equal_ignoring_case(encoding, "gzip") || equal_ignoring_case(encoding, "x-gzip");
  if (!gzip && !equal_ignoring_case(encoding, "deflate")) return nullptr;
  return std::make_unique<Inflater>(gzip);
}

std::string_view ContentDecoder::encodings() noexcept { return "gzip, deflate"; }

}  // namespace twinloop::detail
