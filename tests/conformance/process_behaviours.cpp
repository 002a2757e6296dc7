// Signals and fork.  RULES §2, §4.
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "twinloop/executor.h"
#include "twinloop/ioloop.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kSignals = Needs::signals;
constexpr Needs kFork = Needs::fds | Needs::signals;

// A handler that is taken back at the end.
class Handler {
 public:
  Handler(int number, int& count, Promise<void>& told) : number_(number) {
    IOLoop::current().on_signal(number, [&count, &told] {
      ++count;
      told.set_value();
    });
  }
  ~Handler() { IOLoop::current().on_signal(number_, {}); }
  Handler(const Handler&) = delete;
  Handler& operator=(const Handler&) = delete;

 private:
  int number_;
};

Future<int> exit_status(pid_t child) {
  return IOLoop::current().run_in_executor([child] {
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  });
}

Future<int> child_program() {
  int pipe[2];
  if (::pipe(pipe) != 0) co_return 10;
  Promise<void> promise;
  Future<void> readable = promise.get_future();
  IOLoop& loop = IOLoop::current();
  loop.add_handler(pipe[0], [&](int, FdEvents) { promise.set_value(); }, FdEvents::read);
  loop.call_later(1ms, [&] { [[maybe_unused]] const auto written = ::write(pipe[1], "x", 1); });
  co_await std::move(readable);
  loop.remove_handler(pipe[0]);
  Future<int> worked = loop.run_in_executor([] { return 7; });
  co_return co_await std::move(worked);
}

// What a child of the loop's does: a loop of its own, on the same backend, with all that a loop has.
[[noreturn]] void run_child(std::string backend) {
  IOLoop::after_fork();
  IOLoop::configure(backend);
  int status = 20;
  try {
    IOLoop loop;
    status = loop.run_sync(10s, &child_program);
  } catch (...) {
    status = 21;
  }
  ::_exit(status);
}

}  // namespace

BEHAVIOUR("a signal that comes while the loop sleeps runs its handler on the loop", kSignals) {
  int count = 0;
  Promise<void> promise;
  Future<void> told = promise.get_future();
  const Handler handler(SIGUSR1, count, promise);
  const pthread_t own = ::pthread_self();
  std::thread other([own] {
    std::this_thread::sleep_for(2ms);  // by then the loop sleeps; if it does not yet, the signal is told as well
    ::pthread_kill(own, SIGUSR1);
  });
  co_await told;
  other.join();
  expect_equal(count, 1);
}

BEHAVIOUR("a signal that comes before the loop polls is not lost", kSignals) {
  int count = 0;
  Promise<void> promise;
  Future<void> told = promise.get_future();
  const Handler handler(SIGUSR1, count, promise);
  ::raise(SIGUSR1);
  expect_equal(count, 0);
  co_await told;
  expect_equal(count, 1);
}

BEHAVIOUR("a signal neither ends nor shortens a sleep", kSignals) {
  int count = 0;
  Promise<void> promise;
  Future<void> told = promise.get_future();
  const Handler handler(SIGUSR1, count, promise);
  IOLoop& loop = IOLoop::current();
  const TimePoint begun = loop.clock();
  const pthread_t own = ::pthread_self();
  std::thread other([own] {
    for (int i = 0; i < 5; ++i) ::pthread_kill(own, SIGUSR1);
  });
  co_await sleep_for(10ms);
  other.join();
  co_await told;
  expect(loop.clock() - begun >= 10ms, "it slept as long as it was to");
  expect(count >= 1, "and was told of the signal");
}

BEHAVIOUR("a handler of a signal may replace itself", kSignals) {
  IOLoop& loop = IOLoop::current();
  std::string order;
  Promise<void> promise;
  Future<void> second = promise.get_future();
  loop.on_signal(SIGUSR2, [&] {
    order += 'a';
    loop.on_signal(SIGUSR2, [&] {
      order += 'b';
      promise.set_value();
    });
    ::raise(SIGUSR2);
  });
  ::raise(SIGUSR2);
  co_await second;
  loop.on_signal(SIGUSR2, {});
  expect_equal(order, "ab");
}

BEHAVIOUR("a forked child makes a loop of its own, and the parent's goes on as if nothing had been", kFork) {
  IOLoop& loop = IOLoop::current();
  int pipe[2];
  expect(::pipe(pipe) == 0, "a pipe");
  Promise<void> promise;
  Future<void> readable = promise.get_future();
  loop.add_handler(pipe[0], [&](int fd, FdEvents) { loop.remove_handler(fd), promise.set_value(); }, FdEvents::read);
  const std::string backend(loop.backend_name());
  const pid_t child = ::fork();
  if (child == 0) run_child(backend);
  const int status = co_await exit_status(child);
  expect_equal(status, 7);
  expect(::write(pipe[1], "x", 1) == 1, "a byte");
  co_await std::move(readable);
  ::close(pipe[0]);
  ::close(pipe[1]);
}
