#include "backends/posix/resolver.h"

#include <netdb.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "twinloop/executor.h"
#include "twinloop/ioloop.h"
#include "twinloop/resolver.h"

namespace twinloop::detail {
namespace {

// A name may stand in /etc/hosts twice.
void add_once(std::vector<Address>& addresses, const Address& address) {
  if (std::ranges::find(addresses, address) == addresses.end()) addresses.push_back(address);
}

Resolution look_up(const std::string& host, std::uint16_t port, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  Resolution resolution;
  const int error = ::getaddrinfo(host.empty() ? nullptr : host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (error != 0) {
    resolution.problem = error == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(error);
    return resolution;
  }
  for (const addrinfo* each = list; each != nullptr; each = each->ai_next) {
    add_once(resolution.addresses, Address(each->ai_addr, each->ai_addrlen));
  }
  ::freeaddrinfo(list);
  return resolution;
}

// A datagram socket on "::" serves both kinds and so comes first.
void put_ipv6_first(std::vector<Address>& addresses) {
  std::partition(addresses.begin(), addresses.end(), [](const Address& a) { return a.family() == AF_INET6; });
}

}  // namespace

Future<Resolution> resolve(IOLoop& loop, const std::string& host, std::uint16_t port, EmptyHost empty) {
  const int passive = empty == EmptyHost::every_address ? AI_PASSIVE : 0;
  Resolution numeric = look_up(host, port, AI_NUMERICHOST | passive);
  if (host.empty() && passive != 0) put_ipv6_first(numeric.addresses);
  if (!numeric.addresses.empty() || host.empty()) return Future<Resolution>::ready(std::move(numeric));
  return loop.run_in_executor([](const std::string& name, std::uint16_t at) { return look_up(name, at, 0); }, host,
                              port);
}

Resolution parse_addresses(const std::vector<std::string>& hosts, std::uint16_t port) {
  Resolution all;
  for (const std::string& host : hosts) {
    const Resolution one = look_up(host, port, AI_NUMERICHOST);
    all.addresses.insert(all.addresses.end(), one.addresses.begin(), one.addresses.end());
    if (one.addresses.empty()) all.problem = "'" + host + "' is no address";
  }
  if (hosts.empty()) all.problem = "the resolver knows none";
  return all;
}

}  // namespace twinloop::detail

namespace twinloop {
namespace {

class SystemResolver final : public Resolver {
 public:
  Future<std::vector<std::string>> resolve(std::string host) override {
    Future<detail::Resolution> asking = detail::resolve(IOLoop::current(), host, 0, detail::EmptyHost::loopback);
    const detail::Resolution found = co_await std::move(asking);
    if (found.addresses.empty()) throw Error(Errc::unresolved, found.problem);
    std::vector<std::string> hosts;
    hosts.reserve(found.addresses.size());
    for (const detail::Address& address : found.addresses) hosts.push_back(address.host());
    co_return hosts;
  }
};

}  // namespace

std::shared_ptr<Resolver> system_resolver() { return std::make_shared<SystemResolver>(); }

}  // namespace twinloop
