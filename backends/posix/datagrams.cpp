#include "backends/posix/datagrams.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "backends/posix/errno_code.h"
#include "backends/posix/resolver.h"
#include "twinloop/ioloop.h"

namespace twinloop {

static_assert(sizeof(sockaddr_in6) <= 28);

UdpAddress::UdpAddress(const void* system_address, std::size_t size) noexcept {
  size_ = static_cast<std::uint8_t>(std::min(size, kSize));
  std::memcpy(bytes_.data(), system_address, size_);
}

namespace detail {
namespace {

const sockaddr* system_address(const UdpAddress& address) noexcept {
  return static_cast<const sockaddr*>(address.data());
}
socklen_t system_size(const UdpAddress& address) noexcept { return static_cast<socklen_t>(address.size()); }

}  // namespace
}  // namespace detail

std::string UdpAddress::url() const {
  return "udp://" + detail::Address(detail::system_address(*this), detail::system_size(*this)).text();
}

namespace detail {
namespace {

bool blocked(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK; }

// ---- addresses

constexpr unsigned char kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// An IPv4 address as a socket for both kinds wants it: ::ffff:a.b.c.d.
UdpAddress to_mapped(const sockaddr_in& plain) noexcept {
  sockaddr_in6 mapped{};
  mapped.sin6_family = AF_INET6;
  mapped.sin6_port = plain.sin_port;
  std::memcpy(mapped.sin6_addr.s6_addr, kMappedPrefix, sizeof kMappedPrefix);
  std::memcpy(mapped.sin6_addr.s6_addr + sizeof kMappedPrefix, &plain.sin_addr, sizeof plain.sin_addr);
  return {&mapped, sizeof mapped};
}

UdpAddress from_mapped(const sockaddr_in6& mapped) noexcept {
  sockaddr_in plain{};
  plain.sin_family = AF_INET;
  plain.sin_port = mapped.sin6_port;
  std::memcpy(&plain.sin_addr, mapped.sin6_addr.s6_addr + sizeof kMappedPrefix, sizeof plain.sin_addr);
  return {&plain, sizeof plain};
}

// What people call an address: an IPv4 peer is one also on a socket for both kinds.
UdpAddress plain_address(const Address& address) noexcept {
  if (address.family() == AF_INET6) {
    const auto& six = reinterpret_cast<const sockaddr_in6&>(*address.get());
    if (std::memcmp(six.sin6_addr.s6_addr, kMappedPrefix, sizeof kMappedPrefix) == 0) return from_mapped(six);
  }
  if (address.family() != AF_INET && address.family() != AF_INET6) return {};
  return {address.get(), address.length()};
}

UdpAddress address_for(int family, const UdpAddress& address) noexcept {
  if (family != AF_INET6 || !address || system_address(address)->sa_family != AF_INET) return address;
  return to_mapped(*reinterpret_cast<const sockaddr_in*>(address.data()));
}

bool reachable_from(int family, const Address& address) noexcept {
  return address.family() == family || (family == AF_INET6 && address.family() == AF_INET);
}

// ---- system calls

struct Received {
  ssize_t size;  // -1 with errno set
  Address from;
  bool truncated;
};

Received receive_into(int fd, char* memory, std::size_t size) noexcept {
  sockaddr_storage from{};
  iovec vector{memory, size};
  msghdr message{};
  message.msg_name = &from;
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  ssize_t count;
  do {
    message.msg_namelen = sizeof from;
    count = ::recvmsg(fd, &message, 0);
  } while (count == -1 && errno == EINTR);
  if (count == -1) return {count, {}, false};
  return {count, Address(reinterpret_cast<const sockaddr*>(&from), message.msg_namelen),
          (message.msg_flags & MSG_TRUNC) != 0};
}

int send_datagram(int fd, const UdpAddress& to, std::string_view bytes) noexcept {
  ssize_t count;
  do {
    count = ::sendto(fd, bytes.data(), bytes.size(), 0, to ? system_address(to) : nullptr, system_size(to));
  } while (count == -1 && errno == EINTR);
  return count == -1 ? errno : 0;
}

Failure why_not_sent(int error, std::size_t size) {
  if (error != EMSGSIZE) return from_errno(error);
  return {Errc::limit, "send of " + std::to_string(size) + " bytes: one UDP datagram cannot hold that much"};
}

template <class T>
bool set_option(int fd, int level, int option, const T& value) noexcept {
  return ::setsockopt(fd, level, option, &value, sizeof value) == 0;
}

bool set_multicast(int fd, int family, unsigned interface, int hops) noexcept {
  if (family == AF_INET6) {
    return set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, hops) &&
           (interface == 0 || set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, interface));
  }
  ip_mreqn by_interface{};
  by_interface.imr_ifindex = static_cast<int>(interface);
  return set_option(fd, IPPROTO_IP, IP_MULTICAST_TTL, hops) &&
         (interface == 0 || set_option(fd, IPPROTO_IP, IP_MULTICAST_IF, by_interface));
}

Result<unsigned> index_of(const std::string& interface) {
  if (interface.empty()) return 0u;
  if (const unsigned index = ::if_nametoindex(interface.c_str()); index != 0) return index;
  return Failure(Errc::not_found, "network interface '" + interface + "'");
}

std::error_code prepare(int fd, int family, const UdpOptions& options) {
  const int on = 1;
  const int off = 0;
  Result<unsigned> interface = index_of(options.multicast_interface());
  if (!interface.ok()) return interface.error();
  const bool done = (family != AF_INET6 || set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, off)) &&
                    (!options.broadcast() || set_option(fd, SOL_SOCKET, SO_BROADCAST, on)) &&
                    (!options.reuse_address() || set_option(fd, SOL_SOCKET, SO_REUSEADDR, on)) &&
                    set_multicast(fd, family, *interface, options.multicast_hops());
  return done ? std::error_code() : from_errno(errno);
}

Result<std::unique_ptr<DatagramSocket>> open_at(Reactor& reactor, const Address& address, DatagramEnd end,
                                                const UdpOptions& options) {
  Result<Descriptor> socket = open_socket(address.family(), SOCK_DGRAM);
  if (!socket.ok()) return socket.failure();
  if (const std::error_code error = prepare(socket->get(), address.family(), options)) return Failure(error);
  const auto attach = end == DatagramEnd::local ? &::bind : &::connect;
  if (attach(socket->get(), address.get(), address.length()) != 0) return Failure(from_errno(errno));
  return PosixDatagrams::make(reactor, std::move(*socket), options);
}

Future<UdpAddress> resolve_for(IOLoop& loop, int family, Url url) {
  Future<Resolution> resolving = twinloop::detail::resolve(loop, url.host, url.port, EmptyHost::loopback);
  const Resolution resolution = co_await std::move(resolving);
  for (const Address& address : resolution.addresses) {
    if (reachable_from(family, address)) co_return plain_address(address);
  }
  const std::string problem =
      resolution.addresses.empty() ? resolution.problem : "none of the kind that this socket has";
  throw Error(Errc::unresolved, url.to_string() + ": no address for '" + url.host + "': " + problem);
}

}  // namespace

Future<std::unique_ptr<DatagramSocket>> open_datagram_socket(Reactor& reactor, Url url, DatagramEnd end,
                                                             const UdpOptions& options) {
  const std::string what = (end == DatagramEnd::local ? "bind " : "connect ") + url.to_string();
  if (url.scheme != "udp") throw Error(Errc::unknown_scheme, what + ": datagrams are udp://host:port");
  const EmptyHost empty = end == DatagramEnd::local ? EmptyHost::every_address : EmptyHost::loopback;
  Future<Resolution> resolving = resolve(reactor.loop(), url.host, url.port, empty);
  const Resolution resolution = co_await std::move(resolving);
  Failure failure(Errc::unresolved, what + ": " + resolution.problem);
  for (const Address& address : resolution.addresses) {
    Result<std::unique_ptr<DatagramSocket>> socket = open_at(reactor, address, end, options);
    if (socket.ok()) co_return std::move(*socket);
    failure = std::make_exception_ptr(Error(socket.error(), what + ": " + address.text()));
  }
  failure.raise();
}

// ---- the socket

Result<std::unique_ptr<DatagramSocket>> PosixDatagrams::make(Reactor& reactor, Descriptor socket,
                                                             const UdpOptions& options) {
  std::unique_ptr<PosixDatagrams> datagrams(new PosixDatagrams(reactor.loop(), std::move(socket), options));
  const std::error_code error =
      datagrams->registration_.begin(reactor, datagrams->socket_.get(), *datagrams, Interest::none, Trigger::level);
  if (error) return Failure(error);
  return std::unique_ptr<DatagramSocket>(std::move(datagrams));
}

PosixDatagrams::PosixDatagrams(IOLoop& loop, Descriptor socket, const UdpOptions& options)
    : loop_(&loop),
      socket_(std::move(socket)),
      family_(Address::of_socket(socket_.get()).family()),
      max_datagram_(std::max<std::size_t>(1, options.max_datagram_size())) {
  if (const Result<unsigned> index = index_of(options.multicast_interface()); index.ok()) interface_ = index.peek();
  loop.add_closer(*this);
}

Future<UdpAddress> PosixDatagrams::resolve(std::string text) {
  if (!socket_) return Future<UdpAddress>::failed(ended_);
  Result<Url> url = Url::parse(text);
  if (!url.ok()) return Future<UdpAddress>::failed(url.failure());
  return resolve_for(*loop_, family_, std::move(*url));
}

UdpAddress PosixDatagrams::local_address() const {
  return socket_ ? plain_address(Address::of_socket(socket_.get())) : UdpAddress();
}

UdpAddress PosixDatagrams::remote_address() const {
  return socket_ ? plain_address(Address::of_peer(socket_.get())) : UdpAddress();
}

std::error_code PosixDatagrams::set_membership(const UdpAddress& group, bool member) {
  if (!socket_) return ended_;
  group_req request{};
  request.gr_interface = interface_;
  std::memcpy(&request.gr_group, group.data(), group.size());
  const int level = group && system_address(group)->sa_family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
  const int option = member ? MCAST_JOIN_GROUP : MCAST_LEAVE_GROUP;
  return set_option(socket_.get(), level, option, request) ? std::error_code() : from_errno(errno);
}

// ---- sending

Future<void> PosixDatagrams::send(const UdpAddress* to, std::string_view bytes) {
  if (!socket_) return Future<void>::failed(ended_);
  const UdpAddress address = to != nullptr ? address_for(family_, *to) : UdpAddress();
  if (outgoing_.empty()) {
    const int error = send_datagram(socket_.get(), address, bytes);
    if (error == 0) return Future<void>::ready();
    if (!blocked(error)) return Future<void>::failed(why_not_sent(error, bytes.size()));
  }
  Waiting& waiting = outgoing_.emplace_back(Promise<void>(), address, std::string(bytes));
  Future<void> sent = waiting.promise.get_future();
  update_interest();
  return sent;
}

void PosixDatagrams::send_waiting() {
  while (!outgoing_.empty()) {
    Waiting& next = outgoing_.front();
    if (next.promise.wanted()) {
      const int error = send_datagram(socket_.get(), next.to, next.bytes);
      if (blocked(error)) return;
      if (error == 0)
        next.promise.set_value();
      else
        next.promise.set_error(why_not_sent(error, next.bytes.size()));
    }
    outgoing_.pop_front();
  }
}

// ---- receiving

// What was received for somebody who dropped it waits in incoming_, and there is at most one such.
Future<Datagram> PosixDatagrams::receive() {
  if (!socket_) return Future<Datagram>::failed(ended_);
  Future<Datagram> next = incoming_.take();
  receive_awaited();
  if (incoming_.awaited()) watches_read_ = true;
  update_interest();
  return next;
}

void PosixDatagrams::receive_awaited() {
  if (!incoming_.awaited()) return;
  if (memory_ == nullptr) memory_ = std::make_unique_for_overwrite<char[]>(max_datagram_);
  const Received received = receive_into(socket_.get(), memory_.get(), max_datagram_);
  if (received.size >= 0) {
    std::string bytes(memory_.get(), static_cast<std::size_t>(received.size));
    return incoming_.put(Datagram{std::move(bytes), plain_address(received.from), received.truncated});
  }
  if (!blocked(errno)) incoming_.fail(from_errno(errno));
}

// ---- events and the end

void PosixDatagrams::on_fd_events(Ready ready) {
  const Ready wrong = Ready::failure | Ready::hangup;
  if (!incoming_.awaited()) watches_read_ = false;
  if (has(ready, Ready::readable | wrong)) receive_awaited();
  if (has(ready, Ready::writable | wrong)) send_waiting();
  update_interest();
}

// A failure that nobody asks for is told by the next send or receive: without interest the poller does not repeat it.
void PosixDatagrams::update_interest() {
  if (!registration_) return;
  const Interest read = watches_read_ ? Interest::read : Interest::none;
  const Interest write = outgoing_.empty() ? Interest::none : Interest::write;
  (void)registration_.modify(read | write);
}

void PosixDatagrams::end(Errc reason) noexcept {
  if (!socket_) return;
  ended_ = reason;
  CloseHook::unlink();
  registration_.end();
  socket_.reset();
  memory_.reset();
  incoming_.clear();
  incoming_.close(reason);
  for (Waiting& each : std::exchange(outgoing_, {})) each.promise.set_error(reason);
}

}  // namespace detail
}  // namespace twinloop
