// TCPServer: one handler for the connections of any number of listeners of any kind, as many at a time as it may have, with an end
// in order.
//
//   TCPServer server(handle_stream, ServerOptions().set_max_connections(10'000));
//   co_await server.listen("tcp://:8888");
//   co_await server.listen("tls://:8889", ListenOptions().set_tls(context));
//   …
//   co_await server.drain(10s);
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "twinloop/net.h"

namespace twinloop {

class ServerOptions {
 public:
  ServerOptions& set_max_connections(std::size_t count) { return max_connections_ = count, *this; }
  // Handlers under way; beyond them connections wait in the listeners (some 16 each) and in the backlog.  No limit.  Handshakes under
  // way do not count: who says nothing must not take the place of others.  Their limits are max_handshakes and handshake_timeout.

  std::size_t max_connections() const noexcept { return max_connections_; }

 private:
  std::size_t max_connections_ = kNoLimit;
};

struct ServerStats {
  std::uint64_t accepted = 0;  // connections that were given to the handler
  std::size_t open = 0;        // whose handler is under way
};

// It belongs to its loop's thread.  Destroying it stops accepting; connections go on, as after stop().
class TCPServer {
 public:
  explicit TCPServer(std::function<Future<void>(IOStream)> handle_stream, const ServerOptions& options = {});
  // The handler gets each connection and runs by itself on the loop.  Its failure is logged, unless it is an ordinary end of the
  // connection, and ends its connection only.

  TCPServer(TCPServer&&) noexcept;
  TCPServer& operator=(TCPServer&&) noexcept;
  ~TCPServer();

  Future<std::string> listen(std::string url, ListenOptions options = {});
  // Serves what comes there, from now on; gives where it listens, port 0 being the real one.  Fails as twinloop::listen.
  std::string add(Listener listener);
  // The same for a listener that exists.

  std::vector<std::string> urls() const;
  // Where it listens.

  void stop() noexcept;
  // Closes the listeners; listen() and add() are legal again afterwards.  Connections go on.

  Future<void> drain(Duration limit);
  // stop(), then waits until every handler has ended.  Those that have not by the limit are cancelled, and their streams close:
  // what was accepted for sending still goes out.  Never fails.  Dropping it cancels nobody.

  Future<void> stopped();
  // Completes at stop(): what a program awaits that does nothing else.

  ServerStats stats() const noexcept;

  class Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace twinloop
