// WebSocketTransport: a stream of bytes inside a WebSocket (RFC 6455) on any other transport.  Binary messages of at most 64 KiB
// whose boundaries mean nothing; frames stream past and are decoded in the reader's memory, so nothing is held here.
//
// How it ends.  A Close with 1000, 1001 or no code is the peer's end; any other code is a failure (close_code.h), and so is an
// end of the connection without a Close (`truncated`).  shutdown_write sends Close(1000) and goes on reading; twinloop's other
// end sends what it still has, then its own Close.  A peer that answers the Close at once, as browsers do, ends the stream there.
// Where the subprotocol `twinloop.stream` was agreed, an empty message ends a sending side instead, and the Close comes last.
// After both Closes the server ends the connection below first, and a client gives it a moment to do so.
#pragma once

#include <memory>
#include <string>

#include "protocols/websocket/close_code.h"
#include "protocols/websocket/frame.h"
#include "protocols/websocket/keep_alive.h"
#include "protocols/websocket/mask_source.h"
#include "twinloop/ioloop.h"
#include "twinloop/net.h"
#include "twinloop/transport.h"
#include "twinloop/websocket.h"

namespace twinloop::detail {

struct WebSocketSetup {
  explicit WebSocketSetup(Role end) noexcept : role(end) {}

  Role role;
  WebSocketSession session;
  std::string initial_input;  // received behind the handshake
  std::string description;
  WebSocketPing ping;
};

class WebSocketTransport final : public Transport,
                                 private TransportListener,
                                 private TurnHook,
                                 private KeepAlive::Owner {
 public:
  WebSocketTransport(std::unique_ptr<Transport> lower, WebSocketSetup setup);
  ~WebSocketTransport() override { close(Errc::local); }

  IoResult read(Bytes into) override;
  IoResult write(std::span<const ConstBytes> pieces) override;
  IoResult flush() override;
  std::size_t pending_input() const noexcept override;
  std::size_t pending_output() const noexcept override;
  IoResult shutdown_write() override;
  void explain_end(std::error_code reason) noexcept override;
  void close(std::error_code reason) noexcept override;
  // A reason other than `cancelled` (IOStream::abort) is told to the peer.  Where a Close is on its way, the transport below is
  // given to the loop, which lets go of it when the peer has had the chance to read: closing a socket with unread input would
  // destroy the Close in flight.
  void want(bool read, bool write) override;
  void set_listener(TransportListener* listener) noexcept override;
  std::string address(End end) const override { return lower_ != nullptr ? lower_->address(end) : std::string(); }
  int native_handle() const noexcept override { return lower_ != nullptr ? lower_->native_handle() : -1; }
  std::string description() const override { return description_; }
  const TlsSession* tls() const noexcept override { return lower_ != nullptr ? lower_->tls() : nullptr; }
  const WebSocketSession* websocket() const noexcept override { return &session_; }

 private:
  // Sends our Close when the program does not within the time that it has after the peer's.
  struct CloseTimer final : Timer {
    explicit CloseTimer(WebSocketTransport& transport) noexcept : owner(transport) {}
    void fire() override { owner.close_late(); }
    void expire() noexcept override {}
    WebSocketTransport& owner;
  };

  void on_ready(bool readable, bool writable) override;
  void on_peer_end() override;
  void on_failure(std::error_code error) override;
  void on_turn() override;

  bool may_ask_peer() const noexcept override;
  bool hears_peer() const noexcept override { return want_read_; }
  void ask_peer() override;
  void give_peer_up() override;

  IoResult receive(Bytes into);
  std::size_t decode(std::span<char> raw);
  void read_control_frames();
  void handle_control();
  void handle_close();
  void fail_input(Errc reason, std::uint16_t code);
  std::size_t unread() const noexcept { return initial_input_.size() - initial_taken_; }

  IoResult write_plain(std::span<const ConstBytes> pieces, std::size_t count);
  IoResult write_masked(std::span<const ConstBytes> pieces, std::size_t count);
  std::error_code write_refusal() const noexcept;
  void append_frame(Opcode opcode, std::span<const ConstBytes> pieces, std::size_t count);
  void append_text(Opcode opcode, std::string_view payload);
  void queue_close(std::uint16_t code);
  IoResult send_held();
  IoResult send_held_bytes();
  void end_lower_output();
  void close_late();
  std::size_t held() const noexcept { return held_output_.size() - held_sent_; }

  bool exchanged() const noexcept { return close_sent_ && close_received_; }
  std::error_code failure() const noexcept { return input_failure_ ? input_failure_ : output_failure_; }
  bool readable_here() const noexcept { return unread() > 0 || input_ended_ || input_failure_; }
  void update_interest();
  void arrange() noexcept;

  bool loop_is_there() const noexcept { return IOLoop::current_or_null() == &loop_; }
  void leave(bool wait_for_peer) noexcept;

  IOLoop& loop_;
  std::unique_ptr<Transport> lower_;  // null once given to the loop
  TransportListener* listener_ = nullptr;
  std::unique_ptr<MaskSource> masks_;  // a client's
  WebSocketSession session_;
  std::string description_;
  std::string initial_input_;
  std::size_t initial_taken_ = 0;
  std::string held_output_;  // whole frames, the first of them perhaps begun
  std::size_t held_sent_ = 0;
  std::string pong_;
  FrameParser parser_;
  CloseTimer close_timer_{*this};
  std::unique_ptr<KeepAlive> keep_alive_;  // where pings were asked for
  std::error_code input_failure_;
  std::error_code output_failure_;
  std::uint16_t end_code_ = close_code::kNormal;  // of the Close that ends our sending side
  Role role_;
  bool in_band_end_ : 1;          // `twinloop.stream` was agreed
  bool pong_due_ : 1 = false;     // the answer to the latest ping
  bool input_ended_ : 1 = false;  // by a Close, or in-band
  bool end_sent_ : 1 = false;     // in-band
  bool close_sent_ : 1 = false;   // or held, to be sent
  bool close_received_ : 1 = false;
  bool lower_input_ended_ : 1 = false;
  bool lower_output_ended_ : 1 = false;
  bool lower_failed_ : 1 = false;
  bool end_told_ : 1 = false;
  bool failure_told_ : 1 = false;
  bool want_read_ : 1 = false;
  bool want_write_ : 1 = false;
  bool closed_ : 1 = false;
};

}  // namespace twinloop::detail
