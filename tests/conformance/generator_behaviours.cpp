// Generator: a sequence, one value at a time.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "twinloop/generator.h"
#include "twinloop/tasks.h"
#include "twinloop/timing.h"
#include "work.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;
using namespace work;

namespace {

Generator<int> up_to(int limit) {
  for (int i = 1; i <= limit; ++i) co_yield i;
}

Generator<int> slowly_up_to(int limit, int& alive) {
  const Alive here(alive);
  for (int i = 1; i <= limit; ++i) {
    co_await sleep_for(1ms);
    co_yield i;
  }
}

Generator<std::string> words(std::string first) {
  std::string own = "kept";
  co_yield own;
  expect_equal(own, "kept");
  co_yield std::move(first);
  co_yield "converted";
  co_yield own + "!";
}

Generator<int> doubled(Generator<int> source) {
  while (auto number = co_await source.next()) co_yield 2 * *number;
}

Generator<int> fails_after_one() {
  co_yield 1;
  co_await moment();
  throw_error(Errc::protocol, "as asked");
}

Generator<int> fails_without_a_throw() {
  co_yield 1;
  co_await twinloop::detail::Fail(Errc::refused);
}

Generator<int> wait_for_signal(Future<void> signal, int& alive) {
  const Alive here(alive);
  co_await std::move(signal);
  co_yield 7;
}

Generator<int> note_start(bool& started) {
  started = true;
  co_yield 1;
}

// Without a local variable in its outermost block, and with co_await in a condition: what gcc 12 lays out wrong.
Future<bool> soon(bool value) {
  co_await moment();
  co_return value;
}
Generator<int> conditions() {
  if (co_await soon(true)) co_yield 1;
  if (co_await soon(false)) co_yield 2;
  while (co_await soon(true)) co_yield 3;
}

Generator<int> drop_consumer(std::unique_ptr<Future<void>>& slot, int& alive, bool& went_on) {
  const Alive here(alive);
  co_await moment();
  slot.reset();
  co_yield 1;
  went_on = true;
}

Future<void> consume(Generator<int> numbers, int& sum) {
  while (auto number = co_await numbers.next()) sum += *number;
}

Future<std::int64_t> sum_of(Generator<int> numbers) {
  std::int64_t sum = 0;
  while (auto number = co_await numbers.next()) sum += *number;
  co_return sum;
}

}  // namespace

BEHAVIOUR("a generator gives its values in order and then nothing, again and again", Needs::nothing) {
  Generator<int> numbers = up_to(3);
  int sum = 0;
  while (auto number = co_await numbers.next()) sum = 10 * sum + *number;
  expect_equal(sum, 123);
  expect(numbers.done(), "it has ended");
  const std::optional<int> more = co_await numbers.next();
  expect(!more.has_value(), "nothing more");
}

BEHAVIOUR("a generator may wait between its values", Needs::nothing) {
  int alive = 0;
  const std::int64_t sum = co_await sum_of(slowly_up_to(4, alive));
  expect_equal(sum, 10);
  expect_equal(alive, 0);
}

BEHAVIOUR("a generator runs only when it is asked", Needs::nothing) {
  bool started = false;
  Generator<int> numbers = note_start(started);
  co_await turns(2);
  expect(!started, "not before the first next()");
  const std::optional<int> number = co_await numbers.next();
  expect(started && number == 1, "then it does");
}

BEHAVIOUR("a generator yields copies of its variables, and what it moves or makes without a copy", Needs::nothing) {
  Generator<std::string> texts = words("a parameter long enough to be on the heap");
  std::string all;
  while (auto text = co_await texts.next()) all += *text + ";";
  expect_equal(all, "kept;a parameter long enough to be on the heap;converted;kept!;");
}

BEHAVIOUR("a generator may yield what can only be moved", Needs::nothing) {
  auto make = []() -> Generator<std::unique_ptr<int>> {
    co_yield std::make_unique<int>(1);
    std::unique_ptr<int> two = std::make_unique<int>(2);
    co_yield std::move(two);
  };
  Generator<std::unique_ptr<int>> pointers = make();
  int sum = 0;
  while (auto pointer = co_await pointers.next()) sum += **pointer;
  expect_equal(sum, 3);
}

BEHAVIOUR("generators can be chained and moved", Needs::nothing) {
  Generator<int> numbers = doubled(doubled(up_to(3)));
  const std::optional<int> first = co_await numbers.next();
  expect_equal(first.value_or(0), 4);
  Generator<int> moved = std::move(numbers);
  const std::int64_t rest = co_await sum_of(std::move(moved));
  expect_equal(rest, 20);
}

BEHAVIOUR("a generator of 100,000 values keeps the stack flat", Needs::nothing) {
  const std::int64_t sum = co_await sum_of(doubled(up_to(100'000)));
  expect_equal(sum, std::int64_t{100'000} * 100'001);
}

BEHAVIOUR("what a generator throws comes out of next(), once", Needs::nothing) {
  Generator<int> numbers = fails_after_one();
  const std::optional<int> first = co_await numbers.next();
  expect_equal(first.value_or(0), 1);
  co_await expect_failure(numbers.next(), Errc::protocol);
  const std::optional<int> more = co_await numbers.next();
  expect(!more.has_value(), "then it has ended");
}

BEHAVIOUR("a generator may fail without a throw", Needs::nothing) {
  Generator<int> numbers = fails_without_a_throw();
  const std::optional<int> first = co_await numbers.next();
  expect_equal(first.value_or(0), 1);
  co_await expect_failure(numbers.next(), Errc::refused);
}

BEHAVIOUR("a generator with co_await in its conditions and no local variable", Needs::nothing) {
  Generator<int> numbers = conditions();
  int digits = 0;
  for (int i = 0; i < 4; ++i) {
    const std::optional<int> number = co_await numbers.next();
    digits = 10 * digits + number.value_or(0);
  }
  expect_equal(digits, 1333);
}

BEHAVIOUR("a generator that was never started can be dropped", Needs::nothing) {
  int alive = 0;
  {
    const Generator<int> numbers = doubled(slowly_up_to(3, alive));
  }
  expect_equal(alive, 0);
  co_return;
}

BEHAVIOUR("a generator can be dropped at its co_yield", Needs::nothing) {
  int alive = 0;
  {
    Generator<int> numbers = slowly_up_to(3, alive);
    const std::optional<int> first = co_await numbers.next();
    expect_equal(first.value_or(0), 1);
    expect_equal(alive, 1);
  }
  expect_equal(alive, 0);
}

BEHAVIOUR("a generator can be dropped inside its co_await, and withdraws what it waited for", Needs::nothing) {
  int alive = 0;
  Promise<void> signal;
  Future<std::optional<int>> pending;
  {
    Generator<int> numbers = doubled(wait_for_signal(signal.get_future(), alive));
    pending = numbers.next();
    co_await turns(2);
    expect_equal(alive, 1);
  }
  expect_equal(alive, 0);
  expect(!signal.wanted(), "nobody waits");
  co_await expect_failure(std::move(pending), Errc::cancelled);
}

BEHAVIOUR("a consumer dropped while it waits loses no value: the next next() gets it", Needs::nothing) {
  int alive = 0;
  Promise<void> signal;
  Generator<int> numbers = wait_for_signal(signal.get_future(), alive);
  {
    const Future<std::optional<int>> dropped = numbers.next();
    co_await turns(2);
  }
  expect_equal(alive, 1);
  signal.set_value();
  co_await turns(2);
  const std::optional<int> number = co_await numbers.next();
  expect_equal(number.value_or(0), 7);
}

BEHAVIOUR("a consumer dropped before a new one comes does not hurry the generator", Needs::nothing) {
  int alive = 0;
  Promise<void> signal;
  Generator<int> numbers = wait_for_signal(signal.get_future(), alive);
  {
    const Future<std::optional<int>> dropped = numbers.next();
    co_await turns(2);
  }
  Future<std::optional<int>> second = numbers.next();
  co_await turns(2);
  expect(!second.done(), "it still waits for its signal");
  signal.set_value();
  const std::optional<int> number = co_await std::move(second);
  expect_equal(number.value_or(0), 7);
}

BEHAVIOUR("a consumer dropped between the value and its resumption leaves the value", Needs::nothing) {
  Generator<int> numbers = up_to(2);
  {
    Future<std::optional<int>> dropped = numbers.next();
    while (!dropped.done()) co_await moment();
  }
  const std::optional<int> first = co_await numbers.next();
  const std::optional<int> second = co_await numbers.next();
  expect_equal(first.value_or(0) * 10 + second.value_or(0), 12);
}

BEHAVIOUR("a generator answers one next() at a time", Needs::nothing) {
  Generator<int> numbers = up_to(2);
  Future<std::optional<int>> first = numbers.next();
  co_await expect_failure(numbers.next(), Errc::busy);
  const std::optional<int> number = co_await std::move(first);
  expect_equal(number.value_or(0), 1);
}

BEHAVIOUR("a generator under a time limit that fires goes on later", Needs::nothing) {
  int alive = 0;
  Promise<void> signal;
  Generator<int> numbers = wait_for_signal(signal.get_future(), alive);
  co_await expect_failure(with_timeout(1ms, numbers.next()), Errc::timeout);
  signal.set_value();
  const std::optional<int> number = co_await with_timeout(1h, numbers.next());
  expect_equal(number.value_or(0), 7);
}

BEHAVIOUR("a generator that drops its consumer ends at its next co_yield", Needs::nothing) {
  int alive = 0;
  int sum = 0;
  bool went_on = false;
  std::unique_ptr<Future<void>> slot;
  slot = std::make_unique<Future<void>>(consume(drop_consumer(slot, alive, went_on), sum));
  co_await turns(3);
  expect(slot == nullptr, "the consumer is gone");
  expect_equal(alive, 0);
  expect(!went_on, "it ended at its co_yield");
  expect_equal(sum, 0);
}

BEHAVIOUR("a value of a generator costs no memory once it runs", Needs::nothing) {
  Generator<int> numbers = up_to(100);
  co_await numbers.next();
  const auto before = twinloop::detail::pool_stats();
  for (int i = 0; i < 50; ++i) co_await numbers.next();
  expect_equal(twinloop::detail::pool_stats().allocations, before.allocations);
}

namespace {

Future<void> use_generators() {
  int alive = 0;
  const std::int64_t sum = co_await sum_of(doubled(slowly_up_to(3, alive)));
  expect_equal(sum, 12);
  Generator<std::string> texts = words("parameter");
  while (auto text = co_await texts.next()) co_await moment();
  Generator<int> half = slowly_up_to(10, alive);
  co_await with_timeout(1h, half.next());
}

}  // namespace

BEHAVIOUR("a program of generators can be cancelled at every step and leaves nothing behind", Needs::nothing) {
  const std::size_t cancelled = co_await cancel_everywhere(&use_generators);
  expect(cancelled > 15, "at many places");
}
