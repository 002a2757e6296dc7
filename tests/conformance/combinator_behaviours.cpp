// moment, time limits, all, any, race, WaitIterator, shield, retry.  RULES §2 and Tornado's gen.
#include <memory>
#include <string>
#include <vector>

#include "fixtures.h"
#include "twinloop/all.h"
#include "twinloop/detail/pool.h"
#include "twinloop/generator.h"
#include "twinloop/race.h"
#include "twinloop/retry.h"
#include "twinloop/shield.h"
#include "twinloop/tasks.h"
#include "twinloop/timing.h"
#include "twinloop/wait_iterator.h"
#include "work.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;
using namespace work;

namespace {

Future<std::string> text(Duration delay, std::string value) {
  co_await sleep_for(delay);
  co_return value;
}

Future<void> nothing_later(Duration delay) { co_await sleep_for(delay); }

template <class... F>
std::vector<Future<int>> list(F... futures) {
  std::vector<Future<int>> all;
  (all.push_back(std::move(futures)), ...);
  return all;
}

Future<void> write_letters(char letter, std::string& into, bool politely) {
  for (int i = 0; i < 5; ++i) {
    into += letter;
    if (politely) {
      co_await moment();
    } else {
      co_await Future<void>::ready();
    }
  }
}

Generator<int> naturals() {
  for (int i = 0;; ++i) {
    co_await moment();
    co_yield i;
  }
}

struct DropsOnDestruction {
  explicit DropsOnDestruction(std::unique_ptr<Future<void>>& s) noexcept : slot(s) {}
  DropsOnDestruction(const DropsOnDestruction&) = delete;
  DropsOnDestruction& operator=(const DropsOnDestruction&) = delete;
  ~DropsOnDestruction() { slot.reset(); }
  std::unique_ptr<Future<void>>& slot;
};

Future<int> never_but_drops(std::unique_ptr<Future<void>>& slot) {
  const DropsOnDestruction dropper(slot);
  co_await sleep_for(1h);
  co_return 0;
}

Future<void> await_race(std::vector<Future<int>> runners, int& alive) {
  const Alive here(alive);
  co_await race(std::move(runners));
}

Future<int> under_limits(Future<int> below) { co_return 1 + co_await with_timeout(1h, std::move(below)); }

Future<int> tower(Future<int> bottom, int height) {
  for (int i = 0; i < height; ++i) bottom = under_limits(std::move(bottom));
  return bottom;
}

// Drops its owner, which waits for it through combinators, and goes on using what belongs to those that wait.
Future<void> drop_owner(std::string& of_the_owner, std::unique_ptr<Future<void>>& slot) {
  co_await moment();
  slot.reset();
  of_the_owner += " is still there";
  expect_equal(of_the_owner, "what the owner has is still there");
  co_await moment();
  expect(false, "it went on behind its next co_await");
}

Future<void> own_through_limit(std::unique_ptr<Future<void>>& slot, int& alive) {
  const Alive here(alive);
  std::string mine = "what the owner has";
  co_await with_timeout(1h, drop_owner(mine, slot));
}

Future<void> own_through_all(std::unique_ptr<Future<void>>& slot, int& alive) {
  const Alive here(alive);
  std::string mine = "what the owner has";
  Future<void> other = sleep_for(1h);
  co_await with_timeout(1h, all(std::move(other), drop_owner(mine, slot)));
}

}  // namespace

// ---- moment

BEHAVIOUR("moment lets others have their turn, a finished future does not", Needs::nothing) {
  std::string polite;
  co_await all(write_letters('a', polite, true), write_letters('b', polite, true));
  expect_equal(polite, "ababababab");
  std::string impolite;
  co_await all(write_letters('a', impolite, false), write_letters('b', impolite, false));
  expect_equal(impolite, "aaaaabbbbb");
  std::string mixed;
  co_await all(write_letters('a', mixed, true), write_letters('b', mixed, false));
  expect_equal(mixed, "abbbbbaaaa");
}

BEHAVIOUR("a moment is a callback: it comes in the order of the callbacks queued around it", Needs::nothing) {
  std::string order;
  IOLoop::current().add_callback([&order] { order += "before "; });
  Future<void> here = moment();
  IOLoop::current().add_callback([&order] { order += "after"; });
  co_await std::move(here);
  expect_equal(order, "before ");
  co_await moment();
  expect_equal(order, "before after");
}

// ---- time limits

BEHAVIOUR("with_timeout gives a result that comes in time and takes its timer back", Needs::nothing) {
  co_await moment();  // the time limit of the test itself is set now
  const std::size_t timers = IOLoop::current().stats().pending_timers;
  const int value = co_await with_timeout(1h, later(1ms, 7));
  expect_equal(value, 7);
  expect_equal(IOLoop::current().stats().pending_timers, timers);
}

BEHAVIOUR("with_timeout gives a failure that comes in time", Needs::nothing) {
  co_await expect_failure(with_timeout(1h, failing_later(1ms, Errc::refused)), Errc::refused);
}

BEHAVIOUR("with_timeout hands on what is done already", Needs::nothing) {
  const auto before = twinloop::detail::pool_stats();
  Future<int> limited = with_timeout(0s, Future<int>::ready(3));
  expect(limited.done(), "no timer, no turn");
  expect_equal(twinloop::detail::pool_stats().allocations, before.allocations);
  const int value = co_await std::move(limited);
  expect_equal(value, 3);
}

BEHAVIOUR("a time limit hands a value on at once, and takes its timer back then", Needs::nothing) {
  co_await moment();  // the time limit of the test itself is set now
  const std::size_t timers = IOLoop::current().stats().pending_timers;
  Promise<int> promise;
  Future<int> limited = with_timeout(1h, promise.get_future());
  promise.set_value(7);
  expect(limited.done(), "no hop in between");
  expect_equal(IOLoop::current().stats().pending_timers, timers);
  const int value = co_await std::move(limited);
  expect_equal(value, 7);
}

BEHAVIOUR("100,000 time limits around one promise hand its value on in constant stack", Needs::nothing) {
  Promise<int> promise;
  Future<int> limited = promise.get_future();
  for (int i = 0; i < 100'000; ++i) limited = with_timeout(1h, std::move(limited));
  promise.set_value(7);
  const int value = co_await std::move(limited);
  expect_equal(value, 7);
}

BEHAVIOUR("what was cut off by a time limit logs nothing", Needs::nothing) {
  const RecordedLog logged;
  int alive = 0;
  co_await expect_failure(with_timeout(1ms, never(alive)), Errc::timeout);
  expect_equal(alive, 0);
  expect_equal(logged.count(LogLevel::error), 0);
}

BEHAVIOUR("a failure that came in the instant of the time limit is the result, not the timeout", Needs::nothing) {
  const RecordedLog logged;
  Promise<void> promise;
  const TimePoint when = IOLoop::current().after(1ms);
  const Timeout first = IOLoop::current().call_at(when, [&promise] { promise.set_error(Errc::protocol); });
  co_await expect_failure(with_deadline(when, promise.get_future()), Errc::protocol);
  expect_equal(logged.count(LogLevel::error), 0);
}

BEHAVIOUR("the innermost of nested time limits that is due decides", Needs::nothing) {
  int alive = 0;
  Future<int> inner = with_timeout(1ms, never(alive));
  co_await expect_failure(with_timeout(1h, with_timeout(1h, std::move(inner))), Errc::timeout);
  expect_equal(alive, 0);
}

BEHAVIOUR("a limited read that is dropped between its completion and its resumption leaves its item", Needs::nothing) {
  Generator<int> numbers = naturals();
  Future<std::optional<int>> limited = with_timeout(1h, with_timeout(1h, numbers.next()));
  while (!limited.done()) co_await moment();
  limited = Future<std::optional<int>>();
  const std::optional<int> number = co_await numbers.next();
  expect_equal(number.value_or(-1), 0);
}

BEHAVIOUR("20,000 coroutines that wait for each other through time limits complete and are dropped in constant stack",
          Needs::nothing) {
  Promise<int> bottom;
  Future<int> top = tower(bottom.get_future(), 20'000);
  bottom.set_value(1);
  const int sum = co_await std::move(top);
  expect_equal(sum, 20'001);
  Promise<int> never_fulfilled;
  Future<int> dropped = tower(never_fulfilled.get_future(), 20'000);
  dropped = Future<int>();
  expect(!never_fulfilled.wanted(), "the leaf was withdrawn");
}

BEHAVIOUR("a time limit that does not fire takes no memory from the heap once it was used", Needs::nothing) {
  for (int round = 0; round < 2; ++round) {
    co_await moment();
    const auto before = twinloop::detail::pool_stats();
    for (int i = 0; i < 100; ++i) {
      Promise<void> promise;
      Future<void> limited = with_timeout(1h, promise.get_future());
      promise.set_value();
      co_await std::move(limited);
    }
    const auto after = twinloop::detail::pool_stats();
    expect_equal(after.allocations - before.allocations, 100u);
    if (TWINLOOP_POOLS && round == 1) expect_equal(after.from_heap, before.from_heap);
  }
}

BEHAVIOUR("a list of the spawned coroutines looks through time limits", Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  Promise<int> promise;
  auto work = [](Future<int> future) -> Future<void> { co_await with_timeout(1h, under_limits(std::move(future))); };
  loop.spawn(work, promise.get_future());
  expect_equal(tasks_of(loop).back().stack.size(), 2u);
  promise.set_value(1);
  co_await moment();
}

BEHAVIOUR("a coroutine that drops its owner waiting behind a time limit may use the owner's locals until it suspends",
          Needs::nothing) {
  int alive = 0;
  std::unique_ptr<Future<void>> slot;
  slot = std::make_unique<Future<void>>(own_through_limit(slot, alive));
  co_await turns(3);
  expect_equal(alive, 0);
}

BEHAVIOUR("a coroutine that drops its owner waiting in all may use the owner's locals until it suspends",
          Needs::nothing) {
  int alive = 0;
  std::unique_ptr<Future<void>> slot;
  slot = std::make_unique<Future<void>>(own_through_all(slot, alive));
  co_await turns(3);
  expect_equal(alive, 0);
}

// ---- all

BEHAVIOUR("all gives its values in the order of its arguments, whatever the order of completion", Needs::nothing) {
  const auto values = co_await all(later(3ms, 1), text(1ms, "two"), nothing_later(2ms));
  expect_equal(std::get<0>(values), 1);
  expect_equal(std::get<1>(values), "two");
}

BEHAVIOUR("all of a vector keeps its order", Needs::nothing) {
  const std::vector<int> values = co_await all(list(later(3ms, 1), later(1ms, 2), Future<int>::ready(3)));
  expect_equal(values.size(), 3u);
  for (int i = 0; i < 3; ++i) expect_equal(values[static_cast<std::size_t>(i)], i + 1);
}

BEHAVIOUR("all of nothing is done at once", Needs::nothing) {
  expect(all().done(), "no argument");
  Future<std::vector<int>> none = all(std::vector<Future<int>>());
  expect(none.done(), "an empty vector");
  const std::vector<int> values = co_await std::move(none);
  expect(values.empty(), "gives an empty vector");
  expect(all(std::vector<Future<void>>()).done(), "an empty vector of nothings");
  expect(all(Future<int>::ready(1), Future<void>::ready()).done(), "what is done already needs no turn");
}

BEHAVIOUR("all of 2,000 futures", Needs::nothing) {
  std::vector<Future<int>> futures;
  for (int i = 0; i < 2000; ++i) futures.push_back(later(0s, i));
  const std::vector<int> values = co_await all(std::move(futures));
  expect_equal(values[1999], 1999);
}

BEHAVIOUR("all fails with the first failure in order once all are done, and logs the others", Needs::nothing) {
  const RecordedLog logged;
  bool finished = false;
  auto slow = [&finished]() -> Future<int> {
    co_await sleep_for(3ms);
    finished = true;
    co_return 1;
  };
  Future<int> last = slow();
  Future<std::tuple<int, int, int>> together =
      all(failing_later(2ms, Errc::refused), failing_later(1ms, Errc::protocol), std::move(last));
  co_await expect_failure(std::move(together), Errc::refused);
  expect(finished, "the others were waited for");
  expect_equal(logged.count(LogLevel::error), 1);
}

BEHAVIOUR("the only failure of all is its result, and no line of the log", Needs::nothing) {
  const RecordedLog logged;
  co_await expect_failure(all(failing_later(1ms, Errc::refused), later(2ms, 2)), Errc::refused);
  expect_equal(logged.count(LogLevel::error), 0);
}

BEHAVIOUR("all logs no failure that is expected", Needs::nothing) {
  const RecordedLog logged;
  std::vector<Future<int>> futures = list(failing_later(2ms, Errc::refused), failing_later(1ms, Errc::protocol));
  co_await expect_failure(all(Quiet(Errc::protocol), std::move(futures)), Errc::refused);
  expect_equal(logged.count(LogLevel::error), 0);
}

BEHAVIOUR("all of an empty future fails", Needs::nothing) {
  co_await expect_failure(all(Future<int>(), later(1ms, 1)), Errc::broken_promise);
}

BEHAVIOUR("all_fail_fast cancels the others at the first failure", Needs::nothing) {
  int alive = 0;
  std::vector<Future<int>> futures = list(never(alive), failing_later(1ms, Errc::refused), never(alive));
  expect_equal(alive, 2);
  co_await expect_failure(all_fail_fast(std::move(futures)), Errc::refused);
  expect_equal(alive, 0);
}

BEHAVIOUR("all_fail_fast reports the first failure in order of those that came together", Needs::nothing) {
  const RecordedLog logged;
  Promise<int> first;
  Promise<int> second;
  Future<std::tuple<int, int>> together = all_fail_fast(first.get_future(), second.get_future());
  second.set_error(Errc::protocol);
  first.set_error(Errc::refused);
  co_await expect_failure(std::move(together), Errc::refused);
  expect_equal(logged.count(LogLevel::error), 1);
}

BEHAVIOUR("all_fail_fast gives all values when nothing fails", Needs::nothing) {
  const auto values = co_await all_fail_fast(later(2ms, 1), later(1ms, 2));
  expect_equal(std::get<0>(values) * 10 + std::get<1>(values), 12);
}

BEHAVIOUR("dropping all cancels what is under way", Needs::nothing) {
  int alive = 0;
  {
    Future<std::tuple<int, int>> together = all(never(alive), never(alive));
    expect_equal(alive, 2);
  }
  expect_equal(alive, 0);
  co_return;
}

BEHAVIOUR("all dropped between completion and resumption leaves the item that one had reserved", Needs::nothing) {
  Generator<int> numbers = naturals();
  auto together = all(numbers.next(), later(2ms, 1));
  while (!together.done()) co_await sleep_for(1ms);
  {
    const auto dropped = std::move(together);
  }
  const std::optional<int> number = co_await numbers.next();
  expect_equal(number.value_or(-1), 0);
}

// ---- race and any

BEHAVIOUR("race gives the first value and says whose it was", Needs::nothing) {
  int alive = 0;
  const auto first = co_await race(never(alive), text(1ms, "two"), nothing_later(1h));
  expect_equal(first.index(), 1u);
  expect_equal(std::get<1>(first), "two");
  expect_equal(alive, 0);
}

BEHAVIOUR("race of a vector gives the index", Needs::nothing) {
  int alive = 0;
  const Indexed<int> first = co_await race(list(never(alive), never(alive), later(1ms, 5)));
  expect_equal(first.index, 2u);
  expect_equal(first.value, 5);
  std::vector<Future<void>> waits;
  waits.push_back(sleep_for(1h));
  waits.push_back(sleep_for(1ms));
  const std::size_t index = co_await race(std::move(waits));
  expect_equal(index, 1u);
}

BEHAVIOUR("race cancels the losers before its result is there", Needs::nothing) {
  int alive = 0;
  Promise<int> winner;
  Future<Indexed<int>> first = race(list(never(alive), winner.get_future()));
  winner.set_value(1);
  while (!first.done()) {
    expect_equal(alive, 1);
    co_await moment();
  }
  expect_equal(alive, 0);
}

BEHAVIOUR("of those that are done already the first in order wins a race", Needs::nothing) {
  int alive = 0;
  Future<Indexed<int>> first = race(list(never(alive), Future<int>::ready(1), Future<int>::ready(2)));
  expect(first.done(), "at once");
  const Indexed<int> winner = co_await std::move(first);
  expect_equal(winner.index, 1u);
  expect_equal(alive, 0);
}

BEHAVIOUR("a failure wins a race as a value does", Needs::nothing) {
  int alive = 0;
  co_await expect_failure(race(never(alive), failing_later(1ms, Errc::refused)), Errc::refused);
  expect_equal(alive, 0);
}

BEHAVIOUR("a failure that comes too late for a race is logged unless it was expected", Needs::nothing) {
  const RecordedLog logged;
  for (const Quiet& quiet : {Quiet::none(), Quiet(Errc::refused)}) {
    Promise<int> winner;
    Promise<int> late;
    auto first = race(quiet, winner.get_future(), late.get_future());
    winner.set_value(1);
    late.set_error(Errc::refused);
    co_await std::move(first);
  }
  expect_equal(logged.count(LogLevel::error), 1);
}

BEHAVIOUR("a race in which nobody runs fails", Needs::nothing) {
  co_await expect_failure(race(std::vector<Future<int>>()), Errc::broken_promise);
  co_await expect_failure(any(std::vector<Future<void>>()), Errc::broken_promise);
}

BEHAVIOUR("a loser may drop the one who waits for the race while it is cancelled", Needs::nothing) {
  int alive = 0;
  std::unique_ptr<Future<void>> slot;
  Promise<int> winner;
  slot =
      std::make_unique<Future<void>>(await_race(list(winner.get_future(), never_but_drops(slot), never(alive)), alive));
  expect_equal(alive, 2);
  winner.set_value(1);
  co_await turns(2);
  expect(slot == nullptr, "it was dropped");
  expect_equal(alive, 0);
}

BEHAVIOUR("a race dropped between completion and resumption leaves the item that the winner had reserved",
          Needs::nothing) {
  Generator<int> numbers = naturals();
  auto first = race(sleep_for(1h), numbers.next());
  while (!first.done()) co_await moment();
  {
    const auto dropped = std::move(first);
  }
  const std::optional<int> number = co_await numbers.next();
  expect_equal(number.value_or(-1), 0);
}

BEHAVIOUR("the loser of a race loses no item either", Needs::nothing) {
  Generator<int> numbers = naturals();
  Promise<void> winner;
  auto first = race(winner.get_future(), numbers.next());
  winner.set_value();
  const auto which = co_await std::move(first);
  expect_equal(which.index(), 0u);
  const std::optional<int> number = co_await numbers.next();
  expect_equal(number.value_or(-1), 0);
}

BEHAVIOUR("any gives the first success and logs no failure", Needs::nothing) {
  const RecordedLog logged;
  int alive = 0;
  const Indexed<int> first = co_await any(list(failing_later(0s, Errc::refused), later(2ms, 4), never(alive)));
  expect_equal(first.index, 1u);
  expect_equal(first.value, 4);
  expect_equal(alive, 0);
  const auto other = co_await any(failing_later(0s, Errc::refused), text(1ms, "yes"));
  expect_equal(std::get<1>(other), "yes");
  expect_equal(logged.count(LogLevel::error), 0);
}

BEHAVIOUR("any fails with the first failure in order when all have failed", Needs::nothing) {
  const RecordedLog logged;
  co_await expect_failure(any(failing_later(2ms, Errc::refused), failing_later(1ms, Errc::protocol)), Errc::refused);
  expect_equal(logged.count(LogLevel::error), 0);
}

// ---- WaitIterator

BEHAVIOUR("a WaitIterator over nothing is done", Needs::nothing) {
  WaitIterator<int> results{std::vector<Future<int>>()};
  expect(results.done(), "at once");
  const auto none = co_await results.next();
  expect(!none.has_value(), "it gives nothing");
}

BEHAVIOUR("a WaitIterator gives what is done already first, in order", Needs::nothing) {
  WaitIterator<int> results(list(later(1ms, 0), Future<int>::ready(1), Future<int>::ready(2)));
  std::string order;
  while (auto item = co_await results.next()) order += std::to_string(item->index);
  expect_equal(order, "120");
}

BEHAVIOUR("a WaitIterator gives results in the order of completion, failures among them", Needs::nothing) {
  WaitIterator<int> results(list(failing_later(2ms, Errc::refused), later(4ms, 1), later(1ms, 2), later(6ms, 3)));
  expect_equal(results.remaining(), 4u);
  std::string order;
  while (auto item = co_await results.next()) {
    order += std::to_string(item->index);
    if (item->result.ok()) {
      expect_equal(*item->result, static_cast<int>(item->index));
    } else {
      expect(item->result.reason() == Errc::refused, "the failure is an item");
    }
  }
  expect_equal(order, "2013");
  expect(results.done(), "and then it is done");
}

BEHAVIOUR("a WaitIterator's item is not lost when its next() is dropped", Needs::nothing) {
  Promise<int> promise;
  WaitIterator<int> results(list(promise.get_future()));
  Future<std::optional<WaitIterator<int>::Item>> next = results.next();
  co_await expect_failure(results.next(), Errc::busy);
  promise.set_value(9);
  while (!next.done()) co_await moment();
  next = {};
  const auto item = co_await results.next();
  expect(item.has_value() && item->result.peek() == 9, "the next one gets it");
}

BEHAVIOUR("dropping a WaitIterator cancels what is under way", Needs::nothing) {
  int alive = 0;
  Future<std::optional<WaitIterator<int>::Item>> pending;
  {
    WaitIterator<int> results(list(never(alive), never(alive)));
    pending = results.next();
  }
  expect_equal(alive, 0);
  co_await expect_failure(std::move(pending), Errc::cancelled);
}

// ---- shield

BEHAVIOUR("a WaitIterator that goes away leaves the item to the next() that was given it", Needs::nothing) {
  Promise<int> first;
  std::vector<Future<int>> futures = list(first.get_future());
  auto iterator = std::make_unique<WaitIterator<int>>(std::move(futures));
  auto next = iterator->next();
  first.set_value(7);
  co_await turns(2);
  iterator.reset();
  const auto item = co_await std::move(next);
  expect(item && item->index == 0 && item->result.peek() == 7, "the item");
}

BEHAVIOUR("what is shielded goes on when its waiter is dropped", Needs::nothing) {
  int alive = 0;
  Promise<void> signal;
  {
    const Future<void> shielded = shield(wait_for(signal.get_future(), alive));
    expect_equal(alive, 1);
  }
  expect_equal(alive, 1);
  signal.set_value();
  co_await turns(2);
  expect_equal(alive, 0);
}

BEHAVIOUR("a shielded coroutine gives its result to a waiter that stays", Needs::nothing) {
  const int value = co_await shield(later(1ms, 8));
  expect_equal(value, 8);
  co_await expect_failure(shield(failing_later(1ms, Errc::refused)), Errc::refused);
}

BEHAVIOUR("a failure of shielded work that nobody waits for any more is logged", Needs::nothing) {
  const RecordedLog logged;
  {
    const Future<int> shielded = shield(failing_later(1ms, Errc::refused));
  }
  expect_equal(logged.count(LogLevel::error), 0);
  co_await sleep_for(5ms);
  expect_equal(logged.count(LogLevel::error), 1);
}

// ---- retry

BEHAVIOUR("retry calls again until it succeeds", Needs::nothing) {
  int calls = 0;
  auto third_time = [&calls](const std::string& word) -> Future<std::string> {
    if (++calls < 3) return Future<std::string>::failed(Errc::refused);
    return Future<std::string>::ready(word);
  };
  const std::string word = co_await retry(Retry().delay(1ms), third_time, std::string("done"));
  expect_equal(word, "done");
  expect_equal(calls, 3);
}

BEHAVIOUR("retry gives up after its attempts, with the last failure", Needs::nothing) {
  int calls = 0;
  auto fails = [&calls] { return Future<void>::failed(++calls < 4 ? Errc::refused : Errc::reset); };
  co_await expect_failure(retry(Retry().attempts(4).delay(1ms), fails), Errc::reset);
  expect_equal(calls, 4);
}

BEHAVIOUR("retry gives up at once on a failure that is not worth another attempt", Needs::nothing) {
  int calls = 0;
  auto fails = [&calls] { return Future<void>::failed(++calls < 2 ? Errc::refused : Errc::denied); };
  Retry options;
  options.delay(1ms).when([](const Failure& failure) { return failure.code() == Errc::refused; });
  co_await expect_failure(retry(options, fails), Errc::denied);
  expect_equal(calls, 2);
}

BEHAVIOUR("retry begins no pause that would outlast its time", Needs::nothing) {
  int calls = 0;
  auto fails = [&calls] { return Future<void>::failed((++calls, Errc::refused)); };
  co_await expect_failure(retry(Retry().attempts(100).delay(1h).within(1s), fails), Errc::refused);
  expect_equal(calls, 1);
}

BEHAVIOUR("the pauses of retry grow by the factor up to the longest, less a random part", Needs::nothing) {
  Retry options;
  options.delay(10ms).factor(3).max_delay(50ms).jitter(0);
  expect(options.pause_after(1) == 10ms && options.pause_after(2) == 30ms && options.pause_after(3) == 50ms, "growth");
  expect(options.pause_after(4'000'000) == 50ms, "no overflow");
  options.max_delay(Duration::max());
  expect(options.pause_after(4'000'000) == Duration::max(), "nor without a longest");
  options.max_delay(50ms);
  options.jitter(0.5);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const Duration pause = options.pause_after(1);
    expect(pause >= 5ms && pause <= 10ms, "within the share");
    differs = differs || pause != options.pause_after(1);
  }
  expect(differs, "not always the same");
  co_return;
}

BEHAVIOUR("dropping a retry cancels its attempt or its pause", Needs::nothing) {
  int alive = 0;
  {
    auto work = [&alive] { return never(alive); };
    const Future<int> attempt = retry(Retry(), work);
    expect_equal(alive, 1);
  }
  expect_equal(alive, 0);
  co_return;
}

// ---- cancelled everywhere

namespace {

Future<void> use_everything() {
  Generator<int> numbers = naturals();
  const auto values = co_await all(later(1ms, 1), with_timeout(1h, later(2ms, 2)), numbers.next());
  std::vector<Future<int>> runners = list(later(1ms, 1), failing_later(0s, Errc::end), later(1h, 3));
  const Indexed<int> winner = co_await any(std::move(runners));
  const auto other = co_await race(numbers.next(), sleep_for(1h));
  WaitIterator<int> results(list(later(2ms, 1), later(1ms, 2)));
  while (auto item = co_await results.next()) co_await moment();
  int calls = 0;
  auto second_time = [&calls] { return ++calls < 2 ? failing_later(0s, Errc::end) : later(0s, calls); };
  const int count = co_await retry(Retry().delay(1ms), second_time);
  expect_equal(std::get<1>(values) + winner.value + static_cast<int>(other.index()) + count, 5);
}

}  // namespace

BEHAVIOUR("a program of combinators can be cancelled at every step and leaves nothing behind", Needs::nothing) {
  const std::size_t cancelled = co_await cancel_everywhere(&use_everything);
  expect(cancelled > 15, "at many places");
}
