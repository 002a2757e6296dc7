// UdpSocket: datagrams, bound to an address of this host or connected to one peer.  Each send is one datagram and each receive
// gives one; the network may lose, repeat or reorder them.  Nothing is queued above the kernel: what nobody receives in time is
// dropped by it.  Not in a browser.
//
//   UdpSocket socket = co_await UdpSocket::bind("udp://127.0.0.1:0");
//   Datagram question = co_await socket.receive();
//   co_await socket.send_to(question.from, "answer");
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "twinloop/future.h"

namespace twinloop {

class DatagramSocket;

// Where a datagram comes from or goes to: what the system makes of "udp://host:port".  Got from Datagram::from,
// UdpSocket::resolve, local_address and remote_address.
class UdpAddress {
 public:
  UdpAddress() noexcept = default;
  // No address; operator bool is false.
  UdpAddress(const void* system_address, std::size_t size) noexcept;
  // The system's form (sockaddr_in, sockaddr_in6).

  explicit operator bool() const noexcept { return size_ != 0; }
  std::string url() const;
  // "udp://127.0.0.1:4711".

  const void* data() const noexcept { return bytes_.data(); }
  std::size_t size() const noexcept { return size_; }

  friend bool operator==(const UdpAddress& a, const UdpAddress& b) noexcept {
    return std::string_view(a.bytes_.data(), a.size_) == std::string_view(b.bytes_.data(), b.size_);
  }

 private:
  static constexpr std::size_t kSize = 28;  // of sockaddr_in6
  alignas(8) std::array<char, kSize> bytes_{};
  std::uint8_t size_ = 0;
};

struct Datagram {
  std::string bytes;  // may be empty: a datagram of no bytes is one too
  UdpAddress from;
  bool truncated = false;  // it was longer than UdpOptions::max_datagram_size; the rest is lost
};

class UdpOptions {
 public:
  UdpOptions& max_datagram_size(std::size_t bytes) { return max_datagram_ = bytes, *this; }
  // Of what is received.  64 KiB: more than any datagram has.
  UdpOptions& broadcast(bool allowed) { return broadcast_ = allowed, *this; }
  // Whether send_to may name a broadcast address.  No.
  UdpOptions& reuse_address(bool shared) { return reuse_address_ = shared, *this; }
  // Lets several sockets bind the same port, as listeners of one multicast group do.  No.
  UdpOptions& multicast_interface(std::string name) { return multicast_interface_ = std::move(name), *this; }
  // By which network interface ("eth0") multicast is sent, and received after join().  The system's choice.
  UdpOptions& multicast_hops(int hops) { return multicast_hops_ = hops, *this; }
  // How many routers a multicast datagram may pass.  1: it stays in the local network.

  std::size_t max_datagram_size() const noexcept { return max_datagram_; }
  bool broadcast() const noexcept { return broadcast_; }
  bool reuse_address() const noexcept { return reuse_address_; }
  const std::string& multicast_interface() const noexcept { return multicast_interface_; }
  int multicast_hops() const noexcept { return multicast_hops_; }

 private:
  std::size_t max_datagram_ = 64 * 1024;
  std::string multicast_interface_;
  int multicast_hops_ = 1;
  bool broadcast_ = false;
  bool reuse_address_ = false;
};

// Movable at any time, also with operations pending.  It belongs to its loop's thread.
class UdpSocket {
 public:
  UdpSocket() noexcept;
  // No socket; operator bool is false and nothing else is legal.

  static Future<UdpSocket> bind(std::string url, UdpOptions options = {});
  // Receives what comes to that address: "udp://127.0.0.1:0" takes any free port, "udp://:5353" listens on every address of the
  // host, IPv4 and IPv6.  Fails with in_use, denied, unresolved, invalid_url, not_supported (a browser has no datagrams).

  static Future<UdpSocket> connect(std::string url, UdpOptions options = {});
  // Sends to that peer and receives from it only.  Nothing is sent by this, so a peer that is not there is not noticed yet.

  UdpSocket(UdpSocket&&) noexcept;
  UdpSocket& operator=(UdpSocket&&) noexcept;
  ~UdpSocket();
  // As close().

  explicit operator bool() const noexcept { return socket_ != nullptr; }

  Future<void> send(std::string_view bytes);
  // To the peer of a connected socket.  Completes when the kernel took the datagram, at once unless its buffer is full; the
  // bytes are copied if it is.  Dropping the future withdraws a datagram that still waits.
  //
  // Fails with limit when one datagram cannot hold that much (65,507 bytes over IPv4); with refused when the host has answered
  // an *earlier* datagram that nobody listens there.  This one was then not sent.  The socket stays usable after any failure.

  Future<void> send_to(const UdpAddress& to, std::string_view bytes);
  // The same for a bound socket.

  Future<UdpAddress> resolve(std::string url);
  // The address of "udp://host:port" in the form that this socket can send to.  Fails with unresolved, invalid_url.

  Future<Datagram> receive();
  // The next datagram.  One at a time; a second one fails with busy.  Dropping the future loses no datagram.
  //
  // On a connected socket it fails with refused, once, when the peer's host has answered that nobody listens there.  The socket
  // stays usable: the peer may come.

  void join(const UdpAddress& group);
  void leave(const UdpAddress& group);
  // Receives what is sent to a multicast group, until leave() or the end of the socket.  Throws Error when the system refuses.

  UdpAddress local_address() const;
  // Where it is bound; port 0 has become the real one.
  UdpAddress remote_address() const;
  // Of a connected socket, else none.

  void close() noexcept;
  // Pending operations fail with `local`, and so do later ones.

 private:
  explicit UdpSocket(std::unique_ptr<DatagramSocket> socket) noexcept;
  std::unique_ptr<DatagramSocket> socket_;
};

// ---- for backends

// What a UdpSocket stands on; each function means what UdpSocket says of its own.
class DatagramSocket {
 public:
  virtual ~DatagramSocket() = default;
  virtual Future<void> send(const UdpAddress* to, std::string_view bytes) = 0;
  // To the peer it is connected to when `to` is null.
  virtual Future<UdpAddress> resolve(std::string url) = 0;
  virtual Future<Datagram> receive() = 0;
  virtual std::error_code set_membership(const UdpAddress& group, bool member) = 0;
  virtual UdpAddress local_address() const = 0;
  virtual UdpAddress remote_address() const = 0;
  virtual void close() noexcept = 0;
};

}  // namespace twinloop
