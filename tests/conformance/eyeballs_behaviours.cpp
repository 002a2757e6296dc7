// Happy Eyeballs (RFC 8305) where addresses answer late.  On Linux a listener whose queue is full drops a SYN, and the next comes a
// second later: long after the other address has been tried.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <filesystem>
#include <iterator>
#include <map>
#include <string>

#include "backends/posix/descriptor.h"
#include "fixtures.h"
#include "twinloop/net.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kSockets = Needs::tcp | Needs::listen | Needs::fds;

sockaddr_in address_of(const char* host, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  expect(::inet_pton(AF_INET, host, &address.sin_addr) == 1, host);
  return address;
}

using twinloop::detail::Descriptor;

Descriptor open_socket() { return Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

// It answers nobody until one is let in: one connection fills its queue.
class FullListener {
 public:
  explicit FullListener(const char* host, std::uint16_t port = 0) : listening_(open_socket()), filler_(open_socket()) {
    sockaddr_in address = address_of(host, port);
    auto* const raw = reinterpret_cast<sockaddr*>(&address);
    socklen_t length = sizeof address;
    expect(::bind(listening_.get(), raw, length) == 0 && ::listen(listening_.get(), 0) == 0, "it listens");
    expect(::getsockname(listening_.get(), raw, &length) == 0, "it has a port");
    expect(::connect(filler_.get(), raw, length) == 0, "its queue is filled");
    port_ = ntohs(address.sin_port);
  }

  std::uint16_t port() const noexcept { return port_; }
  void let_one_in() { let_in_ = Descriptor(::accept(listening_.get(), nullptr, nullptr)); }

 private:
  Descriptor listening_;
  Descriptor filler_;
  Descriptor let_in_;
  std::uint16_t port_ = 0;
};

}  // namespace

BEHAVIOUR("the first address may answer when the second has been tried, and wins; the loser is closed", kSockets) {
  FullListener first("127.0.0.1");
  const FullListener second("127.0.0.2", first.port());
  std::map<std::string, std::vector<std::string>, std::less<>> hosts;
  hosts["two.test"] = {"127.0.0.1", "127.0.0.2"};
  const ConnectOptions options = ConnectOptions().set_resolver(std::make_shared<OverrideResolver>(std::move(hosts)));
  const std::string port = std::to_string(first.port());
  const std::size_t before = open_descriptors();
  Future<IOStream> connecting = connect("tcp://two.test:" + port, options);
  while (open_descriptors() < before + 2) co_await sleep_for(5ms);
  expect(!connecting.done(), "both are being tried");
  first.let_one_in();
  const IOStream stream = co_await std::move(connecting);
  expect_equal(stream.peer_address(), "tcp://127.0.0.1:" + port);
  expect_equal(open_descriptors(), before + 2);  // the stream, and the one that was let in
}
