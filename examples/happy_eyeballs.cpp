// Which of a host's addresses answers first, and how long that took: happy_eyeballs tcp://example.org:80
//
// The addresses are tried a quarter of a second apart, IPv6 and IPv4 in turn, and the first that answers wins (RFC 8305).  With
// --address the host is looked for there instead, so that a race can be staged:
//   happy_eyeballs --address 192.0.2.1 --address 127.0.0.1 tcp://anything:8080
#include <cstdio>
#include <string>
#include <vector>

#include "command_line.h"
#include "twinloop/net.h"

using namespace twinloop;

// Tells what there is to try.
class Announcing final : public Resolver {
 public:
  explicit Announcing(std::vector<std::string> given) : given_(std::move(given)) {}

  Future<std::vector<std::string>> resolve(std::string host) override {
    std::vector<std::string> addresses = given_;
    if (addresses.empty()) addresses = co_await system_resolver()->resolve(host);
    for (const std::string& address : addresses) std::printf("%s may be at %s\n", host.c_str(), address.c_str());
    co_return addresses;
  }

 private:
  std::vector<std::string> given_;
};

Future<void> race(std::string url, std::vector<std::string> addresses) {
  const TimePoint begun = IOLoop::current().clock();
  const IOStream winner = co_await connect(url, ConnectOptions().set_resolver(std::make_shared<Announcing>(addresses)));
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(IOLoop::current().clock() - begun);
  std::printf("%s answered after %lld ms\n", winner.peer_address().c_str(), static_cast<long long>(took.count()));
}

int main(int argc, char** argv) {
  CLI::App app("Connects to whichever address of a host answers first.", "happy_eyeballs");
  std::string url;
  std::vector<std::string> addresses;
  app.add_option("URL", url, "Where to, as tcp://example.org:80")->required();
  app.add_option("--address", addresses, "An address of that host, in place of those that the system knows");
  return run_command(app, argc, argv, [&] { return race(url, addresses); });
}
