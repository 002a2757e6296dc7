// The writing half of a stream: what is accepted, when it leaves, and who is told.
#include <array>

#include "stream_impl.h"

namespace twinloop::detail {
namespace {

constexpr std::size_t kSendAtOnce = 64 * 1024;
constexpr std::size_t kPieces = 16;

}  // namespace

std::error_code StreamImpl::write_refusal(std::size_t count) const noexcept {
  if (is_closed()) return reason_;
  if (shutdown_wanted_) return Errc::local;
  const std::size_t held = unsent();
  if (count > options_->max_write_buffer_size() || held > options_->max_write_buffer_size() - count) return Errc::limit;
  return {};
}

template <class Bytes>
Future<void> StreamImpl::write(Bytes&& bytes) {
  const std::size_t count = bytes.size();
  if (const std::error_code refusal = write_refusal(count)) return Future<void>::failed(refusal);
  output_.append(std::forward<Bytes>(bytes));
  return after_append(count);
}
template Future<void> StreamImpl::write(std::string_view&&);
template Future<void> StreamImpl::write(std::string&&);

Future<void> StreamImpl::after_append(std::size_t count) {
  accepted_ += count;
  if (!write_blocked_ && output_.size() > kSendAtOnce) {
    send_output();
    if (is_closed()) return Future<void>::failed(reason_);
  } else if (count > 0) {
    loop_->add_flush(flusher_);
  }
  if (unsent() <= options_->high_water_mark()) return Future<void>::ready();
  return wait_output(Awaited::room);
}

Future<void> StreamImpl::wait_output(Awaited awaited) {
  OutputWaiter& waiter = waiters_.emplace_back(OutputWaiter{Promise<void>(), awaited, accepted_});
  return waiter.promise.get_future();
}

Future<void> StreamImpl::flush() {
  if (is_closed()) return Future<void>::failed(reason_);
  Future<void> done = wait_output(Awaited::flushed);
  send_output();
  return done;
}

Future<void> StreamImpl::shutdown_write() {
  if (is_closed()) return Future<void>::failed(reason_);
  Future<void> done = wait_output(Awaited::shut_down);
  shutdown_wanted_ = true;
  send_output();
  return done;
}

void StreamImpl::send_output() {
  flusher_.unlink();
  std::array<ConstBytes, kPieces> pieces;
  const bool was_blocked = std::exchange(write_blocked_, false);
  while (!output_.empty()) {
    const std::size_t count = output_.gather(pieces);
    const IoResult result = transport_->write(std::span(pieces).first(count));
    if (result.status == IoStatus::error) return on_failure(result.error);
    if (result.status != IoStatus::ok) {
      write_blocked_ = true;
      break;
    }
    output_.consume(result.count);
  }
  if (output_.empty() && shutdown_wanted_ && !shutdown_done_) end_output();
  if (is_closed()) return;
  settle_output();
  if (write_blocked_ || was_blocked) update_interest();
}

void StreamImpl::end_output() {
  const IoResult result = transport_->shutdown_write();
  switch (result.status) {
    case IoStatus::ok:
      shutdown_done_ = true;
      return;
    case IoStatus::not_supported:
      shutdown_wanted_ = false;
      std::erase_if(waiters_, [](OutputWaiter& waiter) {
        return waiter.awaited == Awaited::shut_down && (waiter.promise.set_error(Errc::not_supported), true);
      });
      return;
    case IoStatus::error:
      return on_failure(result.error);
    case IoStatus::would_block:
    case IoStatus::end:
      write_blocked_ = true;
  }
}

void StreamImpl::settle_output() {
  if (waiters_.empty() || is_closed()) return;
  const IoResult below = transport_->flush();
  if (below.status == IoStatus::error) return on_failure(below.error);
  if (below.status == IoStatus::would_block) write_blocked_ = true;
  const std::uint64_t handed_over = accepted_ - output_.size();
  const bool room = unsent() <= options_->high_water_mark() / 2;
  std::erase_if(waiters_, [&](OutputWaiter& waiter) {
    bool done = false;
    switch (waiter.awaited) {
      case Awaited::room:
        done = room;
        break;
      case Awaited::flushed:
        done = waiter.position <= handed_over && below.status == IoStatus::ok;
        break;
      case Awaited::shut_down:
        done = shutdown_done_;
        break;
      case Awaited::input_end:
        done = input_exhausted_;
        break;
    }
    if (done) waiter.promise.set_value();
    return done || !waiter.promise.wanted();
  });
}

void StreamImpl::fail_output(std::error_code reason) {
  std::vector<OutputWaiter> waiters = std::exchange(waiters_, {});
  for (OutputWaiter& waiter : waiters) waiter.promise.set_error(reason);
}

}  // namespace twinloop::detail
