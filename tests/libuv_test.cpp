// What is special about libuv: living inside an application's loop, and uv_poll's peculiarities.
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cerrno>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "backends/libuv/handle.h"
#include "backends/posix/descriptor.h"
#include "backends/posix/fd_transport.h"
#include "tests/conformance/crowd.h"
#include "tests/posix_fixtures.h"
#include "twinloop/ioloop.h"
#include "twinloop/libuv.h"
#include "twinloop/net.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;

namespace {

using namespace twinloop;
using namespace twinloop::detail;
using namespace twinloop::testing;

// ---- fixtures

// The application's loop.  When it goes, nothing may be left in it.
class Host {
 public:
  Host() { REQUIRE(uv_loop_init(&loop_) == 0); }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  ~Host() {
    run();
    CHECK(handles() == 0);
    CHECK(uv_loop_close(&loop_) == 0);
  }

  operator uv_loop_t&() noexcept { return loop_; }
  void run() noexcept { uv_run(&loop_, UV_RUN_DEFAULT); }
  bool alive() const noexcept { return uv_loop_alive(&loop_) != 0; }

  int handles() noexcept {
    int count = 0;
    uv_walk(&loop_, [](uv_handle_t*, void* total) { ++*static_cast<int*>(total); }, &count);
    return count;
  }

 private:
  uv_loop_t loop_;
};

// A timer of the application's.
class HostTimer {
 public:
  HostTimer(Host& host, std::uint64_t delay, std::uint64_t repeat, std::function<void()> callback)
      : callback_(std::move(callback)), timer_(make_handle<uv_timer_t>(host, this, &uv_timer_init)) {
    const auto ring = [](uv_timer_t* timer) {
      auto* self = static_cast<HostTimer*>(timer->data);
      ++self->rings;
      self->callback_();
    };
    uv_timer_start(timer_.get(), ring, delay, repeat);
  }
  HostTimer(const HostTimer&) = delete;
  HostTimer& operator=(const HostTimer&) = delete;
  void stop() { uv_timer_stop(timer_.get()); }

  int rings = 0;

 private:
  std::function<void()> callback_;
  Handle<uv_timer_t> timer_;
};

// Hears what a transport tells, and takes nothing.
class Listening final : public TransportListener {
 public:
  void on_ready(bool, bool) override {}
  void on_peer_end() override { ++ends; }
  void on_failure(std::error_code error) override { failures.push_back(error); }

  int ends = 0;
  std::vector<std::error_code> failures;
};

class Recorder final : public FdListener {
 public:
  void on_fd_events(Ready ready) override { heard.push_back(ready); }
  void on_reactor_closing() noexcept override { registration.end(); }

  FdRegistration registration;
  std::vector<Ready> heard;
};

// Two ends of a TCP connection, which can be reset.
std::pair<Descriptor, Descriptor> connected_sockets() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t length = sizeof address;
  const Descriptor listening(::socket(AF_INET, SOCK_STREAM, 0));
  REQUIRE(::bind(listening.get(), generic, length) == 0);
  REQUIRE(::listen(listening.get(), 1) == 0);
  REQUIRE(::getsockname(listening.get(), generic, &length) == 0);
  Descriptor mine(::socket(AF_INET, SOCK_STREAM, 0));
  REQUIRE(::connect(mine.get(), generic, length) == 0);
  Descriptor theirs(::accept(listening.get(), nullptr, nullptr));
  REQUIRE(::fcntl(mine.get(), F_SETFL, O_NONBLOCK) == 0);
  return {std::move(mine), std::move(theirs)};
}

void reset(Descriptor& socket) {
  const linger at_once{1, 0};
  REQUIRE(::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
  socket.reset();
}

Future<void> wait_for(Future<void> event, bool& done) {
  co_await std::move(event);
  done = true;
}

Future<void> sleep_then(Duration delay, bool& done) {
  co_await sleep_for(delay);
  done = true;
}

Future<void> spin(const bool& stop, long& rounds) {
  while (!stop) {
    co_await Future<void>::ready();
    ++rounds;
  }
}

Future<void> tick(int times, int& rounds, const int& rings, int& rings_seen) {
  for (; rounds < times; ++rounds) co_await sleep_for(1ms);
  rings_seen = rings;
}

Future<void> read_line(IOStream& stream, std::string& line) { line = co_await stream.read_until("\n"); }

}  // namespace

// ---- what keeps the host running

TEST_CASE("libuv: the host's uv_run ends at once when nothing of ours is pending") {
  Host host;
  IOLoop loop(hosted_by(host));
  auto [mine, theirs] = connected_sockets();
  const IOStream idle(std::move(*FdTransport::make(reactor_of(loop), std::move(mine))));
  loop.on_signal(SIGUSR1, [] {});
  Future<void> nobody = sleep_for(1h);
  nobody = Future<void>();
  host.run();
  CHECK_FALSE(host.alive());
}

TEST_CASE("libuv: a timer keeps the host running until it has fired, and not before its time") {
  Host host;
  IOLoop loop(hosted_by(host));
  const TimePoint begun = loop.clock();
  TimePoint fired{};
  loop.call_later(3ms, [&] { fired = loop.clock(); });
  CHECK(host.alive());
  host.run();
  CHECK(fired - begun >= 3ms);
  CHECK_FALSE(host.alive());
}

TEST_CASE("libuv: no timer fires early on a clock that the host read long ago") {
  Host host;
  IOLoop loop(hosted_by(host));
  for (int i = 0; i < 20; ++i) {
    const TimePoint busy_until = loop.clock() + 300us;
    while (loop.clock() < busy_until) {
    }
    const TimePoint due = loop.clock() + 1200us;
    TimePoint fired{};
    loop.call_at(due, [&] { fired = loop.clock(); });
    host.run();
    REQUIRE(fired >= due);
  }
}

TEST_CASE("libuv: a callback keeps the host running until it ran") {
  Host host;
  IOLoop loop(hosted_by(host));
  bool ran = false;
  loop.add_callback([&] { ran = true; });
  CHECK(host.alive());
  host.run();
  CHECK(ran);
}

TEST_CASE("libuv: a wanted read keeps the host running; the open connection alone does not") {
  Host host;
  IOLoop loop(hosted_by(host));
  auto [mine, theirs] = connected_sockets();
  IOStream stream(std::move(*FdTransport::make(reactor_of(loop), std::move(mine))));
  std::string line;
  Future<void> reading = read_line(stream, line);
  CHECK(host.alive());
  HostTimer peer(host, 2, 0, [&, fd = theirs.get()] { REQUIRE(::write(fd, "hello\n", 6) == 6); });
  host.run();
  CHECK(line == "hello\n");
  CHECK(reading.done());
  CHECK_FALSE(host.alive());
}

TEST_CASE("libuv: a handler of a descriptor keeps the host running until it is removed") {
  Host host;
  IOLoop loop(hosted_by(host));
  Descriptor reading;
  Descriptor writing;
  REQUIRE(make_pipe(reading, writing));
  int calls = 0;
  const auto handler = [&](int fd, FdEvents) {
    ++calls;
    loop.remove_handler(fd);
  };
  loop.add_handler(reading.get(), handler, FdEvents::read);
  CHECK(host.alive());
  HostTimer peer(host, 2, 0, [&] { REQUIRE(::write(writing.get(), "x", 1) == 1); });
  host.run();
  CHECK(calls == 1);
}

TEST_CASE("libuv: a read that is dropped outside of a turn no longer keeps the host running") {
  Host host;
  IOLoop loop(hosted_by(host));
  auto [mine, theirs] = connected_sockets();
  IOStream stream(std::move(*FdTransport::make(reactor_of(loop), std::move(mine))));
  std::string line;
  Future<void> reading = with_timeout(1h, read_line(stream, line));
  HostTimer dropping(host, 2, 0, [&] { reading = Future<void>(); });
  host.run();
  CHECK_FALSE(host.alive());
}

TEST_CASE("libuv: a spawned coroutine keeps the host running while it waits for another thread") {
  Host host;
  IOLoop loop(hosted_by(host));
  Promise<void> promise;
  bool done = false;
  loop.spawn(&wait_for, promise.get_future(), std::ref(done));
  CHECK(host.alive());
  std::thread other([&] { loop.add_callback([&] { promise.set_value(); }); });
  host.run();
  other.join();
  CHECK(done);
}

TEST_CASE("libuv: a coroutine that the host's own callback wakes goes on") {
  Host host;
  IOLoop loop(hosted_by(host));
  Promise<void> promise;
  bool done = false;
  loop.spawn(&wait_for, promise.get_future(), std::ref(done));
  HostTimer timer(host, 2, 0, [&] { promise.set_value(); });
  host.run();
  CHECK(done);
}

TEST_CASE("libuv: after the host's uv_run ended the loop can be given work and run again") {
  Host host;
  IOLoop loop(hosted_by(host));
  for (int round = 0; round < 3; ++round) {
    bool done = false;
    loop.spawn(&sleep_then, 1ms, std::ref(done));
    host.run();
    REQUIRE(done);
  }
}

// ---- sharing the host

TEST_CASE("libuv: timers of the host and ours run in between each other") {
  constexpr int kEach = 10;
  Host host;
  IOLoop loop(hosted_by(host));
  int rounds = 0;
  int rings_seen = 0;
  int rounds_seen = 0;
  HostTimer timer(host, 1, 1, [&] {
    rounds_seen = rounds;
    if (timer.rings >= kEach && rounds >= kEach) timer.stop();
  });
  loop.spawn(&tick, kEach, std::ref(rounds), std::cref(timer.rings), std::ref(rings_seen));
  host.run();
  CHECK(rings_seen > 0);
  CHECK(rounds_seen == kEach);
}

TEST_CASE("libuv: a chain of ready coroutines leaves the host its turns, and the host's idle handle leaves us ours") {
  Host host;
  IOLoop loop(hosted_by(host));
  bool stop = false;
  long rounds = 0;
  int idles = 0;
  const Handle<uv_idle_t> idle = make_handle<uv_idle_t>(host, &idles, &uv_idle_init);
  uv_idle_start(idle.get(), [](uv_idle_t* handle) { ++*static_cast<int*>(handle->data); });
  HostTimer ticks(host, 1, 1, [&] {
    if (ticks.rings < 5) return;
    stop = true;
    uv_idle_stop(idle.get());
    ticks.stop();
  });
  loop.spawn(&spin, std::cref(stop), std::ref(rounds));
  host.run();
  CHECK(ticks.rings == 5);
  CHECK(idles > 1);
  CHECK(rounds > 1000);
}

TEST_CASE("libuv: a callback of ours that adds itself leaves the host its turns") {
  struct Again {
    IOLoop& loop;
    const bool& stop;
    void operator()() {
      if (!stop) loop.add_callback(Again{loop, stop});
    }
  };
  Host host;
  IOLoop loop(hosted_by(host));
  bool stop = false;
  loop.add_callback(Again{loop, stop});
  HostTimer timer(host, 3, 0, [&] { stop = true; });
  host.run();
  CHECK(stop);
}

TEST_CASE("libuv: a host has one IOLoop at a time") {
  Host host;
  {
    IOLoop loop(hosted_by(host));
    try {
      (void)hosted_by(host);
      FAIL("a second one was made");
    } catch (const Error& error) {
      CHECK(error.reason() == Errc::busy);
    }
    Host other;
    CHECK_NOTHROW(hosted_by(other));
  }
  bool done = false;
  IOLoop next(hosted_by(host));
  next.spawn(&sleep_then, 1ms, std::ref(done));
  host.run();
  CHECK(done);
}

TEST_CASE("libuv: start and run_sync are refused where the host runs the loop") {
  Host host;
  IOLoop loop(hosted_by(host));
  CHECK(loop.backend().hosted());
  CHECK(loop.backend_name() == "libuv");
  try {
    loop.run_sync([] { return sleep_for(1ms); });
    FAIL("it ran");
  } catch (const Error& error) {
    CHECK(error.reason() == Errc::not_supported);
  }
}

TEST_CASE("libuv: signals arrive in a hosted loop") {
  Host host;
  IOLoop loop(hosted_by(host));
  int signals = 0;
  loop.on_signal(SIGUSR1, [&] { ++signals; });
  loop.call_later(1ms, [] { ::raise(SIGUSR1); });
  bool done = false;
  loop.spawn(&sleep_then, 5ms, std::ref(done));
  host.run();
  CHECK(signals == 1);
}

TEST_CASE("libuv: add_callback from eight threads wakes a hosted loop, each time") {
  constexpr int kThreads = 8;
  constexpr int kEach = 500;
  Host host;
  IOLoop loop(hosted_by(host));
  Promise<void> all;
  bool done = false;
  int arrived = 0;
  loop.spawn(&wait_for, all.get_future(), std::ref(done));
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < kEach; ++n) {
        loop.add_callback([&] {
          if (++arrived == kThreads * kEach) all.set_value();
        });
      }
    });
  }
  host.run();
  for (std::thread& thread : threads) thread.join();
  CHECK(done);
  CHECK(arrived == kThreads * kEach);
}

// ---- going

TEST_CASE("libuv: eight threads may go on adding callbacks while a hosted loop closes, and each is run or destroyed") {
  for (int round = 0; round < 10; ++round) {
    const bool inside_a_turn = round % 2 == 0;
    Host host;
    IOLoop loop(hosted_by(host));
    bool done = false;
    loop.spawn(&sleep_then, 1h, std::ref(done));  // keeps the host running
    Crowd crowd(loop, [&] { inside_a_turn ? loop.close() : uv_stop(&static_cast<uv_loop_t&>(host)); });
    host.run();
    crowd.disperse();
    CHECK_NOTHROW(crowd.expect_each_run_or_destroyed());
  }
}

TEST_CASE(
    "libuv: a handler that the host's own callback removes just when its descriptor is ready leaves the host to "
    "sleep") {
  Host host;
  IOLoop loop(hosted_by(host));
  Descriptor ours;
  Descriptor theirs;
  Descriptor our_writer;
  Descriptor their_writer;
  REQUIRE(make_pipe(ours, our_writer));
  REQUIRE(make_pipe(theirs, their_writer));
  bool told = false;
  loop.add_handler(ours.get(), [&told](int, FdEvents) { told = true; }, FdEvents::read);
  struct Remover {
    IOLoop& loop;
    int fd;
  } remover{loop, ours.get()};
  Handle<uv_poll_t> poll = make_handle<uv_poll_t, int>(host, &remover, &uv_poll_init, theirs.get());
  uv_poll_start(poll.get(), UV_READABLE, [](uv_poll_t* handle, int, int) {
    auto* self = static_cast<Remover*>(handle->data);
    self->loop.remove_handler(self->fd);
    uv_poll_stop(handle);
  });
  uv_run(&static_cast<uv_loop_t&>(host), UV_RUN_NOWAIT);  // what is wanted reaches the kernel
  REQUIRE(::write(our_writer.get(), "x", 1) == 1);
  REQUIRE(::write(their_writer.get(), "x", 1) == 1);
  for (int i = 0; i < 10 && host.alive(); ++i) uv_run(&static_cast<uv_loop_t&>(host), UV_RUN_NOWAIT);
  CHECK_FALSE(told);
  CHECK_FALSE(host.alive());
}

TEST_CASE("libuv: a loop that is closed inside its turn leaves the host as it was") {
  Host host;
  {
    IOLoop loop(hosted_by(host));
    bool done = false;
    loop.spawn(&sleep_then, 1h, std::ref(done));
    HostTimer timer(host, 5, 0, [] {});
    loop.call_later(1ms, [&] { loop.close(); });
    host.run();
    CHECK(timer.rings == 1);
    host.run();
    CHECK(host.handles() == 1);  // the application's timer
    CHECK_FALSE(done);
  }
}

TEST_CASE("libuv: a connection's handle goes when the connection does") {
  Host host;
  IOLoop loop(hosted_by(host));
  const int before = host.handles();
  {
    auto [mine, theirs] = connected_sockets();
    const std::unique_ptr<Transport> transport = std::move(*FdTransport::make(reactor_of(loop), std::move(mine)));
    CHECK(host.handles() == before + 1);
  }
  host.run();
  CHECK(host.handles() == before);
}

TEST_CASE("libuv: a forked child lets go of the parent's loop, hosted or not, and makes its own") {
  for (const bool hosted : {false, true}) {
    Host host;
    IOLoop loop(hosted ? hosted_by(host) : make("libuv"));
    Descriptor reading;
    Descriptor writing;
    REQUIRE(make_pipe(reading, writing));
    Recorder recorder;
    REQUIRE_FALSE(
        recorder.registration.begin(reactor_of(loop), reading.get(), recorder, Interest::read, Trigger::level));
    loop.call_later(0ms, [] {});
    if (hosted) uv_run(&static_cast<uv_loop_t&>(host), UV_RUN_NOWAIT);
    if (!hosted) loop.backend().wait(kAlready);

    const pid_t child = ::fork();
    if (child == 0) {
      IOLoop::after_fork();
      recorder.registration.end();
      IOLoop own(make("libuv"));
      own.run_sync([] { return sleep_for(1ms); });
      ::_exit(0);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    REQUIRE(::write(writing.get(), "x", 1) == 1);
    if (hosted) uv_run(&static_cast<uv_loop_t&>(host), UV_RUN_ONCE);
    if (!hosted) loop.backend().wait(loop.clock() + 10s);
    CHECK(recorder.heard.size() == 1);
  }
}

// ---- uv_poll

TEST_CASE("libuv: a peer's end is told once, and the loop sleeps afterwards") {
  IOLoop loop(make("libuv"));
  auto [mine, theirs] = connected_sockets();
  const std::unique_ptr<Transport> transport = std::move(*FdTransport::make(reactor_of(loop), std::move(mine)));
  Listening listener;
  transport->set_listener(&listener);
  REQUIRE(::write(theirs.get(), "unread", 6) == 6);
  REQUIRE(::shutdown(theirs.get(), SHUT_WR) == 0);
  loop.backend().wait(kNever);
  CHECK(listener.ends == 1);

  const TimePoint begun = loop.clock();
  loop.backend().wait(begun + 5ms);
  CHECK(loop.clock() - begun >= 4ms);
  CHECK(listener.ends == 1);
  CHECK(listener.failures.empty());
}

TEST_CASE("libuv: a reset is told as one, to somebody who wants nothing, before and after the peer's end") {
  for (const bool end_first : {false, true}) {
    IOLoop loop(make("libuv"));
    auto [mine, theirs] = connected_sockets();
    const std::unique_ptr<Transport> transport = std::move(*FdTransport::make(reactor_of(loop), std::move(mine)));
    Listening listener;
    transport->set_listener(&listener);
    if (end_first) {
      REQUIRE(::shutdown(theirs.get(), SHUT_WR) == 0);
      loop.backend().wait(loop.clock() + 10s);
    }
    reset(theirs);
    loop.backend().wait(loop.clock() + 10s);
    REQUIRE(listener.failures.size() == 1);
    CHECK(listener.failures[0] == Errc::reset);
    CHECK(listener.ends == (end_first ? 1 : 0));
  }
}

TEST_CASE("libuv: what is watched does not become nonblocking for those who share it") {
  IOLoop loop(make("libuv"));
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const Descriptor reading(ends[0]);
  const Descriptor writing(ends[1]);
  Recorder recorder;
  REQUIRE_FALSE(recorder.registration.begin(reactor_of(loop), reading.get(), recorder, Interest::read, Trigger::level));
  REQUIRE(::write(writing.get(), "x", 1) == 1);
  loop.backend().wait(kNever);
  CHECK(recorder.heard.size() == 1);
  CHECK((::fcntl(reading.get(), F_GETFL) & O_NONBLOCK) == 0);
}

TEST_CASE("libuv: a descriptor closed behind the loop's back is told once, and does not end the process") {
  IOLoop loop(make("libuv"));
  Descriptor reading;
  Descriptor writing;
  REQUIRE(make_pipe(reading, writing));
  Recorder recorder;
  REQUIRE_FALSE(recorder.registration.begin(reactor_of(loop), reading.get(), recorder, Interest::none, Trigger::level));
  loop.backend().wait(kAlready);
  reading.reset();
  REQUIRE_FALSE(recorder.registration.modify(Interest::read));
  loop.backend().wait(kNever);
  loop.backend().wait(kAlready);
  REQUIRE(recorder.heard.size() == 1);
  CHECK(has(recorder.heard[0], Ready::failure));
}

TEST_CASE("libuv: a regular file and a descriptor that is registered already are refused by their names") {
  IOLoop loop(make("libuv"));
  Descriptor reading;
  Descriptor writing;
  REQUIRE(make_pipe(reading, writing));
  Recorder first;
  Recorder second;
  REQUIRE_FALSE(first.registration.begin(reactor_of(loop), reading.get(), first, Interest::read, Trigger::level));
  CHECK(second.registration.begin(reactor_of(loop), reading.get(), second, Interest::read, Trigger::level) ==
        Errc::busy);
  const Descriptor file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  CHECK(second.registration.begin(reactor_of(loop), file.get(), second, Interest::read, Trigger::level) ==
        std::error_code(EPERM, std::system_category()));
  CHECK(second.registration.begin(reactor_of(loop), -1, second, Interest::read, Trigger::level) ==
        Errc::bad_descriptor);
}

TEST_CASE("libuv: one descriptor cannot be watched by the host and by us") {
  Host host;
  IOLoop loop(hosted_by(host));
  Descriptor reading;
  Descriptor writing;
  REQUIRE(make_pipe(reading, writing));
  const Handle<uv_poll_t> theirs = make_handle<uv_poll_t>(host, nullptr, &uv_poll_init, reading.get());
  REQUIRE(uv_poll_start(theirs.get(), UV_READABLE, [](uv_poll_t*, int, int) {}) == 0);
  Recorder ours;
  CHECK(ours.registration.begin(reactor_of(loop), reading.get(), ours, Interest::read, Trigger::level) == Errc::busy);
}

TEST_CASE("libuv: what is wanted and unwanted within a turn reaches the kernel only as what remains") {
  IOLoop loop(make("libuv"));
  Descriptor reading;
  Descriptor writing;
  REQUIRE(make_pipe(reading, writing));
  Recorder recorder;
  REQUIRE_FALSE(recorder.registration.begin(reactor_of(loop), reading.get(), recorder, Interest::read, Trigger::level));
  REQUIRE(::write(writing.get(), "x", 1) == 1);
  REQUIRE_FALSE(recorder.registration.modify(Interest::none));
  loop.backend().wait(kAlready);
  CHECK(recorder.heard.empty());
  REQUIRE_FALSE(recorder.registration.modify(Interest::read));
  loop.backend().wait(kAlready);
  CHECK(recorder.heard.size() == 1);
}

TEST_CASE("libuv: fifteen hundred descriptors that are ready at once are each told once") {
  constexpr int kPairs = 1500;
  IOLoop loop(make("libuv"));
  std::vector<std::unique_ptr<Recorder>> recorders;
  Descriptor reading;
  Descriptor writing;
  REQUIRE(make_pipe(reading, writing));
  REQUIRE(::write(writing.get(), "x", 1) == 1);
  std::vector<Descriptor> copies;
  for (int i = 0; i < kPairs; ++i) {
    copies.emplace_back(::fcntl(reading.get(), F_DUPFD_CLOEXEC, 3));
    if (!copies.back()) SKIP("this process may not open so many descriptors");
    recorders.push_back(std::make_unique<Recorder>());
    REQUIRE_FALSE(recorders.back()->registration.begin(reactor_of(loop), copies.back().get(), *recorders.back(),
                                                       Interest::read, Trigger::level));
  }
  loop.backend().wait(kNever);
  std::size_t most = 0;
  for (const auto& recorder : recorders) most = std::max(most, recorder->heard.size());
  CHECK(most == 1);
}
