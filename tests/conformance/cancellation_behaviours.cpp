// Programs as people write them, cancelled at every step they take.  What they use lives outside of them, so that it can be looked
// at afterwards: no lock stays held, no item and no byte is lost or comes twice.  cancel_everywhere itself sees to frames, operations,
// timers, handlers and spawned tasks.
#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "fixtures.h"
#include "twinloop/all.h"
#include "twinloop/executor.h"
#include "twinloop/generator.h"
#include "twinloop/locks.h"
#include "twinloop/net.h"
#include "twinloop/queues.h"
#include "twinloop/race.h"
#include "twinloop/rate_limiter.h"
#include "twinloop/retry.h"
#include "twinloop/shared_future.h"
#include "twinloop/shield.h"
#include "twinloop/task_group.h"
#include "twinloop/timing.h"
#include "twinloop/wait_iterator.h"
#include "work.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;
using namespace work;

namespace {

constexpr Duration kShort = 200us;

Future<void> cancel_at_every_step(std::function<Future<void>()> program, std::function<void()> check,
                                  std::size_t places) {
  const std::size_t cancelled = co_await cancel_everywhere(std::move(program), std::move(check));
  expect(cancelled >= places, "the program suspends at " + std::to_string(places) + " places, it was cancelled at " +
                                  std::to_string(cancelled));
}

// ---- locks

struct Guarded {
  Lock lock;
  Semaphore permits{2};
  int inside = 0;
};

Future<void> enter(Guarded& guarded) {
  const Permit permit = co_await guarded.permits.acquire();
  const Permit held = co_await guarded.lock.acquire(1h);
  const Alive here(guarded.inside);
  expect_equal(guarded.inside, 1);
  co_await moment();
  co_await sleep_for(kShort);
}

Future<void> contend(Guarded& guarded) { co_await all(enter(guarded), enter(guarded), enter(guarded)); }

Future<void> give_up_the_lock(Guarded& guarded) {
  const Permit held = co_await guarded.lock.acquire();
  Future<void> late = with_timeout(1h, with_timeout(kShort, enter(guarded)));
  const Result<void> result = co_await as_result(std::move(late));
  expect(result.reason() == Errc::timeout, "the inner limit ends it");
}

Future<void> signal_twice(Condition& changed, int& value) {
  for (int i = 0; i < 2; ++i) {
    co_await moment();
    ++value;
    changed.notify_all();
  }
}

Future<void> wait_until_two(Condition& changed, const int& value) {
  while (value < 2) co_await changed.wait(1h);
}

Future<void> signal_and_wait(Condition& changed, Event& started, int& value) {
  value = 0;
  started.clear();
  Future<void> waiting = all(wait_until_two(changed, value), wait_until_two(changed, value), started.wait(1h));
  Future<void> signals = signal_twice(changed, value);
  co_await std::move(signals);
  started.set();
  co_await std::move(waiting);
}

// ---- queues.  Numbers go in one after the other; none may be missing, none may come twice.

class Tally {
 public:
  int next() noexcept { return offered_++; }
  void put_done() noexcept { ++put_; }
  void got(int number) { got_.push_back(number); }

  // With what is still in the queue: every number from 0 on, at least those whose put was done.
  template <class TryGet>
  void check(TryGet try_get) {
    while (const std::optional<int> number = try_get()) got(*number);
    std::sort(got_.begin(), got_.end());
    for (std::size_t i = 0; i < got_.size(); ++i) expect_equal(got_[i], static_cast<int>(i));
    expect(got_.size() >= put_, "what was put is there");
    *this = Tally();
  }

 private:
  int offered_ = 0;
  std::size_t put_ = 0;
  std::vector<int> got_;
};

template <class Q>
Future<void> put_numbers(Q& queue, Tally& tally, int count) {
  for (int i = 0; i < count; ++i) {
    co_await queue.put(tally.next());
    tally.put_done();
  }
}

template <class Q>
Future<void> get_numbers(Q& queue, Tally& tally, int count) {
  for (int i = 0; i < count; ++i) {
    tally.got(co_await queue.get());
    co_await moment();
  }
}

template <class Q>
Future<void> produce_and_consume(Q& queue, Tally& tally) {
  co_await all(get_numbers(queue, tally, 3), put_numbers(queue, tally, 6), get_numbers(queue, tally, 3));
}

template <class Q>
Future<void> cancel_producers_and_consumers() {
  Q queue(2);
  Tally tally;
  const auto program = [&] { return produce_and_consume(queue, tally); };
  const auto check = [&] { tally.check([&queue] { return queue.try_get(); }); };
  co_await cancel_at_every_step(program, check, 10);
}

struct Piped {
  std::unique_ptr<Channel<int>> channel;
  Tally tally;
};

Future<void> put_and_close(Piped& pipe) {
  for (int i = 0; i < 4; ++i) {
    co_await pipe.channel->put(pipe.tally.next(), 1h);
    pipe.tally.put_done();
    if (i % 2 == 1) co_await sleep_for(3 * kShort);  // so that the reader waits, too
  }
  pipe.channel->close();
}

Future<void> read_to_the_end(Piped& pipe) {
  while (std::optional<int> number = co_await pipe.channel->next()) {
    pipe.tally.got(*number);
    co_await sleep_for(kShort);
  }
}

Future<void> use_channel(Piped& pipe) {
  pipe.channel = std::make_unique<Channel<int>>(1);
  co_await all(put_and_close(pipe), read_to_the_end(pipe));
}

// Each takes one number of two queues and leaves the other's where it is.
Future<void> take_one_of_two(Queue<int>& left, Queue<int>& right, Tally& tally) {
  std::variant<int, int> first = co_await race(left.get(), right.get());
  tally.got(first.index() == 0 ? std::get<0>(first) : std::get<1>(first));
  std::variant<int, int> second = co_await any(right.get(1h), left.get(kShort));
  tally.got(second.index() == 0 ? std::get<0>(second) : std::get<1>(second));
}

Future<void> feed_two(Queue<int>& left, Queue<int>& right, Tally& tally) {
  for (int i = 0; i < 4; ++i) {
    co_await moment();
    Queue<int>& queue = i % 2 == 0 ? left : right;
    co_await queue.put(tally.next());
    tally.put_done();
  }
}

Future<void> race_for_items(Queue<int>& left, Queue<int>& right, Tally& tally) {
  co_await all(take_one_of_two(left, right, tally), feed_two(left, right, tally));
}

Future<void> get_in_time(Queue<int>& queue, Tally& tally) {
  Future<int> get = with_timeout(1h, with_timeout(1h, queue.get(1h)));
  tally.got(co_await std::move(get));
  Future<int> late = with_timeout(kShort, with_timeout(1h, queue.get()));
  const Result<int> result = co_await as_result(std::move(late));
  expect(result.reason() == Errc::timeout, "nothing comes any more");
}

Future<void> nest_time_limits(Queue<int>& queue, Tally& tally) {
  co_await all(get_in_time(queue, tally), put_numbers(queue, tally, 1));
}

// ---- groups, generators, retries, shields

Future<void> work_in_a_group(Guarded& guarded, Queue<int>& queue, Tally& tally) {
  TaskGroup group;
  group.spawn(&enter, std::ref(guarded));
  group.spawn(&enter, std::ref(guarded));
  group.spawn(&put_numbers<Queue<int>>, std::ref(queue), std::ref(tally), 3);
  group.spawn(get_numbers(queue, tally, 2));
  co_await group.join();
}

Future<void> fail_after(Duration delay) { co_await failing_later(delay, Errc::protocol); }

Future<void> work_in_a_failing_group(Guarded& guarded) {
  TaskGroup group;
  group.spawn(&enter, std::ref(guarded));
  group.spawn(&enter, std::ref(guarded));
  group.spawn(&fail_after, kShort / 2);
  const Result<void> result = co_await as_result(group.join());
  expect(result.reason() == Errc::protocol, "the first failure");
}

Generator<int> numbers_under_a_lock(Guarded& guarded, Queue<int>& queue) {
  const Permit held = co_await guarded.lock.acquire();
  const Alive here(guarded.inside);
  for (;;) co_yield co_await queue.get();
}

Future<void> use_generator(Guarded& guarded, Queue<int>& queue, Tally& tally) {
  co_await put_numbers(queue, tally, 3);
  Generator<int> numbers = numbers_under_a_lock(guarded, queue);
  for (int i = 0; i < 2; ++i) {
    std::optional<int> number = co_await numbers.next();
    expect(number.has_value(), "it does not end");
    tally.got(*number);
  }
}

Future<int> attempt(Guarded& guarded, int& failures) {
  const Permit held = co_await guarded.lock.acquire();
  const Alive here(guarded.inside);
  co_await moment();
  if (failures++ % 3 != 2) co_return Errc::refused;
  co_return 1;
}

Future<void> retry_under_a_lock(Guarded& guarded, int& failures) {
  failures = 0;
  const Retry often = Retry().attempts(3).delay(kShort).jitter(0);
  co_await retry(often, &attempt, std::ref(guarded), std::ref(failures));
}

struct Payment {
  int begun = 0;
  int ended = 0;
};

Future<void> pay(Guarded& guarded, Payment& payment) {
  ++payment.begun;
  const Permit held = co_await guarded.lock.acquire();
  co_await sleep_for(kShort);
  co_await moment();
  ++payment.ended;
}

Future<void> shop(Guarded& guarded, Payment& payment) {
  co_await moment();
  co_await shield(pay(guarded, payment));
  co_await moment();
}

Future<void> iterate(Queue<int>& queue, Tally& tally) {
  std::vector<Future<int>> gets;
  for (int i = 0; i < 3; ++i) gets.push_back(queue.get());
  WaitIterator<int> items(std::move(gets));
  Future<void> puts = put_numbers(queue, tally, 3);
  while (auto item = co_await items.next()) {
    tally.got(std::move(item->result).value());
    co_await moment();
  }
  co_await std::move(puts);
}

Future<void> pace(RateLimiter& limiter) {
  for (int i = 0; i < 3; ++i) co_await limiter.acquire();
}

// ---- streams

// Two ends that outlive the programs that use them: what a cancelled one has left in them the next one finds.
struct Line {
  IOStream near;
  IOStream far;
  std::string sent;
  std::string received;
};

Future<void> send(Line& line, std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes; ++i) text += static_cast<char>('a' + (line.sent.size() + i) % 23);
  line.sent += text;  // write() takes it at once, dropped or not
  co_await line.near.write(std::move(text));
}

Future<void> receive_all(Line& line) {
  while (line.received.size() < line.sent.size()) {
    const std::size_t left = line.sent.size() - line.received.size();
    line.received += co_await line.far.read_bytes(std::min<std::size_t>(left, 7));
  }
}

Future<void> talk(Line& line) {
  co_await receive_all(line);
  co_await send(line, 20);
  co_await send(line, 3);
  co_await receive_all(line);
  Future<std::string> late = with_timeout(kShort, line.far.read_until("\n"));
  const Result<std::string> result = co_await as_result(std::move(late));
  expect(result.reason() == Errc::timeout, "there is no end of a line");
  Future<void> sending = send(line, 5);
  co_await all(std::move(sending), receive_all(line));
  expect(line.sent == line.received, "every byte once, in order");
}

Future<void> echo(IOStream stream) {
  while (std::optional<std::string> line = co_await stream.next_line()) {
    *line += "\n";
    co_await stream.write(std::move(*line));
  }
}

Future<void> ask(IOStream stream) {
  for (int i = 0; i < 2; ++i) {
    co_await stream.write("hello\n");
    const std::optional<std::string> answer = co_await stream.next_line();
    expect(answer == "hello", "an echo");
  }
}

Future<void> serve_once(Listener& listener) { co_await echo(co_await listener.accept()); }
Future<void> call(std::string url) { co_await ask(co_await connect(std::move(url))); }

Future<void> serve_and_call() {
  Listener listener = co_await listen("pair:cancelled");
  co_await all(serve_once(listener), call("pair:cancelled"));
}

// ---- threads

Future<void> compute(std::shared_ptr<int> token) {
  const auto twice = [](const std::shared_ptr<int>& value) { return *value * 2; };
  Future<int> first = IOLoop::current().run_in_executor(twice, token);
  Future<int> second = IOLoop::current().run_in_executor(twice, token);
  std::tuple<int, int> both = co_await all(std::move(first), std::move(second));
  expect_equal(std::get<0>(both) + std::get<1>(both), 4 * *token);
}

// A job that was abandoned ends by itself.
void wait_until_let_go(const std::shared_ptr<int>& token) {
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (token.use_count() > 1) {
    expect(std::chrono::steady_clock::now() < deadline, "every job lets go of its arguments");
    std::this_thread::yield();
  }
}

// ---- completed and dropped in one batch: nobody has looked at the result

Future<void> expect_line(IOStream& stream, Location where = Location::current()) {
  expect_equal(co_await stream.read_until("\n"), "a line\n", where);
}

void expect_free(const Guarded& guarded) {
  expect(!guarded.lock.locked(), "the lock is free");
  expect_equal(guarded.permits.value(), 2U);
  expect_equal(guarded.inside, 0);
}

}  // namespace

BEHAVIOUR("coroutines that hold a lock over awaits can be cancelled at every step, and the lock is free",
          Needs::nothing) {
  Guarded guarded;
  const auto program = [&] { return contend(guarded); };
  const auto check = [&] { expect_free(guarded); };
  co_await cancel_at_every_step(program, check, 8);
}

BEHAVIOUR("waiting for a lock under two time limits can be cancelled at every step", Needs::nothing) {
  Guarded guarded;
  const auto program = [&] { return give_up_the_lock(guarded); };
  const auto check = [&] { expect_free(guarded); };
  co_await cancel_at_every_step(program, check, 2);
}

BEHAVIOUR("waiting for conditions and events can be cancelled at every step", Needs::nothing) {
  Condition changed;
  Event started;
  int value = 0;
  const auto program = [&] { return signal_and_wait(changed, started, value); };
  co_await cancel_at_every_step(program, {}, 3);
}

BEHAVIOUR("producers and consumers of a queue can be cancelled at every step, and no item is lost or comes twice",
          Needs::nothing) {
  co_await cancel_producers_and_consumers<Queue<int>>();
}

BEHAVIOUR("producers and consumers of a priority queue can be cancelled at every step without losing an item",
          Needs::nothing) {
  co_await cancel_producers_and_consumers<PriorityQueue<int>>();
}

BEHAVIOUR("producers and consumers of a LIFO queue can be cancelled at every step without losing an item",
          Needs::nothing) {
  co_await cancel_producers_and_consumers<LifoQueue<int>>();
}

BEHAVIOUR("both sides of a channel can be cancelled at every step without losing an item", Needs::nothing) {
  Piped pipe;
  pipe.channel = std::make_unique<Channel<int>>(1);
  const auto program = [&] { return use_channel(pipe); };
  const auto check = [&] { pipe.tally.check([&pipe] { return pipe.channel->try_next(); }); };
  co_await cancel_at_every_step(program, check, 6);
}

BEHAVIOUR("race and any between two queues can be cancelled at every step, and the losers' items stay",
          Needs::nothing) {
  Queue<int> left;
  Queue<int> right;
  Tally tally;
  const auto program = [&] { return race_for_items(left, right, tally); };
  const auto check = [&] {
    tally.check([&] {
      std::optional<int> number = left.try_get();
      return number ? number : right.try_get();
    });
  };
  co_await cancel_at_every_step(program, check, 4);
}

BEHAVIOUR("nested time limits around a get can be cancelled at every step without losing the item", Needs::nothing) {
  Queue<int> queue;
  Tally tally;
  const auto program = [&] { return nest_time_limits(queue, tally); };
  const auto check = [&] { tally.check([&queue] { return queue.try_get(); }); };
  co_await cancel_at_every_step(program, check, 3);
}

BEHAVIOUR("a WaitIterator over gets can be cancelled at every step without losing an item", Needs::nothing) {
  Queue<int> queue;
  Tally tally;
  const auto program = [&] { return iterate(queue, tally); };
  const auto check = [&] { tally.check([&queue] { return queue.try_get(); }); };
  co_await cancel_at_every_step(program, check, 3);
}

BEHAVIOUR("a group of tasks with locks and queues can be cancelled at every step", Needs::nothing) {
  Guarded guarded;
  Queue<int> queue(1);
  Tally tally;
  const auto program = [&] { return work_in_a_group(guarded, queue, tally); };
  const auto check = [&] {
    expect_free(guarded);
    tally.check([&queue] { return queue.try_get(); });
  };
  co_await cancel_at_every_step(program, check, 8);
}

BEHAVIOUR("a group of which one task fails can be cancelled at every step", Needs::nothing) {
  Guarded guarded;
  const auto program = [&] { return work_in_a_failing_group(guarded); };
  const auto check = [&] { expect_free(guarded); };
  co_await cancel_at_every_step(program, check, 3);
}

BEHAVIOUR("a generator that holds a lock and an item can be cancelled with its consumer at every step",
          Needs::nothing) {
  Guarded guarded;
  Queue<int> queue;
  Tally tally;
  const auto program = [&] { return use_generator(guarded, queue, tally); };
  const auto check = [&] {
    expect_free(guarded);
    while (queue.try_get()) {
    }
    tally = Tally();
  };
  co_await cancel_at_every_step(program, check, 3);
}

BEHAVIOUR("a retry can be cancelled in each attempt and each pause", Needs::nothing) {
  Guarded guarded;
  int failures = 0;
  const auto program = [&] { return retry_under_a_lock(guarded, failures); };
  const auto check = [&] { expect_free(guarded); };
  co_await cancel_at_every_step(program, check, 4);
}

BEHAVIOUR("shielded work ends whenever the one who waits for it is cancelled", Needs::nothing) {
  Guarded guarded;
  Payment payment;
  const auto program = [&] { return shop(guarded, payment); };
  const auto check = [&] {
    expect_free(guarded);
    expect_equal(payment.ended, payment.begun);
  };
  co_await cancel_at_every_step(program, check, 3);
  expect(payment.begun > 2, "it was paid, mostly for nothing");
}

BEHAVIOUR("waiting for a rate limiter can be cancelled at every step, and its timer goes", Needs::nothing) {
  RateLimiter limiter(1, kShort);
  const auto program = [&] { return pace(limiter); };
  co_await cancel_at_every_step(program, {}, 3);
}

BEHAVIOUR("reads and writes of a stream can be cancelled at every step, and no byte is lost or comes twice",
          Needs::nothing) {
  auto [near, far] = make_pair_streams();
  Line line{std::move(near), std::move(far), "", ""};
  const auto program = [&] { return talk(line); };
  const auto check = [&] { expect(line.sent.starts_with(line.received), "what was received was sent, in that order"); };
  co_await cancel_at_every_step(program, check, 4);
  expect(line.sent == line.received && line.sent.size() > 50, "the last run finds all that the others left");
}

BEHAVIOUR("a server and its client can be cancelled at every step", Needs::nothing) {
  co_await cancel_at_every_step(&serve_and_call, {}, 6);
}

BEHAVIOUR("work in the executor can be cancelled at every step, and lets go of its arguments", Needs::threads) {
  const auto token = std::make_shared<int>(21);
  const auto program = [&] { return compute(token); };
  const auto check = [&] { wait_until_let_go(token); };
  co_await cancel_at_every_step(program, check, 1);
}

BEHAVIOUR("whatever read is dropped when it is done, its bytes are there for the next", Needs::nothing) {
  auto [near, far] = make_pair_streams();
  near.write("a line\n").ignore();
  char memory[4];
  co_await complete_and_drop(far.read_bytes(3));
  co_await complete_and_drop(far.read_some());
  co_await complete_and_drop(far.read_until("\n"));
  co_await complete_and_drop(far.next_line());
  co_await complete_and_drop(far.next_until(" "));
  co_await complete_and_drop(far.read_into(memory));
  co_await complete_and_drop(far.read_some_into(memory));
  co_await expect_line(far);
  near.write("a line\n").ignore();
  near.close();
  co_await complete_and_drop(far.read_until_close());
  co_await expect_line(far);
}

BEHAVIOUR("whatever hands out an item, one that is dropped when it is done leaves it", Needs::nothing) {
  Queue<int> queue;
  Channel<int> channel(1);
  Future<int> get = queue.get();
  Future<std::optional<int>> next = channel.next();
  queue.put(1).ignore();
  channel.put(2).ignore();
  co_await complete_and_drop(std::move(get));
  co_await complete_and_drop(std::move(next));
  co_await complete_and_drop(with_timeout(1h, queue.get()));
  co_await complete_and_drop(race(queue.get(), channel.next()));
  co_await complete_and_drop(all(queue.get(), channel.next()));
  expect_equal(co_await queue.get(), 1);
  expect_equal(*co_await channel.next(), 2);
}

BEHAVIOUR("whatever hands out a permit or a notification, one that is dropped when it is done passes it on",
          Needs::nothing) {
  Guarded guarded;
  Condition changed;
  RateLimiter limiter(1, 1h);
  co_await complete_and_drop(guarded.lock.acquire());
  co_await complete_and_drop(guarded.permits.acquire());
  expect_free(guarded);
  Future<bool> first = changed.wait();
  Future<bool> second = changed.wait();
  changed.notify();
  co_await complete_and_drop(std::move(first));
  expect(co_await std::move(second), "the second is notified in the first one's place");
  co_await complete_and_drop(limiter.acquire());
  expect(limiter.try_acquire(), "the operation that never began does not count");
}

BEHAVIOUR("a waiter of shared work that is dropped when it is done leaves the result to the others", Needs::nothing) {
  Promise<std::string> promise;
  SharedFuture<std::string> shared = share(promise.get_future());
  Future<std::string> dropped = shared.get_future();
  Future<std::string> other = shared.get_future();
  promise.set_value("for all");
  co_await complete_and_drop(std::move(dropped));
  expect_equal(co_await std::move(other), "for all");
  expect_equal(co_await shared, "for all");
}
