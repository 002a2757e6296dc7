// ProxiedTransport: the transport below, whose ends are who the PROXY header says.
#pragma once

#include <memory>
#include <string>

#include "protocols/proxy/header.h"
#include "twinloop/detail/task.h"
#include "twinloop/ioloop.h"
#include "twinloop/transport.h"

namespace twinloop::detail {

// Notices of the transport below go straight to the listener; only what came right behind the header is told from here.
class ProxiedTransport final : public Transport, private TurnHook {
 public:
  ProxiedTransport(std::unique_ptr<Transport> lower, ProxyHeader header, std::string initial_input)
      : loop_(IOLoop::current()),
        lower_(std::move(lower)),
        header_(std::move(header)),
        initial_input_(std::move(initial_input)) {}

  IoResult read(Bytes into) override;
  IoResult write(std::span<const ConstBytes> pieces) override { return lower_->write(pieces); }
  IoResult write_file(OpenFile& file, std::uint64_t offset, std::size_t most) override {
    return lower_->write_file(file, offset, most);
  }
  IoResult flush() override { return lower_->flush(); }
  std::size_t pending_input() const noexcept override { return initial_input_.size() + lower_->pending_input(); }
  std::size_t pending_output() const noexcept override { return lower_->pending_output(); }
  IoResult shutdown_write() override { return lower_->shutdown_write(); }
  void explain_end(std::error_code reason) noexcept override { lower_->explain_end(reason); }
  void close(std::error_code reason) noexcept override;
  void want(bool read, bool write) override;
  void set_listener(TransportListener* listener) noexcept override;
  bool reports_end_early() const noexcept override { return lower_->reports_end_early(); }
  bool close_may_lose_output() const noexcept override { return lower_->close_may_lose_output(); }
  const TlsSession* tls() const noexcept override { return lower_->tls(); }
  const WebSocketSession* websocket() const noexcept override { return lower_->websocket(); }
  std::string address(End end) const override;
  int native_handle() const noexcept override { return lower_->native_handle(); }
  int plain_descriptor() const noexcept override { return initial_input_.empty() ? lower_->plain_descriptor() : -1; }
  std::string description() const override;

 private:
  void on_turn() override;
  void arrange() noexcept;

  IOLoop& loop_;
  std::unique_ptr<Transport> lower_;
  TransportListener* listener_ = nullptr;
  ProxyHeader header_;
  std::string initial_input_;
  bool want_read_ = false;
};

}  // namespace twinloop::detail
