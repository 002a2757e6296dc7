// TlsTransport: TLS on any other transport.  OpenSSL reads from the transport below into its own buffer, of two records, and
// writes to it directly; what the transport below does not take is held here, so that OpenSSL never has half a record to send and
// a write never needs to be repeated with the same bytes.
//
// OpenSSL is not told of the end of the connection below: whether that is the end of the stream is decided here.  A close_notify
// is; an end without one is `truncated`.
#pragma once

#include <memory>
#include <string>

#include "protocols/tls/context.h"
#include "protocols/tls/openssl.h"
#include "twinloop/ioloop.h"
#include "twinloop/tls.h"
#include "twinloop/transport.h"

namespace twinloop::detail {

struct TlsSetup {
  explicit TlsSetup(std::shared_ptr<TlsState> context) noexcept : state(std::move(context)) {}

  std::shared_ptr<TlsState> state;
  std::string host;           // a client's: whom to ask for and verify
  std::uint16_t port = 0;     // a client's: with the host, whose sessions to resume
  std::string initial_input;  // received before TLS began, and part of it
  std::string description;
};

class TlsTransport final : public Transport, private TransportListener, private TurnHook {
 public:
  TlsTransport(std::unique_ptr<Transport> lower, TlsSetup setup);
  ~TlsTransport() override;

  Future<void> handshake();
  // Once, before all else.  Fails with the reason and OpenSSL's words.  Without a deadline.

  IoResult read(Bytes into) override;
  IoResult write(std::span<const ConstBytes> pieces) override;
  // One record, of at most 16 KiB.
  IoResult flush() override;
  std::size_t pending_input() const noexcept override;
  std::size_t pending_output() const noexcept override;
  IoResult shutdown_write() override;
  void close(std::error_code reason) noexcept override;
  // Says no close_notify: that is shutdown_write's.  Where an alert is on its way, the transport below is given to the loop, which
  // lets go of it when the peer has had the chance to read: closing a socket with unread input would destroy the alert in flight.
  void want(bool read, bool write) override;
  void set_listener(TransportListener* listener) noexcept override;
  bool close_may_lose_output() const noexcept override { return lower_ != nullptr && lower_->close_may_lose_output(); }
  std::string address(End end) const override { return lower_ != nullptr ? lower_->address(end) : std::string(); }
  int native_handle() const noexcept override { return lower_ != nullptr ? lower_->native_handle() : -1; }
  std::string description() const override { return description_; }
  const TlsSession* tls() const noexcept override { return &session_; }
  const WebSocketSession* websocket() const noexcept override {
    return lower_ != nullptr ? lower_->websocket() : nullptr;
  }

 private:
  friend struct TlsBio;

  void on_ready(bool readable, bool writable) override;
  void on_peer_end() override;
  void on_failure(std::error_code error) override;
  void on_turn() override;

  void prepare_client(const std::string& host, std::uint16_t port);
  void advance_handshake();
  void fail_handshake();

  IoResult receive(Bytes into);
  void note_unread(int result);
  void end_without_goodbye();
  std::size_t unread() const noexcept { return initial_input_.size() - initial_taken_; }

  IoResult wait_for_input();
  void send(ConstBytes bytes);
  IoResult send_held();
  std::size_t held() const noexcept { return held_output_.size() - held_sent_; }
  void fail();
  std::error_code failure() const noexcept { return input_failure_ ? input_failure_ : output_failure_; }
  bool said_goodbye() const noexcept { return (SSL_get_shutdown(ssl_.get()) & SSL_SENT_SHUTDOWN) != 0; }

  bool input_over() const noexcept { return input_ended_ || input_failure_; }
  bool readable_here() const noexcept;
  void update_interest();
  void arrange() noexcept;

  bool loop_is_there() const noexcept { return IOLoop::current_or_null() == &loop_; }
  void leave() noexcept;

  IOLoop& loop_;
  std::shared_ptr<TlsState> state_;
  std::shared_ptr<const TlsMaterial> material_;
  std::unique_ptr<Transport> lower_;  // null once given to the loop
  SslPtr ssl_;
  TlsSession session_;
  TlsSessionSlot slot_;
  TransportListener* listener_ = nullptr;
  Promise<void> handshake_;
  std::string description_;
  std::string initial_input_;
  std::size_t initial_taken_ = 0;
  std::string held_output_;  // records that the transport below has not taken
  std::size_t held_sent_ = 0;
  std::error_code input_failure_;
  std::error_code output_failure_;
  std::error_code lower_error_;
  std::uint8_t reads_left_ = 0;  // of the transport below, in this call
  bool established_ : 1 = false;
  bool stalled_ : 1 = true;  // the last thing that OpenSSL wanted was more input
  bool input_ended_ : 1 = false;
  bool lower_ended_ : 1 = false;
  bool broken_ : 1 = false;  // OpenSSL has given up and told the peer why
  bool write_needs_read_ : 1 = false;
  bool end_told_ : 1 = false;
  bool failure_told_ : 1 = false;
  bool want_read_ : 1 = false;
  bool want_write_ : 1 = false;
  bool closed_ : 1 = false;
};

}  // namespace twinloop::detail
