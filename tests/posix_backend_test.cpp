// What is true of the descriptor backends alone; what every backend does is in conformance/.
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "backends/posix/descriptor.h"
#include "backends/posix/errno_code.h"
#include "backends/posix/fd_transport.h"
#include "backends/posix/posix_backend.h"
#include "backends/posix/stdio_transport.h"
#include "backends/select/select_poller.h"
#include "twinloop/detail/builtin.h"
#include "twinloop/net.h"
#include "twinloop/timing.h"

namespace {

using namespace twinloop;
using namespace twinloop::detail;

// ---- fixtures

class CountingPoller final : public Poller {
 public:
  explicit CountingPoller(int& wakes) noexcept : wakes_(wakes) {}
  bool edge_triggered() const noexcept override { return false; }
  bool reports_end_early() const noexcept override { return false; }
  std::error_code add(int, FdKey, Interest, Trigger) override { return {}; }
  std::error_code modify(int, FdKey, Interest, Trigger) override { return {}; }
  void remove(int) noexcept override {}
  bool wait(TimePoint, EventBatch& batch) override {
    batch = std::exchange(next, {});
    return std::exchange(woken_, false);
  }
  void wake() noexcept override {
    ++wakes_;
    woken_ = true;
  }
  EventBatch next;

 private:
  int& wakes_;
  bool woken_ = false;
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

// An open file whose name is gone already.
Descriptor file_with(const std::string& text) {
  char name[] = "/tmp/twinloop-test-XXXXXX";
  Descriptor file(::mkstemp(name));
  ::unlink(name);
  REQUIRE(::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

std::string backend() { return GENERATE(as<std::string>(), "epoll", "select"); }

std::unique_ptr<Backend> make(const std::string& name) {
  for (const BackendEntry& entry : builtin_backends()) {
    if (entry.name == name) return entry.make();
  }
  throw Error(Errc::unknown_backend, name);
}

Reactor& reactor_of(IOLoop& loop) { return static_cast<PosixBackend&>(loop.backend()).reactor(); }

IOStream stdio_on(IOLoop& loop, int input, int output) {
  auto transport = std::make_unique<StdioTransport>(input, output);
  REQUIRE_FALSE(transport->begin(reactor_of(loop)));
  return IOStream(std::move(transport));
}

template <class T>
T run(IOLoop& loop, Future<T> work) {
  return loop.run_sync([&work] { return with_timeout(std::chrono::seconds(20), std::move(work)); });
}

// Everything that reading `fd` as stdin gives.
std::string read_as_stdin(const std::string& name, int fd) {
  IOLoop loop(make(name));
  const Descriptor out = open_null(O_WRONLY);
  IOStream stream = stdio_on(loop, fd, out.get());
  return run(loop, stream.read_until_close());
}

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

struct Silence {
  Silence() noexcept {
    set_log_handler([](LogLevel, std::string_view, const std::source_location&) { ++lines; });
    lines = 0;
  }
  ~Silence() { set_log_handler(nullptr); }
  static inline std::atomic<int> lines = 0;
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
  int wakes = 0;
  Reactor reactor(std::make_unique<CountingPoller>(wakes));
  for (int i = 0; i < 100; ++i) reactor.wake();
  CHECK(wakes == 1);
  reactor.wait(kNever);
  reactor.wake();
  CHECK(wakes == 2);
}

TEST_CASE("an event of a registration that has ended is dropped, also when its slot is in use again") {
  int wakes = 0;
  auto owned = std::make_unique<CountingPoller>(wakes);
  CountingPoller& poller = *owned;
  Reactor reactor(std::move(owned));
  Recorder first;
  Recorder second;
  REQUIRE_FALSE(first.registration.begin(reactor, 7, first, Interest::read, Trigger::level));
  const FdKey stale = first.registration.key();
  first.registration.end();
  REQUIRE_FALSE(second.registration.begin(reactor, 7, second, Interest::read, Trigger::level));
  REQUIRE(second.registration.key().slot == stale.slot);

  poller.next = {{stale, Ready::readable}};
  reactor.wait(kNever);

  CHECK(first.heard.empty());
  CHECK(second.heard.empty());
}

TEST_CASE("a listener may end another's registration while both have events in one batch") {
  int wakes = 0;
  auto owned = std::make_unique<CountingPoller>(wakes);
  CountingPoller& poller = *owned;
  Reactor reactor(std::move(owned));
  Recorder first;
  Recorder second;
  REQUIRE_FALSE(first.registration.begin(reactor, 7, first, Interest::read, Trigger::level));
  REQUIRE_FALSE(second.registration.begin(reactor, 8, second, Interest::read, Trigger::level));
  first.victim = &second;

  poller.next = {{first.registration.key(), Ready::readable}, {second.registration.key(), Ready::readable}};
  reactor.wait(kNever);

  CHECK(first.heard.size() == 1);
  CHECK(second.heard.empty());
}

TEST_CASE("the same descriptor registered twice is an error") {
  const std::string name = backend();
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
  const std::string name = backend();
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

// ---- accepting

TEST_CASE("a listener that runs out of descriptors waits and serves again when there are some") {
  const Silence silence;
  const std::string name = backend();
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
  const std::string name = backend();
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
  const std::string name = backend();
  IOLoop loop(make(name));
  const auto test = [](Network& network) -> Future<void> {
    Future<std::unique_ptr<Acceptor>> listening = network.listen(Url::parse("tcp://127.0.0.1:0").value(), ListenOptions());
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

TEST_CASE("a signal runs its handler on the loop, and the former disposition comes back") {
  const std::string name = backend();
  IOLoop loop(make(name));
  int arrived = 0;
  REQUIRE(loop.on_signal(SIGUSR1, [&] {
    ++arrived;
    loop.stop();
  }));
  ::raise(SIGUSR1);
  CHECK(arrived == 0);
  loop.start();
  CHECK(arrived == 1);

  REQUIRE(loop.on_signal(SIGUSR1, {}));
  struct sigaction now {};
  ::sigaction(SIGUSR1, nullptr, &now);
  CHECK(now.sa_handler == SIG_DFL);
  CHECK_FALSE(loop.on_signal(SIGKILL, [] {}));
}

// ---- stdin and stdout

TEST_CASE("stdin from a file gives all of it and then the end") {
  const std::string name = backend();
  const std::string text(300'000, 'x');
  const Descriptor file = file_with(text);
  CHECK(read_as_stdin(name, file.get()) == text);
}

TEST_CASE("stdin from /dev/null ends at once") {
  const std::string name = backend();
  const Descriptor null = open_null(O_RDONLY);
  CHECK(read_as_stdin(name, null.get()).empty());
}

TEST_CASE("a closed stdin ends at once") {
  const std::string name = backend();
  int closed;
  {
    const Descriptor null(::fcntl(0, F_DUPFD_CLOEXEC, 900));
    closed = null.get();
  }
  CHECK(read_as_stdin(name, closed).empty());
}

TEST_CASE("an inherited pipe is read without being made nonblocking") {
  const std::string name = backend();
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);
  REQUIRE(::write(writing.get(), "pipe\n", 5) == 5);
  writing.reset();
  CHECK(read_as_stdin(name, reading.get()) == "pipe\n");
  CHECK((::fcntl(reading.get(), F_GETFL) & O_NONBLOCK) == 0);
}

TEST_CASE("a stdout whose reader has gone is a reset connection and raises no signal") {
  const std::string name = backend();
  IOLoop loop(make(name));
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const Descriptor writing(ends[1]);
  ::close(ends[0]);
  const Descriptor null = open_null(O_RDONLY);
  IOStream stream = stdio_on(loop, null.get(), writing.get());
  const auto test = [](IOStream& out) -> Future<void> {
    co_await out.write("nobody reads this\n");
    Future<void> flushing = out.flush();
    const Result<void> flushed = co_await as_result(std::move(flushing));
    CHECK(flushed.reason() == Errc::reset);
  };
  run(loop, test(stream));
}

TEST_CASE("ending a stdout that is a pipe tells its reader and leaves the descriptor's number taken") {
  const std::string name = backend();
  IOLoop loop(make(name));
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const Descriptor reading(ends[0]);
  const Descriptor writing(ends[1]);
  const Descriptor null = open_null(O_RDONLY);
  IOStream stream = stdio_on(loop, null.get(), writing.get());
  const auto test = [](IOStream& out) -> Future<void> {
    co_await out.write("last words");
    co_await out.shutdown_write();
  };
  run(loop, test(stream));

  char bytes[64];
  CHECK(::read(reading.get(), bytes, sizeof bytes) == 10);
  CHECK(::read(reading.get(), bytes, sizeof bytes) == 0);
  CHECK(::fcntl(writing.get(), F_GETFD) != -1);
}
