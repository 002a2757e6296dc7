// Where a loop may not run, and closing it from wherever it is done: on every backend.
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backends/posix/descriptor.h"
#include "posix_fixtures.h"
#include "twinloop/executor.h"
#include "twinloop/ioloop.h"
#include "twinloop/iostream.h"
#include "twinloop/locks.h"
#include "twinloop/net.h"
#include "twinloop/periodic.h"
#include "twinloop/rate_limiter.h"
#include "twinloop/remote.h"
#include "twinloop/timing.h"

using namespace twinloop;
using namespace std::chrono_literals;
using namespace twinloop::testing;

namespace {

class Nobody final : public detail::FdListener {
 public:
  void on_fd_events(detail::Ready) override {}
  void on_reactor_closing() noexcept override {}
};

Future<int> answer() {
  co_await sleep_for(1ms);
  co_return 42;
}

// Closes the loop when it is destroyed.
struct ClosesAtItsEnd {
  ClosesAtItsEnd(IOLoop& closed, int& counted) noexcept : loop(&closed), ends(&counted) {}
  ClosesAtItsEnd(ClosesAtItsEnd&& other) noexcept : loop(std::exchange(other.loop, nullptr)), ends(other.ends) {}
  ClosesAtItsEnd& operator=(ClosesAtItsEnd&&) = delete;
  ~ClosesAtItsEnd() {
    if (loop == nullptr) return;
    loop->close();
    ++*ends;
  }

  IOLoop* loop;
  int* ends;
};

Future<void> hold(ClosesAtItsEnd) { co_await sleep_until(kNever); }

Future<void> close_when_it_fails(IOLoop& loop, int& ends) {
  Future<void> sleeping = sleep_until(kNever);
  co_await settled(sleeping);
  const ClosesAtItsEnd end(loop, ends);
}

Future<void> sleep_for_ever() { co_await sleep_until(kNever); }

Future<void> keep_for_ever(std::shared_ptr<void>) { co_await sleep_until(kNever); }

Future<void> note_resumption(Future<void> signal, bool& resumed) {
  co_await std::move(signal);
  resumed = true;
}

Future<void> cancel_all_and_wait(IOLoop& loop, ClosesAtItsEnd) {
  loop.cancel_tasks(nullptr);
  co_await sleep_until(kNever);
}

Future<Errc> reason_of_opening(std::string url) {
  Result<IOStream> opened = co_await as_result(connect(std::move(url)));
  co_return opened.ok() ? Errc::end : opened.reason();
}

Future<std::string> first_byte(std::string url) {
  IOStream stream = co_await connect(std::move(url));
  co_return co_await stream.read_bytes(1);
}

// Goes on when its loop closes, and asks for time limits of it.
Future<void> go_on_without_a_loop(Lock& lock, std::vector<Errc>& reasons) {
  const Result<void> closed = co_await as_result(sleep_until(kNever));
  reasons.push_back(closed.reason());
  const Result<Permit> timed = co_await as_result(lock.acquire(1h));
  reasons.push_back(timed.reason());
  Future<Permit> plain = lock.acquire();
  const Result<Permit> limited = co_await as_result(with_timeout(1h, std::move(plain)));
  reasons.push_back(limited.reason());
  RateLimiter limiter(1, 1h);
  const Result<void> paced = co_await as_result(limiter.acquire());
  reasons.push_back(paced.reason());
  const Permit never = co_await lock.acquire();
}

}  // namespace

TEST_CASE("limits of time that begin once the loop closes fail at once, and nothing of them outlives it") {
  Lock lock;
  const Permit held = lock.acquire().result();
  std::vector<Errc> reasons;
  Future<void> work;
  Future<Permit> late;
  {
    IOLoop loop(make(each_backend()));
    work = go_on_without_a_loop(lock, reasons);
    loop.close();
    late = with_timeout(1h, lock.acquire());
    loop.add_callback([] {});
  }
  CHECK(reasons == std::vector(4, Errc::loop_closed));
  CHECK_FALSE(work.done());  // what needs no loop goes on
  work = Future<void>();     // touches no loop
  REQUIRE(late.done());
  CHECK(reason_of_failure([&] { const Permit permit = late.result(); }) == Errc::loop_closed);
}

TEST_CASE("what ends while a loop closes may close it once more") {
  int ends = 0;
  IOLoop loop(make(each_backend()));
  const Future<void> held = close_when_it_fails(loop, ends);
  for (int i = 0; i < 2; ++i) loop.spawn(&hold, ClosesAtItsEnd(loop, ends));
  loop.add_callback([end = ClosesAtItsEnd(loop, ends)] {});
  loop.call_later(1h, [end = ClosesAtItsEnd(loop, ends)] {});
  loop.close();
  CHECK(ends == 5);
  CHECK(held.done());
}

TEST_CASE("what ends while a loop winds down may close it") {
  int ends = 0;
  IOLoop loop(make(each_backend()));
  for (int i = 0; i < 2; ++i) loop.spawn(&hold, ClosesAtItsEnd(loop, ends));
  loop.wind_down(1h);
  CHECK(ends == 2);
  CHECK(loop.closed());
  loop.wind_down(1h);  // and once more, at once
}

TEST_CASE("closing fails all that waits, also more than one turn would resume") {
  IOLoop loop(make(each_backend()));
  std::vector<Future<void>> held;
  for (int i = 0; i < 5000; ++i) held.push_back(sleep_for_ever());
  loop.close();
  std::size_t done = 0;
  for (Future<void>& each : held) {
    done += each.done() ? 1 : 0;
    std::move(each).ignore();
  }
  CHECK(done == held.size());
}

TEST_CASE("a coroutine that is cancelled in its first run ends when it waits") {
  int ends = 0;
  IOLoop loop(make(each_backend()));
  loop.spawn(&cancel_all_and_wait, std::ref(loop), ClosesAtItsEnd(loop, ends));
  CHECK(ends == 1);
  CHECK(loop.closed());
}

TEST_CASE("what other threads were to bring to a loop fails at once when that is closed") {
  IOLoop loop(make(each_backend()));
  loop.close();
  RemotePromise<int> promise(loop);
  Future<int> result = promise.get_future();
  REQUIRE(result.done());
  CHECK(reason_of_failure([&] { result.result(); }) == Errc::loop_closed);
  CHECK_FALSE(promise.set_value(1));
}

TEST_CASE("run_in_executor brings its result to the loop that it was called on, which need not be the current one") {
  const std::string name = each_backend();
  IOLoop current(make(name));
  IOLoop other(make(name));
  CHECK(run(other, other.run_in_executor([] { return 42; })) == 42);
  other.close();
  CHECK(reason_of_failure([&] { other.run_in_executor([] { return 42; }).result(); }) == Errc::loop_closed);
}

TEST_CASE("a PeriodicCallback that only its own beat keeps goes with that when the loop closes") {
  IOLoop loop(make(each_backend()));
  auto periodic = std::make_shared<std::unique_ptr<PeriodicCallback>>();
  *periodic = std::make_unique<PeriodicCallback>(
      [&, weak = std::weak_ptr(periodic)] {
        loop.stop();
        return keep_for_ever(weak.lock());
      },
      1ms);
  (*periodic)->start();
  loop.start();
  const std::weak_ptr left = periodic;
  periodic.reset();
  CHECK_FALSE(left.expired());
  loop.close();
  CHECK(left.expired());
}

TEST_CASE("a loop runs on the thread that made it, and on no other") {
  IOLoop loop(make(each_backend()));
  Errc starting = Errc::end;
  std::thread([&] { starting = reason_of_failure([&] { loop.start(); }); }).join();
  CHECK(starting == Errc::not_supported);
  CHECK(loop.run_sync(&answer) == 42);
}

TEST_CASE("inside a turn no other loop runs or winds down, and one that closes there resumes nobody") {
  const std::string name = each_backend();
  IOLoop outer(make(name));
  Promise<void> promise;
  bool resumed = false;
  const Future<void> waiting = note_resumption(promise.get_future(), resumed);
  std::vector<Errc> reasons;
  bool resumed_inside = false;
  outer.add_callback([&] {
    promise.set_value();
    IOLoop inner(make(name));
    reasons.push_back(reason_of_failure([&] { inner.run_sync(&answer); }));
    reasons.push_back(reason_of_failure([&] { inner.turn(); }));
    reasons.push_back(reason_of_failure([&] { inner.wind_down(1ms); }));
    reasons.push_back(reason_of_failure([&] { outer.wind_down(1ms); }));
    inner.close();
    resumed_inside = resumed;
    outer.stop();
  });
  outer.start();
  CHECK(reasons == std::vector(4, Errc::busy));
  CHECK_FALSE(resumed_inside);
  CHECK(resumed);
  IOLoop another(make(name));  // behind that turn it is allowed again
  CHECK(another.run_sync(&answer) == 42);
}

TEST_CASE("a thread keeps the loop that instance() made for it, whatever was current meanwhile") {
  const std::string name = each_backend();
  std::thread([&name] {
    IOLoop& own = IOLoop::instance();
    {
      IOLoop other(make(name));
      other.make_current();
    }
    CHECK(IOLoop::current_or_null() == nullptr);
    CHECK(&IOLoop::instance() == &own);
    CHECK(&IOLoop::current() == &own);
    own.close();
    IOLoop::clear_current();
    CHECK(IOLoop::instance().run_sync(&answer) == 42);  // another, since that one is closed
  }).join();
}

TEST_CASE("a number that was closed behind the loop's back is nobody else's until its handler is removed") {
  IOLoop loop(make(each_backend()));
  int ours[2];
  int theirs[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ours) == 0);
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, theirs) == 0);
  const std::string url = "fd:" + std::to_string(ours[0]);
  loop.add_handler(ours[0], [](int, FdEvents) {}, FdEvents::read);
  CHECK(run(loop, answer()) == 42);
  REQUIRE(::dup2(theirs[0], ours[0]) == ours[0]);
  CHECK(run(loop, reason_of_opening(url)) == Errc::busy);
  Nobody nobody;
  detail::FdRegistration accepted;  // as a connection that got that number is watched
  CHECK(accepted.begin(reactor_of(loop), ours[0], nobody, detail::Interest::read, detail::Trigger::level) ==
        Errc::busy);
  loop.remove_handler(ours[0]);
  REQUIRE(::write(theirs[1], "x", 1) == 1);
  CHECK(run(loop, first_byte(url)) == "x");
  for (const int fd : {ours[1], theirs[0], theirs[1]}) ::close(fd);
}
