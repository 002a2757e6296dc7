#include "protocols/websocket/websocket_transport.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace twinloop::detail {
namespace {

constexpr std::size_t kMaxMessage = 64 * 1024;
constexpr std::size_t kReceive = 16 * 1024;
constexpr Duration kCloseTimeout = std::chrono::seconds(10);

constexpr std::uint16_t kNormal = 1000;
constexpr std::uint16_t kGoingAway = 1001;
constexpr std::uint16_t kProtocolError = 1002;
constexpr std::uint16_t kUnacceptable = 1003;
constexpr std::uint16_t kNoCode = 1005;
constexpr std::uint16_t kTooBig = 1009;
constexpr std::uint16_t kOverflow = 3009;

std::uint16_t code_for(Errc reason) noexcept {
  switch (reason) {
    case Errc::local:
    case Errc::end:
      return kNormal;
    case Errc::protocol:
      return kProtocolError;
    case Errc::overflow:
      return kOverflow;
    case Errc::limit:
    case Errc::unsatisfiable_read:
      return kTooBig;
    default:
      return kGoingAway;
  }
}

std::size_t total_size(std::span<const ConstBytes> pieces) noexcept {
  std::size_t total = 0;
  for (const ConstBytes piece : pieces) total += piece.size();
  return total;
}

// RFC 6455 §7.4: what a peer may send.
bool valid_code(std::uint16_t code) noexcept {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1011) || (code >= 3000 && code <= 4999);
}

}  // namespace

WebSocketTransport::WebSocketTransport(std::unique_ptr<Transport> lower, Role role, std::string initial_input,
                                       bool stream_protocol)
    : loop_(IOLoop::current()),
      lower_(std::move(lower)),
      role_(role),
      stream_protocol_(stream_protocol),
      raw_(std::move(initial_input)) {
  lower_->set_listener(this);
}

WebSocketTransport::~WebSocketTransport() { loop_.remove_timeout(close_deadline_); }

// ---- reading

IoResult WebSocketTransport::read(Bytes into) {
  for (;;) {
    if (input_ != Input::open) return input_result();
    IoResult outcome = IoResult::would_block();
    if (in_frame_ && !frame_.is_control() && payload_left_ > 0) {
      if (held().empty() && !receive(outcome)) return outcome;
      const std::size_t count =
          static_cast<std::size_t>(std::min<std::uint64_t>({payload_left_, held().size(), into.size()}));
      std::memcpy(into.data(), held().data(), count);
      if (frame_.masked) {
        apply_mask(reinterpret_cast<char*>(into.data()), count, frame_.mask,
                   static_cast<std::size_t>(payload_seen_ % 4));
      }
      take(count);
      payload_left_ -= count;
      payload_seen_ += count;
      return IoResult::done(count);
    }
    const bool went_on = in_frame_ && frame_.is_control() ? take_control_payload(outcome) : next_header(outcome);
    if (!went_on) return outcome;
  }
}

IoResult WebSocketTransport::input_result() const noexcept {
  return input_ == Input::ended ? IoResult::end() : IoResult::failed(input_error_);
}

void WebSocketTransport::take(std::size_t count) noexcept {
  raw_taken_ += count;
  if (raw_taken_ < raw_.size()) return;
  raw_.clear();
  raw_taken_ = 0;
}

// Adds what the transport below has to `raw_`; false with the outcome of read() when that is nothing.
bool WebSocketTransport::receive(IoResult& otherwise) {
  std::array<std::byte, kReceive> memory;
  const IoResult result = lower_->read(memory);
  switch (result.status) {
    case IoStatus::ok:
      raw_.erase(0, std::exchange(raw_taken_, 0));
      raw_.append(reinterpret_cast<const char*>(memory.data()), result.count);
      return true;
    case IoStatus::end:
      otherwise = fail(Errc::truncated, 0);
      return false;
    case IoStatus::error:
      input_ = Input::failed;
      input_error_ = result.error;
      otherwise = result;
      return false;
    default:
      otherwise = result;
      return false;
  }
}

// Tells the peer with `code` (0: nothing left to tell it) and ends the input.
IoResult WebSocketTransport::fail(Errc reason, std::uint16_t code) {
  input_ = Input::failed;
  input_error_ = reason;
  if (code != 0) append_close(code);
  return input_result();
}

bool WebSocketTransport::next_header(IoResult& outcome) {
  if (in_frame_) {  // a data frame went past
    in_frame_ = false;
    if (frame_.final && message_empty_ && stream_protocol_) {
      input_ = Input::ended;
      return true;
    }
  }
  const ParsedHeader parsed = parse_frame_header(held(), role_);
  switch (parsed.status) {
    case ParsedHeader::Status::incomplete:
      return receive(outcome);
    case ParsedHeader::Status::malformed:
      outcome = fail(Errc::protocol, kProtocolError);
      return false;
    case ParsedHeader::Status::complete:
      break;
  }
  take(parsed.size);
  return begin_frame(parsed.header, outcome);
}

bool WebSocketTransport::begin_frame(const FrameHeader& header, IoResult& outcome) {
  frame_ = header;
  payload_left_ = header.length;
  payload_seen_ = 0;
  in_frame_ = true;
  if (header.is_control()) {
    control_.clear();
    return true;
  }
  if (header.opcode == Opcode::text) {
    outcome = fail(Errc::protocol, kUnacceptable);
    return false;
  }
  if ((header.opcode == Opcode::continuation) != in_message_) {
    outcome = fail(Errc::protocol, kProtocolError);
    return false;
  }
  if (!in_message_) message_empty_ = true;
  message_empty_ = message_empty_ && header.length == 0;
  in_message_ = !header.final;
  return true;
}

bool WebSocketTransport::take_control_payload(IoResult& outcome) {
  while (payload_left_ > 0) {
    if (held().empty() && !receive(outcome)) return false;
    const std::size_t count = static_cast<std::size_t>(std::min<std::uint64_t>(payload_left_, held().size()));
    const std::size_t at = control_.size();
    control_.append(held().substr(0, count));
    if (frame_.masked) apply_mask(control_.data() + at, count, frame_.mask, at % 4);
    take(count);
    payload_left_ -= count;
  }
  in_frame_ = false;
  return handle_control(outcome);
}

bool WebSocketTransport::handle_control(IoResult& outcome) {
  if (frame_.opcode == Opcode::close) return handle_close(outcome);
  if (frame_.opcode == Opcode::ping && !close_sent_) {
    pong_ = std::move(control_);
    pong_due_ = true;
    push_wire();
    update_interest();
  }
  control_.clear();
  return true;
}

bool WebSocketTransport::handle_close(IoResult& outcome) {
  close_received_ = true;
  std::uint16_t code = kNoCode;
  if (control_.size() >= 2) {
    code = static_cast<std::uint16_t>(static_cast<std::uint8_t>(control_[0]) << 8 |
                                      static_cast<std::uint8_t>(control_[1]));
  }
  if (control_.size() == 1 || (code != kNoCode && !valid_code(code))) {
    outcome = fail(Errc::protocol, kProtocolError);
    return false;
  }
  if (code != kNormal && code != kGoingAway && code != kNoCode) {
    const bool ours = code == kProtocolError || code == kUnacceptable || code == 1007;
    outcome = fail(ours                                   ? Errc::protocol
                   : code == kOverflow || code == kTooBig ? Errc::overflow
                                                          : Errc::reset,
                   kNormal);
    return false;
  }
  input_ = Input::ended;
  if (!close_sent_) {
    close_deadline_ = loop_.call_later(kCloseTimeout, [this] {
      append_close(kNormal);
      output_ended_ = true;
      push_wire();
      update_interest();
    });
  }
  return true;
}

// ---- writing

void WebSocketTransport::append_frame(Opcode opcode, std::string_view payload) {
  FrameHeader header;
  header.opcode = opcode;
  header.masked = role_ == Role::client;
  if (header.masked) header.mask = make_mask();
  header.length = payload.size();
  std::array<char, kMaxFrameHeader> bytes;
  wire_.append(bytes.data(), write_frame_header(bytes, header));
  const std::size_t at = wire_.size();
  wire_.append(payload);
  if (header.masked) apply_mask(wire_.data() + at, payload.size(), header.mask, 0);
}

void WebSocketTransport::append_close(std::uint16_t code) {
  if (std::exchange(close_sent_, true)) return;
  const char payload[2] = {static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
  append_frame(Opcode::close, {payload, 2});
  loop_.remove_timeout(close_deadline_);
}

void WebSocketTransport::append_pong() {
  if (!std::exchange(pong_due_, false) || close_sent_) return;
  append_frame(Opcode::pong, pong_);
  pong_.clear();
}

// ok when everything framed was handed down.
IoResult WebSocketTransport::push_wire() {
  for (;;) {
    if (wire_sent_ == wire_.size()) {
      wire_.clear();
      wire_sent_ = 0;
      if (!pong_due_) return lower_->flush();
      append_pong();
      if (wire_.empty()) return lower_->flush();
    }
    const ConstBytes rest = std::as_bytes(std::span(wire_).subspan(wire_sent_));
    const IoResult result = lower_->write(std::span(&rest, 1));
    if (result.status != IoStatus::ok) return result;
    wire_sent_ += result.count;
  }
}

IoResult WebSocketTransport::write(std::span<const ConstBytes> pieces) {
  if (output_ended_ || close_sent_) return IoResult::failed(input_error_ ? input_error_ : make_error_code(Errc::reset));
  if (!wire_.empty() || pong_due_) {
    const IoResult pushed = push_wire();
    if (pushed.status == IoStatus::error) return pushed;
    if (!wire_.empty()) return IoResult::would_block();
  }
  const std::size_t count = std::min(total_size(pieces), kMaxMessage);
  if (role_ == Role::server) return write_unmasked(pieces, count);
  append_masked(pieces, count);
  const IoResult pushed = push_wire();
  return pushed.status == IoStatus::error ? pushed : IoResult::done(count);
}

// A server's payload goes down from where it lies; only what did not fit is copied, because the frame is begun.
IoResult WebSocketTransport::write_unmasked(std::span<const ConstBytes> pieces, std::size_t count) {
  FrameHeader header;
  header.length = count;
  std::array<char, kMaxFrameHeader> bytes;
  std::array<ConstBytes, 17> framed;
  const std::size_t header_size = write_frame_header(bytes, header);
  framed[0] = std::as_bytes(std::span(bytes).first(header_size));
  std::size_t used = 1;
  std::size_t left = count;
  for (const ConstBytes piece : pieces) {
    if (left == 0 || used == framed.size()) break;
    framed[used] = piece.first(std::min(piece.size(), left));
    left -= framed[used++].size();
  }
  if (left > 0) {  // more pieces than fit: the rest makes another message
    return write_unmasked(pieces.first(used - 1), count - left);
  }
  const IoResult result = lower_->write(std::span(framed).first(used));
  if (result.status == IoStatus::error) return result;
  std::size_t sent = result.status == IoStatus::ok ? result.count : 0;
  for (const ConstBytes piece : std::span(framed).first(used)) {
    const std::size_t skip = std::min(sent, piece.size());
    sent -= skip;
    wire_.append(reinterpret_cast<const char*>(piece.data()) + skip, piece.size() - skip);
  }
  return IoResult::done(count);
}

void WebSocketTransport::append_masked(std::span<const ConstBytes> pieces, std::size_t count) {
  FrameHeader header;
  header.masked = true;
  header.mask = make_mask();
  header.length = count;
  std::array<char, kMaxFrameHeader> bytes;
  wire_.append(bytes.data(), write_frame_header(bytes, header));
  const std::size_t begin = wire_.size();
  for (const ConstBytes piece : pieces) {
    const std::size_t part = std::min(piece.size(), count - (wire_.size() - begin));
    wire_.append(reinterpret_cast<const char*>(piece.data()), part);
  }
  apply_mask(wire_.data() + begin, count, header.mask, 0);
}

IoResult WebSocketTransport::flush() { return push_wire(); }

IoResult WebSocketTransport::shutdown_write() {
  if (!std::exchange(output_ended_, true)) {
    if (stream_protocol_ && !close_sent_) {
      append_frame(Opcode::binary, {});
    } else {
      append_close(kNormal);
    }
  }
  const IoResult pushed = push_wire();
  if (pushed.status == IoStatus::would_block) update_interest();
  return pushed;
}

void WebSocketTransport::close(std::error_code reason) noexcept {
  unlink();
  listener_ = nullptr;
  loop_.remove_timeout(close_deadline_);
  if (reason_of(reason) == Errc::cancelled) return lower_->close(reason);
  if (input_ != Input::failed || !close_sent_) append_close(code_for(reason_of(reason)));
  push_wire();
  lower_->close(Errc::local);
}

// ---- notices

void WebSocketTransport::set_listener(TransportListener* listener) noexcept {
  listener_ = listener;
  arrange();
}

void WebSocketTransport::want(bool read, bool write) {
  want_read_ = read;
  want_write_ = write;
  update_interest();
  arrange();
}

void WebSocketTransport::update_interest() {
  lower_->want(want_read_ && input_ == Input::open, !wire_.empty() || pong_due_);
}

void WebSocketTransport::arrange() noexcept {
  if (listener_ == nullptr) return;
  const bool readable = want_read_ && (!held().empty() || input_ != Input::open);
  if (readable || (want_write_ && wire_.empty())) loop_.add_hook(*this);
}

void WebSocketTransport::on_turn() {
  if (listener_ == nullptr) return;
  listener_->on_ready(want_read_ && (!held().empty() || input_ != Input::open), want_write_ && wire_.empty());
}

void WebSocketTransport::on_ready(bool readable, bool writable) {
  if (writable) {
    const IoResult pushed = push_wire();
    if (pushed.status == IoStatus::error) return on_failure(pushed.error);
    update_interest();
  }
  const bool room = want_write_ && wire_.empty();
  if (listener_ != nullptr && ((readable && want_read_) || room)) listener_->on_ready(readable && want_read_, room);
}

// Only a hint: what was sent before it, a Close perhaps, is still to be read.
void WebSocketTransport::on_peer_end() {
  if (listener_ != nullptr && want_read_) listener_->on_ready(true, false);
}

void WebSocketTransport::on_failure(std::error_code error) {
  if (listener_ != nullptr) listener_->on_failure(error);
}

}  // namespace twinloop::detail
