// FdTransport: the bytes of a connected stream socket.
//
// Where the poller is edge-triggered the socket is registered once for its life, reading and the peer's end included, and an
// edge is remembered in maybe_readable_/maybe_writable_ until the socket says that there is nothing more.  Where it is not,
// the poller itself repeats what was not taken: writing is watched while it is wanted, reading from then on until bytes come that
// nobody wants.  Between two reads it thus stays watched, and the second need not try in vain.  Within a host, which runs as
// long as something is watched, reading is watched while it is wanted.
#pragma once

#include "backends/posix/descriptor.h"
#include "backends/posix/reactor.h"
#include "twinloop/detail/pool.h"
#include "twinloop/transport.h"

namespace twinloop::detail {

class FdTransport final : public Pooled, public Transport, private FdListener {
 public:
  static Result<std::unique_ptr<Transport>> make(Reactor& reactor, Descriptor socket);
  // Fails when the poller cannot watch the socket, which is then closed.

  ~FdTransport() override { close(Errc::local); }

  IoResult read(Bytes into) override;
  IoResult write(std::span<const ConstBytes> pieces) override;
  IoResult write_file(OpenFile& file, std::uint64_t offset, std::size_t most) override;
  IoResult shutdown_write() override;
  void close(std::error_code reason) noexcept override;
  void want(bool read, bool write) override;
  void set_listener(TransportListener* listener) noexcept override;
  bool reports_end_early() const noexcept override;
  std::string address(End end) const override;
  int native_handle() const noexcept override { return socket_.get(); }
  int plain_descriptor() const noexcept override { return socket_.get(); }
  std::string description() const override;

 private:
  explicit FdTransport(Descriptor socket) noexcept : socket_(std::move(socket)) {}

  void on_fd_events(Ready ready) override;
  void on_reactor_closing() noexcept override { registration_.end(); }

  // So many events of bytes that nobody wants, then the socket is watched for its end only: 50 packets of one byte would otherwise
  // wake the loop 49 times, and a level-triggered poller at once again.
  std::uint8_t most_unwanted() const noexcept { return edge_triggered_ ? 4 : 1; }

  std::error_code begin(Reactor& reactor);
  bool trusts_flag(Interest direction) const noexcept;
  Interest interest() const noexcept {
    const bool read = unwanted_events_ < most_unwanted();
    const bool write = edge_triggered_ ? watches_write_ : want_write_;
    return (read ? Interest::read : Interest::none) | (write ? Interest::write : Interest::none);
  }
  void update_interest();
  void arrange();
  void note(Ready ready) noexcept;
  void count_unwanted(Ready ready);
  void tell();
  IoResult fail(int error) noexcept;

  FdRegistration registration_;
  TransportListener* listener_ = nullptr;
  Descriptor socket_;
  std::int16_t error_ = 0;  // errno of what broke it
  std::uint8_t unwanted_events_ : 3 = 0;
  bool edge_triggered_ : 1 = false;  // the poller
  bool only_wanted_ : 1 = false;     // hosted: what is watched keeps the host running
  bool reminded_ : 1 = false;
  bool maybe_readable_ : 1 = true;
  bool maybe_writable_ : 1 = true;
  bool watches_write_ : 1 = false;      // edge-triggered: asked for once, then kept
  bool short_read_empties_ : 1 = true;  // false once an end or urgent data may stand behind a short read
  bool want_read_ : 1 = false;
  bool want_write_ : 1 = false;
  bool ended_ : 1 = false;
  bool end_told_ : 1 = false;
  bool failure_told_ : 1 = false;
};

}  // namespace twinloop::detail
