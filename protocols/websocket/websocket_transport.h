// WebSocketTransport: a stream of bytes inside a WebSocket (RFC 6455) on any other transport.  Binary messages of at most 64 KiB
// whose boundaries mean nothing; frames stream past and are never assembled.
//
// Ends: a Close with 1000 or 1001 (or none) is the peer's end, any other code a failure.  shutdown_write sends Close(1000) and
// goes on reading, which twinloop's own end understands; a peer that answers the Close at once, as browsers do, ends the stream
// there.  With the subprotocol `twinloop.stream` an empty message ends the sending side instead, and the Close comes last.
#pragma once

#include <memory>
#include <string>

#include "protocols/websocket/frame.h"
#include "twinloop/ioloop.h"
#include "twinloop/transport.h"

namespace twinloop::detail {

class WebSocketTransport final : public Transport, public TransportListener, public TurnHook {
 public:
  WebSocketTransport(std::unique_ptr<Transport> lower, Role role, std::string initial_input, bool stream_protocol);
  ~WebSocketTransport() override;

  IoResult read(Bytes into) override;
  IoResult write(std::span<const ConstBytes> pieces) override;
  IoResult flush() override;
  std::size_t pending_input() const noexcept override { return held().size() + lower_->pending_input(); }
  std::size_t pending_output() const noexcept override { return wire_.size() - wire_sent_ + lower_->pending_output(); }
  IoResult shutdown_write() override;
  void close(std::error_code reason) noexcept override;
  void want(bool read, bool write) override;
  void set_listener(TransportListener* listener) noexcept override;
  std::string description() const override { return "ws over " + lower_->description(); }

  void on_ready(bool readable, bool writable) override;
  void on_peer_end() override;
  void on_failure(std::error_code error) override;
  void on_turn() override;

 private:
  enum class Input : unsigned char { open, ended, failed };

  std::string_view held() const noexcept { return std::string_view(raw_).substr(raw_taken_); }
  void take(std::size_t count) noexcept;
  bool receive(IoResult& otherwise);
  IoResult fail(Errc reason, std::uint16_t code);
  IoResult input_result() const noexcept;
  bool next_header(IoResult& outcome);
  bool begin_frame(const FrameHeader& header, IoResult& outcome);
  bool take_control_payload(IoResult& outcome);
  bool handle_control(IoResult& outcome);
  bool handle_close(IoResult& outcome);

  void append_frame(Opcode opcode, std::string_view payload);
  void append_close(std::uint16_t code);
  void append_pong();
  IoResult push_wire();
  IoResult write_unmasked(std::span<const ConstBytes> pieces, std::size_t count);
  void append_masked(std::span<const ConstBytes> pieces, std::size_t count);
  void update_interest();
  void arrange() noexcept;

  IOLoop& loop_;
  std::unique_ptr<Transport> lower_;
  TransportListener* listener_ = nullptr;
  Role role_;
  bool stream_protocol_;

  std::string raw_;  // received, not yet decoded
  std::size_t raw_taken_ = 0;
  FrameHeader frame_;  // the one that is streaming past
  std::uint64_t payload_left_ = 0;
  std::uint64_t payload_seen_ = 0;
  bool in_frame_ = false;
  bool in_message_ = false;  // a fragmented message goes on
  bool message_empty_ = true;
  std::string control_;  // payload of a control frame
  Input input_ = Input::open;
  std::error_code input_error_;

  std::string wire_;  // framed, not yet handed down
  std::size_t wire_sent_ = 0;
  std::string pong_;  // only the latest ping is answered
  bool pong_due_ = false;
  bool output_ended_ = false;
  bool close_sent_ = false;
  bool close_received_ = false;
  bool want_read_ = false;
  bool want_write_ = false;
  Timeout close_deadline_;
};

}  // namespace twinloop::detail
