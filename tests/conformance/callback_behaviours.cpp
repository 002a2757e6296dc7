// Callbacks of all kinds: when they run, what happens to what they throw, and how long they live.  RULES §1; Tornado's ioloop_test.
#include <memory>
#include <stdexcept>
#include <string>

#include "fixtures.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

Errc reason_of_start() {
  try {
    IOLoop::current().start();
  } catch (const Error& error) {
    return error.reason();
  }
  return Errc::end;
}

Errc reason_of_run_sync() {
  try {
    IOLoop::current().run_sync([] { return Future<void>::ready(); });
  } catch (const Error& error) {
    return error.reason();
  }
  return Errc::end;
}

Future<void> count_later(int& number) {
  co_await moment();
  ++number;
}

Future<int> later(int value) {
  co_await moment();
  co_return value;
}

Future<int> fail_later() {
  co_await moment();
  throw Error(Errc::refused, "later");
}

// The place of the line above its call, as logs write it.
std::string line_above(const Location& where = Location::current()) {
  return "callback_behaviours.cpp:" + std::to_string(where.line() - 1);
}

}  // namespace

BEHAVIOUR("inside callbacks and coroutines the loop that runs is the current one", Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  IOLoop* in_callback = nullptr;
  IOLoop* in_timer = nullptr;
  loop.add_callback([&] { in_callback = IOLoop::current_or_null(); });
  loop.call_later(0s, [&] { in_timer = IOLoop::current_or_null(); });
  co_await sleep_for(0s);  // after the timer: equal times in the order of the calls
  expect(in_callback == &loop && in_timer == &loop, "in callbacks and timers");
  expect(&IOLoop::current() == &loop && &IOLoop::instance() == &loop, "in coroutines");
}

BEHAVIOUR("start and run_sync inside a turn are refused, with the reason that this host has", Needs::nothing) {
  const Errc expected = IOLoop::current().backend().hosted() ? Errc::not_supported : Errc::busy;
  expect_equal(name(reason_of_start()), name(expected));
  expect_equal(name(reason_of_run_sync()), name(expected));
  Errc in_callback = Errc::end;
  IOLoop::current().add_callback([&] { in_callback = reason_of_start(); });
  co_await moment();
  expect_equal(name(in_callback), name(expected));
}

BEHAVIOUR("a callback that a callback adds runs in the next turn, after all of this one", Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  std::string order;
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  loop.add_callback([&] {
    order += 'a';
    first = loop.stats().turns;
    loop.add_callback([&] {
      order += 'A';
      second = loop.stats().turns;
    });
  });
  loop.add_callback([&] { order += 'b'; });
  while (second == 0) co_await moment();
  expect_equal(order, "abA");
  expect_equal(second, first + 1);
}

BEHAVIOUR("a callback is destroyed as soon as it has run, one that throws too", Needs::nothing) {
  const RecordedLog log;
  IOLoop& loop = IOLoop::current();
  int alive = 0;
  std::string seen;
  loop.add_callback([&, here = Alive(alive)] { seen += std::to_string(alive); });
  loop.add_callback([&, here = Alive(alive)] {
    seen += std::to_string(alive);
    throw std::runtime_error("out of it");
  });
  loop.add_callback([&] { seen += std::to_string(alive); });
  loop.call_later(0s, [&, here = Alive(alive)] {});
  co_await sleep_for(0s);  // after that timer
  expect_equal(seen, "321");
  expect_equal(alive, 0);
}

BEHAVIOUR("what callbacks, timers and spawned coroutines throw is logged with where they came from", Needs::nothing) {
  const RecordedLog log;
  IOLoop& loop = IOLoop::current();
  loop.add_callback([] { throw Error(Errc::protocol, "one"); });
  const std::string callback_place = line_above();
  loop.call_later(0s, [] { throw std::runtime_error("two"); }, "tick");
  const std::string timer_place = "tick (" + line_above() + ")";
  loop.spawn_callback([] { throw 3; });
  const std::string spawned_place = line_above();
  while (log.count(LogLevel::error) < 3) co_await moment();
  co_await moment();
  expect_equal(log.count(LogLevel::error), 3);
  expect(log.mentions("exception in a callback, " + callback_place + ": one"), log.text());
  expect(log.mentions("exception in a timer, " + timer_place + ": two"), log.text());
  expect(log.mentions(spawned_place + ": an exception of an unknown type"), log.text());
}

BEHAVIOUR("spawn_callback runs a function or a coroutine in a later turn", Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  int number = 0;
  loop.spawn_callback([&] { ++number; });
  loop.spawn_callback([&] { return count_later(number); });
  expect_equal(number, 0);
  while (number < 2) co_await moment();
}

BEHAVIOUR("spawn_callback keeps the captures of the coroutine lambda that it is given", Needs::nothing) {
  Signal done;
  std::string seen;
  std::string text = "a capture that is too long to be stored inside of a string";
  IOLoop::current().spawn_callback([&done, &seen, text]() -> Future<void> {
    co_await moment();
    seen = text;
    done.promise.set_value();
  });
  text.clear();
  co_await done.future;
  expect_equal(seen, "a capture that is too long to be stored inside of a string");
}

BEHAVIOUR("add_future gives its callback a value or a failure", Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  int value = 0;
  Errc reason = Errc::end;
  loop.add_future(later(4), [&](Result<int> result) { value = *result; });
  loop.add_future(fail_later(), [&](Result<int> result) { reason = result.reason(); });
  while (value == 0 || reason == Errc::end) co_await moment();
  expect_equal(value, 4);
  expect_equal(name(reason), name(Errc::refused));
}

BEHAVIOUR("add_future never calls back at once, also when the future is done already", Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  std::string order;
  loop.add_callback([&] {
    loop.add_future(Future<int>::ready(1), [&](Result<int>) { order += 'f'; });
    loop.add_callback([&] { order += 'c'; });
    order += 'a';
  });
  Signal signal;
  loop.add_future(std::move(signal.future), [&](Result<void>) { order += 's'; });
  signal.promise.set_value();
  expect_equal(order, "");
  while (order.size() < 4) co_await moment();
  expect_equal(order.find('a') < order.find('f'), true);
  expect(order.find('s') != std::string::npos, "the one whose promise was fulfilled");
}

BEHAVIOUR("a callback that add_future calls may throw: it is logged", Needs::nothing) {
  const RecordedLog log;
  IOLoop::current().add_future(Future<int>::ready(1), [](Result<int>) { throw Error(Errc::protocol, "in it"); });
  const std::string place = line_above();
  while (log.count(LogLevel::error) == 0) co_await moment();
  co_await moment();
  expect_equal(log.count(LogLevel::error), 1);
  expect(log.mentions(place) && log.mentions("in it"), log.text());
}

BEHAVIOUR("a burst of a hundred thousand callbacks runs in order and leaves nothing behind", Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  const LoopStats before = loop.stats();
  int next = 0;
  bool in_order = true;
  for (int i = 0; i < 100'000; ++i) {
    loop.add_callback([&, i] { in_order = in_order && next++ == i; });
  }
  co_await moment();
  expect(in_order, "in order");
  expect_equal(next, 100'000);
  expect_equal(loop.stats().callbacks - before.callbacks, 100'001u);
}
