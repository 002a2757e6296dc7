// Running a loop: start, stop, run_sync, which loop is current, closing.  Tornado's ioloop_test, on every backend with a loop of
// its own; what a coroutine can see is in tests/conformance.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include <memory>
#include <string>
#include <thread>

#include "posix_fixtures.h"
#include "twinloop/ioloop.h"
#include "twinloop/remote.h"
#include "twinloop/timing.h"

using namespace twinloop;
using namespace std::chrono_literals;
using namespace twinloop::testing;

namespace {

Future<int> answer() {
  co_await sleep_for(1ms);
  co_return 42;
}

Future<void> fail_later() {
  co_await sleep_for(1ms);
  throw_error(Errc::protocol, "later");
}

// Notes whether its frame was destroyed.
struct Ended {
  bool& flag;
  ~Ended() { flag = true; }
};

Future<void> wait_for_ever(bool& ended) {
  const Ended note{ended};
  co_await sleep_until(kNever);
}

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

}  // namespace

TEST_CASE("run_sync gives what the coroutine gave, or throws what it threw") {
  IOLoop loop(make(each_backend()));
  CHECK(loop.run_sync(&answer) == 42);
  CHECK(loop.run_sync(5s, &answer) == 42);
  CHECK(reason_of_failure([&] { loop.run_sync(&fail_later); }) == Errc::protocol);
  CHECK(loop.run_sync([](int n) { return Future<int>::ready(n); }, 7) == 7);
  const auto throws_at_once = []() -> Future<void> { throw Error(Errc::limit, "before it is a coroutine"); };
  CHECK(reason_of_failure([&] { loop.run_sync(throws_at_once); }) == Errc::limit);
  CHECK(loop.run_sync(&answer) == 42);  // and the loop is as good as before
}

TEST_CASE("run_sync with a timeout cancels what is late and throws TimeoutError") {
  IOLoop loop(make(each_backend()));
  bool ended = false;
  CHECK_THROWS_AS(loop.run_sync(2ms, [&] { return wait_for_ever(ended); }), TimeoutError);
  CHECK(ended);
  CHECK(loop.run_sync(&answer) == 42);  // and the loop is as good as before
  CHECK(loop.stats().pending_timers == 0);
}

TEST_CASE("run_sync that somebody stops before the end cancels the coroutine and says so") {
  IOLoop loop(make(each_backend()));
  bool ended = false;
  loop.add_callback([&] { loop.stop(); });
  CHECK(reason_of_failure([&] { loop.run_sync([&] { return wait_for_ever(ended); }); }) == Errc::loop_closed);
  CHECK(ended);
}

TEST_CASE("stop before start ends the next start after one turn, and only that") {
  IOLoop loop(make(each_backend()));
  int turns = 0;
  loop.stop();
  loop.add_callback([&] { ++turns; });
  loop.start();
  CHECK(turns == 1);
  loop.call_later(1ms, [&] { loop.stop(); });
  loop.start();
}

TEST_CASE("stop from another thread ends start") {
  IOLoop loop(make(each_backend()));
  const RemoteLoop remote = loop.remote();
  std::thread other([remote] { remote.stop(); });
  loop.start();
  other.join();
}

TEST_CASE("start within start, or within a turn, is an error") {
  IOLoop loop(make(each_backend()));
  Errc reason = Errc::end;
  loop.add_callback([&] {
    reason = reason_of_failure([&] { loop.start(); });
    loop.stop();
  });
  loop.start();
  CHECK(reason == Errc::busy);
}

TEST_CASE("a loop is current while it runs, and the one before it again afterwards") {
  const std::string backend = each_backend();
  IOLoop outer(make(backend));
  REQUIRE(&IOLoop::current() == &outer);
  {
    IOLoop inner(make(backend));
    CHECK(&IOLoop::current() == &outer);
    IOLoop* seen = nullptr;
    inner.add_callback([&] {
      seen = &IOLoop::current();
      inner.stop();
    });
    inner.start();
    CHECK(seen == &inner);
    CHECK(&IOLoop::current() == &outer);
    inner.make_current();
    CHECK(&IOLoop::current() == &inner);
    outer.make_current();
  }
  IOLoop::clear_current();
  CHECK(IOLoop::current_or_null() == nullptr);
  CHECK(reason_of_failure([] { IOLoop::current(); }) == Errc::loop_closed);
}

TEST_CASE("a fresh thread has no loop, clear_current is harmless there, and instance gives it one of its own") {
  std::thread fresh([] {
    CHECK(IOLoop::current_or_null() == nullptr);
    IOLoop::clear_current();
    IOLoop& own = IOLoop::instance();
    CHECK(&IOLoop::instance() == &own);
    CHECK(&IOLoop::current() == &own);
    CHECK(own.run_sync(&answer) == 42);
  });
  fresh.join();
}

TEST_CASE("a closed loop takes no work, and closing it twice is harmless") {
  IOLoop loop(make(each_backend()));
  const RemoteLoop remote = loop.remote();
  bool ran = false;
  bool ended = false;
  loop.add_callback([&] { ran = true; });
  loop.spawn([&] { return wait_for_ever(ended); });
  loop.close();
  CHECK(ended);
  loop.add_callback([&] { ran = true; });
  loop.spawn_callback([&] { ran = true; });
  CHECK_FALSE(remote.post([] {}));
  CHECK(remote.closed());
  CHECK(reason_of_failure([&] { loop.start(); }) == Errc::loop_closed);
  CHECK_FALSE(loop.call_later(1ms, [] {}).pending());
  CHECK(reason_of_failure([] { sleep_for(1ms).result(); }) == Errc::loop_closed);
  CHECK_FALSE(loop.on_signal(SIGUSR1, [] {}));
  CHECK(reason_of_failure([&] { loop.add_handler(0, [](int, FdEvents) {}, FdEvents::read); }) == Errc::loop_closed);
  loop.remove_handler(0);
  loop.close();
  CHECK_FALSE(ran);
}

TEST_CASE("a loop that is closed inside its turn finishes that callback and runs no other") {
  IOLoop loop(make(each_backend()));
  std::string order;
  loop.add_callback([&] {
    loop.close();
    order += 'a';
  });
  loop.add_callback([&] { order += 'b'; });
  loop.call_at(TimePoint{}, [&] { order += 't'; });
  loop.start();
  CHECK(order == "a");
}

namespace {

Future<void> close_at_once(IOLoop& loop, std::string own, std::string& order) {
  loop.close();
  loop.close();
  order += own;
  co_await sleep_for(1ms);
  order += "not reached";
}

Future<void> spawn_one_that_closes(IOLoop& loop, std::string& order) {
  loop.spawn(&close_at_once, std::ref(loop), std::string(100, 'a'), std::ref(order));
  order += 'b';
  co_await sleep_for(1ms);
}

}  // namespace

TEST_CASE("a coroutine that is spawned outside a turn may close the loop before its first co_await") {
  std::string order;
  IOLoop loop(make(each_backend()));
  loop.spawn(&spawn_one_that_closes, std::ref(loop), std::ref(order));
  CHECK(order == std::string(100, 'a') + 'b');
  CHECK(reason_of_failure([&] { loop.start(); }) == Errc::loop_closed);
}

TEST_CASE("a forked child is ended by a signal that another thread's loop watches in the parent") {
  const std::string backend = each_backend();
  IOLoop loop(make(backend));
  IOLoop::clear_current();
  std::thread other([&] {
    IOLoop watching(make(backend));
    watching.on_signal(SIGUSR1, [] {});
    const pid_t child = ::fork();
    if (child == 0) {
      loop.make_current();  // a thread with another loop is the one that forks
      IOLoop::after_fork();
      ::raise(SIGUSR1);
      ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1));
  });
  other.join();
}

TEST_CASE("a loop winds down for as long as it is given, and sleeps meanwhile, also when it was stopped before") {
  IOLoop loop(make(each_backend()));
  const TimePoint begun = loop.clock();
  loop.stop();
  loop.count_lingering(1);
  loop.wind_down(20ms);
  loop.count_lingering(-1);
  CHECK(loop.clock() - begun >= 20ms);
  CHECK(loop.stats().turns < 10);
}

TEST_CASE("close(all_fds) closes the descriptors that have handlers, close() leaves them") {
  for (const bool all_fds : {true, false}) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    {
      IOLoop loop(make(each_backend()));
      loop.add_handler(ends[0], [](int, FdEvents) {}, FdEvents::read);
      loop.close(all_fds);
    }
    CHECK(is_open(ends[0]) == !all_fds);
    if (!all_fds) ::close(ends[0]);
    ::close(ends[1]);
  }
}

TEST_CASE("loops can be made and closed in two threads at once") {
  const std::string backend = each_backend();
  const auto churn = [&] {
    for (int i = 0; i < 50; ++i) {
      IOLoop loop(make(backend));
      loop.add_callback([&] { loop.stop(); });
      loop.start();
    }
  };
  std::thread other(churn);
  churn();
  other.join();
}

TEST_CASE("two thousand timers that are added and removed leave nothing behind") {
  IOLoop loop(make(each_backend()));
  for (int i = 0; i < 2000; ++i) {
    Timeout timeout = loop.call_later(1h, [] {});
    CHECK(timeout.pending());
    loop.remove_timeout(timeout);
    CHECK_FALSE(timeout.pending());
  }
  CHECK(loop.stats().pending_timers == 0);
}
