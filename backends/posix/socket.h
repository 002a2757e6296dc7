// Addresses and sockets, in the form that is the same on every Unix: nonblocking, not inherited by programs that are
// started, never raising SIGPIPE.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <span>
#include <string>
#include <system_error>

#include "backends/posix/descriptor.h"
#include "twinloop/result.h"
#include "twinloop/transport.h"

namespace twinloop::detail {

class Address {
 public:
  Address() noexcept = default;
  Address(const sockaddr* address, socklen_t length) noexcept;

  static Address of_peer(int fd) noexcept;
  static Address of_socket(int fd) noexcept;
  // Family AF_UNSPEC when the socket has none.

  int family() const noexcept { return storage_.ss_family; }
  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t length() const noexcept { return length_; }
  std::uint16_t port() const noexcept;
  Address at_port(std::uint16_t port) const noexcept;

  std::string host() const;
  // "127.0.0.1", "::1".
  std::string text() const;
  // "127.0.0.1:80", "[::1]:80", "/run/app.sock", "@name".
  std::string url() const;
  // "tcp://127.0.0.1:80", "unix:/run/app.sock"; empty when there is no address.

  friend bool operator==(const Address& a, const Address& b) noexcept;

 private:
  std::string unix_path() const;

  sockaddr_storage storage_{};
  socklen_t length_ = 0;
};

Result<Descriptor> open_socket(int family, int type);
Result<Descriptor> open_stream_socket(const Address& address);

Descriptor accept_connection(int listening) noexcept;
// Empty with errno set.

void set_no_delay(int fd) noexcept;
// Bytes leave when they are written: IOStream gathers a turn's writes itself.

int take_socket_error(int fd) noexcept;
// SO_ERROR as an errno, which the system then forgets.

ssize_t send_pieces(int fd, std::span<const ConstBytes> pieces, int flags) noexcept;
// One sendmsg of as many pieces as that takes, without SIGPIPE.  As send(): -1 with errno set.

std::size_t total_size(std::span<const ConstBytes> pieces) noexcept;

void reset_on_close(int fd) noexcept;
// The peer will see a reset instead of an orderly end.

}  // namespace twinloop::detail
