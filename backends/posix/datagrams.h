// UDP sockets.
#pragma once

#include <deque>
#include <memory>

#include "backends/posix/descriptor.h"
#include "backends/posix/reactor.h"
#include "backends/posix/socket.h"
#include "twinloop/detail/handoff.h"
#include "twinloop/detail/task.h"
#include "twinloop/udp.h"
#include "twinloop/url.h"

namespace twinloop::detail {

Future<std::unique_ptr<DatagramSocket>> open_datagram_socket(Reactor& reactor, Url url, DatagramEnd end,
                                                             const UdpOptions& options);
// Bound or connected.

class PosixDatagrams final : public DatagramSocket, private FdListener, private CloseHook {
 public:
  static Result<std::unique_ptr<DatagramSocket>> make(Reactor& reactor, Descriptor socket, const UdpOptions& options);

  ~PosixDatagrams() override { end(Errc::local); }

  Future<void> send(const UdpAddress* to, std::string_view bytes) override;
  Future<UdpAddress> resolve(std::string url) override;
  Future<Datagram> receive() override;
  std::error_code set_membership(const UdpAddress& group, bool member) override;
  UdpAddress local_address() const override;
  UdpAddress remote_address() const override;
  void close() noexcept override { end(Errc::local); }

 private:
  // A datagram that did not fit into the kernel's buffer.
  struct Waiting {
    Promise<void> promise;
    UdpAddress to;
    std::string bytes;
  };

  PosixDatagrams(IOLoop& loop, Descriptor socket, const UdpOptions& options);

  void on_fd_events(Ready ready) override;
  void on_reactor_closing() noexcept override { end(Errc::loop_closed); }
  void on_loop_close() noexcept override { end(Errc::loop_closed); }

  void receive_awaited();
  void send_waiting();
  void update_interest();
  void end(Errc reason) noexcept;

  IOLoop* loop_;
  Descriptor socket_;
  int family_;
  std::size_t max_datagram_;
  unsigned interface_ = 0;          // for multicast; 0: the system's choice
  std::unique_ptr<char[]> memory_;  // what is received goes here first; made by the first receive
  FdRegistration registration_;
  Handoff<Datagram> incoming_;
  std::deque<Waiting> outgoing_;
  bool watches_read_ = false;  // kept between receives: a loop of them changes nothing at the poller
  Errc ended_ = Errc::local;   // why, once there is no socket
};

}  // namespace twinloop::detail
