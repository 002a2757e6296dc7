#include "protocols/websocket/websocket_transport.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "protocols/websocket/handshake.h"
#include "twinloop/iostream.h"
#include "twinloop/log.h"
#include "twinloop/timing.h"

namespace twinloop::detail {
namespace {

constexpr std::size_t kMaxMessage = 64 * 1024;
constexpr std::size_t kKeptMemory = 1024;      // of a drained output buffer
constexpr unsigned kReadsWithoutPayload = 16;  // then other streams have their turn
constexpr Duration kCloseTimeout = std::chrono::seconds(10);
constexpr Duration kLeaveTimeout = std::chrono::seconds(2);

std::size_t total_size(std::span<const ConstBytes> pieces) noexcept {
  std::size_t total = 0;
  for (const ConstBytes piece : pieces) total += piece.size();
  return total;
}

std::span<char> as_chars(Bytes bytes) noexcept { return {reinterpret_cast<char*>(bytes.data()), bytes.size()}; }
ConstBytes as_bytes(std::string_view text) noexcept { return std::as_bytes(std::span(text)); }

Future<void> wait_for_end(IOStream lower) {
  const Result<void> ended = co_await as_result(with_timeout(kLeaveTimeout, lower.peer_ended()));
  if (!ended.ok()) lower.abort();
}

}  // namespace

WebSocketTransport::WebSocketTransport(std::unique_ptr<Transport> lower, WebSocketSetup setup)
    : loop_(IOLoop::current()),
      lower_(std::move(lower)),
      masks_(setup.role == Role::client ? std::make_unique<MaskSource>() : nullptr),
      session_(std::move(setup.session)),
      description_(std::move(setup.description)),
      initial_input_(std::move(setup.initial_input)),
      parser_(setup.role),
      role_(setup.role),
      in_band_end_(session_.selected_subprotocol() == kStreamProtocol) {
  lower_->set_listener(this);
  if (setup.ping.interval > Duration::zero()) {
    keep_alive_ = std::make_unique<KeepAlive>(loop_, setup.ping, static_cast<KeepAlive::Owner&>(*this));
  }
}

// ---- reading: raw bytes are read into the caller's memory and decoded there; payload only ever moves towards its front

IoResult WebSocketTransport::read(Bytes into) {
  if (closed_) return IoResult::failed(Errc::local);
  for (unsigned round = 0; round < kReadsWithoutPayload; ++round) {
    if (input_failure_) {
      failure_told_ = true;
      return IoResult::failed(input_failure_);
    }
    if (input_ended_) {
      end_told_ = true;
      return IoResult::end();
    }
    const IoResult raw = receive(into);
    if (raw.status == IoStatus::end) {
      fail_input(Errc::truncated, 0);
      continue;
    }
    if (raw.status != IoStatus::ok) return raw;
    if (keep_alive_ != nullptr) keep_alive_->note_peer();
    const std::size_t count = decode(as_chars(into.first(raw.count)));
    if (held() > 0 || pong_due_ || readable_here()) send_held();
    arrange();
    if (count > 0) return IoResult::done(count);
  }
  arrange();
  return IoResult::would_block();
}

IoResult WebSocketTransport::receive(Bytes into) {
  if (unread() == 0) {
    const IoResult result = lower_->read(into);
    if (result.status == IoStatus::end) lower_input_ended_ = true;
    return result;
  }
  const std::size_t count = std::min(into.size(), unread());
  std::memcpy(into.data(), initial_input_.data() + initial_taken_, count);
  initial_taken_ += count;
  if (unread() == 0) {
    initial_input_ = std::string();
    initial_taken_ = 0;
    update_interest();
  }
  return IoResult::done(count);
}

// How many bytes of payload stand at the front of `raw` afterwards.  What follows a Close is nothing to us.
std::size_t WebSocketTransport::decode(std::span<char> raw) {
  std::size_t kept = 0;
  std::span<char> rest = raw;
  while (!rest.empty() && !close_received_ && !input_failure_) {
    const FrameStep step = parser_.next(rest);
    rest = rest.subspan(step.consumed);
    switch (step.event) {
      case FrameStep::Event::more:
        break;
      case FrameStep::Event::control:
        handle_control();
        break;
      case FrameStep::Event::malformed:
        fail_input(Errc::protocol, parser_.error_code());
        break;
      case FrameStep::Event::payload:
        if (input_ended_ && !step.payload.empty()) {
          fail_input(Errc::protocol, close_code::kProtocolError);
          break;
        }
        if (!step.payload.empty()) std::memmove(raw.data() + kept, step.payload.data(), step.payload.size());
        kept += step.payload.size();
        if (in_band_end_ && step.ends_empty_message) input_ended_ = true;
    }
  }
  return kept;
}

// After an end in-band nobody reads any more, but pings want their pongs and the Close is still to come.
void WebSocketTransport::read_control_frames() {
  std::array<std::byte, 512> memory;
  for (unsigned round = 0; round < kReadsWithoutPayload && !close_received_ && !failure(); ++round) {
    const IoResult raw = receive(memory);
    if (raw.status != IoStatus::ok) break;
    decode(as_chars(Bytes(memory).first(raw.count)));
  }
  send_held();
}

void WebSocketTransport::handle_control() {
  if (parser_.control() == Opcode::close) return handle_close();
  if (parser_.control() != Opcode::ping || close_sent_) return;
  pong_ = parser_.control_payload();
  pong_due_ = true;
}

void WebSocketTransport::handle_close() {
  const CloseFrame close = parse_close(parser_.control_payload());
  close_received_ = true;
  if (!close.valid) return fail_input(Errc::protocol, close.code);
  if (!is_orderly(close.code)) {
    std::string text = description_ + ": the peer closed with code " + std::to_string(close.code);
    if (!close.text.empty()) text.append(": ").append(close.text);
    log(LogLevel::info, text);
    return fail_input(reason_of_close(close.code), close.code);
  }
  input_ended_ = true;
  if (!close_sent_ && !close_timer_.scheduled()) loop_.add_timer(close_timer_, kCloseTimeout);
}

// `code` is what the peer is told; 0 where there is nobody to tell.
void WebSocketTransport::fail_input(Errc reason, std::uint16_t code) {
  input_failure_ = reason;
  if (code != 0) queue_close(code);
}

// ---- writing: what was begun as a frame is taken whole, so that control frames and the Close always find a boundary

IoResult WebSocketTransport::write(std::span<const ConstBytes> pieces) {
  if (const std::error_code refusal = write_refusal()) return IoResult::failed(refusal);
  if (held() > 0 || pong_due_) {
    const IoResult earlier = send_held();
    if (earlier.status != IoStatus::ok) return earlier;
  }
  const std::size_t count = std::min(total_size(pieces), kMaxMessage);
  if (count == 0) return IoResult::done();
  return role_ == Role::server ? write_plain(pieces, count) : write_masked(pieces, count);
}

std::error_code WebSocketTransport::write_refusal() const noexcept {
  if (closed_) return Errc::local;
  if (output_failure_) return output_failure_;
  if (!close_sent_ && !end_sent_) return {};
  if (input_failure_) return input_failure_;
  return close_received_ ? Errc::end : Errc::local;
}

// A server's payload goes down from where it lies; only what did not fit below is copied.
IoResult WebSocketTransport::write_plain(std::span<const ConstBytes> pieces, std::size_t count) {
  std::array<ConstBytes, 33> framed;
  std::size_t used = 1;
  std::size_t size = 0;
  for (const ConstBytes piece : pieces) {
    if (size == count || used == framed.size()) break;
    framed[used] = piece.first(std::min(piece.size(), count - size));
    size += framed[used++].size();
  }
  FrameHeader header;
  header.length = size;
  std::array<char, kMaxFrameHeader> bytes;
  framed[0] = as_bytes({bytes.data(), write_frame_header(bytes, header)});

  const IoResult result = lower_->write(std::span(framed).first(used));
  if (result.status == IoStatus::error) return result;
  if (result.status != IoStatus::ok || result.count == 0) return IoResult::would_block();
  std::size_t sent = result.count;
  for (const ConstBytes piece : std::span(framed).first(used)) {
    const std::size_t skipped = std::min(sent, piece.size());
    sent -= skipped;
    held_output_.append(reinterpret_cast<const char*>(piece.data()) + skipped, piece.size() - skipped);
  }
  if (held() > 0) update_interest();
  return IoResult::done(size);
}

IoResult WebSocketTransport::write_masked(std::span<const ConstBytes> pieces, std::size_t count) {
  append_frame(Opcode::binary, pieces, count);
  const IoResult result = send_held();
  return result.status == IoStatus::error ? result : IoResult::done(count);
}

void WebSocketTransport::append_frame(Opcode opcode, std::span<const ConstBytes> pieces, std::size_t count) {
  FrameHeader header;
  header.opcode = opcode;
  header.length = count;
  header.masked = role_ == Role::client;
  if (header.masked) header.mask = masks_->next();
  std::array<char, kMaxFrameHeader> bytes;
  const std::size_t header_size = write_frame_header(bytes, header);
  held_output_.reserve(held_output_.size() + header_size + count);
  held_output_.append(bytes.data(), header_size);
  const std::size_t begin = held_output_.size();
  for (const ConstBytes piece : pieces) {
    const std::size_t part = std::min(piece.size(), begin + count - held_output_.size());
    held_output_.append(reinterpret_cast<const char*>(piece.data()), part);
  }
  if (header.masked) apply_mask(held_output_.data() + begin, count, header.mask, 0);
}

void WebSocketTransport::append_text(Opcode opcode, std::string_view payload) {
  const ConstBytes piece = as_bytes(payload);
  append_frame(opcode, std::span(&piece, 1), piece.size());
}

void WebSocketTransport::queue_close(std::uint16_t code) {
  if (close_sent_) return;
  close_sent_ = true;
  pong_due_ = false;
  append_text(Opcode::close, close_payload(code));
}

// ok when nothing is left here; a failure is also told to the listener.
IoResult WebSocketTransport::send_held() {
  if (output_failure_) return IoResult::failed(output_failure_);
  IoResult result = send_held_bytes();
  if (result.status == IoStatus::error) {
    output_failure_ = result.error;
    held_output_ = std::string();
    held_sent_ = 0;
    pong_due_ = false;
    arrange();
    return result;
  }
  if (result.status == IoStatus::ok) end_lower_output();
  update_interest();
  return result;
}

// A ping flood gets one pong at a time, the latest: the answers cannot pile up.
IoResult WebSocketTransport::send_held_bytes() {
  for (;;) {
    if (held() == 0) {
      held_output_.clear();
      held_sent_ = 0;
      if (held_output_.capacity() > kKeptMemory) held_output_ = std::string();
      if (!pong_due_) return IoResult::done();
      pong_due_ = false;
      append_text(Opcode::pong, pong_);
    }
    const ConstBytes rest = as_bytes(std::string_view(held_output_).substr(held_sent_));
    const IoResult result = lower_->write(std::span(&rest, 1));
    if (result.status == IoStatus::error) return result;
    if (result.status != IoStatus::ok || result.count == 0) return IoResult::would_block();
    held_sent_ += result.count;
  }
}

// After both Closes the server ends the connection (RFC 6455 §7.1.1), so that the client is not left with TIME_WAIT.
void WebSocketTransport::end_lower_output() {
  if (role_ != Role::server || !exchanged() || lower_output_ended_) return;
  lower_output_ended_ = lower_->shutdown_write().status != IoStatus::would_block;
}

IoResult WebSocketTransport::flush() {
  if (closed_) return IoResult::done();
  const IoResult result = send_held();
  return result.status == IoStatus::ok ? lower_->flush() : result;
}

IoResult WebSocketTransport::shutdown_write() {
  if (closed_) return IoResult::failed(Errc::local);
  if (output_failure_ && !close_received_) return IoResult::failed(output_failure_);
  if (!in_band_end_ || close_received_ || end_code_ != close_code::kNormal) {
    queue_close(end_code_);
  } else if (!close_sent_ && !end_sent_) {
    end_sent_ = true;
    append_frame(Opcode::binary, {}, 0);
  }
  const IoResult result = send_held();
  if (result.status == IoStatus::error && close_received_) return IoResult::done();  // the peer needs no Close any more
  return result.status == IoStatus::ok ? lower_->flush() : result;
}

void WebSocketTransport::explain_end(std::error_code reason) noexcept { end_code_ = close_code_of(reason_of(reason)); }

void WebSocketTransport::close_late() {
  queue_close(close_code::kNormal);
  send_held();
}

bool WebSocketTransport::may_ask_peer() const noexcept {
  return !close_sent_ && !close_received_ && !input_ended_ && !failure();
}

void WebSocketTransport::ask_peer() {
  append_text(Opcode::ping, {});
  send_held();
}

void WebSocketTransport::give_peer_up() {
  fail_input(Errc::idle_timeout, close_code::kGoingAway);
  send_held();
  arrange();
}

std::size_t WebSocketTransport::pending_input() const noexcept {
  return unread() + (lower_ != nullptr ? lower_->pending_input() : 0);
}

std::size_t WebSocketTransport::pending_output() const noexcept {
  return held() + (lower_ != nullptr ? lower_->pending_output() : 0);
}

// ---- interest

void WebSocketTransport::want(bool read, bool write) {
  if (closed_) return;
  want_read_ = read;
  want_write_ = write;
  update_interest();
  arrange();
}

void WebSocketTransport::update_interest() {
  if (closed_) return;
  const bool open = !close_received_ && !lower_input_ended_ && !failure();
  const bool read = open && unread() == 0 && (want_read_ || input_ended_);
  const bool lower_end_due = role_ == Role::server && exchanged() && !lower_output_ended_;
  const bool write = !output_failure_ && (want_write_ || held() > 0 || pong_due_ || lower_end_due);
  lower_->want(read, write);
}

void WebSocketTransport::set_listener(TransportListener* listener) noexcept {
  listener_ = listener;
  end_told_ = failure_told_ = false;
  arrange();
}

void WebSocketTransport::arrange() noexcept {
  if (listener_ == nullptr) return;
  const bool due = (failure() && !failure_told_) || (input_ended_ && !end_told_);
  if (due || (want_read_ && readable_here())) loop_.add_hook(*this);
}

// ---- notices; the listener may close or destroy this transport, so it is called last

void WebSocketTransport::on_turn() {
  if (listener_ == nullptr) return;
  if (failure() && !failure_told_) {
    failure_told_ = true;
    return listener_->on_failure(failure());
  }
  if (input_ended_ && !end_told_) {
    end_told_ = true;
    arrange();
    return listener_->on_peer_end();
  }
  if (want_read_ && readable_here()) listener_->on_ready(true, false);
}

void WebSocketTransport::on_ready(bool readable, bool writable) {
  if (writable) send_held();
  if (readable && input_ended_ && !close_received_) read_control_frames();
  update_interest();
  arrange();
  const bool read = readable && want_read_;
  const bool write = writable && want_write_ && held() == 0;
  if (listener_ != nullptr && (read || write)) listener_->on_ready(read, write);
}

// Only a hint: what was sent before that end, a Close perhaps, is still to be read.
void WebSocketTransport::on_peer_end() { on_ready(true, false); }

void WebSocketTransport::on_failure(std::error_code error) {
  lower_failed_ = true;
  if (exchanged()) return;  // nothing is lost
  if (!output_failure_) output_failure_ = error;
  held_output_ = std::string();
  held_sent_ = 0;
  if (listener_ == nullptr || failure_told_) return;
  failure_told_ = true;
  listener_->on_failure(failure());
}

// ---- closing

void WebSocketTransport::close(std::error_code reason) noexcept {
  if (closed_) return;
  unlink();
  listener_ = nullptr;
  if (close_timer_.scheduled()) loop_.remove_timer(close_timer_);
  if (keep_alive_ != nullptr) keep_alive_->stop();
  lower_->set_listener(nullptr);
  const Errc why = reason_of(reason);
  const bool parting = exchanged() || (input_failure_ && close_sent_);  // a Close goes out, whoever lets go
  if (lower_failed_ || output_failure_ || !loop_is_there() || (why == Errc::cancelled && !parting)) {
    closed_ = true;
    return lower_->close(reason);
  }
  if (input_failure_ != make_error_code(Errc::truncated)) queue_close(close_code_of(why));
  const bool handed_down = send_held().status == IoStatus::ok;
  closed_ = true;
  if (why == Errc::loop_closed) return lower_->close(handed_down ? make_error_code(Errc::local) : reason);
  if (exchanged() && handed_down && !input_failure_) {
    return role_ == Role::server ? lower_->close(Errc::local) : leave(true);
  }
  const bool orderly = why == Errc::local || why == Errc::end;
  if (parting || !orderly || (input_ended_ && end_sent_)) return leave(false);
  lower_->close(Errc::local);
}

// Gives the transport below to the loop: it sends what is held and lets go when the peer has ended, or soon.
void WebSocketTransport::leave(bool wait_for_peer) noexcept {
  StreamOptions options;
  options.linger_timeout(kLeaveTimeout);
  IOStream lower(std::move(lower_), options);
  if (wait_for_peer) return loop_.spawn(&wait_for_end, std::move(lower));
  if (held() > 0) lower.write(std::string_view(held_output_).substr(held_sent_)).ignore();
  held_output_ = std::string();
  held_sent_ = 0;
}

}  // namespace twinloop::detail
