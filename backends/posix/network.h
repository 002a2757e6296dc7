// What the descriptor backends carry: tcp:// and the program's own stdin and stdout as stdio:.
#pragma once

#include "backends/posix/reactor.h"
#include "backends/posix/resolver.h"
#include "twinloop/backend.h"

namespace twinloop::detail {

class PosixNetwork final : public Network {
 public:
  PosixNetwork(IOLoop& loop, Reactor& reactor) : loop_(loop), reactor_(reactor) {}

  bool carries(std::string_view scheme) const noexcept override;
  Future<std::unique_ptr<Transport>> connect(Url url, const ConnectOptions& options) override;
  Future<std::unique_ptr<Acceptor>> listen(Url url, const ListenOptions& options) override;
  Future<std::unique_ptr<DatagramSocket>> open_datagrams(const Url& url, DatagramEnd end,
                                                         const UdpOptions& options) override;
  std::string_view alternatives() const noexcept override;

 private:
  static Future<std::unique_ptr<Transport>> connect_tcp(PosixNetwork& self, Url url);
  static Future<std::unique_ptr<Acceptor>> listen_tcp(PosixNetwork& self, Url url, int backlog);

  IOLoop& loop_;
  Reactor& reactor_;
};

}  // namespace twinloop::detail
