// What kqueue does differently from epoll, made to look the same.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <chrono>
#include <cstdlib>
#include <string>
#include <utility>

#include "backends/kqueue/kqueue_poller.h"
#include "backends/posix/descriptor.h"
#include "backends/posix/fd_transport.h"
#include "backends/posix/socket.h"
#include "tests/posix_fixtures.h"

namespace {

using namespace twinloop;
using namespace twinloop::detail;
using namespace twinloop::testing;

constexpr FdKey kKey{3, 0xfedcba98};

struct Ends {
  Descriptor mine;
  Descriptor theirs;
};

Ends pipe_ends() {
  Ends ends;
  REQUIRE(make_pipe(ends.mine, ends.theirs));
  return ends;
}

Ends unix_sockets() {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

Ends tcp_sockets() {
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const Descriptor listening(::socket(AF_INET, SOCK_STREAM, 0));
  REQUIRE(::bind(listening.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0);
  REQUIRE(::listen(listening.get(), 1) == 0);
  const Address address = Address::of_socket(listening.get());
  Descriptor theirs(::socket(AF_INET, SOCK_STREAM, 0));
  REQUIRE(::connect(theirs.get(), address.get(), address.length()) == 0);
  return {accept_connection(listening.get()), std::move(theirs)};
}

// All that is reported of kKey by one wait; the first in a second where something must come.
Ready next(Poller& poller) {
  Ready all = Ready::none;
  for (const FdEvent& event : poller.wait(std::chrono::steady_clock::now() + std::chrono::seconds(1))) {
    CHECK(event.key == kKey);
    all = all | event.ready;
  }
  return all;
}

Ready now(Poller& poller) {
  Ready all = Ready::none;
  for (const FdEvent& event : poller.wait(kAlready)) all = all | event.ready;
  return all;
}

void send_byte(int fd) { REQUIRE(::write(fd, "x", 1) == 1); }

class Wanting final : public TransportListener {
 public:
  void on_ready(bool, bool) override {}
  void on_peer_end() override {}
  void on_failure(std::error_code) override {}
};

}  // namespace

TEST_CASE("kqueue refuses a regular file as epoll does") {
  const std::unique_ptr<Poller> poller = make_kqueue_poller();
  char name[] = "/tmp/twinloop-test-XXXXXX";
  const Descriptor file(::mkstemp(name));
  ::unlink(name);
  const std::error_code not_pollable(EPERM, std::system_category());
  CHECK(poller->add(file.get(), kKey, Interest::none, Trigger::level) == not_pollable);
  CHECK(poller->add(file.get(), kKey, Interest::both, Trigger::level) == not_pollable);
}

TEST_CASE("kqueue refuses what is no descriptor") {
  const std::unique_ptr<Poller> poller = make_kqueue_poller();
  const Trigger trigger = GENERATE(Trigger::level, Trigger::edge);
  CHECK(poller->add(-1, kKey, Interest::read, trigger));
  CHECK(poller->add(999, kKey, Interest::read, trigger));
  const Ends ends = unix_sockets();
  CHECK_FALSE(poller->add(ends.mine.get(), kKey, Interest::read, trigger));
}

TEST_CASE("kqueue takes a descriptor again after it was removed, and only then") {
  const std::unique_ptr<Poller> poller = make_kqueue_poller();
  const Ends ends = unix_sockets();
  REQUIRE_FALSE(poller->add(ends.mine.get(), FdKey{1, 1}, Interest::write, Trigger::level));
  CHECK(poller->add(ends.mine.get(), kKey, Interest::read, Trigger::edge) == Errc::busy);
  poller->remove(ends.mine.get());
  CHECK(now(*poller) == Ready::none);
  REQUIRE_FALSE(poller->add(ends.mine.get(), kKey, Interest::write, Trigger::level));
  CHECK(has(next(*poller), Ready::writable));
}

TEST_CASE("kqueue tells a socket's end with unread bytes in front of it, wanted or not") {
  const std::unique_ptr<Poller> poller = make_kqueue_poller();
  const Interest interest = GENERATE(Interest::none, Interest::read, Interest::both);
  Ends ends = tcp_sockets();
  REQUIRE_FALSE(poller->add(ends.mine.get(), kKey, interest, Trigger::edge));
  send_byte(ends.theirs.get());
  ends.theirs.reset();
  Ready heard = Ready::none;
  while (!has(heard, Ready::peer_end)) {
    const Ready more = next(*poller);
    REQUIRE(more != Ready::none);
    heard = heard | more;
  }
  CHECK(has(heard, Ready::readable) == wants(interest, Interest::read));
  CHECK(now(*poller) == Ready::none);
}

TEST_CASE("an orderly end is no failure to kqueue") {
  const std::unique_ptr<Poller> poller = make_kqueue_poller();
  Ends ends = tcp_sockets();
  REQUIRE_FALSE(poller->add(ends.mine.get(), kKey, Interest::read, Trigger::edge));
  ends.theirs.reset();
  const Ready heard = next(*poller);
  CHECK(has(heard, Ready::peer_end));
  CHECK_FALSE(has(heard, Ready::failure | Ready::hangup));
}

TEST_CASE("kqueue does not report bytes that nobody wants, and reports them when somebody does") {
  const std::unique_ptr<Poller> poller = make_kqueue_poller();
  const Ends ends = tcp_sockets();
  REQUIRE_FALSE(poller->add(ends.mine.get(), kKey, Interest::read, Trigger::edge));
  REQUIRE_FALSE(poller->modify(ends.mine.get(), kKey, Interest::none, Trigger::edge));
  send_byte(ends.theirs.get());
  CHECK(now(*poller) == Ready::none);
  REQUIRE_FALSE(poller->modify(ends.mine.get(), kKey, Interest::read, Trigger::edge));
  CHECK(has(next(*poller), Ready::readable));
  CHECK(now(*poller) == Ready::none);
}

TEST_CASE("kqueue reports again what is ready when the interest changes") {
  const std::unique_ptr<Poller> poller = make_kqueue_poller();
  const Ends ends = tcp_sockets();
  REQUIRE_FALSE(poller->add(ends.mine.get(), kKey, Interest::read, Trigger::edge));
  send_byte(ends.theirs.get());
  CHECK(has(next(*poller), Ready::readable));
  CHECK(now(*poller) == Ready::none);
  REQUIRE_FALSE(poller->modify(ends.mine.get(), kKey, Interest::both, Trigger::edge));
  const Ready again = next(*poller);
  CHECK(has(again, Ready::readable));
  CHECK(has(again, Ready::writable));
}

TEST_CASE("kqueue repeats a level until it is taken") {
  const std::unique_ptr<Poller> poller = make_kqueue_poller();
  const Ends ends = unix_sockets();
  REQUIRE_FALSE(poller->add(ends.mine.get(), kKey, Interest::none, Trigger::level));
  REQUIRE_FALSE(poller->modify(ends.mine.get(), kKey, Interest::read, Trigger::level));
  send_byte(ends.theirs.get());
  for (int i = 0; i < 3; ++i) CHECK(has(next(*poller), Ready::readable));
  char byte;
  REQUIRE(::read(ends.mine.get(), &byte, 1) == 1);
  CHECK(now(*poller) == Ready::none);
}

TEST_CASE("our own shutdown is not the peer's end") {
  const std::unique_ptr<Poller> poller = make_kqueue_poller();
  const Ends ends = tcp_sockets();
  REQUIRE_FALSE(poller->add(ends.mine.get(), kKey, Interest::both, Trigger::edge));
  REQUIRE(::shutdown(ends.mine.get(), SHUT_WR) == 0);
  send_byte(ends.theirs.get());
  Ready heard = Ready::none;
  while (!has(heard, Ready::readable)) {
    const Ready more = next(*poller);
    REQUIRE(more != Ready::none);
    heard = heard | more;
  }
  CHECK_FALSE(has(heard, Ready::peer_end | Ready::hangup | Ready::failure));
}

TEST_CASE("a reset is a failure to kqueue") {
  const std::unique_ptr<Poller> poller = make_kqueue_poller();
  const Interest interest = GENERATE(Interest::none, Interest::read, Interest::both);
  Ends ends = tcp_sockets();
  REQUIRE_FALSE(poller->add(ends.mine.get(), kKey, interest, Trigger::edge));
  reset_on_close(ends.theirs.get());
  ends.theirs.reset();
  Ready heard = Ready::none;
  while (!has(heard, Ready::failure)) {
    const Ready more = next(*poller);
    REQUIRE(more != Ready::none);
    heard = heard | more;
  }
}

TEST_CASE("kqueue tells the end of a pipe that nobody reads, bytes in front of it or not") {
  const std::unique_ptr<Poller> poller = make_kqueue_poller();
  const bool unread = GENERATE(false, true);
  Ends ends = pipe_ends();
  REQUIRE_FALSE(poller->add(ends.mine.get(), kKey, Interest::none, Trigger::level));
  if (unread) send_byte(ends.theirs.get());
  CHECK(now(*poller) == Ready::none);
  ends.theirs.reset();
  CHECK(next(*poller) == Ready::hangup);
  CHECK(now(*poller) == Ready::none);
}

TEST_CASE("a pipe that lost its reader is broken, whether or not somebody waits to write and when it happened") {
  const std::unique_ptr<Poller> poller = make_kqueue_poller();
  const Interest interest = GENERATE(Interest::none, Interest::write);
  const bool before = GENERATE(false, true);
  Ends ends = pipe_ends();
  if (before) ends.mine.reset();
  REQUIRE_FALSE(poller->add(ends.theirs.get(), kKey, interest, Trigger::level));
  ends.mine.reset();
  CHECK(has(next(*poller), Ready::failure));
}

TEST_CASE("bytes behind urgent data are found on kqueue") {
  IOLoop loop(make("kqueue"));
  Ends ends = tcp_sockets();
  const std::unique_ptr<Transport> transport = std::move(*FdTransport::make(reactor_of(loop), std::move(ends.mine)));
  Wanting listener;
  transport->set_listener(&listener);
  transport->want(true, false);
  REQUIRE(::send(ends.theirs.get(), "a", 1, 0) == 1);
  REQUIRE(::send(ends.theirs.get(), "!", 1, MSG_OOB) == 1);
  REQUIRE(::send(ends.theirs.get(), "b", 1, 0) == 1);
  loop.backend().wait(kNever);
  std::string text;
  for (int turn = 0; turn < 20 && text != "ab"; ++turn) {
    std::array<std::byte, 100> bytes;
    const IoResult result = transport->read(bytes);
    if (result.status == IoStatus::ok) text.append(reinterpret_cast<const char*>(bytes.data()), result.count);
    loop.backend().wait(kAlready);
  }
  CHECK(text == "ab");
}
