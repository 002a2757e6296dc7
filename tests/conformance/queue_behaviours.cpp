// Queue, PriorityQueue, LifoQueue and Channel: Tornado's queues, and what dropping and destroying must not break.
#include "twinloop/queues.h"

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "twinloop/ioloop.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

std::string joined(const std::vector<int>& numbers) {
  std::string text;
  for (const int number : numbers) text.append(text.empty() ? "" : " ").append(std::to_string(number));
  return text;
}

template <class T, class Items>
std::string drained(BasicQueue<T, Items>& queue) {
  std::vector<int> items;
  while (std::optional<T> item = queue.try_get()) items.push_back(*item);
  return joined(items);
}

template <class T>
T taken(Future<T>& future) {
  expect(future.done(), "it is done");
  return future.result();
}

template <class Function>
void expect_limit(Function function, const Location& where = Location::current()) {
  Errc reason = Errc::io;
  try {
    function();
  } catch (const Error& error) {
    reason = error.reason();
  }
  expect(reason == Errc::limit, "it is refused", where);
}

Future<void> get_one(Queue<int>& queue, std::vector<int>& got) { got.push_back(co_await queue.get()); }

Future<void> get_for_ever(Queue<int>& queue, std::vector<int>& got) {
  for (;;) got.push_back(co_await queue.get());
}

Future<void> get_and_drop(Queue<int>& queue, Future<void>& victim, std::vector<int>& got) {
  got.push_back(co_await queue.get());
  victim = Future<void>();
}

Future<void> get_and_drop_itself(Queue<int>& queue, std::unique_ptr<Future<void>>& own, std::vector<int>& got) {
  got.push_back(co_await queue.get());
  own.reset();
  got.push_back(co_await queue.get());
}

Future<void> put_three(Queue<int>& queue, std::vector<int>& history) {
  for (int i = 0; i < 3; ++i) {
    co_await queue.put(i);
    history.push_back(i);
  }
}

Future<void> take_three(Queue<int>& queue, std::vector<int>& history) {
  for (int i = 0; i < 3; ++i) {
    const int item = co_await queue.get();
    history.push_back(10 + item);
  }
}

Future<void> note_done(Future<void> work, int name, std::vector<int>& history) {
  co_await std::move(work);
  history.push_back(name);
}

Future<void> read_channel(Channel<int>& channel, std::vector<int>& got) {
  while (const std::optional<int> item = co_await channel.next()) got.push_back(*item);
  got.push_back(-1);
}

Future<void> wait_for_a_day(std::unique_ptr<Queue<int>> queue) {
  co_await sleep_for(24h);
  co_await queue->put(0);
}

// Its members die in the wrong order: the queue before the coroutine that waits for it.
struct ConsumerOfAQueue {
  std::vector<int> got;
  Future<void> work;
  Queue<int> queue;
};

// An item that counts those of its kind, to see that none is lost or doubled.
class Counted {
 public:
  Counted(int number, int& alive) noexcept : number_(number), alive_(&alive) { ++*alive_; }
  Counted(Counted&& other) noexcept : number_(other.number_), alive_(std::exchange(other.alive_, nullptr)) {}
  Counted& operator=(Counted&& other) noexcept {
    std::swap(number_, other.number_);
    std::swap(alive_, other.alive_);
    return *this;
  }
  ~Counted() {
    if (alive_ != nullptr) --*alive_;
  }
  int number() const noexcept { return number_; }

 private:
  int number_;
  int* alive_;
};

}  // namespace

// ---- order and size

BEHAVIOUR("a queue gives first what was put first", Needs::nothing) {
  Queue<int> queue;
  co_await queue.put(3);
  co_await queue.put(1);
  co_await queue.put(2);
  const int first = co_await queue.get();
  expect_equal(first, 3);
  expect_equal(drained(queue), "1 2");
}

BEHAVIOUR("a priority queue gives the least item first, and of equal ones the oldest", Needs::nothing) {
  struct ByTens {
    bool operator()(int a, int b) const noexcept { return a / 10 < b / 10; }
  };
  PriorityQueue<int> queue;
  for (const int item : {1, 3, 2, 0}) queue.try_put(item);
  expect_equal(drained(queue), "0 1 2 3");
  PriorityQueue<int, ByTens> tens;
  for (const int item : {35, 11, 32, 19, 31, 15}) tens.try_put(item);
  expect_equal(drained(tens), "11 19 15 35 32 31");
  co_return;
}

BEHAVIOUR("a LIFO queue gives the newest item first", Needs::nothing) {
  LifoQueue<int> queue;
  for (const int item : {1, 3, 2}) co_await queue.put(item);
  const int newest = co_await queue.get();
  expect_equal(newest, 2);
  co_await queue.put(0);
  expect_equal(drained(queue), "0 3 1");
}

BEHAVIOUR("a queue knows its size, and whether it is empty or full", Needs::nothing) {
  Queue<int> queue(2);
  expect(queue.empty() && !queue.full() && queue.qsize() == 0 && queue.maxsize() == 2, "empty");
  co_await queue.put(0);
  expect(!queue.empty() && !queue.full() && queue.qsize() == 1, "one");
  co_await queue.put(1);
  expect(!queue.empty() && queue.full() && queue.qsize() == 2, "full");
}

BEHAVIOUR("a queue without maxsize is never full", Needs::nothing) {
  Queue<int> queue;
  for (int i = 0; i < 10'000; ++i) expect(queue.try_put(i), "there is room");
  expect(!queue.full() && queue.qsize() == 10'000, "still not");
  for (int i = 0; i < 10'000; ++i) {
    const int item = co_await queue.get();
    expect_equal(item, i);
  }
}

BEHAVIOUR("a queue carries what can only be moved", Needs::nothing) {
  Queue<std::unique_ptr<int>> queue(1);
  co_await queue.put(std::make_unique<int>(1));
  auto second = std::make_unique<int>(2);
  expect(!queue.try_put(std::move(second)), "it is full");
  expect(second != nullptr, "a refused item stays where it was");  // NOLINT(bugprone-use-after-move)
  Future<void> waiting = queue.put(std::move(second));
  const std::unique_ptr<int> first = co_await queue.get();
  const std::unique_ptr<int> next = co_await queue.get();
  expect_equal(*first, 1);
  expect_equal(*next, 2);
  co_await std::move(waiting);
}

// ---- get

BEHAVIOUR("getting from an empty queue waits for a put", Needs::nothing) {
  Queue<int> queue;
  Future<int> item = queue.get();
  expect(!item.done(), "nothing there");
  queue.try_put(7);
  const int got = co_await std::move(item);
  expect_equal(got, 7);
}

BEHAVIOUR("getting what is there completes at once, without a hop", Needs::nothing) {
  Queue<int> queue;
  const std::uint64_t before = Scheduler::current().resumptions();
  co_await queue.put(1);
  const int item = co_await queue.get();
  expect_equal(item, 1);
  expect_equal(Scheduler::current().resumptions(), before);
}

BEHAVIOUR("try_get on an empty queue gives nothing", Needs::nothing) {
  Queue<int> queue;
  expect(!queue.try_get().has_value(), "empty");
  queue.try_put(1);
  expect_equal(queue.try_get().value_or(0), 1);
  expect(!queue.try_get().has_value(), "empty again");
  co_return;
}

BEHAVIOUR("getting from a full queue lets the putter in that waits longest", Needs::nothing) {
  Queue<int> queue(1);
  co_await queue.put(0);
  Future<void> first = queue.put(1);
  Future<void> second = queue.put(2);
  expect(!first.done() && !second.done(), "they wait");
  const int item = co_await queue.get();
  expect_equal(item, 0);
  expect(first.done() && !second.done() && queue.full(), "the first one is in");
  expect_equal(queue.try_get().value_or(-1), 1);
  expect(second.done(), "and the second");
  expect_equal(queue.try_get().value_or(-1), 2);
  co_await std::move(first);
  co_await std::move(second);
}

BEHAVIOUR("getters are served in the order in which they came, each with its own item", Needs::nothing) {
  Queue<int> queue;
  std::vector<Future<int>> getters;
  for (int i = 0; i < 5; ++i) getters.push_back(queue.get());
  for (int i = 0; i < 5; ++i) queue.try_put(i);
  for (int i = 4; i >= 0; --i) {  // in whatever order they are looked at
    const int item = co_await std::move(getters[static_cast<std::size_t>(i)]);
    expect_equal(item, i);
  }
}

BEHAVIOUR("a get that timed out takes nothing: the next getter has the item", Needs::nothing) {
  Queue<int> queue;
  Future<int> late = queue.get(1ms);
  Future<int> next = queue.get();
  co_await expect_failure(std::move(late), Errc::timeout);
  queue.try_put(0);
  const int item = co_await std::move(next);
  expect_equal(item, 0);
}

BEHAVIOUR("a get with a timeout of zero fails in the next turn, or gives what is there", Needs::nothing) {
  Queue<int> queue;
  co_await expect_failure(queue.get(0s), Errc::timeout);
  queue.try_put(1);
  const int item = co_await queue.get(0s);
  expect_equal(item, 1);
}

BEHAVIOUR("a get that is served before its timeout has its item, even when it is looked at later", Needs::nothing) {
  Queue<int> queue;
  Future<int> item = queue.get(1ms);
  queue.try_put(5);
  co_await sleep_for(2ms);
  const int got = co_await std::move(item);
  expect_equal(got, 5);
}

BEHAVIOUR("getters and putters that timed out leave nothing behind", Needs::nothing) {
  Queue<int> queue(1);
  co_await expect_failure(queue.get(0s), Errc::timeout);
  queue.try_put(0);
  co_await expect_failure(queue.put(1, 0s), Errc::timeout);
  const std::size_t before = twinloop::detail::pool_stats().live;
  for (int i = 0; i < 10; ++i) co_await expect_failure(queue.put(1, 0s), Errc::timeout);
  expect_equal(drained(queue), "0");
  for (int i = 0; i < 10; ++i) co_await expect_failure(queue.get(0s), Errc::timeout);
  expect_equal(twinloop::detail::pool_stats().live, before);
}

BEHAVIOUR("a consumer loops over a queue for ever, until it is dropped", Needs::nothing) {
  Queue<int> queue;
  std::vector<int> got;
  {
    const Future<void> consumer = get_for_ever(queue, got);
    for (int i = 0; i < 5; ++i) co_await queue.put(i);
    co_await moment();
  }
  expect_equal(joined(got), "0 1 2 3 4");
  expect(queue.try_put(5), "nobody is left");
  expect_equal(queue.qsize(), 1U);
}

// ---- put

BEHAVIOUR("putting into a full queue waits for a get", Needs::nothing) {
  Queue<int> queue(1);
  co_await queue.put(0);
  Future<void> waiting = queue.put(1);
  expect(!waiting.done() && queue.qsize() == 1, "its item is not in yet");
  expect_equal(queue.try_get().value_or(-1), 0);
  co_await std::move(waiting);
  expect_equal(drained(queue), "1");
}

BEHAVIOUR("try_put on a full queue is refused", Needs::nothing) {
  Queue<int> queue(1);
  expect(queue.try_put(0) && !queue.try_put(1), "there is room for one");
  expect_equal(drained(queue), "0");
  co_return;
}

BEHAVIOUR("a put with a getter waiting goes past the queue", Needs::nothing) {
  Queue<int> queue(1);
  Future<int> first = queue.get();
  Future<int> second = queue.get();
  expect(queue.try_put(0), "to the first");
  co_await queue.put(1);
  expect(queue.empty() && first.done() && second.done(), "both are served");
  expect(queue.try_put(2), "and there is still room");
  const int item = co_await std::move(second);
  expect_equal(item, 1);
  const int earlier = co_await std::move(first);
  expect_equal(earlier, 0);
  expect_equal(drained(queue), "2");
}

BEHAVIOUR("a put that timed out never enters", Needs::nothing) {
  Queue<int> queue(1);
  queue.try_put(0);
  Future<void> late = queue.put(1, 1ms);
  Future<void> next = queue.put(2);
  co_await expect_failure(std::move(late), Errc::timeout);
  expect_equal(queue.try_get().value_or(-1), 0);
  co_await std::move(next);
  expect_equal(drained(queue), "2");
}

BEHAVIOUR("a put that gets room before its timeout is in", Needs::nothing) {
  Queue<int> queue(1);
  queue.try_put(0);
  Future<void> patient = queue.put(1, 1h);
  expect_equal(queue.try_get().value_or(-1), 0);
  co_await std::move(patient);
  expect_equal(drained(queue), "1");
}

BEHAVIOUR("with_timeout around get and put loses nothing", Needs::nothing) {
  Queue<int> queue(1);
  co_await expect_failure(with_timeout(1ms, queue.get()), Errc::timeout);
  co_await with_timeout(1h, queue.put(1));
  co_await expect_failure(with_timeout(1ms, queue.put(2)), Errc::timeout);
  const int item = co_await with_timeout(1h, queue.get());
  expect_equal(item, 1);
  expect(queue.empty(), "the late one never entered");
}

BEHAVIOUR("put and get resume nobody before they return", Needs::nothing) {
  Queue<int> queue(1);
  std::vector<int> history;
  Future<void> consumer = get_one(queue, history);
  queue.try_put(1);
  history.push_back(100);
  co_await std::move(consumer);
  queue.try_put(2);
  Future<void> producer = note_done(queue.put(3), 200, history);
  history.push_back(queue.try_get().value_or(-1));
  co_await std::move(producer);
  expect_equal(joined(history), "100 1 2 200");
}

BEHAVIOUR("a producer and a consumer take turns at a queue of one", Needs::nothing) {
  Queue<int> queue(1);
  std::vector<int> history;
  Future<void> producer = put_three(queue, history);
  Future<void> consumer = take_three(queue, history);
  co_await std::move(producer);
  co_await std::move(consumer);
  expect_equal(joined(history), "0 10 11 1 2 12");
}

namespace {

Future<void> put_ten(Queue<int>& queue) {
  for (int i = 0; i < 10; ++i) co_await queue.put(i);
}

Future<void> finish_for_ever(Queue<int>& queue, std::vector<int>& got) {
  for (;;) {
    got.push_back(co_await queue.get());
    queue.task_done();
  }
}

}  // namespace

BEHAVIOUR("what a producer puts into a small queue is all done with when join completes", Needs::nothing) {
  Queue<int> queue(3);
  std::vector<int> got;
  const Future<void> consumer = finish_for_ever(queue, got);
  co_await put_ten(queue);
  co_await queue.join();
  expect_equal(joined(got), "0 1 2 3 4 5 6 7 8 9");
}

// ---- join

BEHAVIOUR("task_done more often than items were put is an error", Needs::nothing) {
  Queue<int> queue;
  expect_limit([&] { queue.task_done(); });
  queue.try_put(0);
  queue.try_get();
  queue.task_done();
  expect_limit([&] { queue.task_done(); });
  co_return;
}

BEHAVIOUR("join waits until every item is done with, not until it was got", Needs::nothing) {
  Queue<int> queue;
  queue.try_put(0);
  queue.try_put(1);
  Future<void> join = queue.join();
  queue.try_get();
  queue.try_get();
  co_await moment();
  expect(!join.done(), "got is not done");
  queue.task_done();
  expect(!join.done(), "one is left");
  queue.task_done();
  co_await std::move(join);
}

BEHAVIOUR("join of a queue that never had an item, or has finished all, completes at once", Needs::nothing) {
  Queue<int> queue;
  co_await queue.join();
  queue.try_put(0);
  queue.try_get();
  queue.task_done();
  const Future<void> join = queue.join();
  expect(join.done(), "at once");
}

BEHAVIOUR("join can time out and be asked again", Needs::nothing) {
  PriorityQueue<int> queue;
  queue.try_put(0);
  Future<void> patient = queue.join(1h);
  co_await expect_failure(queue.join(1ms), Errc::timeout);
  queue.try_get();
  queue.task_done();
  co_await std::move(patient);
  co_await queue.join();
}

BEHAVIOUR("join counts items handed straight to a getter and those of waiting putters, once", Needs::nothing) {
  LifoQueue<int> queue(1);
  Future<int> getter = queue.get();
  queue.try_put(0);
  getter = Future<int>();  // gives it back
  Future<void> putter = queue.put(1);
  Future<void> join = queue.join();
  for (int i = 0; i < 2; ++i) {
    queue.try_get();
    expect(!join.done(), "not yet");
    queue.task_done();
  }
  co_await std::move(putter);
  co_await std::move(join);
  expect_limit([&] { queue.task_done(); });
}

// ---- complete and drop in one batch

BEHAVIOUR("an item goes to the next getter when its own is dropped before it resumes", Needs::nothing) {
  Queue<int> queue;
  std::vector<int> got;
  Future<void> first = get_one(queue, got);
  Future<void> second = get_one(queue, got);
  queue.try_put(1);
  first = Future<void>();
  co_await std::move(second);
  expect_equal(joined(got), "1");
}

BEHAVIOUR("items of dropped getters go back to their old places", Needs::nothing) {
  Queue<int> queue;
  std::vector<Future<int>> getters;
  for (int i = 0; i < 4; ++i) getters.push_back(queue.get());
  for (int i = 0; i < 6; ++i) queue.try_put(i);
  expect_equal(queue.qsize(), 2U);
  for (const std::size_t index : {2U, 0U, 3U, 1U}) getters[index] = Future<int>();
  expect_equal(drained(queue), "0 1 2 3 4 5");
  co_return;
}

BEHAVIOUR("a get that nobody looked at puts its item back", Needs::nothing) {
  Queue<int> fifo;
  LifoQueue<int> lifo;
  PriorityQueue<int> priority;
  for (int i = 0; i < 3; ++i) {
    fifo.try_put(i);
    lifo.try_put(i);
    priority.try_put(2 - i);
  }
  {
    const Future<int> a = fifo.get();
    const Future<int> b = lifo.get();
    const Future<int> c = priority.get();
    expect(fifo.qsize() == 2 && lifo.qsize() == 2 && priority.qsize() == 2, "set aside");
    lifo.try_put(3);
  }
  expect_equal(drained(fifo), "0 1 2");
  expect_equal(drained(lifo), "3 2 1 0");
  expect_equal(drained(priority), "0 1 2");
  co_return;
}

BEHAVIOUR("an item that comes back may overfill the queue, and putters wait until there is room again",
          Needs::nothing) {
  Queue<int> queue(1);
  Future<int> getter = queue.get();
  queue.try_put(0);
  queue.try_put(1);
  Future<void> putter = queue.put(2);
  getter = Future<int>();
  expect(queue.qsize() == 2 && queue.full(), "one more than maxsize");
  expect_equal(queue.try_get().value_or(-1), 0);
  expect(!putter.done() && queue.qsize() == 1, "still full");
  expect_equal(queue.try_get().value_or(-1), 1);
  co_await std::move(putter);
  expect_equal(drained(queue), "2");
}

BEHAVIOUR("a put that is done stays done when its future is dropped", Needs::nothing) {
  Queue<int> queue(1);
  std::vector<int> history;
  queue.try_put(0);
  Future<void> producer = note_done(queue.put(1), 1, history);
  expect_equal(queue.try_get().value_or(-1), 0);
  producer = Future<void>();
  expect_equal(drained(queue), "1");
  expect_equal(joined(history), "");
  co_return;
}

BEHAVIOUR("a put that is dropped while it waits takes its item with it", Needs::nothing) {
  int alive = 0;
  {
    Queue<Counted> queue(1);
    queue.try_put(Counted(0, alive));
    Future<void> first = queue.put(Counted(1, alive));
    Future<void> second = queue.put(Counted(2, alive));
    expect_equal(alive, 3);
    first = Future<void>();
    expect_equal(alive, 2);
    Counted zero = co_await queue.get();
    Counted two = co_await queue.get();
    expect_equal(zero.number(), 0);
    expect_equal(two.number(), 2);
    co_await std::move(second);
  }
  expect_equal(alive, 0);
}

BEHAVIOUR("a join that is dropped after it completed leaves no trace", Needs::nothing) {
  Queue<int> queue;
  queue.try_put(0);
  Future<void> dropped = queue.join();
  Future<void> kept = queue.join();
  queue.task_done();
  dropped = Future<void>();
  co_await std::move(kept);
}

BEHAVIOUR("a served getter may drop its sibling, whose item the next one gets", Needs::nothing) {
  Queue<int> queue;
  std::vector<int> got;
  Future<void> sibling;
  Future<void> dropper = get_and_drop(queue, sibling, got);
  sibling = get_one(queue, got);
  Future<void> last = get_one(queue, got);
  queue.try_put(1);
  queue.try_put(2);
  co_await std::move(dropper);
  co_await std::move(last);
  expect_equal(joined(got), "1 2");
}

BEHAVIOUR("a consumer that drops itself inside its own continuation waits for no second item", Needs::nothing) {
  Queue<int> queue;
  std::vector<int> got;
  std::unique_ptr<Future<void>> own;
  own = std::make_unique<Future<void>>(get_and_drop_itself(queue, own, got));
  queue.try_put(1);
  co_await moment();
  queue.try_put(2);
  co_await moment();
  expect_equal(joined(got), "1");
  expect_equal(drained(queue), "2");
}

BEHAVIOUR("a timed get whose coroutine is dropped in the batch in which it was served loses nothing", Needs::nothing) {
  struct Take {
    static Future<void> run(Queue<int>& queue, std::vector<int>& got) { got.push_back(co_await queue.get(1h)); }
  };
  Queue<int> queue;
  std::vector<int> got;
  Future<void> consumer = Take::run(queue, got);
  queue.try_put(1);
  consumer = Future<void>();
  expect_equal(joined(got), "");
  expect_equal(drained(queue), "1");
  co_return;
}

BEHAVIOUR("a time limit loses no item: what it was served and nobody has looked at stays in the queue",
          Needs::nothing) {
  Queue<int> queue;
  queue.try_put(1);
  Future<int> at_once = with_timeout(1h, queue.get());
  Future<int> later = with_timeout(1h, queue.get());
  Future<int> timed = queue.get(1h);
  queue.try_put(2);
  queue.try_put(3);
  co_await moment();
  expect(at_once.done() && later.done() && timed.done(), "all are served");
  at_once = Future<int>();
  later = Future<int>();
  timed = Future<int>();
  expect_equal(drained(queue), "1 2 3");
}

// ---- lifetimes

BEHAVIOUR("a queue destroyed under its waiters fails them; a getter that was served keeps its item", Needs::nothing) {
  int alive = 0;
  auto getting = std::make_unique<Queue<Counted>>();
  Future<Counted> served = getting->get();
  Future<Counted> waiting = getting->get();
  Future<Counted> timed = getting->get(1h);
  getting->try_put(Counted(1, alive));
  Future<void> joining = getting->join();
  getting.reset();
  const Counted item = co_await std::move(served);
  expect_equal(item.number(), 1);
  co_await expect_failure(std::move(waiting), Errc::cancelled);
  co_await expect_failure(std::move(timed), Errc::cancelled);
  co_await expect_failure(std::move(joining), Errc::cancelled);
  auto putting = std::make_unique<Queue<Counted>>(1);
  putting->try_put(Counted(2, alive));
  Future<void> putter = putting->put(Counted(3, alive));
  putting.reset();
  co_await expect_failure(std::move(putter), Errc::cancelled);
  expect_equal(alive, 1);
}

BEHAVIOUR("a getter that was served may be dropped after its queue is gone, and takes its item with it",
          Needs::nothing) {
  int alive = 0;
  auto queue = std::make_unique<Queue<Counted>>();
  Future<Counted> served = queue->get();
  Future<Counted> waiting = queue->get();
  queue->try_put(Counted(1, alive));
  queue.reset();
  expect_equal(alive, 1);
  served = Future<Counted>();
  expect_equal(alive, 0);
  co_await expect_failure(std::move(waiting), Errc::cancelled);
}

BEHAVIOUR("a consumer may die after its queue", Needs::nothing) {
  ConsumerOfAQueue together;
  together.work = get_for_ever(together.queue, together.got);
  together.queue.try_put(1);
  {
    ConsumerOfAQueue idle;
    idle.work = get_for_ever(idle.queue, idle.got);
  }
  co_await moment();
  expect_equal(joined(together.got), "1");
}

BEHAVIOUR("a frame that owns a queue may be dropped under the queue's waiters", Needs::nothing) {
  auto queue = std::make_unique<Queue<int>>();
  Future<int> waiting = queue->get();
  Future<void> owner = wait_for_a_day(std::move(queue));
  owner = Future<void>();
  co_await expect_failure(std::move(waiting), Errc::cancelled);
}

BEHAVIOUR("100,000 getters are served in constant stack", Needs::nothing) {
  constexpr int kGetters = 100'000;
  Queue<int> queue;
  std::vector<int> got;
  std::vector<Future<void>> getters;
  for (int i = 0; i < kGetters; ++i) getters.push_back(get_one(queue, got));
  for (int i = 0; i < kGetters; ++i) queue.try_put(i);
  expect(got.empty(), "nobody runs inside put");
  for (Future<void>& getter : getters) co_await std::move(getter);
  expect(got.size() == kGetters && std::is_sorted(got.begin(), got.end()), "each has its item, in order");
}

BEHAVIOUR("100,000 served getters that are dropped give everything back in order", Needs::nothing) {
  constexpr int kGetters = 100'000;
  Queue<int> queue;
  std::vector<int> got;
  std::vector<Future<void>> getters;
  for (int i = 0; i < kGetters; ++i) getters.push_back(get_one(queue, got));
  for (int i = 0; i < kGetters; ++i) queue.try_put(i);
  getters.clear();
  expect_equal(queue.qsize(), std::size_t{kGetters});
  for (int i = 0; i < kGetters; ++i) expect_equal(queue.try_get().value_or(-1), i);
  expect(got.empty(), "nobody ran");
  co_return;
}

BEHAVIOUR("100,000 putters are let in one by one in constant stack", Needs::nothing) {
  constexpr int kPutters = 100'000;
  Queue<int> queue(1);
  std::vector<int> history;
  std::vector<Future<void>> putters;
  for (int i = 0; i < kPutters; ++i) putters.push_back(note_done(queue.put(i), i, history));
  for (int i = 0; i < kPutters; ++i) expect_equal(queue.try_get().value_or(-1), i);
  for (Future<void>& putter : putters) co_await std::move(putter);
  expect(history.size() == kPutters && std::is_sorted(history.begin(), history.end()), "all in, in order");
}

BEHAVIOUR("a queue asks the heap for nothing in steady state", Needs::nothing) {
  Queue<int> queue(4);
  std::vector<int> got;
  got.reserve(1000);
  const Future<void> consumer = get_for_ever(queue, got);
  std::size_t before = 0;
  for (int round = 0; round < 200; ++round) {
    if (round == 20) before = twinloop::detail::pool_stats().from_heap;
    co_await queue.put(round);
    co_await queue.put(round);
    co_await moment();
  }
  expect_equal(got.size(), 400U);
  if (TWINLOOP_POOLS) expect_equal(twinloop::detail::pool_stats().from_heap, before);
}

// ---- Channel

BEHAVIOUR("a closed channel is drained and then ends", Needs::nothing) {
  Channel<int> channel(4);
  co_await channel.put(1);
  co_await channel.put(2);
  channel.close();
  channel.close();
  expect(channel.closed() && channel.qsize() == 2, "closed, not empty");
  std::vector<int> got;
  co_await read_channel(channel, got);
  expect_equal(joined(got), "1 2 -1");
  const std::optional<int> after = co_await channel.next();
  expect(!after.has_value(), "and stays at its end");
}

BEHAVIOUR("closing a channel ends the readers that wait, in order", Needs::nothing) {
  Channel<int> channel(1);
  std::vector<int> first;
  std::vector<int> second;
  Future<void> a = read_channel(channel, first);
  Future<void> b = read_channel(channel, second);
  co_await channel.put(1);
  co_await channel.put(2);
  co_await moment();
  expect(joined(first) == "1" && joined(second) == "2", "both wait again");
  channel.close();
  co_await std::move(a);
  co_await std::move(b);
  expect_equal(joined(first), "1 -1");
  expect_equal(joined(second), "2 -1");
}

BEHAVIOUR("putting into a closed channel fails, also for those who waited to put", Needs::nothing) {
  Channel<int> channel(1);
  co_await channel.put(1);
  Future<void> waiting = channel.put(2);
  channel.close();
  co_await expect_failure(std::move(waiting), Errc::local);
  co_await expect_failure(channel.put(3), Errc::local);
  expect(!channel.try_put(4), "refused");
  std::vector<int> got;
  co_await read_channel(channel, got);
  expect_equal(joined(got), "1 -1");
}

BEHAVIOUR("a channel closed with a failure gives what is in it, then the failure", Needs::nothing) {
  Channel<int> channel(2);
  co_await channel.put(1);
  channel.close(Failure(Errc::protocol, "the producer broke down"));
  const std::optional<int> item = co_await channel.next();
  expect_equal(item.value_or(-1), 1);
  co_await expect_failure(channel.next(), Errc::protocol);
  Channel<int> other(1);
  Future<std::optional<int>> waiting = other.next();
  other.close(Errc::truncated);
  co_await expect_failure(std::move(waiting), Errc::truncated);
}

BEHAVIOUR("an item comes back to a channel that was closed meanwhile", Needs::nothing) {
  Channel<int> channel(1);
  Future<std::optional<int>> dropped = channel.next();
  channel.try_put(1);
  channel.close();
  dropped = Future<std::optional<int>>();
  const std::optional<int> item = co_await channel.next();
  expect_equal(item.value_or(-1), 1);
  const std::optional<int> end = co_await channel.next();
  expect(!end.has_value(), "drained");
}

BEHAVIOUR("a channel makes its producers wait, and both sides can time out", Needs::nothing) {
  Channel<int> channel(1);
  co_await expect_failure(channel.next(1ms), Errc::timeout);
  co_await channel.put(1);
  co_await expect_failure(channel.put(2, 1ms), Errc::timeout);
  expect_equal(channel.try_next().value_or(-1), 1);
  expect(!channel.try_next().has_value(), "the late one never entered");
}

BEHAVIOUR("a channel destroyed under its waiters fails them with cancelled", Needs::nothing) {
  auto reading = std::make_unique<Channel<int>>(1);
  Future<std::optional<int>> reader = reading->next();
  reading.reset();
  co_await expect_failure(std::move(reader), Errc::cancelled);
  auto writing = std::make_unique<Channel<int>>(1);
  co_await writing->put(1);
  Future<void> writer = writing->put(2);
  writing.reset();
  co_await expect_failure(std::move(writer), Errc::cancelled);
}

BEHAVIOUR("a channel without room is refused", Needs::nothing) {
  expect_limit([] { const Channel<int> channel(0); });
  co_return;
}

// ---- models

namespace {

struct FirstIn {
  using Queue = twinloop::Queue<int>;
  static bool before(int, unsigned a, int, unsigned b) { return a < b; }
};
struct LastIn {
  using Queue = LifoQueue<int>;
  static bool before(int, unsigned a, int, unsigned b) { return a > b; }
};
struct LeastFirst {
  using Queue = PriorityQueue<int>;
  static bool before(int x, unsigned a, int y, unsigned b) { return x != y ? x < y : a < b; }
};

// Puts, gets, drops and lets time pass at random, and compares with the plainest possible account of who waits and who has what.
template <class Kind>
class QueueTrial {
 public:
  QueueTrial(unsigned seed, std::size_t maxsize) : random_(seed), maxsize_(maxsize), queue_(maxsize) {}

  Future<void> run() {
    for (int step = 0; step < 4000; ++step) {
      co_await step_once();
      check();
    }
    while (!claims_.empty() || !puts_.empty()) drop();
    std::sort(items_.begin(), items_.end(), before);
    for (const Item& item : items_) expect_equal(queue_.try_get().value_or(-1), item.value);
    expect(queue_.empty(), "nothing was made up");
  }

 private:
  struct Item {
    int value;
    unsigned number;
  };
  enum class State { waiting, served, late };
  struct Claim {
    Future<int> future;
    bool timed = false;
    State state = State::waiting;
    Item item{};
  };
  struct Offer {
    Future<void> future;
    int value = 0;
    bool timed = false;
    State state = State::waiting;
  };

  static bool before(const Item& a, const Item& b) { return Kind::before(a.value, a.number, b.value, b.number); }
  std::size_t pick(std::size_t count) { return random_() % count; }
  Duration some_timeout() { return pick(3) == 0 ? Duration(1us) : kNoTimeout; }

  Future<void> step_once() {
    switch (pick(9)) {
      case 0:
      case 1:
        return get(), Future<void>::ready();
      case 2:
      case 3:
        return put(), Future<void>::ready();
      case 4:
        return try_get(), Future<void>::ready();
      case 5:
        return try_put(), Future<void>::ready();
      case 6:
        return take(), Future<void>::ready();
      case 7:
        return drop(), Future<void>::ready();
      default:
        return pick(5) == 0 ? let_time_pass() : Future<void>::ready();
    }
  }

  void get() {
    const Duration timeout = some_timeout();
    claims_.push_back({queue_.get(timeout), timeout != kNoTimeout});
    if (items_.empty()) return;
    claims_.back().state = State::served;
    claims_.back().item = best();
  }

  void put() {
    const Duration timeout = some_timeout();
    const int value = next_value();
    puts_.push_back({queue_.put(value, timeout), value, timeout != kNoTimeout});
    if (room()) accept(puts_.back());
  }

  void try_get() {
    const std::optional<int> got = queue_.try_get();
    expect_equal(got.has_value(), !items_.empty());
    if (got) expect_equal(*got, best().value);
  }

  void try_put() {
    const int value = next_value();
    const bool possible = room();
    expect_equal(queue_.try_put(value), possible);
    if (possible) enter(value);
  }

  void take() {
    const auto found = std::find_if(claims_.begin(), claims_.end(), [](const Claim& c) { return c.future.done(); });
    if (found == claims_.end()) return;
    const Result<int> result = found->future.take_result();
    expect_equal(result.ok(), found->state == State::served);
    if (result.ok()) expect_equal(result.peek(), found->item.value);
    claims_.erase(found);
  }

  void drop() {
    if (pick(2) == 0 && !puts_.empty()) {
      const auto offer = puts_.begin() + static_cast<std::ptrdiff_t>(pick(puts_.size()));
      if (offer->state == State::late) offer->future.take_result().ok();
      puts_.erase(offer);
    } else if (!claims_.empty()) {
      const auto claim = claims_.begin() + static_cast<std::ptrdiff_t>(pick(claims_.size()));
      const Claim gone{Future<int>(), claim->timed, claim->state, claim->item};
      if (gone.state == State::late) claim->future.take_result().ok();
      claims_.erase(claim);
      if (gone.state == State::served) give_back(gone.item);
    }
  }

  Future<void> let_time_pass() {
    for (Claim& claim : claims_) {
      if (claim.state == State::waiting && claim.timed) claim.state = State::late;
    }
    for (Offer& offer : puts_) {
      if (offer.state == State::waiting && offer.timed) offer.state = State::late;
    }
    co_await sleep_for(2us);
  }

  // -- the account

  int next_value() { return static_cast<int>(pick(50)); }
  Claim* first_waiting() {
    for (Claim& claim : claims_) {
      if (claim.state == State::waiting) return &claim;
    }
    return nullptr;
  }
  bool room() { return first_waiting() != nullptr || maxsize_ == 0 || items_.size() < maxsize_; }

  void enter(int value) { give_back({value, ++entered_}); }

  void give_back(Item item) {
    Claim* claim = first_waiting();
    if (claim == nullptr) return items_.push_back(item);
    claim->state = State::served;
    claim->item = item;
  }

  void accept(Offer& offer) {
    offer.state = State::served;
    enter(offer.value);
  }

  Item best() {
    const auto found = std::min_element(items_.begin(), items_.end(), before);
    const Item item = *found;
    items_.erase(found);
    const auto waiting = [](const Offer& offer) { return offer.state == State::waiting; };
    const auto offer = std::find_if(puts_.begin(), puts_.end(), waiting);
    if (offer != puts_.end() && room()) accept(*offer);
    return item;
  }

  void check() {
    expect_equal(queue_.qsize(), items_.size());
    for (const Claim& claim : claims_) expect_equal(claim.future.done(), claim.state != State::waiting);
    for (const Offer& offer : puts_) expect_equal(offer.future.done(), offer.state != State::waiting);
  }

  std::minstd_rand random_;
  const std::size_t maxsize_;
  typename Kind::Queue queue_;
  std::vector<Claim> claims_;
  std::vector<Offer> puts_;
  std::vector<Item> items_;
  unsigned entered_ = 0;
};

template <class Kind>
Future<void> try_queue() {
  for (unsigned seed = 1; seed <= 12; ++seed) {
    QueueTrial<Kind> trial(seed, seed % 4);
    co_await trial.run();
  }
}

// Producers put numbers, consumers take them and are cancelled and time out at random all the while.
class Traffic {
 public:
  explicit Traffic(unsigned seed) : random_(seed), seen_(kProducers * kItemsEach, 0) {}

  Future<void> run() {
    std::vector<Future<void>> producers;
    for (int i = 0; i < kProducers; ++i) producers.push_back(produce(i));
    std::vector<Future<void>> consumers(4);
    while (received_ < kProducers * kItemsEach) {
      Future<void>& consumer = consumers[random_() % consumers.size()];
      if (!consumer.valid() || consumer.done() || random_() % 2 == 0) {
        consumer = Future<void>();
        consumer = consume();
      }
      if (random_() % 4 == 0) co_await sleep_for(0s);
    }
    for (Future<void>& producer : producers) co_await std::move(producer);
    consumers.clear();
    expect(queue_.empty(), "all were received");
    for (const int count : seen_) expect_equal(count, 1);
  }

 private:
  static constexpr int kProducers = 3;
  static constexpr int kItemsEach = 500;

  // A put that timed out never entered, so it is put again.
  Future<void> produce(int number) {
    for (int i = 0; i < kItemsEach;) {
      const int item = number * kItemsEach + i;
      const Result<void> put = co_await as_result(queue_.put(item, Duration(random_() % 2000)));
      if (put.ok()) ++i;
    }
  }

  Future<void> consume() {
    for (;;) {
      const Result<int> item = co_await as_result(queue_.get(Duration(random_() % 2000)));
      if (!item.ok()) continue;
      ++seen_[static_cast<std::size_t>(item.peek())];
      ++received_;
    }
  }

  std::minstd_rand random_;
  Queue<int> queue_{2};
  std::vector<int> seen_;
  int received_ = 0;
};

}  // namespace

BEHAVIOUR("a queue agrees with its model whatever is put, got, dropped and late", Needs::nothing) {
  co_await try_queue<FirstIn>();
}

BEHAVIOUR("a LIFO queue agrees with its model whatever is put, got, dropped and late", Needs::nothing) {
  co_await try_queue<LastIn>();
}

BEHAVIOUR("a priority queue agrees with its model whatever is put, got, dropped and late", Needs::nothing) {
  co_await try_queue<LeastFirst>();
}

BEHAVIOUR("every item is received once while consumers and producers are cancelled and time out", Needs::nothing) {
  for (unsigned seed = 1; seed <= 5; ++seed) {
    Traffic traffic(seed);
    co_await traffic.run();
  }
}
