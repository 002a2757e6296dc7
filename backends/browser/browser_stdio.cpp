#include "backends/browser/browser_stdio.h"

#include <algorithm>

#include "backends/browser/glue.h"

namespace twinloop::detail {
namespace {

constexpr std::size_t kMaxPiece = 64 * 1024;

}  // namespace

BrowserStdio::BrowserStdio() : loop_(IOLoop::current()) {
  if (!host::watch_input(this)) throw Error(Errc::busy, "connect stdio:");
}

void BrowserStdio::on_event() {
  maybe_readable_ = true;
  if (want_read_ || want_write_) loop_.add_hook(*this);
}

IoResult BrowserStdio::read(Bytes into) {
  const int count = host::read_input(reinterpret_cast<char*>(into.data()), static_cast<int>(into.size()));
  if (count == host::kInputEnd) return IoResult::end();
  if (count > 0) return IoResult::done(static_cast<std::size_t>(count));
  maybe_readable_ = false;
  return IoResult::would_block();
}

IoResult BrowserStdio::write(std::span<const ConstBytes> pieces) {
  if (output_ended_) return IoResult::failed(Errc::local);
  const ConstBytes piece = pieces.front().first(std::min(pieces.front().size(), kMaxPiece));
  const bool taken = host::write_output(reinterpret_cast<const char*>(piece.data()), static_cast<int>(piece.size()));
  return taken ? IoResult::done(piece.size()) : IoResult::would_block();
}

IoResult BrowserStdio::shutdown_write() {
  output_ended_ = true;
  return IoResult::done();
}

void BrowserStdio::close(std::error_code) noexcept {
  unlink();
  listener_ = nullptr;
  host::leave_input(this);
}

void BrowserStdio::want(bool read, bool write) {
  want_read_ = read;
  want_write_ = write;
  if ((read && maybe_readable_) || (write && !host::output_busy())) loop_.add_hook(*this);
}

void BrowserStdio::on_turn() {
  const bool write = want_write_ && !host::output_busy();
  if (listener_ != nullptr && (want_read_ || write)) listener_->on_ready(want_read_, write);
}

}  // namespace twinloop::detail
