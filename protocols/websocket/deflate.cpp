#include "protocols/websocket/deflate.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <limits>
#include <new>
#include <utility>

namespace twinloop::detail {
namespace {

constexpr std::string_view kTail("\x00\x00\xff\xff", 4);
constexpr std::size_t kStep = 16 * 1024;

// zlib counts in 32 bits.
uInt one_step(std::size_t count) noexcept {
  return static_cast<uInt>(std::min<std::size_t>(count, std::numeric_limits<uInt>::max()));
}

Bytef* input_bytes(std::string_view text) noexcept {
  return reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));  // zlib's next_in is not const; it only reads there
}

}  // namespace

struct Deflater::Stream {
  explicit Stream(const DeflateSettings& how) : settings(how) {
    const int status = deflateInit2(&z, how.level, Z_DEFLATED, -how.window_bits, how.memory_level, Z_DEFAULT_STRATEGY);
    if (status != Z_OK) throw std::bad_alloc();
  }
  ~Stream() { deflateEnd(&z); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  z_stream z{};
  DeflateSettings settings;
};

struct Inflater::Stream {
  Stream() {
    if (inflateInit2(&z, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  ~Stream() { inflateEnd(&z); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  z_stream z{};
};

namespace {

// What ends that forget pass on.
thread_local std::unique_ptr<Deflater::Stream> spare_deflater;
thread_local std::unique_ptr<Inflater::Stream> spare_inflater;

std::unique_ptr<Deflater::Stream> take_deflater(const DeflateSettings& settings) {
  if (spare_deflater != nullptr && spare_deflater->settings == settings) return std::move(spare_deflater);
  return std::make_unique<Deflater::Stream>(settings);
}

std::unique_ptr<Inflater::Stream> take_inflater() {
  return spare_inflater != nullptr ? std::move(spare_inflater) : std::make_unique<Inflater::Stream>();
}

}  // namespace

bool can_deflate() noexcept { return true; }

// ---- Deflater

Deflater::Deflater(const DeflateSettings& settings, bool remembers) : settings_(settings), remembers_(remembers) {}
Deflater::~Deflater() = default;

void Deflater::forget() noexcept { forgets_once_ = true; }

std::string Deflater::compress(std::string_view message) {
  assert(!message.empty());
  if (stream_ == nullptr) stream_ = take_deflater(settings_);
  z_stream& z = stream_->z;
  if (std::exchange(forgets_once_, false)) deflateReset(&z);

  std::string out;
  std::size_t used = 0;
  std::size_t room = std::min<std::size_t>(message.size() / 4 + 64, kStep);
  [[maybe_unused]] int status = Z_OK;
  do {
    if (z.avail_in == 0) {
      z.next_in = input_bytes(message);
      z.avail_in = one_step(message.size());
      message.remove_prefix(z.avail_in);
    }
    out.resize(used + room);
    z.next_out = reinterpret_cast<Bytef*>(out.data() + used);
    z.avail_out = one_step(room);
    status = deflate(&z, message.empty() ? Z_SYNC_FLUSH : Z_NO_FLUSH);
    used = out.size() - z.avail_out;
    room = std::max(kStep, used);
  } while (z.avail_out == 0 || z.avail_in > 0 || !message.empty());
  assert(status == Z_OK || status == Z_BUF_ERROR);  // the latter: the flush had just been complete

  if (!remembers_) {
    deflateReset(&z);
    spare_deflater = std::move(stream_);
  }
  out.resize(used);
  assert(std::string_view(out).ends_with(kTail));
  out.resize(used - kTail.size());
  return out;
}

// ---- Inflater

Inflater::Inflater(bool remembers) noexcept : remembers_(remembers) {}
Inflater::~Inflater() = default;

Inflated Inflater::add(std::string_view piece, std::string& message, std::size_t max_size) {
  if (stream_ == nullptr) stream_ = take_inflater();
  z_stream& z = stream_->z;
  std::array<char, kStep> out;
  for (;;) {
    if (z.avail_in == 0) {
      z.next_in = input_bytes(piece);
      z.avail_in = one_step(piece.size());
      piece.remove_prefix(z.avail_in);
    }
    z.next_out = reinterpret_cast<Bytef*>(out.data());
    z.avail_out = static_cast<uInt>(out.size());
    const int status = inflate(&z, Z_SYNC_FLUSH);
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) return Inflated::malformed;
    const std::size_t count = out.size() - z.avail_out;
    if (count > max_size - message.size()) return Inflated::too_big;
    message.append(out.data(), count);
    if (status == Z_STREAM_END) inflateReset(&z);  // a last block may be followed by others (RFC 7692 §7.2.3.4)
    const bool all_taken = z.avail_in == 0 && piece.empty();
    if (all_taken && z.avail_out > 0) return Inflated::ok;
    if (status == Z_BUF_ERROR && count == 0 && z.avail_in > 0) return Inflated::malformed;
  }
}

Inflated Inflater::finish(std::string& message, std::size_t max_size) {
  const Inflated end = add(kTail, message, max_size);
  if (end == Inflated::ok && !remembers_) {
    inflateReset(&stream_->z);
    spare_inflater = std::move(stream_);
  }
  return end;
}

}  // namespace twinloop::detail
