// Addresses: listening at all that a name has, and coming from a certain one.
#include <string>

#include "fixtures.h"
#include "twinloop/net.h"

using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kNetwork = Needs::tcp | Needs::listen;

std::string at(const std::string& host, const std::string& url) {
  return "tcp://" + host + ":" + std::to_string(Url::parse(url).value().port);
}

Future<bool> has_ipv6() {
  const Result<Listener> listener = co_await as_result(listen("tcp://[::1]:0"));
  co_return listener.ok();
}

Future<void> expect_served(Listener& listener, std::string url, std::string peer) {
  Future<IOStream> accepting = listener.accept();
  const IOStream client = co_await connect(std::move(url));
  const IOStream served = co_await std::move(accepting);
  expect(served.peer_address().starts_with(peer), served.peer_address());
  expect_equal(served.peer_address(), client.local_address());
}

Future<std::string> free_port_of(std::string host) {
  const Listener listener = co_await listen(at(std::move(host), "tcp://:0"));
  co_return std::to_string(Url::parse(listener.url()).value().port);
}

}  // namespace

BEHAVIOUR("a listener without a host serves IPv4 and IPv6 at one port, and knows peers by their plain addresses",
          kNetwork) {
  Listener listener = co_await listen("tcp://:0");
  for (int i = 0; i < 3; ++i) co_await expect_served(listener, at("127.0.0.1", listener.url()), "tcp://127.0.0.1:");
  const bool both = co_await has_ipv6();
  if (both) co_await expect_served(listener, at("[::1]", listener.url()), "tcp://[::1]:");
  listener.close();
  const Result<IOStream> late = co_await as_result(connect(at("127.0.0.1", listener.url())));
  expect(late.reason() == Errc::refused, "nobody listens any more");
}

BEHAVIOUR("a name is listened to at each of its addresses", kNetwork) {
  Listener listener = co_await listen("tcp://localhost:0");
  const auto resolver = system_resolver();
  const std::vector<std::string> hosts = co_await resolver->resolve("localhost");
  for (const std::string& host : hosts) {
    const std::string literal = host.find(':') == std::string::npos ? host : "[" + host + "]";
    co_await expect_served(listener, at(literal, listener.url()), "tcp://");
  }
}

BEHAVIOUR("an accept that is dropped loses no connection, whichever address it came to", kNetwork) {
  Listener listener = co_await listen("tcp://:0");
  const bool both = co_await has_ipv6();
  const IOStream one = co_await connect(at("127.0.0.1", listener.url()));
  const IOStream other = co_await connect(at(both ? "[::1]" : "127.0.0.1", listener.url()));
  for (int i = 0; i < 3; ++i) {
    const Future<IOStream> dropped = listener.accept();
    co_await moment();
  }
  const IOStream first = co_await listener.accept();
  const IOStream second = co_await listener.accept();
  expect(first.peer_address() != second.peer_address(), "both of them");
}

BEHAVIOUR("a port that is taken at one address fails the listener, which keeps none of the others", kNetwork) {
  const Listener taken = co_await listen("tcp://127.0.0.1:0");
  const std::string all = "tcp://:" + std::to_string(Url::parse(taken.url()).value().port);
  const Result<Listener> late = co_await as_result(listen(all));
  expect(late.reason() == Errc::in_use, "somebody listens at one of them");
  const Result<IOStream> other = co_await as_result(connect(at("[::1]", taken.url())));
  expect(!other.ok(), "the others were given back");
}

BEHAVIOUR("listeners find a port that is free at both kinds of address, again and again", kNetwork) {
  std::vector<Listener> listeners;
  for (int i = 0; i < 20; ++i) listeners.push_back(co_await listen("tcp://:0"));
  for (Listener& listener : listeners) {
    co_await expect_served(listener, at("127.0.0.1", listener.url()), "tcp://127.0.0.1:");
  }
}

BEHAVIOUR("a connection comes from the address and the port that it is told to", kNetwork) {
  Listener listener = co_await listen("tcp://127.0.0.1:0");
  Future<IOStream> accepting = listener.accept();
  const std::string port = co_await free_port_of("127.0.0.3");
  const auto number = static_cast<std::uint16_t>(std::stoul(port));
  const IOStream client = co_await connect(listener.url(), ConnectOptions().set_source("127.0.0.3", number));
  const IOStream served = co_await std::move(accepting);
  expect_equal(served.peer_address(), "tcp://127.0.0.3:" + port);
  const IOStream any = co_await connect(listener.url(), ConnectOptions().set_source("127.0.0.4"));
  expect(any.local_address().starts_with("tcp://127.0.0.4:"), any.local_address());
}

BEHAVIOUR("a source that is not this host's, of the other kind, taken or no address fails connect, and says which",
          kNetwork) {
  const Listener listener = co_await listen("tcp://127.0.0.1:0");
  const auto failure_from = [](std::string url, std::string source, std::uint16_t port) -> Future<Failure> {
    const ConnectOptions options = ConnectOptions().set_source(std::move(source), port);
    const Result<IOStream> stream = co_await as_result(connect(std::move(url), options));
    co_return stream.ok() ? Failure() : stream.failure();
  };
  const Failure foreign = co_await failure_from(listener.url(), "192.0.2.1", 0);
  expect(static_cast<bool>(foreign), "it is nobody's here");
  const Failure other_kind = co_await failure_from(listener.url(), "::1", 0);
  expect(reason_of(other_kind.code()) == Errc::unreachable, other_kind.message());
  const Failure taken = co_await failure_from(listener.url(), "127.0.0.1", Url::parse(listener.url()).value().port);
  expect(reason_of(taken.code()) == Errc::in_use, taken.message());
  const Failure nonsense = co_await failure_from(listener.url(), "localhost", 0);
  expect(reason_of(nonsense.code()) == Errc::invalid_url, nonsense.message());
  expect(nonsense.message().find("'localhost' is no address") != std::string::npos, nonsense.message());
}
