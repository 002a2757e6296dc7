// The writing half of a stream: what is accepted, when it leaves, and who is told.
#include <array>

#include "stream_impl.h"

namespace twinloop::detail {
namespace {

constexpr std::size_t kSendAtOnce = 64 * 1024;
constexpr std::size_t kNotCopied = 8 * 1024;  // so many bytes are worth a system call of their own rather than a copy
constexpr std::size_t kPieces = 16;

}  // namespace

// `held` bytes are unsent already.
std::error_code StreamImpl::write_refusal(std::size_t count, std::size_t held) const noexcept {
  if (is_closed()) return reason_.code();
  if (shutdown_wanted_) return Errc::local;
  if (count > options_->max_write_buffer_size() || held > options_->max_write_buffer_size() - count) return Errc::limit;
  return {};
}

OutputQueue& StreamImpl::queue() {
  if (!output_) output_ = std::make_unique<StreamOutput>(*this);
  return output_->queue;
}

Future<void> StreamImpl::write(std::string_view bytes) {
  std::size_t held = unsent();
  if (const std::error_code refusal = write_refusal(bytes.size(), held)) return Future<void>::failed(refusal);
  if (bytes.size() >= kNotCopied && held == 0 && !write_blocked_) {
    bytes.remove_prefix(send_ahead(bytes));
    if (is_closed()) return Future<void>::failed(reason_.code());
    held = unsent();
  }
  if (!bytes.empty()) queue().append(bytes);
  return after_append(held + bytes.size());
}

Future<void> StreamImpl::write(std::string&& bytes) {
  const std::size_t count = bytes.size();
  const std::size_t held = unsent();
  if (const std::error_code refusal = write_refusal(count, held)) return Future<void>::failed(refusal);
  if (count > 0) queue().append(std::move(bytes));
  return after_append(held + count);
}

// Hands down what it can of bytes that nothing waits before, from where they lie; how many those were.
std::size_t StreamImpl::send_ahead(std::string_view bytes) {
  const ConstBytes piece = std::as_bytes(std::span(bytes));
  const IoResult result = transport_->write(std::span(&piece, 1));
  if (result.status == IoStatus::error) on_failure(result.error);
  if (result.status != IoStatus::ok) return 0;
  if (waiters_) {
    note_bytes();
    waiters_->sent += result.count;
  }
  return result.count;
}

Future<void> StreamImpl::write_shared(std::shared_ptr<const std::string> bytes) {
  const std::size_t count = bytes->size();
  const std::size_t held = unsent();
  if (const std::error_code refusal = write_refusal(count, held)) return Future<void>::failed(refusal);
  if (count > 0) queue().append(std::move(bytes));
  return after_append(held + count);
}

Future<void> StreamImpl::write_pieces(std::span<const std::string_view> pieces) {
  std::size_t count = 0;
  for (const std::string_view piece : pieces) count += piece.size();
  const std::size_t held = unsent();
  if (const std::error_code refusal = write_refusal(count, held)) return Future<void>::failed(refusal);
  for (const std::string_view piece : pieces) {
    if (!piece.empty()) queue().append(piece);
  }
  return after_append(held + count);
}

std::size_t StreamImpl::try_write(std::string_view bytes) {
  const std::size_t held = unsent();
  if (write_refusal(0, held)) return 0;
  const std::size_t most = std::min(options_->high_water_mark(), options_->max_write_buffer_size());
  const std::size_t count = held < most ? std::min(bytes.size(), most - held) : 0;
  if (count == 0) return 0;
  queue().append(bytes.substr(0, count));
  after_append(held + count).ignore();
  return count;
}

Future<void> StreamImpl::write_borrowed(std::string_view bytes) {
  if (const std::error_code refusal = write_refusal(bytes.size(), unsent())) return Future<void>::failed(refusal);
  if (bytes.empty()) return Future<void>::ready();
  queue().lend(bytes);
  StreamWaiters& all = waiters();
  auto* write = new LentWrite(*this, bytes, all.sent + queued());
  all.lent.push_back(*write);
  Future<void> done = OperationAccess::make_future<void>(*write);
  if (!write_blocked_ && queued() > kSendAtOnce) {
    send_output();
  } else {
    loop_->add_flush(*output_);
  }
  return done;
}

void StreamImpl::copy_lent(const LentWrite& write) {
  if (output_) output_->queue.copy_lent(write.bytes());
}

void LentWrite::complete() {
  unlink();
  OperationAccess::emplace<void>(detach<FutureBase>());
  delete this;
}

void LentWrite::fail(std::error_code reason) {
  unlink();
  fail_pending(reason);
  delete this;
}

void LentWrite::on_dropped(OperationBase& operation) noexcept {
  auto& self = static_cast<LentWrite&>(operation);
  self.stream_.copy_lent(self);
  delete &self;
}

// Now `held` bytes are unsent.
Future<void> StreamImpl::after_append(std::size_t held) {
  if (!write_blocked_ && queued() > kSendAtOnce) {
    send_output();
    if (is_closed()) return Future<void>::failed(reason_.code());
    held = unsent();
  } else if (output_) {
    loop_->add_flush(*output_);
  }
  if (held <= options_->high_water_mark()) return Future<void>::ready();
  Future<void> room = wait_output(Awaited::room);
  if (!output_) send_output();  // a filter has taken it all and holds it: nothing else would ask when that has left
  return room;
}

Future<void> StreamImpl::wait_output(Awaited awaited) {
  StreamWaiters& all = waiters();
  return all.output.emplace_back(OutputWaiter{Promise<void>(), awaited, all.sent + queued()}).promise.get_future();
}

IoResult StreamImpl::send_file(OpenFile& file, std::uint64_t offset, std::size_t most) {
  if (const std::error_code refusal = write_refusal(0, 0)) return IoResult::failed(refusal);
  if (unsent() > 0) return IoResult::would_block();
  const IoResult result = transport_->write_file(file, offset, most);
  if (result.status == IoStatus::error) on_failure(result.error);
  if (result.status == IoStatus::would_block) write_blocked_ = true;
  if (result.status == IoStatus::ok) note_bytes();
  return result;
}

Future<void> StreamImpl::may_send() {
  if (is_closed()) return Future<void>::failed(reason_.code());
  Future<void> done = wait_output(Awaited::flushed);
  if (write_blocked_) {
    update_interest();
  } else {
    send_output();
  }
  return done;
}

Future<void> StreamImpl::flush() {
  if (is_closed()) return Future<void>::failed(reason_.code());
  Future<void> done = wait_output(Awaited::flushed);
  send_output();
  return done;
}

Future<void> StreamImpl::shutdown_write() {
  if (is_closed()) return Future<void>::failed(reason_.code());
  Future<void> done = wait_output(Awaited::shut_down);
  shutdown_wanted_ = true;
  send_output();
  return done;
}

void StreamOutput::on_turn() { stream.send_output(); }

void StreamImpl::send_output() {
  const bool was_blocked = write_blocked_;
  write_blocked_ = false;
  if (output_ && !hand_down()) return;
  if (!output_ && shutdown_wanted_ && !shutdown_done_) end_output();
  if (is_closed()) return;
  settle_output();
  if (write_blocked_ || was_blocked) update_interest();
}

// False after a failure.
bool StreamImpl::hand_down() {
  OutputQueue& bytes = output_->queue;
  output_->unlink();
  while (!bytes.empty()) {
    const IoResult result = write_down();
    if (result.status == IoStatus::error) return on_failure(result.error), false;
    if (result.status != IoStatus::ok) return write_blocked_ = true;
    bytes.consume(result.count);
    if (!waiters_) continue;
    note_bytes();
    waiters_->sent += result.count;
    settle_lent();
  }
  output_.reset();
  return true;
}

IoResult StreamImpl::write_down() {
  if (output_->queue.in_one_piece()) {
    ConstBytes piece;
    output_->queue.gather(std::span(&piece, 1));
    return transport_->write(std::span(&piece, 1));
  }
  std::array<ConstBytes, kPieces> pieces;
  return transport_->write(std::span(pieces).first(output_->queue.gather(pieces)));
}

void StreamImpl::settle_lent() {
  List<LentWrite>& lent = waiters_->lent;
  while (!lent.empty() && lent.front().position() <= waiters_->sent) lent.front().complete();
}

void StreamImpl::end_output() {
  const IoResult result = transport_->shutdown_write();
  switch (result.status) {
    case IoStatus::ok:
      shutdown_done_ = true;
      return;
    case IoStatus::not_supported:
      shutdown_wanted_ = false;
      if (!waiters_) return;
      std::erase_if(waiters_->output, [](OutputWaiter& waiter) {
        return waiter.awaited == Awaited::shut_down && (waiter.promise.set_error(Errc::not_supported), true);
      });
      return forget_waiters();
    case IoStatus::error:
      return on_failure(result.error);
    case IoStatus::would_block:
    case IoStatus::end:
      write_blocked_ = true;
  }
}

void StreamImpl::settle_output() {
  if (!waiters_ || is_closed()) return;
  if (waiters_->output.empty()) return forget_waiters();
  const IoResult below = transport_->flush();
  if (below.status == IoStatus::error) return on_failure(below.error);
  if (below.status == IoStatus::would_block) write_blocked_ = true;
  const bool room = unsent() <= options_->high_water_mark() / 2;
  std::erase_if(waiters_->output, [&](OutputWaiter& waiter) {
    bool done = false;
    switch (waiter.awaited) {
      case Awaited::room:
        done = room;
        break;
      case Awaited::flushed:
        done = waiter.position <= waiters_->sent && below.status == IoStatus::ok;
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
  forget_waiters();
}

}  // namespace twinloop::detail
