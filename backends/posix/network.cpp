#include "backends/posix/network.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include <cerrno>
#include <charconv>

#include "backends/posix/acceptor.h"
#include "backends/posix/acceptor_group.h"
#include "backends/posix/attempts.h"
#include "backends/posix/connect.h"
#include "backends/posix/datagrams.h"
#include "backends/posix/errno_code.h"
#include "backends/posix/fd_transport.h"
#include "backends/posix/pipe_pair_transport.h"
#include "backends/posix/socket.h"
#include "twinloop/ioloop.h"
#include "twinloop/net.h"
#include "twinloop/timing.h"

namespace twinloop::detail {
namespace {

constexpr Duration kBacklogPause = std::chrono::milliseconds(5);
constexpr unsigned kPortTries = 16;  // a port that is free at one address may be taken at the next

void require_address(const std::string& what, const Url& url, const Resolution& resolution) {
  if (!resolution.addresses.empty()) return;
  throw Error(Errc::unresolved, what + ": no address for '" + url.host + "': " + resolution.problem);
}

std::error_code share_port(int fd) noexcept {
  const int on = 1;
  return ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 ? std::error_code() : from_errno(errno);
}

std::error_code bind_and_listen(int fd, const Address& address, ListenChoices choices) noexcept {
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.family() == AF_INET6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (choices.reuse_port) {
    if (const std::error_code error = share_port(fd)) return error;
  }
  if (::bind(fd, address.get(), address.length()) != 0) return from_errno(errno);
  if (::listen(fd, choices.backlog) != 0) return from_errno(errno);
  return {};
}

// This machine has no addresses of that kind (no IPv6, or not on the loopback interface).
bool is_missing_here(const std::error_code& error) noexcept {
  return error == std::error_code(EAFNOSUPPORT, std::system_category()) ||
         error == std::error_code(EADDRNOTAVAIL, std::system_category());
}

Result<std::unique_ptr<Acceptor>> listen_at(Reactor& reactor, const Address& address, Url url, ListenChoices choices) {
  Result<Descriptor> socket = open_stream_socket(address);
  if (!socket.ok()) return socket.failure();
  if (const std::error_code error = bind_and_listen(socket->get(), address, choices)) return Failure(error);
  url.port = Address::of_socket(socket->get()).port();
  return PosixAcceptor::make(reactor, std::move(*socket), std::move(url));
}

// Listens on all of the addresses, at the port of the first where that is any free one.  Empty, and noted in `attempts`, where one
// of them does not go.
std::vector<std::unique_ptr<Acceptor>> listen_at_all(Reactor& reactor, const std::vector<Address>& addresses, Url url,
                                                     ListenChoices choices, Attempts& attempts) {
  std::vector<std::unique_ptr<Acceptor>> acceptors;
  for (const Address& address : addresses) {
    Result<std::unique_ptr<Acceptor>> acceptor = listen_at(reactor, address.at_port(url.port), url, choices);
    if (acceptor.ok()) {
      url.port = (*acceptor)->url().port;
      acceptors.push_back(std::move(*acceptor));
      continue;
    }
    attempts.note(address, acceptor.error());
    if (!is_missing_here(acceptor.error())) return {};
  }
  return acceptors;
}

int socket_option(int fd, int option) noexcept {
  int value = -1;
  socklen_t length = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 ? value : -1;
}

bool is_pipe(int fd) noexcept {
  struct stat status{};
  return ::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
}

int number_in(const std::string& what, std::string_view text) {
  int fd = -1;
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const auto [rest, error] = std::from_chars(begin, end, fd);
  if (error == std::errc() && rest == end && fd >= 0) return fd;
  throw Error(Errc::invalid_url, what + ": write fd:NUMBER, or to connect two pipes fd:NUMBER,NUMBER");
}

// From here on it is ours, and will be closed: not what belongs to a handler or a stream.
Descriptor take_over(const std::string& what, int fd, Reactor& reactor) {
  if (reactor.watches(fd)) throw_error(Errc::busy, what);
  const int flags = ::fcntl(fd, F_GETFL);
  if (::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
    throw_error(from_errno(errno), what);
  }
  return Descriptor(fd);
}

Descriptor adopt_socket(const std::string& what, int fd, Reactor& reactor) {
  if (socket_option(fd, SO_TYPE) == SOCK_STREAM) return take_over(what, fd, reactor);
  throw Error(Errc::bad_descriptor, what + ": it is no open stream socket" + (is_pipe(fd) ? ", but a pipe" : ""));
}

// A pipe has a reading and a writing end; what is open for both would be its own peer.
PipeTransport::End end_of_pipe(const std::string& what, int fd) {
  const int access = ::fcntl(fd, F_GETFL) & O_ACCMODE;
  if (access == O_RDWR)
    throw Error(Errc::bad_descriptor, what + ": this pipe is open for reading and writing: open it for one of them");
  return access == O_WRONLY ? PipeTransport::End::writing : PipeTransport::End::reading;
}

std::unique_ptr<Transport> adopt_pipe(const std::string& what, int fd, Reactor& reactor) {
  const PipeTransport::End end = end_of_pipe(what, fd);
  ignore_sigpipe();
  Result<std::unique_ptr<Transport>> transport = PipeTransport::make(reactor, take_over(what, fd, reactor), end);
  if (!transport.ok()) throw_error(transport.error(), what);
  return std::move(*transport);
}

void require_end_of_pipe(const std::string& what, int fd, PipeTransport::End end) {
  if (is_pipe(fd) && end_of_pipe(what, fd) == end) return;
  const char* const wanted = end == PipeTransport::End::reading ? "first the reading" : "second the writing";
  throw Error(Errc::bad_descriptor, what + ": " + std::to_string(fd) + " is not " + wanted + " end of a pipe");
}

std::unique_ptr<Transport> adopt_pipes(const std::string& what, int reading, int writing, Reactor& reactor) {
  require_end_of_pipe(what, reading, PipeTransport::End::reading);
  require_end_of_pipe(what, writing, PipeTransport::End::writing);
  std::unique_ptr<Transport> input = adopt_pipe(what, reading, reactor);
  return std::make_unique<PipePairTransport>(std::move(input), adopt_pipe(what, writing, reactor));
}

// Without the words that Error adds anyway.
std::string words_of(const Failure& failure) {
  std::string words = failure.message();
  const std::string tail = ": " + make_error_code(Errc::unresolved).message();
  if (words.ends_with(tail)) words.resize(words.size() - tail.size());
  return words;
}

// Where a connection is to come from; of no family when that is left to the system.
Address source_of(const std::string& what, const ConnectOptions& options) {
  if (options.source_address.empty()) return {};
  const Resolution source = parse_addresses({options.source_address}, options.source_port);
  if (!source.addresses.empty()) return source.addresses.front();
  throw Error(Errc::invalid_url, what + ": the source address: " + source.problem);
}

void keep_family_of(const std::string& what, const Address& source, std::vector<Address>& addresses) {
  if (source.family() == AF_UNSPEC) return;
  std::erase_if(addresses, [&](const Address& address) { return address.family() != source.family(); });
  if (addresses.empty()) throw Error(Errc::unreachable, what + ": it has no address of the kind of " + source.host());
}

// The address as the resolver of the program's own gave it, or as the system does.
Future<Resolution> resolve_with(IOLoop& loop, std::shared_ptr<Resolver> resolver, std::string host,
                                std::uint16_t port) {
  Resolution numeric = parse_addresses({host}, port);
  if (resolver == nullptr || host.empty() || !numeric.addresses.empty()) {
    Future<Resolution> resolving = resolve(loop, host, port, EmptyHost::loopback);
    co_return co_await std::move(resolving);
  }
  Result<std::vector<std::string>> texts = co_await as_result(resolver->resolve(host));
  if (!texts.ok()) throw Error(Errc::unresolved, "resolve " + host + ": " + words_of(texts.failure()));
  co_return parse_addresses(*texts, port);
}

}  // namespace

bool PosixNetwork::carries(std::string_view scheme) const noexcept {
  return scheme == "tcp" || scheme == "unix" || scheme == "fd" || scheme == "stdio";
}

std::string_view PosixNetwork::alternatives() const noexcept {
  return "there are tcp://host:port, unix:/path, tls://, ws://, wss://, fd:NUMBER, fd:NUMBER,NUMBER, stdio: and pair:, "
         "as far as they were built in; tls, ws and wss stack on the others (ws+unix:/path)";
}

Future<std::unique_ptr<Transport>> PosixNetwork::connect(Url url, const ConnectOptions& options) {
  if (url.scheme == "stdio") return connect_stdio(reactor_, stdio_);
  if (url.scheme == "unix") return connect_unix(*this, std::move(url));
  if (url.scheme == "fd") return Future<std::unique_ptr<Transport>>::ready(adopt_stream(url));
  return connect_tcp(*this, std::move(url), options);
}

Future<std::unique_ptr<Acceptor>> PosixNetwork::listen(Url url, const ListenOptions& options) {
  if (url.scheme == "stdio") {
    Error error(Errc::not_supported, "listen stdio: it is one connection, made with connect(\"stdio:\")");
    return Future<std::unique_ptr<Acceptor>>::failed(std::make_exception_ptr(std::move(error)));
  }
  if (url.scheme == "unix") return Future<std::unique_ptr<Acceptor>>::ready(listen_unix(std::move(url), options));
  if (url.scheme == "fd") return Future<std::unique_ptr<Acceptor>>::ready(adopt_listener(url));
  return listen_tcp(*this, std::move(url), {options.backlog, options.reuse_port});
}

Future<std::unique_ptr<DatagramSocket>> PosixNetwork::open_datagrams(const Url& url, DatagramEnd end,
                                                                     const UdpOptions& options) {
  return open_datagram_socket(reactor_, url, end, options);
}

Future<std::unique_ptr<Transport>> PosixNetwork::connect_tcp(PosixNetwork& self, Url url,
                                                             const ConnectOptions& options) {
  const std::string what = "connect " + url.to_string();
  if (url.port == 0) throw Error(Errc::invalid_url, what + ": which port? Write tcp://host:port");
  const Address source = source_of(what, options);
  Future<Resolution> resolving = resolve_with(self.loop_, options.resolver, url.host, url.port);
  Resolution resolution = co_await std::move(resolving);
  require_address(what, url, resolution);
  keep_family_of(what, source, resolution.addresses);
  Future<std::unique_ptr<Transport>> connecting =
      connect_to_any(self.reactor_, what, std::move(resolution.addresses), source);
  co_return co_await std::move(connecting);
}

// A full backlog is EAGAIN here, at once, where TCP would wait.
Future<std::unique_ptr<Transport>> PosixNetwork::connect_unix(PosixNetwork& self, Url url) {
  const std::string what = "connect " + url.to_string();
  Result<Address> address = unix_address(url.path);
  if (!address.ok()) throw Error(address.error(), what + ": " + address.failure().message());
  for (;;) {
    Future<std::unique_ptr<Transport>> connecting = connect_to(self.reactor_, *address);
    Result<std::unique_ptr<Transport>> transport = co_await as_result(std::move(connecting));
    if (transport.ok()) co_return std::move(*transport);
    if (transport.error() != std::error_code(EAGAIN, std::system_category())) throw_error(transport.error(), what);
    co_await sleep_for(kBacklogPause);
  }
}

std::unique_ptr<Transport> PosixNetwork::adopt_stream(const Url& url) {
  const std::string what = "connect " + url.to_string();
  if (const std::size_t comma = url.path.find(','); comma != std::string::npos) {
    const std::string_view numbers = url.path;
    const int reading = number_in(what, numbers.substr(0, comma));
    return adopt_pipes(what, reading, number_in(what, numbers.substr(comma + 1)), reactor_);
  }
  const int fd = number_in(what, url.path);
  if (is_pipe(fd)) return adopt_pipe(what, fd, reactor_);
  Descriptor socket = adopt_socket(what, fd, reactor_);
  if (Address::of_peer(socket.get()).family() == AF_UNSPEC) {
    throw Error(Errc::bad_descriptor, what + ": it is not connected; a listening one goes to listen()");
  }
  Result<std::unique_ptr<Transport>> transport = FdTransport::make(reactor_, std::move(socket));
  if (!transport.ok()) throw_error(transport.error(), what);
  return std::move(*transport);
}

std::unique_ptr<Acceptor> PosixNetwork::listen_unix(Url url, const ListenOptions& options) {
  const std::string what = "listen " + url.to_string();
  Result<Address> address = unix_address(url.path);
  if (!address.ok()) throw Error(address.error(), what + ": " + address.failure().message());
  Result<Descriptor> socket = open_stream_socket(*address);
  if (!socket.ok()) throw_error(socket.error(), what);
  Result<SocketFile> file = bind_unix(socket->get(), *address, url.path, options.unix_mode);
  if (!file.ok()) throw_error(file.error(), what);
  if (::listen(socket->get(), options.backlog) != 0) throw_error(from_errno(errno), what);
  Result<std::unique_ptr<Acceptor>> acceptor =
      PosixAcceptor::make(reactor_, std::move(*socket), std::move(url), std::move(*file));
  if (!acceptor.ok()) throw_error(acceptor.error(), what);
  return std::move(*acceptor);
}

std::unique_ptr<Acceptor> PosixNetwork::adopt_listener(const Url& url) {
  const std::string what = "listen " + url.to_string();
  Descriptor socket = adopt_socket(what, number_in(what, url.path), reactor_);
  if (socket_option(socket.get(), SO_ACCEPTCONN) != 1) {
    throw Error(Errc::bad_descriptor, what + ": it does not listen; a connected one goes to connect()");
  }
  Url real = Url::parse(Address::of_socket(socket.get()).url()).value();
  Result<std::unique_ptr<Acceptor>> acceptor = PosixAcceptor::make(reactor_, std::move(socket), std::move(real));
  if (!acceptor.ok()) throw_error(acceptor.error(), what);
  return std::move(*acceptor);
}

Future<std::unique_ptr<Acceptor>> PosixNetwork::listen_tcp(PosixNetwork& self, Url url, ListenChoices choices) {
  const std::string what = "listen " + url.to_string();
  Future<Resolution> resolving = resolve(self.loop_, url.host, url.port, EmptyHost::every_address);
  const Resolution resolution = co_await std::move(resolving);
  require_address(what, url, resolution);
  const bool any_port = url.port == 0 && resolution.addresses.size() > 1;
  for (unsigned tries = any_port ? kPortTries : 1;; --tries) {
    Attempts attempts(what);
    std::vector<std::unique_ptr<Acceptor>> acceptors =
        listen_at_all(self.reactor_, resolution.addresses, url, choices, attempts);
    if (acceptors.size() == 1) co_return std::move(acceptors.front());
    if (!acceptors.empty()) co_return std::make_unique<AcceptorGroup>(std::move(acceptors));
    if (tries == 1 || attempts.reason() != Errc::in_use) attempts.raise();
  }
}

}  // namespace twinloop::detail
