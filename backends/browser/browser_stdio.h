// `stdio:` in a page or under Node's JavaScript: bytes in from Module['twinloop']['input'], which takes 16 MiB ahead
// of the program, and out to its 'output', which may return a promise to say that it takes no more until then.
#pragma once

#include "twinloop/ioloop.h"
#include "twinloop/transport.h"

namespace twinloop::detail {

class BrowserStdio final : public Transport, public TurnHook {
 public:
  BrowserStdio();
  // Throws Error(busy) while another one is open.

  ~BrowserStdio() override { close(Errc::local); }

  IoResult read(Bytes into) override;
  IoResult write(std::span<const ConstBytes> pieces) override;
  IoResult shutdown_write() override;
  void close(std::error_code reason) noexcept override;
  void want(bool read, bool write) override;
  void set_listener(TransportListener* listener) noexcept override { listener_ = listener; }
  bool close_may_lose_output() const noexcept override { return false; }
  std::string description() const override { return "stdio:"; }

  void on_event();
  // From the host: there is input, or its end, or it takes output again.

 private:
  void on_turn() override;

  IOLoop& loop_;
  TransportListener* listener_ = nullptr;
  bool want_read_ = false;
  bool want_write_ = false;
  bool maybe_readable_ = true;
  bool output_ended_ = false;
};

}  // namespace twinloop::detail
