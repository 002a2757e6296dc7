#include "backends/posix/network.h"

#include <netinet/in.h>

#include <cerrno>

#include "backends/posix/acceptor.h"
#include "backends/posix/connect.h"
#include "backends/posix/datagrams.h"
#include "backends/posix/errno_code.h"
#include "backends/posix/stdio_transport.h"
#include "twinloop/ioloop.h"
#include "twinloop/net.h"

namespace twinloop::detail {
namespace {

void require_address(const std::string& what, const Url& url, const Resolution& resolution) {
  if (!resolution.addresses.empty()) return;
  throw Error(Errc::unresolved, what + ": no address for '" + url.host + "': " + resolution.problem);
}

// Collects why each address failed; the last reason is the code of the error, whose message ends with it.
class Attempts {
 public:
  explicit Attempts(std::string what) noexcept : context_(std::move(what)) {}

  void note(const Address& address, const std::error_code& error) {
    context_ += error_ ? ": " + error_.message() + "; " : std::string(": ");
    context_ += address.text();
    error_ = error;
  }
  [[noreturn]] void raise() const { throw_error(error_, context_); }

 private:
  std::string context_;
  std::error_code error_;
};

std::error_code bind_and_listen(int fd, const Address& address, int backlog) noexcept {
  const int on = 1;
  const int off = 0;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.family() == AF_INET6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (::bind(fd, address.get(), address.length()) != 0) return from_errno(errno);
  if (::listen(fd, backlog) != 0) return from_errno(errno);
  return {};
}

Result<std::unique_ptr<Acceptor>> listen_at(Reactor& reactor, const Address& address, Url url, int backlog) {
  Result<Descriptor> socket = open_stream_socket(address);
  if (!socket.ok()) return socket.failure();
  if (const std::error_code error = bind_and_listen(socket->get(), address, backlog)) return Failure(error);
  url.port = Address::of_socket(socket->get()).port();
  return PosixAcceptor::make(reactor, std::move(*socket), std::move(url));
}

}  // namespace

bool PosixNetwork::carries(std::string_view scheme) const noexcept { return scheme == "tcp" || scheme == "stdio"; }

std::string_view PosixNetwork::alternatives() const noexcept {
  return "there are tcp://host:port, tls://, ws://, wss://, stdio: and pair:, as far as they were built in";
}

Future<std::unique_ptr<Transport>> PosixNetwork::connect(Url url, const ConnectOptions&) {
  if (url.scheme == "stdio") return connect_stdio(reactor_);
  return connect_tcp(*this, std::move(url));
}

Future<std::unique_ptr<Acceptor>> PosixNetwork::listen(Url url, const ListenOptions& options) {
  if (url.scheme == "stdio") {
    Error error(Errc::not_supported, "listen stdio: it is one connection, made with connect(\"stdio:\")");
    return Future<std::unique_ptr<Acceptor>>::failed(std::make_exception_ptr(std::move(error)));
  }
  return listen_tcp(*this, std::move(url), options.backlog);
}

Future<std::unique_ptr<DatagramSocket>> PosixNetwork::open_datagrams(const Url& url, DatagramEnd end,
                                                                     const UdpOptions& options) {
  return open_datagram_socket(reactor_, url, end, options);
}

Future<std::unique_ptr<Transport>> PosixNetwork::connect_tcp(PosixNetwork& self, Url url) {
  const std::string what = "connect " + url.to_string();
  Future<Resolution> resolving = resolve(self.loop_, url.host, url.port, EmptyHost::loopback);
  const Resolution resolution = co_await std::move(resolving);
  require_address(what, url, resolution);
  Attempts attempts(what);
  for (const Address& address : resolution.addresses) {
    Future<std::unique_ptr<Transport>> connecting = connect_to(self.reactor_, address);
    Result<std::unique_ptr<Transport>> transport = co_await as_result(std::move(connecting));
    if (transport.ok()) co_return std::move(*transport);
    attempts.note(address, transport.error());
    if (transport.reason() == Errc::loop_closed) break;
  }
  attempts.raise();
}

Future<std::unique_ptr<Acceptor>> PosixNetwork::listen_tcp(PosixNetwork& self, Url url, int backlog) {
  const std::string what = "listen " + url.to_string();
  Future<Resolution> resolving = resolve(self.loop_, url.host, url.port, EmptyHost::every_address);
  const Resolution resolution = co_await std::move(resolving);
  require_address(what, url, resolution);
  Attempts attempts(what);
  for (const Address& address : resolution.addresses) {
    Result<std::unique_ptr<Acceptor>> acceptor = listen_at(self.reactor_, address, url, backlog);
    if (acceptor.ok()) co_return std::move(*acceptor);
    attempts.note(address, acceptor.error());
  }
  attempts.raise();
}

}  // namespace twinloop::detail
