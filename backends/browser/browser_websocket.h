// The host's WebSocket as a transport.  Received bytes stay in JavaScript until they are read, within a limit; there is no
// half-close, and room for writing can only be asked for, not waited for.
#pragma once

#include <string>

#include "twinloop/ioloop.h"
#include "twinloop/net.h"
#include "twinloop/transport.h"

namespace twinloop::detail {

class BrowserWebSocket final : public Transport, public TurnHook, public Timer {
 public:
  explicit BrowserWebSocket(std::string url);
  ~BrowserWebSocket() override;

  Future<void> open(const ConnectOptions& options);
  // Once, before anything else.

  IoResult read(Bytes into) override;
  IoResult write(std::span<const ConstBytes> pieces) override;
  std::size_t pending_input() const noexcept override;
  IoResult shutdown_write() override;
  void close(std::error_code reason) noexcept override;
  void want(bool read, bool write) override;
  void set_listener(TransportListener* listener) noexcept override;
  bool reports_end_early() const noexcept override { return true; }
  std::string description() const override { return url_; }

  int on_event(int event, int code);
  // From the host.  Gives how many bytes may be held there unread.

 private:
  void on_turn() override;
  void fire() override;
  void expire() noexcept override {}
  Failure refusal(Errc reason, std::string_view what) const;
  void fail(int code);
  void arrange() noexcept;
  bool has_room() const noexcept;
  void poll_for_room();

  IOLoop& loop_;
  std::string url_;
  int socket_ = 0;              // 0 once closed
  std::size_t most_input_ = 0;  // here and above
  Promise<void> opening_;
  TransportListener* listener_ = nullptr;
  std::error_code failure_;
  Duration next_poll_{};
  bool open_ = false;     // the handshake is over
  bool can_end_ = false;  // in-band: `twinloop.stream` was agreed
  bool ended_ = false;    // the peer ended its sending side
  bool closed_ = false;   // no more can be sent
  bool output_ended_ = false;
  bool end_told_ = false;
  bool failure_told_ = false;
  bool want_read_ = false;
  bool want_write_ = false;
};

}  // namespace twinloop::detail
