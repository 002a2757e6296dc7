// What the descriptor backends carry: tcp://, unix:, descriptors that somebody else opened as fd:, and the program's own stdin and
// stdout as stdio:.
#pragma once

#include "backends/posix/reactor.h"
#include "backends/posix/resolver.h"
#include "backends/posix/stdio_transport.h"
#include "twinloop/backend.h"

namespace twinloop::detail {

// What listen_tcp needs of the ListenOptions, which it outlives.
struct ListenChoices {
  int backlog;
  bool reuse_port;
};

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
  static Future<std::unique_ptr<Transport>> connect_tcp(PosixNetwork& self, Url url, const ConnectOptions& options);
  static Future<std::unique_ptr<Transport>> connect_unix(PosixNetwork& self, Url url);
  static Future<std::unique_ptr<Acceptor>> listen_tcp(PosixNetwork& self, Url url, ListenChoices choices);
  std::unique_ptr<Transport> adopt_stream(const Url& url);
  std::unique_ptr<Acceptor> listen_unix(Url url, const ListenOptions& options);
  std::unique_ptr<Acceptor> adopt_listener(const Url& url);

  IOLoop& loop_;
  Reactor& reactor_;
  StdioClaim stdio_;
};

}  // namespace twinloop::detail
