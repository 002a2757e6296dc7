// PipeTransport: one end of a pipe, which carries bytes in one direction only.
#pragma once

#include <memory>

#include "backends/posix/descriptor.h"
#include "backends/posix/reactor.h"
#include "twinloop/detail/task.h"
#include "twinloop/transport.h"

namespace twinloop::detail {

class PipeTransport final : public Transport, private FdListener, private TurnHook {
 public:
  enum class End { reading, writing };

  static Result<std::unique_ptr<Transport>> make(Reactor& reactor, Descriptor pipe, End end);
  // The descriptor is nonblocking.  Fails when the poller cannot watch it; it is then closed.  Whoever writes to a pipe has called
  // ignore_sigpipe() before.

  ~PipeTransport() override { close(Errc::local); }

  IoResult read(Bytes into) override;
  // Of a writing end there is nothing to read: it has ended.
  IoResult write(std::span<const ConstBytes> pieces) override;
  IoResult shutdown_write() override;
  void close(std::error_code reason) noexcept override;
  void want(bool read, bool write) override;
  void set_listener(TransportListener* listener) noexcept override;
  bool reports_end_early() const noexcept override;
  bool close_may_lose_output() const noexcept override { return false; }
  int plain_descriptor() const noexcept override { return pipe_.get(); }
  std::string description() const override { return "pipe:"; }

 private:
  PipeTransport(Descriptor pipe, End end) noexcept : pipe_(std::move(pipe)), end_(end) {}

  void on_fd_events(Ready ready) override;
  void on_reactor_closing() noexcept override { registration_.end(); }
  void on_turn() override { tell(false); }

  bool writes() const noexcept { return end_ == End::writing; }
  bool told_all() const noexcept { return (!ended_ || end_told_) && (error_ == 0 || failure_told_); }
  void tell(bool ready);
  void let_go() noexcept;
  IoResult fail(int error) noexcept;

  FdRegistration registration_;
  TransportListener* listener_ = nullptr;
  Descriptor pipe_;
  End end_;
  int error_ = 0;  // errno of what broke it
  bool wanted_ = false;
  bool ended_ = false;
  bool end_told_ = false;
  bool failure_told_ = false;
};

}  // namespace twinloop::detail
