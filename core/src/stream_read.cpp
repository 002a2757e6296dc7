// The reading half of a stream: when a read is satisfied, how the buffer is filled, and what a dropped read leaves behind.
#include <algorithm>
#include <cstring>

#include "stream_impl.h"
#include "twinloop/detail/builtin.h"

namespace twinloop::detail {
namespace {

constexpr unsigned kChunksPerNotice = 16;  // then the other streams have their turn

std::string_view without_line_end(std::string_view line) noexcept {
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

void StreamImpl::on_dropped(OperationBase& operation) noexcept {
  auto& self = static_cast<StreamImpl&>(operation);
  if (self.kind_ == ReadKind::until_regex) self.forget_regex();
  self.kind_ = ReadKind::none;
  self.update_interest();
}

void StreamImpl::on_deliver(OperationBase& operation, FutureBase& future) {
  static_cast<StreamImpl&>(operation).deliver(future);
}

template <class T>
Future<T> StreamImpl::read(ReadKind kind, std::size_t count, std::string_view delimiter, char* memory) {
  if (pending() || discarding_) return Future<T>::failed(Errc::busy);
  deliver_now();
  Future<T> future = OperationAccess::make_future<T>(*this);
  as_view_ = std::is_same_v<T, std::string_view> || std::is_same_v<T, std::optional<std::string_view>>;
  begin_read(kind, count, delimiter, memory);
  return future;
}
template Future<std::string> StreamImpl::read(ReadKind, std::size_t, std::string_view, char*);
template Future<std::string_view> StreamImpl::read(ReadKind, std::size_t, std::string_view, char*);
template Future<std::size_t> StreamImpl::read(ReadKind, std::size_t, std::string_view, char*);
template Future<std::optional<std::string>> StreamImpl::read(ReadKind, std::size_t, std::string_view, char*);
template Future<std::optional<std::string_view>> StreamImpl::read(ReadKind, std::size_t, std::string_view, char*);

template <class T>
Future<T> StreamImpl::read_until_regex(const Regex& regex, std::size_t max_bytes) {
  if (pending() || discarding_) return Future<T>::failed(Errc::busy);
  waiters().regex = regex.compiled();
  return read<T>(ReadKind::until_regex, max_bytes);
}
template Future<std::string> StreamImpl::read_until_regex(const Regex&, std::size_t);
template Future<std::string_view> StreamImpl::read_until_regex(const Regex&, std::size_t);

void StreamImpl::begin_read(ReadKind kind, std::size_t count, std::string_view delimiter, char* memory) {
  input_.unpin();
  kind_ = kind;
  count_ = count;
  memory != nullptr ? argument_.set_memory(memory) : argument_.set_delimiter(delimiter);
  progress_ = 0;
  if (settle_read()) return;
  fill_input();
  update_interest();
}

// ---- when is it satisfied?

bool StreamImpl::settle_read() {
  if (!pending()) return true;
  const std::size_t held = input_.size();
  switch (kind_) {
    case ReadKind::bytes:
    case ReadKind::into:
    case ReadKind::peek:
      if (held < count_) break;
      return complete_read(count_), true;
    case ReadKind::some:
    case ReadKind::some_into:
      if (held == 0 && count_ > 0) break;
      return complete_read(std::min(held, count_)), true;
    case ReadKind::until:
    case ReadKind::line:
    case ReadKind::record:
      if (!settle_delimited()) break;
      return true;
    case ReadKind::until_regex:
      if (!settle_regex(input_exhausted_ || is_closed() ? Search::thorough : Search::sparing)) break;
      return true;
    case ReadKind::until_close:
      if (held <= count_) break;
      return end(Errc::unsatisfiable_read, true), true;
    case ReadKind::none:
    case ReadKind::nothing_more:
      break;
  }
  return (input_exhausted_ || is_closed()) && settle_at_end();
}

bool StreamImpl::settle_delimited() {
  const std::string_view bytes = input_.view();
  const std::size_t delimiter = argument_.delimiter().size();
  const std::size_t found = bytes.find(argument_.delimiter(), progress_);
  if (found != std::string_view::npos && found + delimiter <= count_) {
    complete_read(found + delimiter);
    return true;
  }
  if (found != std::string_view::npos || bytes.size() >= count_) {
    if (is_closed()) return false;
    end(Errc::unsatisfiable_read, true);
    return true;
  }
  if (bytes.size() >= delimiter) progress_ = bytes.size() - (delimiter - 1);
  return false;
}

// progress_ bytes were searched before.  A match may begin in front of them whose end has not come, by one byte more than its
// length: whether `\B` matches behind the last byte depends on the next.
bool StreamImpl::settle_regex(Search search) {
  const CompiledRegex& regex = *waiters_->regex;
  const std::string_view bytes = input_.view().substr(0, count_);
  const bool full = bytes.size() == count_;
  const bool bounded = regex.longest_match() != CompiledRegex::kNone;
  if (!bounded && search == Search::sparing && !full && bytes.size() < 2 * progress_) return false;
  if (progress_ == 0 || bytes.size() > progress_) {
    const std::size_t from = bounded && progress_ > regex.longest_match() ? progress_ - regex.longest_match() - 1 : 0;
    const std::size_t end = regex.find_end(bytes, from);
    if (end != CompiledRegex::kNone) return complete_read(end), true;
    progress_ = bytes.size();
  }
  if (!full || is_closed()) return false;
  end(Errc::unsatisfiable_read, true);
  return true;
}

void StreamImpl::forget_regex() noexcept {
  if (!waiters_) return;
  waiters_->regex.reset();
  forget_waiters();
}

// Nothing more will come.
bool StreamImpl::settle_at_end() {
  const bool orderly = input_exhausted_;
  if (orderly && (kind_ == ReadKind::until_close || kind_ == ReadKind::peek)) {
    complete_read(input_.size());
  } else if (orderly && kind_ == ReadKind::line) {
    if (input_.empty()) kind_ = ReadKind::nothing_more;
    complete_read(input_.size());
  } else if (orderly && kind_ == ReadKind::record && input_.empty()) {
    kind_ = ReadKind::nothing_more;
    complete_read(0);
  } else {
    const bool cut = orderly && kind_ == ReadKind::record;
    if (kind_ == ReadKind::until_regex) forget_regex();
    kind_ = ReadKind::none;
    fail_pending(cut ? make_error_code(Errc::truncated) : is_closed() ? reason_.code() : make_error_code(Errc::end));
  }
  return true;
}

void StreamImpl::complete_read(std::size_t length) {
  if (kind_ == ReadKind::until_regex) forget_regex();
  progress_ = length;
  reserve();
}

namespace {

// The bytes as the read's caller wants them: as a string of its own or as a view of the buffer.
template <class Text>
void emplace_bytes(FutureBase& future, std::string_view bytes) {
  OperationAccess::emplace<Text>(future, bytes);
}
template <class Text>
void emplace_item(FutureBase& future, std::string_view bytes) {
  OperationAccess::emplace<std::optional<Text>>(future, std::in_place, bytes);
}
template <class Text>
void emplace_nothing(FutureBase& future) {
  OperationAccess::emplace<std::optional<Text>>(future);
}

}  // namespace

void StreamImpl::deliver(FutureBase& future) {
  const ReadKind kind = std::exchange(kind_, ReadKind::none);
  const std::string_view bytes = input_.view().substr(0, progress_);
  switch (kind) {
    case ReadKind::bytes:
    case ReadKind::some:
    case ReadKind::peek:
    case ReadKind::until:
    case ReadKind::until_regex:
    case ReadKind::until_close:
      as_view_ ? emplace_bytes<std::string_view>(future, bytes) : emplace_bytes<std::string>(future, bytes);
      break;
    case ReadKind::into:
    case ReadKind::some_into:
      if (!bytes.empty()) std::memcpy(argument_.memory(), bytes.data(), bytes.size());
      OperationAccess::emplace<std::size_t>(future, bytes.size());
      break;
    case ReadKind::line:
    case ReadKind::record: {
      const std::string_view item = kind == ReadKind::line
                                        ? without_line_end(bytes)
                                        : bytes.substr(0, bytes.size() - argument_.delimiter().size());
      as_view_ ? emplace_item<std::string_view>(future, item) : emplace_item<std::string>(future, item);
      break;
    }
    case ReadKind::nothing_more:
      as_view_ ? emplace_nothing<std::string_view>(future) : emplace_nothing<std::string>(future);
      break;
    case ReadKind::none:
      assert(false && "a reserved read has a kind");
  }
  if (kind == ReadKind::peek) return;
  as_view_ ? input_.pin(progress_) : input_.consume(progress_);
  Scheduler::current().spend_bytes(progress_);
  if (reads_ahead_ && !is_closed()) update_interest();
}

// ---- filling the buffer

std::size_t StreamImpl::most_ahead() const noexcept {
  return std::min(options_->read_ahead(), options_->max_buffer_size());
}

bool StreamImpl::wants_more_ahead() const noexcept {
  return !peer_end_known_ && input_.size() + transport_->pending_input() < most_ahead();
}

void StreamImpl::fill_input() {
  for (unsigned chunk = 0; chunk < kChunksPerNotice && wants_input(); ++chunk) {
    const bool asked = pending() || discarding_;
    if (!receive_once(asked ? options_->max_buffer_size() : most_ahead())) {
      if (pending() && kind_ == ReadKind::until_regex) settle_regex(Search::thorough);
      return;
    }
    if (discarding_) input_.clear();
    settle_read();
  }
}

bool StreamImpl::receive_once(std::size_t limit) {
  if (input_.size() >= limit) {
    end(Errc::overflow, true);
    return false;
  }
  std::span<char> room = input_.room(std::min(limit - input_.size(), InputBuffer::kChunk / 4));
  if (room.size() > limit - input_.size()) room = room.first(limit - input_.size());
  const IoResult result = transport_->read(std::as_writable_bytes(room));
  if (result.status == IoStatus::ok) {
    input_.commit(result.count);
    note_bytes();
    return true;
  }
  if (result.status == IoStatus::end) {
    input_exhausted_ = true;
    note_peer_end();
    settle_read();
    tell_peer_end();
    settle_output();
  } else if (result.status == IoStatus::error) {
    end(result.error, false);
  }
  return false;
}

// What came before a failure is kept for the reads to come.
void StreamImpl::receive_all() {
  const std::size_t limit = options_->max_buffer_size();
  while (!is_closed() && !input_exhausted_ && input_.size() < limit && receive_once(limit)) settle_read();
}

std::size_t StreamImpl::move_to(StreamImpl& to, std::size_t most) {
  if (is_closed() || to.is_closed() || pending() || input_.size() > 0 || to.unsent() > 0) return 0;
  const int source = transport_->plain_descriptor();
  const int target = to.transport_->plain_descriptor();
  if (source == -1 || target == -1 || to.write_refusal(most, 0)) return 0;
  std::string rest;
  const std::size_t moved = platform_move(source, target, most, rest);
  if (moved == 0) return 0;
  note_bytes();
  to.note_bytes();
  loop_->count_moved(moved - rest.size());
  to.write(std::move(rest)).ignore();
  return moved;
}

Future<void> StreamImpl::drain_input() {
  discarding_ = true;
  input_.clear();
  Future<void> done = wait_output(Awaited::input_end);
  fill_input();
  settle_output();
  update_interest();
  return done;
}

}  // namespace twinloop::detail
