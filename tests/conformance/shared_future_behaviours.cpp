// SharedFuture, and what a Future tells without being awaited: exception(), add_done_callback, ignore.
#include <memory>
#include <string>
#include <vector>

#include "fixtures.h"
#include "twinloop/all.h"
#include "twinloop/shared_future.h"
#include "twinloop/timing.h"
#include "work.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;
using namespace work;

namespace {

Future<std::string> text_after(Future<void> signal) {
  co_await std::move(signal);
  co_return "a text that is long enough for the heap";
}

Future<std::size_t> length_of(SharedFuture<std::string> text) {
  const std::string value = co_await text;
  co_return value.size();
}

Future<bool> shared_later(bool value) {
  co_await moment();
  co_return value;
}

Future<int> await_in_conditions(SharedFuture<bool> yes) {
  if (co_await yes) {
    if (co_await share(shared_later(true))) co_return 1;
  }
  co_return 0;
}

}  // namespace

BEHAVIOUR("several coroutines wait for one shared result, and each gets a copy", Needs::nothing) {
  Promise<void> signal;
  SharedFuture<std::string> text = share(text_after(signal.get_future()));
  auto lengths = all(length_of(text), length_of(text), length_of(text));
  expect(!text.done(), "not yet");
  signal.set_value();
  const auto values = co_await std::move(lengths);
  expect_equal(std::get<0>(values) + std::get<1>(values) + std::get<2>(values), 3 * text.result().size());
  const std::string again = co_await text;
  expect_equal(again, text.result());
}

BEHAVIOUR("a shared future may be awaited in a condition", Needs::nothing) {
  const int value = co_await await_in_conditions(share(shared_later(true)));
  expect_equal(value, 1);
}

BEHAVIOUR("one who waits for a shared result may be dropped without the others noticing", Needs::nothing) {
  int alive = 0;
  Promise<void> signal;
  SharedFuture<> work = share(wait_for(signal.get_future(), alive));
  Future<void> stays = work.get_future();
  {
    const Future<void> dropped = work.get_future();
  }
  co_await expect_failure(with_timeout(1ms, work.get_future()), Errc::timeout);
  expect_equal(alive, 1);
  signal.set_value();
  co_await std::move(stays);
}

BEHAVIOUR("the last copy of a shared future cancels, waiters counted", Needs::nothing) {
  int alive = 0;
  Promise<void> signal;
  Future<void> waiter;
  {
    SharedFuture<> work = share(wait_for(signal.get_future(), alive));
    SharedFuture<> copy = work;
    work = SharedFuture<>();
    expect_equal(alive, 1);
    waiter = copy.get_future();
  }
  expect_equal(alive, 1);
  waiter = Future<void>();
  expect_equal(alive, 0);
  expect(!signal.wanted(), "the work was withdrawn");
  co_return;
}

BEHAVIOUR("every waiter of a shared failure gets it", Needs::nothing) {
  const RecordedLog logged;
  SharedFuture<int> work = share(failing_later(1ms, Errc::refused));
  Future<int> first = work.get_future();
  Future<int> second = work.get_future();
  co_await expect_failure(std::move(first), Errc::refused);
  co_await expect_failure(std::move(second), Errc::refused);
  co_await expect_failure(work.get_future(), Errc::refused);
  expect(work.exception().code() == Errc::refused, "and whoever asks");
  work = SharedFuture<int>();
  expect_equal(logged.count(LogLevel::error), 0);
}

BEHAVIOUR("a shared failure that nobody looked at is logged once", Needs::nothing) {
  const RecordedLog logged;
  {
    SharedFuture<int> work = share(failing_later(0s, Errc::refused));
    const SharedFuture<int> copy = work;
    while (!work.done()) co_await moment();
  }
  expect_equal(logged.count(LogLevel::error), 1);
}

BEHAVIOUR("an empty shared future fails who awaits it", Needs::nothing) {
  SharedFuture<int> nothing;
  expect(!nothing.valid() && !nothing.done(), "it has no work");
  co_await expect_failure(nothing.get_future(), Errc::broken_promise);
}

BEHAVIOUR("a done callback runs in a later turn, never at once", Needs::nothing) {
  std::string order;
  auto note = [&order](Result<int> result) { order += "callback " + std::to_string(*result); };
  Future<int>::ready(3).add_done_callback(note);
  order += "after; ";
  co_await turns(2);
  expect_equal(order, "after; callback 3");
}

BEHAVIOUR("a done callback gets the failure, too", Needs::nothing) {
  const RecordedLog logged;
  Errc reason = Errc::io;
  failing_later(0s, Errc::refused).add_done_callback([&reason](Result<int> result) { reason = result.reason(); });
  while (reason == Errc::io) co_await sleep_for(1ms);
  expect(reason == Errc::refused, "as it failed");
  expect_equal(logged.count(LogLevel::error), 0);
}

BEHAVIOUR("several done callbacks of a shared future run in the order in which they were added", Needs::nothing) {
  std::string order;
  SharedFuture<int> number = share(later(1ms, 7));
  number.add_done_callback([&order](Result<int> result) { order += "a" + std::to_string(*result); });
  number.add_done_callback([&order](Result<int> result) { order += "b" + std::to_string(*result); });
  co_await number;
  expect_equal(order, "");
  co_await turns(2);
  expect_equal(order, "a7b7");
}

BEHAVIOUR("exception() tells why a future failed, and counts as looking at it", Needs::nothing) {
  const RecordedLog logged;
  {
    Future<int> failed = failing_later(0s, Errc::refused);
    expect(!failed.exception(), "not yet");
    while (!failed.done()) co_await moment();
    expect(failed.exception().code() == Errc::refused, "the reason");
    expect(failed.exception().code() == Errc::refused, "as often as one asks");
  }
  expect_equal(logged.count(LogLevel::error), 0);
  Future<int> looked_at = Future<int>::failed(std::make_exception_ptr(Error(Errc::protocol, "an exception")));
  expect(looked_at.exception().code() == Errc::protocol, "also for an exception");
  co_await expect_failure(std::move(looked_at), Errc::protocol);
  Future<int> good = Future<int>::ready(1);
  expect(!good.exception(), "empty when there is a value");
}

BEHAVIOUR("ignoring a coroutine is logged, because it cancels it", Needs::nothing) {
  const RecordedLog logged;
  Promise<void> signal;
  signal.get_future().ignore();
  expect_equal(logged.count(LogLevel::error), 0);
  int alive = 0;
  wait_for(sleep_for(1h), alive).ignore();
  expect_equal(logged.count(LogLevel::error), 1);
  expect_equal(alive, 0);
  co_return;
}

namespace {

Future<void> use_shared() {
  SharedFuture<int> number = share(later(2ms, 1));
  const auto values = co_await all(number.get_future(), with_timeout(1h, number.get_future()), later(1ms, 1));
  const int again = co_await number;
  expect_equal(std::get<0>(values) + std::get<1>(values) + again, 3);
}

}  // namespace

BEHAVIOUR("a program of shared futures can be cancelled at every step and leaves nothing behind", Needs::nothing) {
  const std::size_t cancelled = co_await cancel_everywhere(&use_shared);
  expect(cancelled > 4, "at many places");
}
