// What is true of the descriptor backends alone; what every backend does is in conformance/.
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "backends/epoll/epoll_poller.h"
#include "backends/posix/descriptor.h"
#include "backends/posix/errno_code.h"
#include "backends/posix/fd_transport.h"
#include "backends/posix/posix_backend.h"
#include "backends/posix/socket.h"
#include "backends/select/select_poller.h"
#include "tests/posix_fixtures.h"
#include "twinloop/detail/builtin.h"
#include "twinloop/net.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"

namespace {

using namespace twinloop;
using namespace twinloop::detail;
using namespace twinloop::testing;

// ---- fixtures

class CountingPoller final : public Poller {
 public:
  bool edge_triggered() const noexcept override { return false; }
  bool reports_end_early() const noexcept override { return false; }
  std::error_code add(int, FdKey, Interest, Trigger) override { return {}; }
  std::error_code modify(int, FdKey, Interest, Trigger) override { return {}; }
  void remove(int) noexcept override {}
  std::span<FdEvent> wait(TimePoint) override {
    found_ = std::exchange(next, {});
    if (std::exchange(woken_, false)) found_.push_back({Ready::none, kWakeKey});
    return found_;
  }
  void wake() noexcept override {
    ++wakes;
    woken_ = true;
  }
  void after_fork() noexcept override {}

  std::vector<FdEvent> next;  // what it will find
  int wakes = 0;

 private:
  std::vector<FdEvent> found_;
  bool woken_ = false;
};

// A reactor over such a poller.
struct Counted {
  Counted() { reactor.attach(loop); }

  IOLoop loop{std::make_unique<twinloop::testing::ManualBackend>()};
  std::unique_ptr<CountingPoller> owned = std::make_unique<CountingPoller>();
  CountingPoller& poller = *owned;
  Reactor reactor{std::move(owned)};
};

// Counts the events that a poller reports.
class Tally final : public Poller {
 public:
  explicit Tally(std::unique_ptr<Poller> real) noexcept : real_(std::move(real)) {}
  bool edge_triggered() const noexcept override { return real_->edge_triggered(); }
  bool reports_end_early() const noexcept override { return real_->reports_end_early(); }
  std::error_code add(int fd, FdKey key, Interest interest, Trigger trigger) override {
    return real_->add(fd, key, interest, trigger);
  }
  std::error_code modify(int fd, FdKey key, Interest interest, Trigger trigger) override {
    return real_->modify(fd, key, interest, trigger);
  }
  void remove(int fd) noexcept override { real_->remove(fd); }
  std::span<FdEvent> wait(TimePoint deadline) override {
    const std::span<FdEvent> found = real_->wait(deadline);
    events += found.size();
    return found;
  }
  void wake() noexcept override { real_->wake(); }
  void after_fork() noexcept override { real_->after_fork(); }

  std::size_t events = 0;

 private:
  std::unique_ptr<Poller> real_;
};

// Hears what a transport tells, and takes nothing.
class Listening final : public TransportListener {
 public:
  void on_ready(bool readable, bool) override { notices += readable ? 1 : 0; }
  void on_peer_end() override { ++ends; }
  void on_failure(std::error_code error) override { failures.push_back(error); }

  int notices = 0;
  int ends = 0;
  std::vector<std::error_code> failures;
};

class Recorder final : public FdListener {
 public:
  void on_fd_events(Ready ready) override {
    heard.push_back(ready);
    if (victim != nullptr) victim->registration.end();
  }
  void on_reactor_closing() noexcept override { registration.end(); }

  FdRegistration registration;
  std::vector<Ready> heard;
  Recorder* victim = nullptr;
};

// Writes its name down each time it is told.
class Named final : public FdListener {
 public:
  Named(std::string& into, char name) noexcept : into_(into), name_(name) {}
  void on_fd_events(Ready) override { into_ += name_; }
  void on_reactor_closing() noexcept override { registration.end(); }

  FdRegistration registration;

 private:
  std::string& into_;
  char name_;
};

// The limit of open descriptors, lowered to what is open now plus `more`.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(int more) {
    ::getrlimit(RLIMIT_NOFILE, &former_);
    const Descriptor next = open_null(O_RDONLY);
    rlimit lowered = former_;
    lowered.rlim_cur = static_cast<rlim_t>(next.get() + more);
    ::setrlimit(RLIMIT_NOFILE, &lowered);
  }
  ~DescriptorLimit() { ::setrlimit(RLIMIT_NOFILE, &former_); }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;

 private:
  rlimit former_{};
};

Address loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return Address(reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

std::vector<Descriptor> take_all_below(int limit) {
  std::vector<Descriptor> taken;
  for (Descriptor next = open_null(O_RDONLY); next && next.get() < limit; next = open_null(O_RDONLY)) {
    taken.push_back(std::move(next));
  }
  return taken;
}

std::pair<Descriptor, Descriptor> connected_sockets() {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

struct Silence {
  Silence() noexcept {
    set_log_handler([](LogLevel, std::string_view, const Location&) { ++lines; });
    lines = 0;
  }
  ~Silence() { set_log_handler(nullptr); }
  static inline std::atomic<int> lines = 0;
};

// A loop that turns with a tallied poller, and a transport on it whose peer is a bare socket.
struct Tallied {
  Tallied(const char* name, std::unique_ptr<Poller> real) : Tallied(name, std::make_unique<Tally>(std::move(real))) {
    auto [mine, theirs] = connected_sockets();
    peer = std::move(theirs);
    transport = std::move(*FdTransport::make(reactor_of(loop), std::move(mine)));
    transport->set_listener(&listener);
  }

  Tally& tally;
  IOLoop loop;
  Listening listener;
  Descriptor peer;
  std::unique_ptr<Transport> transport;

 private:
  Tallied(const char* name, std::unique_ptr<Tally> owned)
      : tally(*owned), loop(std::make_unique<PosixBackend>(name, std::move(owned))) {}
};

}  // namespace

// ---- errors

TEST_CASE("an errno becomes the library's own name for it, or stays what it is") {
  CHECK(from_errno(ECONNREFUSED) == Errc::refused);
  CHECK(from_errno(ECONNRESET) == Errc::reset);
  CHECK(from_errno(EPIPE) == Errc::reset);
  CHECK(from_errno(ETIMEDOUT) == Errc::timeout);
  CHECK(from_errno(ENETUNREACH) == Errc::unreachable);
  CHECK(from_errno(EADDRINUSE) == Errc::in_use);
  CHECK(from_errno(EACCES) == Errc::denied);
  CHECK(from_errno(EMFILE) == Errc::descriptors_exhausted);
  CHECK(from_errno(ENOSPC) == std::error_code(ENOSPC, std::system_category()));
}

// ---- the reactor

TEST_CASE("wakes before the loop has noticed the first cost one system call") {
  Counted with;
  for (int i = 0; i < 100; ++i) with.reactor.wake();
  CHECK(with.poller.wakes == 1);
  with.reactor.wait(kNever);
  with.reactor.wake();
  CHECK(with.poller.wakes == 2);
}

TEST_CASE("an event of a registration that has ended is dropped, also when its slot is in use again") {
  Counted with;
  Recorder first;
  Recorder second;
  REQUIRE_FALSE(first.registration.begin(with.reactor, 7, first, Interest::read, Trigger::level));
  const FdKey stale = first.registration.key();
  first.registration.end();
  REQUIRE_FALSE(second.registration.begin(with.reactor, 7, second, Interest::read, Trigger::level));
  REQUIRE(second.registration.key().slot == stale.slot);

  with.poller.next = {{Ready::readable, stale}};
  with.reactor.wait(kNever);

  CHECK(first.heard.empty());
  CHECK(second.heard.empty());
  CHECK(with.loop.stats().handlers == 0);
}

TEST_CASE("a listener may end another's registration while both have events in one batch") {
  Counted with;
  Recorder first;
  Recorder second;
  REQUIRE_FALSE(first.registration.begin(with.reactor, 7, first, Interest::read, Trigger::level));
  REQUIRE_FALSE(second.registration.begin(with.reactor, 8, second, Interest::read, Trigger::level));
  first.victim = &second;

  with.poller.next = {{Ready::readable, first.registration.key()}, {Ready::readable, second.registration.key()}};
  with.reactor.wait(kNever);

  CHECK(first.heard.size() == 1);
  CHECK(second.heard.empty());
  CHECK(with.loop.stats().handlers == 1);
}

TEST_CASE("a wake is not taken for an event, and the next one is told to the poller again") {
  Counted with;
  Recorder first;  // has the slot that the wake's key names
  REQUIRE_FALSE(first.registration.begin(with.reactor, 7, first, Interest::read, Trigger::level));
  REQUIRE(first.registration.key().slot == kWakeKey.slot);

  with.reactor.wake();
  with.reactor.wait(kNever);
  CHECK(first.heard.empty());
  CHECK(with.loop.stats().handlers == 0);

  with.reactor.wake();
  CHECK(with.poller.wakes == 2);
  with.poller.next = {{Ready::readable, first.registration.key()}};
  with.reactor.wait(kNever);
  CHECK(first.heard.size() == 1);
  with.reactor.wake();
  CHECK(with.poller.wakes == 3);
}

TEST_CASE("the same descriptor registered twice is an error") {
  const std::string name = each_backend();
  IOLoop loop(make(name));
  Descriptor reading;
  Descriptor writing;
  REQUIRE(make_pipe(reading, writing));
  Recorder first;
  Recorder second;
  Reactor& reactor = reactor_of(loop);
  REQUIRE_FALSE(first.registration.begin(reactor, reading.get(), first, Interest::read, Trigger::level));
  CHECK(second.registration.begin(reactor, reading.get(), second, Interest::read, Trigger::level) == Errc::busy);
}

TEST_CASE("wake ends a wait from another thread, for ever and ever") {
  const std::string name = each_backend();
  IOLoop loop(make(name));
  for (int i = 0; i < 200; ++i) {
    std::thread other([&loop] { loop.backend().wake(); });
    loop.backend().wait(kNever);
    other.join();
  }
}

// ---- select

TEST_CASE("select refuses a descriptor that it cannot watch with a name for it") {
  const std::unique_ptr<Poller> poller = make_select_poller();
  CHECK(poller->add(FD_SETSIZE, FdKey{}, Interest::read, Trigger::level) == Errc::descriptors_exhausted);
}

TEST_CASE("select lets a connection go whose descriptor it cannot watch, and the listener serves on") {
  const Silence silence;
  IOLoop loop(make("select"));
  if (!Descriptor(::fcntl(0, F_DUPFD_CLOEXEC, FD_SETSIZE))) SKIP("this process may not open so many descriptors");
  const auto test = [](Reactor& reactor) -> Future<void> {
    Listener listener = co_await listen("tcp://127.0.0.1:0");
    const Address server_address = loopback(Url::parse(listener.url()).value().port);
    Descriptor socket = std::move(*open_stream_socket(server_address));
    {
      const std::vector<Descriptor> fillers = take_all_below(FD_SETSIZE);
      ::connect(socket.get(), server_address.get(), server_address.length());
      IOStream unlucky(std::move(*FdTransport::make(reactor, std::move(socket))));
      Future<std::string> reading = unlucky.read_some();
      const Result<std::string> let_go = co_await as_result(std::move(reading));
      CHECK(let_go.reason() == Errc::end);
      CHECK(Silence::lines == 1);
    }
    IOStream client = co_await connect(listener.url());
    IOStream server = co_await listener.accept();
    co_await client.write("hello\n");
    Future<std::string> line = server.read_until("\n");
    const std::string text = co_await std::move(line);
    CHECK(text == "hello\n");
  };
  run(loop, test(reactor_of(loop)));
}

TEST_CASE("select finds a descriptor that was closed behind its back and tells its listener once") {
  IOLoop loop(make("select"));
  Descriptor reading;
  Descriptor writing;
  REQUIRE(make_pipe(reading, writing));
  Recorder recorder;
  REQUIRE_FALSE(recorder.registration.begin(reactor_of(loop), reading.get(), recorder, Interest::read, Trigger::level));
  reading.reset();
  loop.backend().wait(kNever);
  loop.backend().wait(kAlready);
  REQUIRE(recorder.heard.size() == 1);
  CHECK(has(recorder.heard[0], Ready::failure));
}

TEST_CASE("of listeners that a level-triggered poller tells in the same order each is the first at times") {
  Counted with;
  std::string order;
  std::array<Named, 3> listeners{Named(order, 'a'), Named(order, 'b'), Named(order, 'c')};
  std::vector<FdEvent> all;
  for (int fd = 7; Named & each : listeners) {
    REQUIRE_FALSE(each.registration.begin(with.reactor, fd++, each, Interest::read, Trigger::level));
    all.push_back({Ready::readable, each.registration.key()});
  }
  for (int turn = 0; turn < 4; ++turn) {
    with.poller.next = all;
    with.reactor.wait(kNever);
  }
  CHECK(order ==
        "abc"
        "bca"
        "cab"
        "abc");
}

// ---- the transport

TEST_CASE("epoll stops reporting bytes that nobody wants, and tells of them and of the end all the same") {
  Tallied with("epoll", make_epoll_poller());
  for (int i = 0; i < 50; ++i) {
    REQUIRE(::write(with.peer.get(), "x", 1) == 1);
    with.loop.backend().wait(kAlready);
  }
  CHECK(with.tally.events <= 4);
  CHECK(with.listener.notices == 0);

  with.peer.reset();
  with.loop.backend().wait(kNever);
  CHECK(with.listener.ends == 1);
  CHECK(with.listener.failures.empty());

  with.transport->want(true, false);
  with.loop.turn();
  CHECK(with.listener.notices > 0);
  std::array<std::byte, 100> bytes;
  CHECK(with.transport->read(bytes).count == 50);
  CHECK(with.transport->read(bytes).status == IoStatus::end);
}

TEST_CASE("select watches on between two reads, and no longer once bytes come that nobody wants") {
  Tallied with("select", make_select_poller());
  std::array<std::byte, 100> bytes;
  with.transport->want(true, false);
  REQUIRE(::write(with.peer.get(), "x", 1) == 1);
  with.loop.backend().wait(kAlready);
  CHECK(with.listener.notices == 1);
  CHECK(with.transport->read(bytes).count == 1);
  with.transport->want(false, false);

  REQUIRE(::write(with.peer.get(), "y", 1) == 1);
  CHECK(with.transport->read(bytes).status == IoStatus::would_block);  // it would be told, and is not asked for in vain
  for (int turn = 0; turn < 10; ++turn) with.loop.backend().wait(kAlready);
  CHECK(with.tally.events == 2);
  CHECK(with.listener.notices == 1);
  CHECK(with.transport->read(bytes).count == 1);
}

TEST_CASE("what is wanted and not taken is told again at each turn") {
  const std::string name = each_backend();
  IOLoop loop(make(name));
  auto [mine, theirs] = connected_sockets();
  const std::unique_ptr<Transport> transport = std::move(*FdTransport::make(reactor_of(loop), std::move(mine)));
  Listening listener;
  transport->set_listener(&listener);
  transport->want(true, false);
  REQUIRE(::write(theirs.get(), "x", 1) == 1);
  for (int turn = 1; turn <= 20; ++turn) {
    loop.backend().wait(kAlready);
    loop.turn();
    CHECK(listener.notices >= turn);
  }
}

TEST_CASE("a reset is told once, and as the reason of every later call") {
  IOLoop loop(make("epoll"));
  const auto test = [](Reactor& reactor) -> Future<void> {
    Listener listener = co_await listen("tcp://127.0.0.1:0");
    const Address address = loopback(Url::parse(listener.url()).value().port);
    Descriptor socket = std::move(*open_stream_socket(address));
    ::connect(socket.get(), address.get(), address.length());
    IOStream server = co_await listener.accept();
    const std::unique_ptr<Transport> transport = std::move(*FdTransport::make(reactor, std::move(socket)));
    Listening heard;
    transport->set_listener(&heard);
    server.abort();
    while (heard.failures.empty()) co_await sleep_for(Duration::zero());
    transport->want(true, true);
    co_await sleep_for(Duration::zero());
    co_await sleep_for(Duration::zero());
    CHECK(heard.failures.size() == 1);
    CHECK(heard.failures.at(0) == Errc::reset);
    std::array<std::byte, 100> bytes;
    CHECK(transport->read(bytes).error == Errc::reset);
  };
  run(loop, test(reactor_of(loop)));
}

TEST_CASE("what outlives its loop touches nothing and can be destroyed") {
  const std::string name = each_backend();
  auto loop = std::make_unique<IOLoop>(make(name));
  auto [mine, theirs] = connected_sockets();
  const std::unique_ptr<Transport> transport = std::move(*FdTransport::make(reactor_of(*loop), std::move(mine)));
  Future<Listener> listening = listen("tcp://127.0.0.1:0");
  const Listener listener = run(*loop, std::move(listening));
  Future<IOStream> connecting = connect(listener.url());
  Future<IOStream> resolving = connect("tcp://localhost:1");
  transport->want(true, true);
  loop.reset();
  transport->want(false, true);
  REQUIRE(connecting.done());
  REQUIRE(resolving.done());
  CHECK_FALSE(connecting.take_result().ok());
  CHECK_FALSE(resolving.take_result().ok());
}

TEST_CASE("a name is resolved beside the loop, and a dropped question is no trouble") {
  const std::string name = each_backend();
  IOLoop loop(make(name));
  for (int i = 0; i < 20; ++i) {
    const Future<IOStream> dropped = connect("tcp://localhost:1");
    loop.turn();
  }
  const auto test = []() -> Future<void> {
    Future<IOStream> connecting = connect("tcp://no-such-name.invalid:1");
    const Result<IOStream> stream = co_await as_result(std::move(connecting));
    CHECK(stream.reason() == Errc::unresolved);
    CHECK(stream.failure().message().find("no address for 'no-such-name.invalid'") != std::string::npos);
  };
  run(loop, test());
}

// ---- accepting

TEST_CASE("a listener that runs out of descriptors waits and serves again when there are some") {
  const Silence silence;
  const std::string name = each_backend();
  IOLoop loop(make(name));
  const auto test = []() -> Future<void> {
    Listener listener = co_await listen("tcp://127.0.0.1:0");
    {
      const DescriptorLimit none_for_the_server(1);
      IOStream client = co_await connect(listener.url());
      Future<std::string> reading = client.read_some();
      const Result<std::string> turned_away = co_await as_result(std::move(reading));
      CHECK_FALSE(turned_away.ok());
    }
    IOStream client = co_await connect(listener.url());
    IOStream server = co_await listener.accept();
    co_await server.write("welcome\n");
    Future<std::string> line = client.read_until("\n");
    const std::string text = co_await std::move(line);
    CHECK(text == "welcome\n");
  };
  run(loop, test());
  CHECK(Silence::lines == 1);
}

TEST_CASE("a connection that could not be opened for want of descriptors fails with that name") {
  const std::string name = each_backend();
  IOLoop loop(make(name));
  const auto test = []() -> Future<void> {
    Listener listener = co_await listen("tcp://127.0.0.1:0");
    const DescriptorLimit none(0);
    Future<IOStream> connecting = connect(listener.url());
    const Result<IOStream> stream = co_await as_result(std::move(connecting));
    CHECK(stream.reason() == Errc::descriptors_exhausted);
  };
  run(loop, test());
}

TEST_CASE("an accept dropped after its connection came leaves the connection for the next one") {
  const std::string name = each_backend();
  IOLoop loop(make(name));
  const auto test = [](Network& network) -> Future<void> {
    Future<std::unique_ptr<Acceptor>> listening =
        network.listen(Url::parse("tcp://127.0.0.1:0").value(), ListenOptions());
    const std::unique_ptr<Acceptor> acceptor = co_await std::move(listening);
    Future<std::unique_ptr<Transport>> first = acceptor->accept();
    IOStream client = co_await connect(acceptor->url().to_string());
    co_await client.write("kept\n");
    while (!first.done()) co_await sleep_for(Duration::zero());
    first = Future<std::unique_ptr<Transport>>();

    Future<std::unique_ptr<Transport>> second = acceptor->accept();
    IOStream server(co_await std::move(second));
    Future<std::string> line = server.read_until("\n");
    const std::string text = co_await std::move(line);
    CHECK(text == "kept\n");
  };
  run(loop, test(loop.backend().network()));
}

// ---- signals

namespace {

auto count_and_stop(IOLoop& loop, int& arrived) {
  return [&] {
    ++arrived;
    loop.stop();
  };
}

}  // namespace

TEST_CASE("a signal runs its handler on the loop, and the former disposition comes back") {
  const std::string name = each_backend();
  IOLoop loop(make(name));
  int arrived = 0;
  REQUIRE(loop.on_signal(SIGUSR1, count_and_stop(loop, arrived)));
  ::raise(SIGUSR1);
  CHECK(arrived == 0);
  loop.start();
  CHECK(arrived == 1);

  REQUIRE(loop.on_signal(SIGUSR1, {}));
  struct sigaction now{};
  ::sigaction(SIGUSR1, nullptr, &now);
  CHECK(now.sa_handler == SIG_DFL);
  CHECK_FALSE(loop.on_signal(SIGKILL, [] {}));
}

TEST_CASE("a handler that the program has put in place of a loop's stays when the loop closes") {
  const std::string name = each_backend();
  {
    IOLoop loop(make(name));
    REQUIRE(loop.on_signal(SIGUSR1, [] {}));
    ::signal(SIGUSR1, SIG_IGN);
  }
  CHECK(::signal(SIGUSR1, SIG_DFL) == SIG_IGN);
}

TEST_CASE(
    "on_signal watches a signal again whose handler the program had replaced, also for loops that watched before") {
  const std::string name = each_backend();
  IOLoop loop(make(name));
  int arrived = 0;
  REQUIRE(loop.on_signal(SIGUSR1, count_and_stop(loop, arrived)));
  {
    ::signal(SIGUSR1, SIG_IGN);
    IOLoop another(make(name));
    REQUIRE(another.on_signal(SIGUSR1, [] {}));
  }
  ::raise(SIGUSR1);
  loop.call_later(std::chrono::seconds(10), [&] { loop.stop(); });
  loop.start();
  CHECK(arrived == 1);
  REQUIRE(loop.on_signal(SIGUSR1, {}));
  CHECK(::signal(SIGUSR1, SIG_DFL) == SIG_IGN);
}
