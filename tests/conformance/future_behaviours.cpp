// Futures and coroutines: awaiting, dropping, stack depth.  RULES §2.
#include <memory>
#include <vector>

#include "twinloop/ioloop.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

Future<int> one() { co_return 1; }

Future<long> sum_of_finished(int count) {
  long sum = 0;
  for (int i = 0; i < count; ++i) sum += co_await one();
  co_return sum;
}

Future<int> plus_one(Future<int> below) { co_return 1 + co_await std::move(below); }

Future<int> chain(Future<int> bottom, int length) {
  for (int i = 0; i < length; ++i) bottom = plus_one(std::move(bottom));
  return bottom;
}

// Counts the frames that hold one.
struct Alive {
  explicit Alive(int& n) noexcept : number(&n) { ++*number; }
  Alive(const Alive&) = delete;
  Alive& operator=(const Alive&) = delete;
  ~Alive() { --*number; }
  int* number;
};

Future<void> wait_for(Future<void> signal, int& alive) {
  const Alive here(alive);
  co_await std::move(signal);
}

Future<void> wait_deeper(Future<void> below, int& alive) {
  const Alive here(alive);
  co_await std::move(below);
}

Future<void> drop_slot(Future<void> signal, std::unique_ptr<Future<void>>& slot, int& alive, bool& went_on) {
  const Alive here(alive);
  co_await std::move(signal);
  slot.reset();
  went_on = true;  // it runs on to its next suspension
  co_await sleep_for(1h);
  expect(false, "a cancelled coroutine went on behind its next co_await");
}

Future<void> drop_slot_and_return(Future<void> signal, std::unique_ptr<Future<void>>& slot, int& alive) {
  const Alive here(alive);
  co_await std::move(signal);
  slot.reset();
}

struct DropsWhenDestroyed {
  explicit DropsWhenDestroyed(Future<void>& v) noexcept : victim(&v) {}
  DropsWhenDestroyed(const DropsWhenDestroyed&) = delete;
  DropsWhenDestroyed& operator=(const DropsWhenDestroyed&) = delete;
  ~DropsWhenDestroyed() { *victim = Future<void>(); }
  Future<void>* victim;
};

Future<void> drop_in_destructor(Future<void> signal, Future<void>& victim, int& alive) {
  const Alive here(alive);
  const DropsWhenDestroyed dropper(victim);
  co_await std::move(signal);
}

Future<void> fail_with(std::error_code code) {
  co_await sleep_for(0s);
  throw_error(code, "as asked");
}

Future<void> next_turns(int count) {
  for (int i = 0; i < count; ++i) co_await sleep_for(0s);
}

}  // namespace

BEHAVIOUR("a million awaits of a finished coroutine keep the stack flat", Needs::nothing) {
  const long sum = co_await sum_of_finished(1'000'000);
  expect_equal(sum, 1'000'000L);
}

BEHAVIOUR("a chain of 100,000 waiting coroutines completes in constant stack", Needs::nothing) {
  Promise<int> bottom;
  Future<int> top = chain(bottom.get_future(), 100'000);
  bottom.set_value(7);
  const int sum = co_await std::move(top);
  expect_equal(sum, 100'007);
}

BEHAVIOUR("a chain of 100,000 waiting coroutines is dropped in constant stack", Needs::nothing) {
  Promise<int> bottom;
  {
    Future<int> top = chain(bottom.get_future(), 100'000);
    expect(bottom.wanted(), "somebody waits");
  }
  expect(!bottom.wanted(), "the leaf operation was withdrawn");
  co_return;
}

BEHAVIOUR("dropping a future destroys its frames leaf first and withdraws what they waited for", Needs::nothing) {
  int alive = 0;
  Promise<void> signal;
  {
    Future<void> work = wait_deeper(wait_for(signal.get_future(), alive), alive);
    expect_equal(alive, 2);
  }
  expect_equal(alive, 0);
  expect(!signal.wanted(), "the promise knows that nobody waits");
  co_return;
}

BEHAVIOUR("a coroutine that drops its own future ends at its next co_await", Needs::nothing) {
  int alive = 0;
  bool went_on = false;
  Promise<void> signal;
  std::unique_ptr<Future<void>> slot;
  slot = std::make_unique<Future<void>>(drop_slot(signal.get_future(), slot, alive, went_on));
  signal.set_value();
  co_await next_turns(2);
  expect(went_on, "it went on to its next suspension");
  expect_equal(alive, 0);
}

BEHAVIOUR("a coroutine that drops its own future and returns ends once", Needs::nothing) {
  int alive = 0;
  Promise<void> signal;
  std::unique_ptr<Future<void>> slot;
  slot = std::make_unique<Future<void>>(drop_slot_and_return(signal.get_future(), slot, alive));
  signal.set_value();
  co_await next_turns(2);
  expect_equal(alive, 0);
}

BEHAVIOUR("a coroutine that drops its parent ends with it at its next co_await", Needs::nothing) {
  int alive = 0;
  bool went_on = false;
  Promise<void> signal;
  std::unique_ptr<Future<void>> slot;
  slot = std::make_unique<Future<void>>(
      wait_deeper(wait_deeper(drop_slot(signal.get_future(), slot, alive, went_on), alive), alive));
  expect_equal(alive, 3);
  signal.set_value();
  co_await next_turns(2);
  expect(went_on, "it went on to its next suspension");
  expect_equal(alive, 0);
}

BEHAVIOUR("a coroutine in the ready queue can be dropped by one that runs before it", Needs::nothing) {
  int alive = 0;
  Promise<void> first;
  Promise<void> second;
  std::unique_ptr<Future<void>> slot;
  Future<void> dropper = drop_slot_and_return(first.get_future(), slot, alive);
  slot = std::make_unique<Future<void>>(wait_for(second.get_future(), alive));
  first.set_value();
  second.set_value();
  co_await next_turns(2);
  expect_equal(alive, 0);
  expect(dropper.done(), "the dropper ran to its end");
}

BEHAVIOUR("a frame's destructor may drop another future", Needs::nothing) {
  int alive = 0;
  Promise<void> first;
  Promise<void> second;
  Future<void> victim = wait_for(second.get_future(), alive);
  {
    Future<void> dropper = drop_in_destructor(first.get_future(), victim, alive);
    expect_equal(alive, 2);
  }
  expect_equal(alive, 0);
  co_return;
}

BEHAVIOUR("a frame's destructor may drop the future that is being dropped", Needs::nothing) {
  int alive = 0;
  Promise<void> signal;
  Future<void> work;
  work = wait_deeper(drop_in_destructor(signal.get_future(), work, alive), alive);
  work = Future<void>();
  expect_equal(alive, 0);
  co_return;
}

BEHAVIOUR("a callback may drop the coroutine that it woke", Needs::nothing) {
  int alive = 0;
  Promise<void> signal;
  Promise<void> called;
  Future<void> work = wait_for(signal.get_future(), alive);
  IOLoop::current().add_callback([&] {
    signal.set_value();
    work = Future<void>();
    called.set_value();
  });
  co_await called.get_future();
  expect_equal(alive, 0);
}

BEHAVIOUR("a promise destroyed unfulfilled fails its future with broken_promise", Needs::nothing) {
  Future<int> future;
  {
    Promise<int> promise;
    future = promise.get_future();
  }
  co_await expect_failure(std::move(future), Errc::broken_promise);
}

BEHAVIOUR("a promise can be fulfilled once", Needs::nothing) {
  Promise<int> promise;
  Future<int> future = promise.get_future();
  expect(promise.set_value(1), "the first value is taken");
  expect(!promise.set_value(2), "the second is not");
  const int value = co_await std::move(future);
  expect_equal(value, 1);
}

BEHAVIOUR("futures and promises find each other after both have moved", Needs::nothing) {
  Promise<std::string> first;
  Future<std::string> future = first.get_future();
  Promise<std::string> second = std::move(first);
  Future<std::string> moved = std::move(future);
  second.set_value("here");
  const std::string value = co_await std::move(moved);
  expect_equal(value, "here");
}

BEHAVIOUR("an error passes through awaiting coroutines with its reason", Needs::nothing) {
  int alive = 0;
  co_await expect_failure(wait_deeper(fail_with(make_error_code(Errc::protocol)), alive), Errc::protocol);
  expect_equal(alive, 0);
}

BEHAVIOUR("as_result gives the failure instead of throwing, in a loop too", Needs::nothing) {
  int failures = 0;
  for (int i = 0; i < 10; ++i) {
    const Result<void> result = co_await as_result(fail_with(make_error_code(Errc::refused)));
    if (result.reason() == Errc::refused) ++failures;
  }
  expect_equal(failures, 10);
}

BEHAVIOUR("with_timeout cancels the work that is late", Needs::nothing) {
  int alive = 0;
  Promise<void> never;
  co_await expect_failure(with_timeout(5ms, wait_for(never.get_future(), alive)), Errc::timeout);
  expect_equal(alive, 0);
  expect(!never.wanted(), "the work was withdrawn");
}

BEHAVIOUR("a result that exists wins over a deadline that has passed", Needs::nothing) {
  Promise<int> promise;
  Future<int> future = promise.get_future();
  promise.set_value(3);
  const int value = co_await with_deadline(IOLoop::current().clock() - 1s, std::move(future));
  expect_equal(value, 3);
}

BEHAVIOUR("a future destroyed while it is awaited fails its waiter instead of hanging it", Needs::nothing) {
  Promise<void> never;
  auto slot = std::make_unique<Future<void>>(never.get_future());
  IOLoop::current().add_callback([&] { slot.reset(); });
  Errc reason = Errc::io;
  try {
    co_await *slot;
  } catch (const Error& error) {
    reason = error.reason();
  }
  expect(reason == Errc::cancelled, "the waiter hears of it");
}

BEHAVIOUR("settled() waits until a future is done and leaves the value in it", Needs::nothing) {
  Promise<int> promise;
  Future<int> future = promise.get_future();
  IOLoop::current().add_callback([&promise] { promise.set_value(7); });
  expect(!future.ok(), "nothing is there yet");
  co_await settled(future);
  expect(future.ok(), "the value is there");
  expect_equal(future.result(), 7);
  co_await settled(future);
  expect(!future.ok(), "an empty future has nothing");
}

BEHAVIOUR("settled() throws nothing and leaves the failure in the future", Needs::nothing) {
  Promise<int> promise;
  Future<int> future = promise.get_future();
  IOLoop::current().add_callback([&promise] { promise.set_error(Errc::refused); });
  co_await settled(future);
  expect(future.done() && !future.ok(), "it has failed");
  expect(future.exception().code() == Errc::refused, "with its reason");
}

BEHAVIOUR("a coroutine dropped in settled() withdraws what its future was waiting for", Needs::nothing) {
  struct Work {
    static Future<void> settle(Future<void> below) { co_await settled(below); }
  };
  int alive = 0;
  Promise<void> signal;
  {
    Future<void> work = Work::settle(wait_for(signal.get_future(), alive));
    expect_equal(alive, 1);
  }
  expect_equal(alive, 0);
  expect(!signal.wanted(), "the promise knows that nobody waits");
  co_return;
}
