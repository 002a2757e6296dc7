#include "backends/posix/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "backends/posix/errno_code.h"

namespace twinloop::detail {
namespace {

constexpr std::size_t kPieces = 64;

// Linux, the BSDs and newer POSIX set the flags with the call; macOS needs further calls.
#if TWINLOOP_HAVE_ACCEPT4
constexpr int kSocketFlags = SOCK_NONBLOCK | SOCK_CLOEXEC;
void set_flags(int) noexcept {}
int accept_plain(int fd) noexcept { return ::accept4(fd, nullptr, nullptr, kSocketFlags); }
#else
constexpr int kSocketFlags = 0;
void set_flags(int fd) noexcept {
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
}
int accept_plain(int fd) noexcept { return ::accept(fd, nullptr, nullptr); }
#endif

#ifdef MSG_NOSIGNAL
constexpr int kNoSignal = MSG_NOSIGNAL;
#else
constexpr int kNoSignal = 0;
#endif

#ifdef SO_NOSIGPIPE
bool refuse_sigpipe(int fd) noexcept {
  const int on = 1;
  return ::setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on) == 0;
}
#else
bool refuse_sigpipe(int) noexcept { return true; }
#endif

}  // namespace

Address::Address(const sockaddr* address, socklen_t length) noexcept
    : length_(std::min<socklen_t>(length, sizeof storage_)) {
  std::memcpy(&storage_, address, length_);
}

Address Address::of_peer(int fd) noexcept {
  Address address;
  address.length_ = sizeof address.storage_;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address.storage_), &address.length_) != 0) return {};
  return address;
}

Address Address::of_socket(int fd) noexcept {
  Address address;
  address.length_ = sizeof address.storage_;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage_), &address.length_) != 0) return {};
  return address;
}

std::uint16_t Address::port() const noexcept {
  if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(storage_).sin_port);
  if (family() == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(storage_).sin6_port);
  return 0;
}

Address Address::at_port(std::uint16_t port) const noexcept {
  Address address = *this;
  if (family() == AF_INET) reinterpret_cast<sockaddr_in&>(address.storage_).sin_port = htons(port);
  if (family() == AF_INET6) reinterpret_cast<sockaddr_in6&>(address.storage_).sin6_port = htons(port);
  return address;
}

std::string Address::host() const {
  char host[INET6_ADDRSTRLEN] = "?";
  if (family() == AF_INET) {
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(storage_).sin_addr, host, sizeof host);
  } else if (family() == AF_INET6) {
    ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(storage_).sin6_addr, host, sizeof host);
  }
  return host;
}

std::string Address::text() const {
  switch (family()) {
    case AF_INET:
      return host() + ":" + std::to_string(port());
    case AF_INET6:
      return "[" + host() + "]:" + std::to_string(port());
    case AF_UNIX:
      return unix_path();
    default:
      return "?";
  }
}

std::string Address::url() const {
  if (family() == AF_UNSPEC) return {};
  return (family() == AF_UNIX ? "unix:" : "tcp://") + text();
}

// Empty for a socket without a name, as a client's is.
std::string Address::unix_path() const {
  const auto& address = reinterpret_cast<const sockaddr_un&>(storage_);
  const std::size_t length = length_ - std::min<std::size_t>(length_, offsetof(sockaddr_un, sun_path));
  if (length == 0) return {};
  if (address.sun_path[0] == '\0') return "@" + std::string(address.sun_path + 1, length - 1);
  return std::string(address.sun_path, ::strnlen(address.sun_path, length));
}

bool operator==(const Address& a, const Address& b) noexcept {
  return a.length_ == b.length_ && std::memcmp(&a.storage_, &b.storage_, a.length_) == 0;
}

Result<Descriptor> open_socket(int family, int type) {
  Descriptor socket(::socket(family, type | kSocketFlags, 0));
  if (!socket) return Failure(from_errno(errno));
  set_flags(socket.get());
  if (!refuse_sigpipe(socket.get())) return Failure(from_errno(errno));
  return socket;
}

Result<Descriptor> open_stream_socket(const Address& address) { return open_socket(address.family(), SOCK_STREAM); }

Descriptor accept_connection(int listening) noexcept {
  Descriptor socket(accept_plain(listening));
  if (!socket) return socket;
  set_flags(socket.get());
  if (refuse_sigpipe(socket.get())) return socket;
  errno = ECONNABORTED;  // macOS sets no options on a connection that is over already, and writing to it would kill
  return {};
}

void set_no_delay(int fd) noexcept {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int take_socket_error(int fd) noexcept {
  int error = 0;
  socklen_t length = sizeof error;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

namespace {

ssize_t send_one(int fd, ConstBytes piece, int flags) noexcept {
  return ::send(fd, piece.data(), piece.size(), flags | kNoSignal);
}

ssize_t send_several(int fd, std::span<const ConstBytes> pieces, int flags) noexcept {
  std::array<iovec, kPieces> vectors;
  const std::size_t count = std::min(pieces.size(), kPieces);
  for (std::size_t i = 0; i < count; ++i) {
    vectors[i] = {const_cast<std::byte*>(pieces[i].data()), pieces[i].size()};
  }
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(count);
  return ::sendmsg(fd, &message, flags | kNoSignal);
}

}  // namespace

ssize_t send_pieces(int fd, std::span<const ConstBytes> pieces, int flags) noexcept {
  ssize_t sent;
  do {
    sent = pieces.size() == 1 ? send_one(fd, pieces.front(), flags) : send_several(fd, pieces, flags);
  } while (sent == -1 && errno == EINTR);
  if (sent == -1 && errno == EPROTOTYPE) errno = ECONNRESET;  // macOS, while the peer is tearing the connection down
  return sent;
}

std::size_t total_size(std::span<const ConstBytes> pieces) noexcept {
  std::size_t size = 0;
  for (std::size_t i = 0; i < std::min(pieces.size(), kPieces); ++i) size += pieces[i].size();
  return size;
}

void reset_on_close(int fd) noexcept {
  const linger hard{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

}  // namespace twinloop::detail
