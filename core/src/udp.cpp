#include "twinloop/udp.h"

#include "twinloop/ioloop.h"

namespace twinloop {

UdpSocket::UdpSocket() noexcept = default;
UdpSocket::UdpSocket(std::unique_ptr<DatagramSocket> socket) noexcept : socket_(std::move(socket)) {}
UdpSocket::UdpSocket(UdpSocket&&) noexcept = default;
UdpSocket& UdpSocket::operator=(UdpSocket&&) noexcept = default;
UdpSocket::~UdpSocket() = default;

Future<UdpSocket> UdpSocket::bind(std::string text, UdpOptions options) {
  const Url url = Url::parse(text).value();
  Network& network = IOLoop::current().backend().network();
  Future<std::unique_ptr<DatagramSocket>> opening = network.open_datagrams(url, DatagramEnd::local, options);
  co_return UdpSocket(co_await std::move(opening));
}

Future<UdpSocket> UdpSocket::connect(std::string text, UdpOptions options) {
  const Url url = Url::parse(text).value();
  Network& network = IOLoop::current().backend().network();
  Future<std::unique_ptr<DatagramSocket>> opening = network.open_datagrams(url, DatagramEnd::remote, options);
  co_return UdpSocket(co_await std::move(opening));
}

Future<void> UdpSocket::send(std::string_view bytes) { return socket_->send(nullptr, bytes); }
Future<void> UdpSocket::send_to(const UdpAddress& to, std::string_view bytes) { return socket_->send(&to, bytes); }
Future<UdpAddress> UdpSocket::resolve(std::string url) { return socket_->resolve(std::move(url)); }
Future<Datagram> UdpSocket::receive() { return socket_->receive(); }

void UdpSocket::join(const UdpAddress& group) {
  if (const std::error_code error = socket_->set_membership(group, true)) throw_error(error, "join " + group.url());
}

void UdpSocket::leave(const UdpAddress& group) {
  if (const std::error_code error = socket_->set_membership(group, false)) throw_error(error, "leave " + group.url());
}

UdpAddress UdpSocket::local_address() const { return socket_->local_address(); }
UdpAddress UdpSocket::remote_address() const { return socket_->remote_address(); }
void UdpSocket::close() noexcept { socket_->close(); }

}  // namespace twinloop
