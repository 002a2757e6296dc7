// What a browser and the manual loop lack is refused by name, and works where it is.
#include <string>

#include "fixtures.h"
#include "twinloop/process.h"
#include "twinloop/udp.h"

using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kNothing = Needs::nothing;

bool has_descriptors() { return IOLoop::current().backend().fd_watcher() != nullptr; }

Future<void> run_true() {
  std::vector<std::string> argv;
  argv.emplace_back("true");
  Subprocess program(std::move(argv));
  co_await program.wait_for_success();
}

}  // namespace

BEHAVIOUR("where there are no datagrams, a datagram socket is not_supported and the message names what there is",
          kNothing) {
  const Result<UdpSocket> socket = co_await as_result(UdpSocket::bind("udp://127.0.0.1:0"));
  expect(socket.ok() == has_descriptors(), socket.ok() ? "it was made" : socket.failure().message());
  if (socket.ok()) co_return;
  expect(socket.reason() == Errc::not_supported, "the reason");
  const std::string message = socket.failure().message();
  expect(message.find("udp://127.0.0.1") != std::string::npos && message.find("pair:") != std::string::npos, message);
}

BEHAVIOUR("where there are no programs, starting one is not_supported and the message names it", kNothing) {
  const Result<void> ran = co_await as_result(run_true());
  expect(ran.ok() == has_descriptors(), ran.ok() ? "it was started" : ran.failure().message());
  if (ran.ok()) co_return;
  expect(ran.reason() == Errc::not_supported, "the reason");
  expect(ran.failure().message().find("start 'true'") != std::string::npos, ran.failure().message());
}
