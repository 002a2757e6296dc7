// connect and listen: from a URL to an IOStream, whatever carries it.  The backend brings the raw carriers (TCP natively, the
// browser's WebSocket in a page), a table adds the filters that stand on them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "twinloop/ioloop.h"
#include "twinloop/iostream.h"
#include "twinloop/resolver.h"
#include "twinloop/url.h"

namespace twinloop {

class TlsClientContext;
class TlsServerContext;
namespace detail {
class TlsState;
}

// Whether a WebSocket's peer is asked if it is still there (a ping, RFC 6455 §5.5.2), which also keeps proxies from cutting a
// connection that nobody uses.  A browser's WebSocket cannot be told to.
struct WebSocketPing {
  Duration interval{};  // of silence, then the peer is asked; zero: never
  Duration timeout{};   // of more silence, then the stream fails with idle_timeout
};

struct ConnectOptions {
  ConnectOptions() = default;
  ConnectOptions& set_stream(const StreamOptions& options) { return stream = options, *this; }
  ConnectOptions& set_socket(const SocketOptions& options) { return socket = options, *this; }
  // Where there is no socket (`pair:`, a browser) they mean nothing; one that the socket refuses fails connect().
  ConnectOptions& set_timeout(Duration time) { return timeout = time, *this; }
  ConnectOptions& add_protocol(std::string protocol) { return protocols.push_back(std::move(protocol)), *this; }
  ConnectOptions& add_header(std::string name, std::string value) {
    return headers.emplace_back(std::move(name), std::move(value)), *this;
  }
  ConnectOptions& set_source(std::string address, std::uint16_t port = 0) {
    return source_address = std::move(address), source_port = port, *this;
  }
  // From which address of this host ("192.0.2.7"), and which port of it, TCP connections are made; only addresses of the same family
  // are then tried.  Where nobody can choose (a browser, unix:) it means nothing.
  ConnectOptions& set_resolver(std::shared_ptr<Resolver> how) { return resolver = std::move(how), *this; }
  ConnectOptions& set_websocket_ping(Duration interval, Duration patience = std::chrono::seconds(20)) {
    return websocket_ping = {interval, patience}, *this;
  }
  ConnectOptions& set_tls(const TlsClientContext& context);
  // Needs twinloop/tls.h.

  StreamOptions stream;
  SocketOptions socket;
  Duration timeout = std::chrono::seconds(30);  // over everything: resolving, connecting, handshakes
  std::vector<std::string> protocols;           // WebSocket subprotocols to offer
  std::vector<std::pair<std::string, std::string>>
      headers;  // of a WebSocket's opening request; a browser cannot send any
  WebSocketPing websocket_ping;
  std::string source_address;             // empty: the system chooses
  std::uint16_t source_port = 0;          // 0: any free one
  std::shared_ptr<Resolver> resolver;     // null: the system's, in the loop's executor
  std::shared_ptr<detail::TlsState> tls;  // of tls:// and wss://; null: the system's authorities are trusted
};

struct ListenOptions {
  ListenOptions() = default;
  ListenOptions& set_stream(const StreamOptions& options) { return stream = options, *this; }
  ListenOptions& set_socket(const SocketOptions& options) { return socket = options, *this; }
  // Of every connection that is accepted; where there is no socket (`pair:`) they mean nothing, and one that the socket refuses is
  // logged.
  ListenOptions& add_origin(std::string origin) { return origins.push_back(std::move(origin)), *this; }
  ListenOptions& add_protocol(std::string protocol) { return protocols.push_back(std::move(protocol)), *this; }
  ListenOptions& set_handshake_timeout(Duration time) { return handshake_timeout = time, *this; }
  ListenOptions& set_max_handshakes(std::size_t count) { return max_handshakes = count, *this; }
  ListenOptions& set_backlog(int count) { return backlog = count, *this; }
  ListenOptions& set_proxy_protocol(bool expected) { return proxy_protocol = expected, *this; }
  // Every connection must begin with a header of the PROXY protocol, version 1 or 2, as HAProxy, nginx and the load balancers of
  // clouds send it, within the handshake timeout; below TLS and WebSocket.  local_address() and peer_address() are then those it
  // names.  Whoever can connect can claim any address: listen where only those proxies can, behind a firewall or on a unix: socket.
  ListenOptions& set_reuse_port(bool share) { return reuse_port = share, *this; }
  // Several listeners on one port, in this process or in others of this user, get connections in turn (SO_REUSEPORT).
  ListenOptions& set_unix_mode(unsigned mode) { return unix_mode = mode, *this; }
  ListenOptions& set_websocket_ping(Duration interval, Duration patience = std::chrono::seconds(20)) {
    return websocket_ping = {interval, patience}, *this;
  }
  ListenOptions& set_tls(const TlsServerContext& context);
  // tls:// and wss:// need it, and it needs twinloop/tls.h.

  StreamOptions stream;
  SocketOptions socket;
  std::vector<std::string> origins;    // WebSocket: Origins allowed besides the server's own; "*" allows all
  std::vector<std::string> protocols;  // WebSocket subprotocols spoken, in order of preference
  WebSocketPing websocket_ping;
  Duration handshake_timeout = std::chrono::seconds(10);
  std::size_t max_handshakes = 1024;  // at once; beyond them connections wait in the backlog, and a warning is logged
  int backlog = 1024;
  bool reuse_port = false;
  bool proxy_protocol = false;
  unsigned unix_mode = 0600;  // of the file of unix:/path: who may connect
  std::shared_ptr<detail::TlsState> tls;
};

Future<IOStream> connect(std::string url, ConnectOptions options = {});
// An open stream to that URL.  `ws+unix:/path` is a filter over a carrier: the path is the carrier's, and the name that TLS verifies
// localhost.  Fails with an Error whose message names the URL, what was tried and what happened; its reason is invalid_url,
// unknown_scheme, unresolved, refused, unreachable, timeout, protocol …  Dropping the future gives the attempt up.

class Listener {
 public:
  Listener() noexcept;
  Listener(Listener&&) noexcept;
  Listener& operator=(Listener&&) noexcept;
  ~Listener();
  // As close().

  Future<IOStream> accept();
  // The next connection whose handshake is complete.  One at a time.  Fails with `local` after close().

  std::string url() const;
  // Where it listens; port 0 has become the real one.

  void close() noexcept;

  struct Impl;
  explicit Listener(std::unique_ptr<Impl> impl) noexcept;

 private:
  std::unique_ptr<Impl> impl_;
};

Future<Listener> listen(std::string url, ListenOptions options = {});
// On every address that the host has (an empty host: those of all interfaces, IPv4 and IPv6), all at the same port; kinds of address
// that this machine lacks are left out.  Fails with in_use, denied, invalid_url, unknown_scheme, not_supported (a browser cannot listen, except on `pair:`).

Future<void> serve(Listener listener, std::function<Future<void>(IOStream)> handle_stream);
// Accepts for ever and lets each connection run by itself on the loop.  A handler's failure is logged and ends its connection
// only.  Dropping the future stops accepting; connections go on.

std::pair<IOStream, IOStream> make_pair_streams(const StreamOptions& options = {});
// Two ends of an in-process pipe, 64 KiB each way.

std::pair<std::unique_ptr<Transport>, std::unique_ptr<Transport>> make_pair_transports();

}  // namespace twinloop
