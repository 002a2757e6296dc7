// StdioTransport: the program's own stdin and stdout as one connection.
//
// They may be anything: a terminal, pipes, a socket, a file, /dev/null.  Except for sockets they are shared with whoever started
// the program, so they are never made nonblocking; they are asked before each call instead.  What cannot be polled, a file, is
// always ready and gives one chunk a turn.
#pragma once

#include <memory>

#include "backends/posix/reactor.h"
#include "twinloop/detail/task.h"
#include "twinloop/future.h"
#include "twinloop/transport.h"

namespace twinloop::detail {

// Who has stdin and stdout on a loop.  It expires when they are closed.
using StdioClaim = std::weak_ptr<void>;

Future<std::unique_ptr<Transport>> connect_stdio(Reactor& reactor, StdioClaim& claim);
// Fails with busy while another one is open on that loop.

class StdioTransport final : public Transport, private TurnHook {
 public:
  explicit StdioTransport(int input = 0, int output = 1) noexcept : input_(*this, input), output_(*this, output) {}
  ~StdioTransport() override { close(Errc::local); }

  std::error_code begin(Reactor& reactor, StdioClaim& claim);

  IoResult read(Bytes into) override;
  IoResult write(std::span<const ConstBytes> pieces) override;
  IoResult shutdown_write() override;
  void close(std::error_code reason) noexcept override;
  void want(bool read, bool write) override;
  void set_listener(TransportListener* listener) noexcept override;
  bool close_may_lose_output() const noexcept override { return false; }
  bool reports_end_early() const noexcept override;
  std::string description() const override { return "stdio:"; }

 private:
  enum class Kind { closed, always_ready, socket, pipe, terminal };

  // stdin or stdout.
  class Side final : public FdListener {
   public:
    Side(StdioTransport& owner, int descriptor) noexcept : fd(descriptor), owner_(owner) {}
    std::error_code begin(Reactor& reactor);
    void want(bool wanted, Interest interest);
    void end() noexcept { registration.end(); }
    bool polled() const noexcept { return static_cast<bool>(registration); }

    const int fd;
    Kind kind = Kind::closed;
    FdRegistration registration;

   private:
    static Kind kind_of(int fd) noexcept;
    void on_fd_events(Ready ready) override { owner_.on_side(*this, ready); }
    void on_reactor_closing() noexcept override { registration.end(); }
    StdioTransport& owner_;
  };

  void on_turn() override;
  void on_side(Side& side, Ready ready);
  ssize_t read_some(Bytes into) noexcept;
  ssize_t write_some(std::span<const ConstBytes> pieces) noexcept;
  void arrange() noexcept;
  void tell(bool readable, bool writable);
  IoResult fail(int error) noexcept;

  Reactor* reactor_ = nullptr;  // null when closed
  std::shared_ptr<void> claimed_;
  TransportListener* listener_ = nullptr;
  Side input_;
  Side output_;
  bool* gone_ = nullptr;   // tells a notice in progress that this object has died
  std::size_t chunk_ = 0;  // how much a file may still give in this turn
  int error_ = 0;
  bool want_read_ = false;
  bool want_write_ = false;
  bool shut_down_ = false;
  bool ended_ = false;
  bool end_told_ = false;
  bool failure_told_ = false;
};

}  // namespace twinloop::detail
