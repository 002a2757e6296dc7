#include "protocols/websocket/connection.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "twinloop/timing.h"

namespace twinloop {

using namespace detail;

namespace {

constexpr std::size_t kPongRoom = 64 * 1024;   // unsent, then only the latest ping is answered
constexpr std::size_t kKeptMemory = 4 * 1024;  // of a message that was looked at
constexpr std::size_t kSmallFrame = 1024;
constexpr Duration kServerLeaves = std::chrono::seconds(2);  // first, so that the client has no TIME_WAIT

constexpr Opcode opcode_of(WebSocketKind kind) noexcept {
  return kind == WebSocketKind::text ? Opcode::text : Opcode::binary;
}

std::span<char> as_writable(std::string_view bytes) noexcept { return {const_cast<char*>(bytes.data()), bytes.size()}; }

Future<void> failed(Failure failure) { return Future<void>::failed(std::move(failure)); }

}  // namespace

WebSocketConnection::Impl::Impl(IOStream below, ConnectionSetup setup, const WebSocketOptions& options)
    : OperationBase(&kReadHooks),
      stream(std::move(below)),
      protocol(std::move(setup.protocol)),
      head(std::move(setup.head)),
      loop_(IOLoop::current()),
      max_message_(options.max_message_size()),
      max_write_buffer_(options.max_write_buffer_size()),
      close_timeout_(options.close_timeout()),
      parser_(setup.role, FrameRules{true, setup.deflate.has_value()}),
      masks_(setup.role == Role::client ? std::make_unique<MaskSource>() : nullptr),
      initial_(std::move(setup.received)),
      rest_(initial_),
      role_(setup.role) {
  loop_.add_closer(*this);
  if (setup.deflate) {
    const DeflateAgreement& agreed = *setup.deflate;
    const bool server = role_ == Role::server;
    const bool forgets = server ? agreed.server_no_context_takeover : agreed.client_no_context_takeover;
    const bool peer_forgets = server ? agreed.client_no_context_takeover : agreed.server_no_context_takeover;
    const WebSocketCompression& how = *options.compression();
    inflater_ = std::make_unique<Inflater>(!peer_forgets);
    deflate_bits_ = server ? agreed.server_max_window_bits : agreed.client_max_window_bits;
    deflate_from_ = std::max<std::size_t>(how.threshold(), 1);
    if (deflate_bits_ >= kLeastDeflateBits) {
      deflater_ = std::make_unique<Deflater>(DeflateSettings{how.level(), how.memory_level(), deflate_bits_}, !forgets);
    }
  }
  if (options.ping().interval > Duration::zero()) {
    keep_alive_ = std::make_unique<KeepAlive>(loop_, options.ping(), static_cast<KeepAlive::Owner&>(*this));
  }
  pumping_ = pump(*this);
}

WebSocketConnection::Impl::~Impl() {
  pumping_ = Future<void>();
  watching_ = Future<void>();
  late_pong_ = Future<void>();
  deliver_now();
  if (!ended_) {
    send_close(close_code::kNormal, {});
    end(Errc::local);
  }
}

void WebSocketConnection::Impl::on_loop_close() noexcept { end(Errc::loop_closed); }

// ---- reading

Future<void> WebSocketConnection::Impl::pump(Impl& self) {
  while (!self.ended_) {
    self.advance();
    if (self.ended_) break;
    if (!self.may_receive()) {
      co_await self.wake_.get_future();
      continue;
    }
    const Result<std::string_view> bytes = co_await as_result(self.stream.read_some_view());
    if (self.ended_) break;
    bytes.ok() ? self.receive(bytes.peek()) : self.lose(bytes.error());
  }
  if (self.role_ == Role::client && !self.failure_) {
    (void)co_await as_result(with_timeout(kServerLeaves, self.stream.peer_ended()));
  }
  self.stream.close();
}

// Without anybody's asking only what stands between messages is read: control frames.
bool WebSocketConnection::Impl::may_receive() const noexcept {
  return rest_.empty() && !message_ready_ && !view_out_ && (takes_data() || !parser_.in_data_frame());
}

void WebSocketConnection::Impl::stir() {
  if (ended_ || may_receive()) wake_.set_value();
}

// The bytes lie in the stream's buffer, pinned until its next read: this is their only reader, and unmasks them there.
void WebSocketConnection::Impl::receive(std::string_view bytes) noexcept {
  initial_ = std::string();
  rest_ = as_writable(bytes);
  if (keep_alive_ != nullptr) keep_alive_->note_peer();
}

void WebSocketConnection::Impl::advance() {
  while (!rest_.empty() && !message_ready_ && !ended_ &&
         (takes_data() || parser_.continues_with_control(rest_.front()))) {
    const FrameStep step = parser_.next(rest_);
    rest_ = rest_.subspan(step.consumed);
    if (announces_too_much(step.payload.size())) {
      return refuse(close_code::kTooBig, Errc::overflow, "a message is longer than max_message_size");
    }
    switch (step.event) {
      case FrameStep::Event::more:
        break;
      case FrameStep::Event::control:
        take_control();
        break;
      case FrameStep::Event::malformed:
        return refuse(parser_.error_code(), Errc::protocol, parser_.why());
      case FrameStep::Event::payload:
        if (!close_sent_) take_payload(step);
    }
  }
}

// Known before it has come; what a compressed one will be is not.  Of it `here` bytes are here and not taken.
bool WebSocketConnection::Impl::announces_too_much(std::size_t here) const noexcept {
  if (close_sent_ || !parser_.in_data_frame() || parser_.message_compressed()) return false;
  return parser_.payload_to_come() > max_message_ - std::min(assembled_.size() + here, max_message_);
}

void WebSocketConnection::Impl::take_payload(const FrameStep& step) {
  const std::string_view piece(step.payload.data(), step.payload.size());
  if (step.begins_message) incoming_text_.reset();
  if (step.begins_message && step.ends_message && !parser_.message_compressed()) return take_whole(piece);
  if (!assemble(piece) || !step.ends_message) return;
  if (finish_message()) complete_message(assembled_);
}

// Nothing of it is copied.
void WebSocketConnection::Impl::take_whole(std::string_view payload) {
  if (payload.size() > max_message_) {
    return refuse(close_code::kTooBig, Errc::overflow, "a message is longer than max_message_size");
  }
  if (is_text() && !is_utf8(payload)) return refuse(close_code::kInvalidPayload, Errc::protocol, "a text is no UTF-8");
  complete_message(payload);
}

bool WebSocketConnection::Impl::assemble(std::string_view piece) {
  const std::size_t before = assembled_.size();
  if (parser_.message_compressed()) {
    if (!inflated(inflater_->add(piece, assembled_, max_message_))) return false;
  } else {
    if (!inflated(piece.size() > max_message_ - before ? Inflated::too_big : Inflated::ok)) return false;
    assembled_.append(piece);
  }
  return check_text(before);
}

bool WebSocketConnection::Impl::finish_message() {
  const std::size_t before = assembled_.size();
  if (parser_.message_compressed() && !inflated(inflater_->finish(assembled_, max_message_))) return false;
  if (!check_text(before)) return false;
  if (incoming_text_.complete()) return true;
  refuse(close_code::kInvalidPayload, Errc::protocol, "a text ends within a character of UTF-8");
  return false;
}

bool WebSocketConnection::Impl::inflated(Inflated outcome) {
  if (outcome == Inflated::malformed) {
    refuse(close_code::kInvalidPayload, Errc::protocol, "a compressed message is malformed");
  } else if (outcome == Inflated::too_big) {
    refuse(close_code::kTooBig, Errc::overflow, "a message is longer than max_message_size");
  }
  return outcome == Inflated::ok;
}

bool WebSocketConnection::Impl::check_text(std::size_t from) {
  if (!is_text() || incoming_text_.take(std::string_view(assembled_).substr(from))) return true;
  refuse(close_code::kInvalidPayload, Errc::protocol, "a text is no UTF-8");
  return false;
}

void WebSocketConnection::Impl::complete_message(std::string_view message) {
  message_ = message;
  message_kind_ = is_text() ? WebSocketKind::text : WebSocketKind::binary;
  message_ready_ = true;
  if (pending()) reserve();
}

template <class Message>
Future<std::optional<Message>> WebSocketConnection::Impl::read() {
  if (pending()) return Future<std::optional<Message>>::failed(Errc::busy);
  deliver_now();
  release_view();
  as_view_ = std::is_same_v<Message, WebSocketMessageView>;
  Future<std::optional<Message>> future = OperationAccess::make_future<std::optional<Message>>(*this);
  if (failure_ && !message_ready_) {
    fail_pending(failure_);
  } else if (message_ready_ || ended_) {
    reserve();
  } else {
    advance();
    stir();
  }
  return future;
}
template Future<std::optional<WebSocketMessage>> WebSocketConnection::Impl::read();
template Future<std::optional<WebSocketMessageView>> WebSocketConnection::Impl::read();

void WebSocketConnection::Impl::on_deliver(OperationBase& operation, FutureBase& future) {
  static_cast<Impl&>(operation).deliver(future);
}

// Reserved without a message means that there will be none.
void WebSocketConnection::Impl::deliver(FutureBase& future) {
  const std::string_view bytes = message_;
  const bool have = std::exchange(message_ready_, false);
  if (as_view_) {
    std::optional<WebSocketMessageView> message;
    if (have) message = WebSocketMessageView{bytes, message_kind_};
    view_out_ = have;
    OperationAccess::emplace<std::optional<WebSocketMessageView>>(future, message);
  } else if (have) {
    const bool ours = bytes.data() == assembled_.data();
    OperationAccess::emplace<std::optional<WebSocketMessage>>(
        future, std::in_place, ours ? std::exchange(assembled_, {}) : std::string(bytes), message_kind_);
  } else {
    OperationAccess::emplace<std::optional<WebSocketMessage>>(future);
  }
  Scheduler::current().spend_bytes(bytes.size());
  stir();
}

void WebSocketConnection::Impl::release_view() noexcept {
  if (!view_out_) return;
  view_out_ = false;
  assembled_.clear();
  if (assembled_.capacity() > kKeptMemory) assembled_ = std::string();
}

// ---- control frames

void WebSocketConnection::Impl::take_control() {
  const std::string_view payload = parser_.control_payload();
  switch (parser_.control()) {
    case Opcode::close:
      return take_close();
    case Opcode::ping:
      take_ping(payload);
      return call(on_ping, payload);
    default:
      call(on_pong, payload);
  }
}

void WebSocketConnection::Impl::take_ping(std::string_view payload) {
  if (close_sent_) return;
  if (stream.unsent() <= kPongRoom) return send_control(Opcode::pong, payload);
  late_pong_payload_ = payload;
  if (!std::exchange(pong_due_, true)) late_pong_ = send_late_pong(*this);
}

// A peer that asks and does not read gets one answer, to its latest ping (RFC 6455 §5.5.3): the answers cannot pile up.
Future<void> WebSocketConnection::Impl::send_late_pong(Impl& self) {
  (void)co_await as_result(self.stream.flush());
  self.pong_due_ = false;
  if (!self.close_sent_) self.send_control(Opcode::pong, self.late_pong_payload_);
}

void WebSocketConnection::Impl::call(const ControlFunction& function, std::string_view payload) {
  if (function == nullptr) return;
  loop_.add_callback([weak = std::weak_ptr(function), text = std::string(payload)]() mutable {
    if (const ControlFunction there = weak.lock()) (*there)(std::move(text));
  });
}

void WebSocketConnection::Impl::take_close() {
  const CloseFrame close = parse_close(parser_.control_payload());
  if (!close.valid) {
    const bool text = close.code == close_code::kInvalidPayload;
    return refuse(close.code, Errc::protocol, text ? "a close reason is no UTF-8" : "a close code is none");
  }
  peer_code_ = close.code;
  close_reason = close.text;
  send_close(close.code, {});
  end({});
}

// ---- writing

Failure WebSocketConnection::Impl::write_refusal() const {
  if (failure_) return failure_;
  return peer_code_ != 0 ? Errc::end : Errc::local;
}

bool WebSocketConnection::Impl::has_room(std::size_t count) const noexcept {
  const std::size_t held = stream.unsent();
  return held <= max_write_buffer_ && count <= max_write_buffer_ - held;
}

Failure WebSocketConnection::Impl::no_room(std::size_t count) const {
  return Failure(Errc::limit, "write_message: " + std::to_string(count) + " bytes beside " +
                                  std::to_string(stream.unsent()) +
                                  " that are unsent are more than max_write_buffer_size");
}

Future<void> WebSocketConnection::Impl::write_message(std::string_view data, WebSocketKind kind) {
  if (is_closing()) return failed(write_refusal());
  if (in_parts_) return failed(Errc::busy);
  if (kind == WebSocketKind::text && !is_utf8(data)) return failed(failure(Errc::protocol, "our text is no UTF-8"));
  if (!has_room(data.size())) return failed(no_room(data.size()));
  FrameHeader header;
  header.opcode = opcode_of(kind);
  if (deflater_ == nullptr || data.size() < deflate_from_) return send_frame(header, data);
  header.compressed = true;
  Future<void> sent = send_frame(header, deflater_->compress(data));
  if (sent.exception()) deflater_->forget();
  return sent;
}

Future<void> WebSocketConnection::Impl::write_prepared(const std::shared_ptr<const PreparedMessage::Frames>& frames) {
  if (is_closing()) return failed(write_refusal());
  if (in_parts_) return failed(Errc::busy);
  const std::string_view data = std::string_view(frames->plain).substr(frames->header_size);
  if (role_ == Role::client) return write_message(data, frames->kind);
  if (!has_room(data.size())) return failed(no_room(data.size()));
  const bool squeezed = inflater_ != nullptr && !frames->compressed.empty() && frames->window_bits <= deflate_bits_;
  if (squeezed && deflater_ != nullptr) deflater_->forget();
  return stream.write(std::shared_ptr<const std::string>(frames, squeezed ? &frames->compressed : &frames->plain));
}

Future<void> WebSocketConnection::Impl::write_part(std::string_view data, WebSocketKind kind, bool last) {
  if (is_closing()) return failed(write_refusal());
  if (in_parts_ && kind != part_kind_) return failed(Errc::busy);
  if (!has_room(data.size())) return failed(no_room(data.size()));
  Utf8Checker text = in_parts_ ? outgoing_text_ : Utf8Checker();
  if (kind == WebSocketKind::text && (!text.take(data) || (last && !text.complete()))) {
    return failed(failure(Errc::protocol, "our text is no UTF-8"));
  }
  outgoing_text_ = text;
  FrameHeader header;
  header.opcode = in_parts_ ? Opcode::continuation : opcode_of(kind);
  header.final = last;
  in_parts_ = !last;
  part_kind_ = kind;
  return send_frame(header, data);
}

Future<void> WebSocketConnection::Impl::ping(std::string_view payload) {
  if (is_closing()) return failed(write_refusal());
  if (payload.size() > kMaxControlPayload) {
    return failed(Failure(Errc::limit, "a ping carries at most 125 bytes, not " + std::to_string(payload.size())));
  }
  if (!has_room(payload.size())) return failed(no_room(payload.size()));
  FrameHeader header;
  header.opcode = Opcode::ping;
  return send_frame(header, payload);
}

// A small frame is put together here; of a large one only what must be masked is copied.
Future<void> WebSocketConnection::Impl::send_frame(FrameHeader header, std::string_view payload) {
  std::array<char, kMaxFrameHeader + kSmallFrame> bytes;
  header.length = payload.size();
  header.masked = masks_ != nullptr;
  if (header.masked) header.mask = masks_->next();
  const std::size_t begin = write_frame_header(std::span(bytes).first<kMaxFrameHeader>(), header);
  const std::string_view front(bytes.data(), begin);
  if (payload.size() <= kSmallFrame) {
    if (!payload.empty()) std::memcpy(bytes.data() + begin, payload.data(), payload.size());
    if (header.masked) apply_mask(bytes.data() + begin, payload.size(), header.mask, 0);
    return stream.write(std::string_view(bytes.data(), begin + payload.size()));
  }
  if (!header.masked) {
    const std::array<std::string_view, 2> pieces = {front, payload};
    return stream.write(std::span(pieces));
  }
  std::string frame;
  frame.reserve(begin + payload.size());
  frame.append(front).append(payload);
  apply_mask(frame.data() + begin, payload.size(), header.mask, 0);
  return stream.write(std::move(frame));
}

void WebSocketConnection::Impl::send_control(Opcode opcode, std::string_view payload) {
  FrameHeader header;
  header.opcode = opcode;
  send_frame(header, payload).ignore();
}

void WebSocketConnection::Impl::send_close(std::uint16_t code, std::string_view reason) {
  if (std::exchange(close_sent_, true)) return;
  send_control(Opcode::close, code == close_code::kNone ? std::string() : close_payload(code, reason));
}

// ---- ending

Future<void> WebSocketConnection::Impl::close(std::uint16_t code, std::string_view reason) {
  if (!may_be_sent(code)) {
    return failed(failure(Errc::protocol, "a close code " + std::to_string(code) + " may not be sent"));
  }
  if (reason.size() > kMaxCloseText || !is_utf8(reason)) {
    return failed(failure(Errc::protocol, "a close reason is UTF-8 of at most 123 bytes"));
  }
  if (ended_) return Future<void>::ready();
  if (!close_sent_) {
    send_close(code, reason);
    loop_.add_timer(close_timer_, close_timeout_);
  }
  deliver_now();
  message_ready_ = false;
  release_view();
  Future<void> done = closing_.emplace_back().get_future();
  advance();
  stir();
  return done;
}

void WebSocketConnection::Impl::abort() noexcept {
  if (ended_) return;
  close_sent_ = true;
  stream.abort();
  end(Errc::local);
}

void WebSocketConnection::Impl::give_up_closing() {
  stream.abort();
  end(failure(Errc::timeout, "the peer did not answer the Close"));
}

Failure WebSocketConnection::Impl::failure(Errc reason, std::string_view why) const {
  std::string text = "WebSocket";
  if (!stream.is_closed()) text.append(" over ").append(stream.description());
  return Failure(reason, text.append(": ").append(why));
}

void WebSocketConnection::Impl::refuse(std::uint16_t code, Errc reason, std::string_view why) {
  Failure told = failure(reason, why);
  send_close(code, why);
  end(std::move(told));
}

void WebSocketConnection::Impl::lose(std::error_code error) {
  const bool cut = error == make_error_code(Errc::end);
  end(cut ? failure(Errc::truncated, "the connection ended without a Close") : Failure(error));
}

// Both have said Close, or something failed.  A client whose end is orderly stays for a moment: the pump sees to that.
void WebSocketConnection::Impl::end(Failure failure) {
  if (std::exchange(ended_, true)) return;
  failure_ = std::move(failure);
  CloseHook::unlink();
  if (close_timer_.scheduled()) loop_.remove_timer(close_timer_);
  if (keep_alive_ != nullptr) keep_alive_->stop();
  if (pending()) failure_ ? (void)fail_pending(failure_) : reserve();
  for (Promise<void>& waiter : std::exchange(closing_, {})) {
    failure_ ? waiter.set_error(failure_) : waiter.set_value();
  }
  settle_closed();
  if (!loop_.closed() && (failure_ || role_ == Role::server)) stream.close();
  stir();
}

void WebSocketConnection::Impl::settle_closed() {
  for (Promise<void>& waiter : std::exchange(closed_, {})) waiter.set_value();
}

Future<void> WebSocketConnection::Impl::closed() {
  if (ended_ || peer_gone_) return Future<void>::ready();
  Future<void> done = closed_.emplace_back().get_future();
  if (!watching_.valid()) watching_ = watch_peer(*this);
  return done;
}

Future<void> WebSocketConnection::Impl::watch_peer(Impl& self) {
  (void)co_await as_result(self.stream.peer_ended());
  self.peer_gone_ = true;
  self.settle_closed();
}

std::uint16_t WebSocketConnection::Impl::close_code() const noexcept {
  if (peer_code_ != 0) return peer_code_;
  return ended_ || peer_gone_ ? close_code::kAbnormal : 0;
}

void WebSocketConnection::Impl::give_peer_up() { refuse(close_code::kGoingAway, Errc::idle_timeout, "ping timed out"); }

// ---- PreparedMessage

PreparedMessage::PreparedMessage(std::string_view data, WebSocketKind kind) {
  if (kind == WebSocketKind::text && !is_utf8(data))
    throw Error(Errc::protocol, "PreparedMessage: the text is no UTF-8");
  auto frames = std::make_shared<Frames>();
  std::array<char, kMaxFrameHeader> bytes;
  FrameHeader header;
  header.opcode = opcode_of(kind);
  header.length = data.size();
  frames->kind = kind;
  frames->header_size = write_frame_header(bytes, header);
  frames->plain.reserve(frames->header_size + data.size());
  frames->plain.append(bytes.data(), frames->header_size).append(data);
  frames_ = std::move(frames);
}

PreparedMessage::PreparedMessage(std::string_view data, WebSocketKind kind, const WebSocketCompression& compression)
    : PreparedMessage(data, kind) {
  const int bits = compression.server_max_window_bits();
  if (!can_deflate() || data.empty() || data.size() < compression.threshold() || bits < kLeastDeflateBits) return;
  Deflater deflater({compression.level(), compression.memory_level(), bits}, false);
  const std::string payload = deflater.compress(data);
  auto frames = std::make_shared<Frames>(*frames_);
  std::array<char, kMaxFrameHeader> bytes;
  FrameHeader header;
  header.opcode = opcode_of(kind);
  header.compressed = true;
  header.length = payload.size();
  frames->compressed.assign(bytes.data(), write_frame_header(bytes, header)).append(payload);
  frames->window_bits = bits;
  frames_ = std::move(frames);
}

std::string_view PreparedMessage::data() const noexcept {
  return std::string_view(frames_->plain).substr(frames_->header_size);
}
WebSocketKind PreparedMessage::kind() const noexcept { return frames_->kind; }

// ---- WebSocketConnection

WebSocketConnection::WebSocketConnection() noexcept = default;
WebSocketConnection::WebSocketConnection(WebSocketConnection&&) noexcept = default;
WebSocketConnection& WebSocketConnection::operator=(WebSocketConnection&&) noexcept = default;
WebSocketConnection::~WebSocketConnection() = default;
WebSocketConnection::WebSocketConnection(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}

Future<std::optional<WebSocketMessage>> WebSocketConnection::read_message() { return impl_->read<WebSocketMessage>(); }
Future<std::optional<WebSocketMessageView>> WebSocketConnection::read_message_view() {
  return impl_->read<WebSocketMessageView>();
}
Future<void> WebSocketConnection::write_message(std::string_view data, WebSocketKind kind) {
  return impl_->write_message(data, kind);
}
Future<void> WebSocketConnection::write_message(const PreparedMessage& message) {
  return impl_->write_prepared(message.frames_);
}
Future<void> WebSocketConnection::write_part(std::string_view data, WebSocketKind kind, bool last) {
  return impl_->write_part(data, kind, last);
}
Future<void> WebSocketConnection::flush() { return impl_->stream.flush(); }
std::size_t WebSocketConnection::unsent() const noexcept { return impl_->stream.unsent(); }
Future<void> WebSocketConnection::ping(std::string_view payload) { return impl_->ping(payload); }
Future<void> WebSocketConnection::close(std::uint16_t code, std::string_view reason) {
  return impl_->close(code, reason);
}
void WebSocketConnection::abort() noexcept { impl_->abort(); }
Future<void> WebSocketConnection::closed() { return impl_->closed(); }
bool WebSocketConnection::is_closed() const noexcept { return impl_->is_closed(); }
bool WebSocketConnection::is_closing() const noexcept { return impl_->is_closing(); }
std::uint16_t WebSocketConnection::close_code() const noexcept { return impl_->close_code(); }
const std::string& WebSocketConnection::close_reason() const noexcept { return impl_->close_reason; }
std::error_code WebSocketConnection::error() const noexcept { return impl_->error(); }
const std::string& WebSocketConnection::selected_subprotocol() const noexcept { return impl_->protocol; }
bool WebSocketConnection::compressed() const noexcept { return impl_->compressed(); }
const RequestHead& WebSocketConnection::head() const noexcept { return impl_->head; }
IOStream& WebSocketConnection::stream() noexcept { return impl_->stream; }
WebSocketConnection::ControlFunction& WebSocketConnection::on_ping() noexcept { return impl_->on_ping; }
WebSocketConnection::ControlFunction& WebSocketConnection::on_pong() noexcept { return impl_->on_pong; }

}  // namespace twinloop
