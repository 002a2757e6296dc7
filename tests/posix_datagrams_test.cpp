// Datagrams that the kernel does not take at once.  UDP on one host never says so; a pair of local sockets does.
#include <sys/socket.h>

#include <catch2/catch_test_macros.hpp>
#include <memory>
#include <string>
#include <vector>

#include "backends/posix/datagrams.h"
#include "backends/posix/descriptor.h"
#include "tests/posix_fixtures.h"

namespace {

using namespace twinloop;
using namespace twinloop::detail;
using namespace twinloop::testing;

struct Pair {
  explicit Pair(IOLoop& loop) {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    one = open(loop, fds[0]);
    two = open(loop, fds[1]);
  }
  static std::unique_ptr<DatagramSocket> open(IOLoop& loop, int fd) {
    return PosixDatagrams::make(reactor_of(loop), Descriptor(fd), UdpOptions()).value();
  }

  std::unique_ptr<DatagramSocket> one;
  std::unique_ptr<DatagramSocket> two;
};

// Sends numbers until one has to wait; gives how many did not.
int fill(DatagramSocket& socket, Future<void>& waiting) {
  for (int i = 0;; ++i) {
    waiting = socket.send(nullptr, std::to_string(i));
    if (!waiting.done()) return i;
  }
}

Future<std::string> receive_numbers(DatagramSocket& socket, int count) {
  std::string wrong;
  for (int i = 0; i < count; ++i) {
    const Datagram datagram = co_await socket.receive();
    if (datagram.bytes != std::to_string(i)) wrong += datagram.bytes + " ";
  }
  co_return wrong;
}

}  // namespace

TEST_CASE("a send that the kernel does not take waits until it does, and order is kept") {
  IOLoop loop(make(each_backend()));
  Pair pair(loop);
  Future<void> waiting;
  const int sent = fill(*pair.one, waiting);
  REQUIRE(sent > 0);
  Future<void> last = pair.one->send(nullptr, std::to_string(sent + 1));
  CHECK_FALSE(last.done());
  CHECK(run(loop, receive_numbers(*pair.two, sent + 2)).empty());
  run(loop, std::move(waiting));
  run(loop, std::move(last));
}

TEST_CASE("dropping a send that waits withdraws its datagram and no other") {
  IOLoop loop(make(each_backend()));
  Pair pair(loop);
  Future<void> dropped;
  const int sent = fill(*pair.one, dropped);
  Future<void> kept = pair.one->send(nullptr, std::to_string(sent));
  dropped = Future<void>();
  CHECK(run(loop, receive_numbers(*pair.two, sent + 1)).empty());
  run(loop, std::move(kept));
}

TEST_CASE("closing fails the sends that wait, and so does the end of the loop") {
  IOLoop loop(make(each_backend()));
  Pair pair(loop);
  Future<void> waiting;
  Future<void> second;
  fill(*pair.one, waiting);
  pair.one->close();
  CHECK(waiting.take_result().reason() == Errc::local);
  Pair other(loop);
  fill(*other.one, second);
  Pair idle(loop);
  Future<Datagram> receiving = idle.one->receive();
  loop.close();
  CHECK(second.take_result().reason() == Errc::loop_closed);
  CHECK(receiving.take_result().reason() == Errc::loop_closed);
}

TEST_CASE("a socket that waits to send does not keep the loop busy") {
  IOLoop loop(make(each_backend()));
  Pair pair(loop);
  Future<void> waiting;
  fill(*pair.one, waiting);
  const auto before = loop.stats().handlers;
  run(loop, sleep_for(std::chrono::milliseconds(5)));
  CHECK(loop.stats().handlers - before < 10);
}
