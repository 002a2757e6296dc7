// Event, Condition, Semaphore, BoundedSemaphore, Lock: Tornado's locks, and what dropping and destroying must not break.
#include "twinloop/locks.h"

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

// What happened, in order: "0 1 2".
class History {
 public:
  void add(std::string_view what) {
    if (!text_.empty()) text_ += ' ';
    text_ += what;
  }
  void add(int number) { add(std::to_string(number)); }
  const std::string& text() const noexcept { return text_; }

 private:
  std::string text_;
};

Future<void> note_wake(Future<bool> wait, int name, History& history) {
  const bool notified = co_await std::move(wait);
  history.add(notified ? std::to_string(name) : "late" + std::to_string(name));
}

Future<void> note_set(Future<void> wait, int name, History& history) {
  co_await std::move(wait);
  history.add(name);
}

Future<void> count_set(Future<void> wait, long& count) {
  co_await std::move(wait);
  ++count;
}

Future<void> hold_for_a_turn(Future<Permit> acquiring, int name, History& history) {
  const Permit held = co_await std::move(acquiring);
  history.add("+" + std::to_string(name));
  co_await moment();
  history.add("-" + std::to_string(name));
}

Future<void> acquire_and_release(Future<Permit> acquiring, long& count) {
  const Permit held = co_await std::move(acquiring);
  ++count;
}

Future<void> acquire_and_fail(Semaphore& semaphore) {
  const Permit held = co_await semaphore.acquire();
  co_await moment();
  throw_error(Errc::protocol, "while it holds a permit");
}

Future<void> keep(Semaphore& semaphore, Promise<void>& until) {
  const Permit held = co_await semaphore.acquire();
  co_await until.get_future();
}

template <class Primitive>
Future<void> destroy_when_woken(Future<void> signal, std::unique_ptr<Primitive>& primitive) {
  co_await std::move(signal);
  primitive.reset();
}

Future<void> notify_again(Condition& condition, History& history) {
  co_await condition.wait();
  history.add("first");
  condition.notify();
  history.add("notified");
}

Future<void> drop_when_woken(Future<bool> wait, Future<void>& victim) {
  co_await std::move(wait);
  victim = Future<void>();
}

Future<void> drop_when_acquired(Future<Permit> acquiring, std::unique_ptr<Future<void>>& own, long& count) {
  const Permit held = co_await std::move(acquiring);
  ++count;
  own.reset();
  co_await sleep_for(1h);
  ++count;
}

struct DestroysInDestructor {
  explicit DestroysInDestructor(std::unique_ptr<Lock>& v) noexcept : victim(v) {}
  DestroysInDestructor(const DestroysInDestructor&) = delete;
  DestroysInDestructor& operator=(const DestroysInDestructor&) = delete;
  ~DestroysInDestructor() { victim.reset(); }
  std::unique_ptr<Lock>& victim;
};

Future<void> destroy_lock_at_the_end(std::unique_ptr<Lock>& lock) {
  const DestroysInDestructor end(lock);
  co_await sleep_for(1h);
}

// Its members die in the wrong order: the lock before the coroutine that holds it.
struct HolderOfALock {
  Future<void> work;
  Semaphore semaphore{1};
};

Errc failure_of(Future<Permit>& future) { return future.take_result().reason(); }

}  // namespace

// ---- Event

BEHAVIOUR("an event completes its waits when it is set, and at once while it is", Needs::nothing) {
  Event event;
  expect(!event.is_set(), "it begins unset");
  Future<void> first = event.wait();
  expect(!first.done(), "nothing happened yet");
  event.set();
  expect(event.is_set() && first.done(), "set wakes");
  Future<void> second = event.wait();
  expect(second.done(), "it is set");
  event.clear();
  Future<void> third = event.wait();
  expect(!event.is_set() && !third.done(), "after clear one waits again");
  event.set();
  co_await std::move(first);
  co_await std::move(second);
  co_await std::move(third);
}

BEHAVIOUR("an event that is set and cleared at once wakes all who waited", Needs::nothing) {
  Event event;
  History history;
  Future<void> a = note_set(event.wait(), 0, history);
  Future<void> b = note_set(event.wait(), 1, history);
  event.set();
  event.clear();
  expect_equal(history.text(), "");
  co_await std::move(a);
  co_await std::move(b);
  expect_equal(history.text(), "0 1");
}

BEHAVIOUR("setting an event twice is setting it once", Needs::nothing) {
  Event event;
  event.set();
  event.set();
  co_await event.wait();
  event.clear();
  expect(!event.is_set(), "one clear is enough");
}

BEHAVIOUR("waiting for an event can time out, and the event still works", Needs::nothing) {
  Event event;
  co_await expect_failure(event.wait(1ms), Errc::timeout);
  Future<void> patient = event.wait(1h);
  event.set();
  co_await std::move(patient);
}

BEHAVIOUR("a waiter of an event that is dropped after set leaves no trace", Needs::nothing) {
  Event event;
  History history;
  Future<void> dropped = note_set(event.wait(), 0, history);
  Future<void> kept = note_set(event.wait(), 1, history);
  event.set();
  dropped = Future<void>();
  co_await std::move(kept);
  expect_equal(history.text(), "1");
}

BEHAVIOUR("100,000 waiters of an event wake in constant stack", Needs::nothing) {
  constexpr int kWaiters = 100'000;
  Event event;
  long sum = 0;
  std::vector<Future<void>> waiters;
  waiters.reserve(kWaiters);
  for (int i = 0; i < kWaiters; ++i) waiters.push_back(count_set(event.wait(), sum));
  event.set();
  expect_equal(sum, 0L);
  for (Future<void>& waiter : waiters) co_await std::move(waiter);
  expect_equal(sum, long{kWaiters});
}

BEHAVIOUR("an event destroyed under its waiters fails them with cancelled", Needs::nothing) {
  auto event = std::make_unique<Event>();
  Future<void> woken = event->wait();
  event->set();
  event->clear();
  Future<void> plain = event->wait();
  Future<void> timed = event->wait(1h);
  Future<void> dropped = event->wait();
  event.reset();
  dropped = Future<void>();
  co_await std::move(woken);
  co_await expect_failure(std::move(plain), Errc::cancelled);
  co_await expect_failure(std::move(timed), Errc::cancelled);
}

// ---- Condition

BEHAVIOUR("notify wakes one waiter of a condition, in the order in which they came", Needs::nothing) {
  Condition condition;
  History history;
  std::vector<Future<void>> waiters;
  for (int i = 0; i < 3; ++i) waiters.push_back(note_wake(condition.wait(), i, history));
  condition.notify();
  expect_equal(history.text(), "");
  co_await moment();
  expect_equal(history.text(), "0");
  condition.notify();
  co_await moment();
  expect_equal(history.text(), "0 1");
  condition.notify();
  co_await moment();
  expect_equal(history.text(), "0 1 2");
}

BEHAVIOUR("a condition that nobody waits for forgets its notifications", Needs::nothing) {
  Condition condition;
  condition.notify(5);
  condition.notify_all();
  const bool notified = co_await condition.wait(1ms);
  expect(!notified, "it came too late for them");
}

BEHAVIOUR("notify(n) wakes n waiters of a condition and the others later", Needs::nothing) {
  Condition condition;
  History history;
  std::vector<Future<void>> waiters;
  for (int i = 0; i < 6; ++i) waiters.push_back(note_wake(condition.wait(), i, history));
  condition.notify(3);
  co_await moment();
  expect_equal(history.text(), "0 1 2");
  condition.notify(1);
  co_await moment();
  expect_equal(history.text(), "0 1 2 3");
  condition.notify(2);
  co_await moment();
  expect_equal(history.text(), "0 1 2 3 4 5");
}

BEHAVIOUR("notify_all wakes all waiters of a condition", Needs::nothing) {
  Condition condition;
  History history;
  std::vector<Future<void>> waiters;
  for (int i = 0; i < 4; ++i) waiters.push_back(note_wake(condition.wait(), i, history));
  condition.notify_all();
  history.add("notified");
  co_await moment();
  expect_equal(history.text(), "notified 0 1 2 3");
}

BEHAVIOUR("a timed wait for a condition gives false when the time is up", Needs::nothing) {
  Condition condition;
  const bool late = co_await condition.wait(1ms);
  expect(!late, "nobody notified");
  const bool at_once = co_await condition.wait(0s);
  expect(!at_once, "zero is one turn, not for ever");
}

BEHAVIOUR("a timed wait for a condition gives true when notified before", Needs::nothing) {
  Condition condition;
  History history;
  Future<void> waiter = note_wake(condition.wait(1h), 0, history);
  condition.notify();
  co_await std::move(waiter);
  expect_equal(history.text(), "0");
}

BEHAVIOUR("notify(n) does not count waiters that timed out", Needs::nothing) {
  Condition condition;
  History history;
  std::vector<Future<void>> waiters;
  waiters.push_back(note_wake(condition.wait(), 0, history));
  waiters.push_back(note_wake(condition.wait(1ms), 1, history));
  waiters.push_back(note_wake(condition.wait(), 2, history));
  waiters.push_back(note_wake(condition.wait(), 3, history));
  co_await std::move(waiters[1]);
  expect_equal(history.text(), "late1");
  condition.notify(2);
  co_await moment();
  expect_equal(history.text(), "late1 0 2");
  condition.notify();
  co_await moment();
  expect_equal(history.text(), "late1 0 2 3");
}

BEHAVIOUR("notify_all passes over waiters that timed out", Needs::nothing) {
  Condition condition;
  History history;
  Future<void> a = note_wake(condition.wait(), 0, history);
  Future<void> b = note_wake(condition.wait(1ms), 1, history);
  Future<void> c = note_wake(condition.wait(), 2, history);
  co_await std::move(b);
  condition.notify_all();
  co_await std::move(a);
  co_await std::move(c);
  expect_equal(history.text(), "late1 0 2");
}

BEHAVIOUR("a waiter that is notified may notify the next, which does not run inside it", Needs::nothing) {
  Condition condition;
  History history;
  Future<void> first = notify_again(condition, history);
  Future<void> second = note_wake(condition.wait(), 2, history);
  condition.notify();
  co_await std::move(first);
  co_await std::move(second);
  expect_equal(history.text(), "first notified 2");
}

BEHAVIOUR("waits that time out leave nothing behind in a condition", Needs::nothing) {
  Condition condition;
  co_await condition.wait(0s);
  const std::size_t before = twinloop::detail::pool_stats().live;
  for (int i = 0; i < 200; ++i) co_await condition.wait(0s);
  expect_equal(twinloop::detail::pool_stats().live, before);
}

BEHAVIOUR("a notification goes to the next waiter when its own is dropped before it resumes", Needs::nothing) {
  Condition condition;
  Future<bool> first = condition.wait();
  Future<bool> second = condition.wait();
  Future<bool> third = condition.wait();
  condition.notify();
  expect(first.done() && !second.done(), "one was notified");
  first = Future<bool>();
  expect(second.done() && !third.done(), "one notification, one waiter");
  second = Future<bool>();
  const bool notified = co_await std::move(third);
  expect(notified, "the last one has it");
}

BEHAVIOUR("a notification never goes to a waiter that came after it", Needs::nothing) {
  Condition condition;
  Future<bool> dropped = condition.wait();
  condition.notify_all();
  Future<bool> later = condition.wait();
  dropped = Future<bool>();
  expect(!later.done(), "as if the dropped one had never been there");
  condition.notify();
  co_await std::move(later);
}

BEHAVIOUR("a notification that is passed on keeps its age", Needs::nothing) {
  Condition condition;
  Future<bool> first = condition.wait();
  Future<bool> second = condition.wait();
  condition.notify();
  Future<bool> later = condition.wait();
  first = Future<bool>();
  expect(second.done(), "the second was waiting then");
  second = Future<bool>();
  expect(!later.done(), "the third was not");
  co_return;
}

BEHAVIOUR("a notified waiter may drop its sibling, whose notification the next one gets", Needs::nothing) {
  Condition condition;
  History history;
  Future<void> sibling;
  Future<void> dropper = drop_when_woken(condition.wait(), sibling);
  sibling = note_wake(condition.wait(), 1, history);
  Future<void> last = note_wake(condition.wait(), 2, history);
  condition.notify(2);
  co_await std::move(dropper);
  co_await std::move(last);
  expect_equal(history.text(), "2");
}

BEHAVIOUR("a timed wait keeps its notification when the deadline passes before it resumes", Needs::nothing) {
  Condition condition;
  Future<bool> waiter = condition.wait(1ms);
  condition.notify();
  co_await sleep_for(2ms);
  const bool notified = co_await std::move(waiter);
  expect(notified, "a result that exists wins");
}

BEHAVIOUR("a condition destroyed under its waiters fails them, and those notified keep their notification",
          Needs::nothing) {
  auto condition = std::make_unique<Condition>();
  Future<bool> notified = condition->wait();
  Future<bool> waiting = condition->wait();
  Future<bool> dropped = condition->wait();
  Future<bool> timed = condition->wait(1h);
  condition->notify();
  condition.reset();
  dropped = Future<bool>();
  const bool heard = co_await std::move(notified);
  expect(heard, "it had been notified");
  co_await expect_failure(std::move(waiting), Errc::cancelled);
  co_await expect_failure(std::move(timed), Errc::cancelled);
}

BEHAVIOUR("a notified waiter may be dropped after its condition is gone", Needs::nothing) {
  auto condition = std::make_unique<Condition>();
  Future<bool> first = condition->wait();
  Future<bool> second = condition->wait();
  condition->notify();
  condition.reset();
  first = Future<bool>();
  co_await expect_failure(std::move(second), Errc::cancelled);
}

BEHAVIOUR("100,000 notified waiters can be dropped, front to back, without one being resumed", Needs::nothing) {
  constexpr int kWaiters = 100'000;
  Condition condition;
  History history;
  std::vector<Future<void>> waiters;
  waiters.reserve(kWaiters);
  for (int i = 0; i < kWaiters; ++i) waiters.push_back(note_wake(condition.wait(), i, history));
  Future<void> last = note_wake(condition.wait(), -1, history);
  condition.notify(1);
  waiters.clear();
  co_await std::move(last);
  expect_equal(history.text(), "-1");
}

// ---- Semaphore

BEHAVIOUR("a semaphore that has a permit gives it at once, without a hop", Needs::nothing) {
  Semaphore semaphore(2);
  const std::uint64_t before = Scheduler::current().resumptions();
  {
    Permit first = co_await semaphore.acquire();
    Permit second = co_await semaphore.acquire();
    expect_equal(Scheduler::current().resumptions(), before);
    expect(first && second && semaphore.value() == 0, "both are taken");
    Permit third = semaphore.try_acquire();
    expect(!third, "there is no third");
  }
  expect_equal(semaphore.value(), 2U);
}

BEHAVIOUR("a released permit goes to the one that waits longest", Needs::nothing) {
  Semaphore semaphore;
  History history;
  std::vector<Future<void>> workers;
  for (int i = 0; i < 3; ++i) workers.push_back(hold_for_a_turn(semaphore.acquire(), i, history));
  for (Future<void>& worker : workers) co_await std::move(worker);
  expect_equal(history.text(), "+0 -0 +1 -1 +2 -2");
  expect_equal(semaphore.value(), 1U);
}

BEHAVIOUR("a released permit is not there for others before the waiter it went to has run", Needs::nothing) {
  Semaphore semaphore;
  Permit held = co_await semaphore.acquire();
  Future<Permit> waiting = semaphore.acquire();
  held.release();
  expect(waiting.done(), "the permit was handed over");
  Permit overtaking = semaphore.try_acquire();
  expect(!overtaking && semaphore.value() == 0, "nobody overtakes");
  held = co_await std::move(waiting);
  expect(static_cast<bool>(held), "it arrived");
}

BEHAVIOUR("acquiring can time out and takes nothing then", Needs::nothing) {
  Semaphore semaphore(1);
  Permit held = co_await semaphore.acquire();
  co_await expect_failure(semaphore.acquire(1ms), Errc::timeout);
  co_await expect_failure(semaphore.acquire(0s), Errc::timeout);
  expect_equal(semaphore.value(), 0U);
  held.release();
  expect_equal(semaphore.value(), 1U);
}

BEHAVIOUR("a permit that comes before the timeout is acquired", Needs::nothing) {
  Semaphore semaphore;
  Permit held = co_await semaphore.acquire();
  Future<Permit> waiting = semaphore.acquire(1h);
  held.release();
  const Permit got = co_await std::move(waiting);
  expect(static_cast<bool>(got), "acquired");
}

BEHAVIOUR("a waiter that timed out is passed over", Needs::nothing) {
  Semaphore semaphore;
  Permit held = co_await semaphore.acquire();
  Future<Permit> impatient = semaphore.acquire(1ms);
  Future<Permit> patient = semaphore.acquire();
  co_await expect_failure(std::move(impatient), Errc::timeout);
  held.release();
  const Permit got = co_await std::move(patient);
  expect(static_cast<bool>(got), "the next one has it");
}

BEHAVIOUR("with_timeout around acquire takes nothing when it is late and everything when it is not", Needs::nothing) {
  Lock lock;
  Permit held = co_await lock.acquire();
  co_await expect_failure(with_timeout(1ms, lock.acquire()), Errc::timeout);
  held.release();
  expect(!lock.locked(), "the late one left no trace");
  {
    const Permit got = co_await with_timeout(1h, lock.acquire());
    expect(lock.locked(), "and this one has it");
  }
  expect(!lock.locked(), "given back");
}

BEHAVIOUR("releasing what was not acquired adds to a semaphore", Needs::nothing) {
  Semaphore semaphore(0);
  semaphore.release();
  semaphore.release();
  semaphore.release();
  expect_equal(semaphore.value(), 3U);
  Permit permit = co_await semaphore.acquire();
  permit.detach();
  expect_equal(semaphore.value(), 2U);
}

BEHAVIOUR("a permit is given back when its coroutine fails, and when it is cancelled", Needs::nothing) {
  Semaphore semaphore;
  co_await expect_failure(acquire_and_fail(semaphore), Errc::protocol);
  expect_equal(semaphore.value(), 1U);
  Promise<void> never;
  {
    const Future<void> holder = keep(semaphore, never);
    expect_equal(semaphore.value(), 0U);
  }
  expect_equal(semaphore.value(), 1U);
}

BEHAVIOUR("a permit is released exactly once, however often it moves", Needs::nothing) {
  Semaphore semaphore(2);
  Permit first = co_await semaphore.acquire();
  Permit second(std::move(first));
  Permit third;
  third = std::move(second);
  expect(!first && !second && third, "it moved");  // NOLINT(bugprone-use-after-move)
  expect_equal(semaphore.value(), 1U);
  third.release();
  third.release();
  expect_equal(semaphore.value(), 2U);
  first = co_await semaphore.acquire();
  second = co_await semaphore.acquire();
  first = std::move(second);
  expect_equal(semaphore.value(), 1U);
}

BEHAVIOUR("workers that contend for a permit do not interleave", Needs::nothing) {
  Semaphore semaphore(1);
  History history;
  Future<void> a = hold_for_a_turn(semaphore.acquire(), 0, history);
  Future<void> b = hold_for_a_turn(semaphore.acquire(), 1, history);
  co_await std::move(b);
  co_await std::move(a);
  expect_equal(history.text(), "+0 -0 +1 -1");
}

BEHAVIOUR("waits for a semaphore that time out leave nothing behind", Needs::nothing) {
  Semaphore semaphore(0);
  co_await expect_failure(semaphore.acquire(0s), Errc::timeout);
  const std::size_t before = twinloop::detail::pool_stats().live;
  for (int i = 0; i < 100; ++i) {
    const Result<Permit> result = co_await as_result(semaphore.acquire(0s));
    expect(!result.ok(), "nobody releases");
  }
  expect_equal(twinloop::detail::pool_stats().live, before);
}

BEHAVIOUR("a permit goes to the next waiter when its own is dropped before it resumes", Needs::nothing) {
  Semaphore semaphore;
  Permit held = co_await semaphore.acquire();
  long count = 0;
  Future<void> first = acquire_and_release(semaphore.acquire(), count);
  Future<void> second = acquire_and_release(semaphore.acquire(), count);
  held.release();
  first = Future<void>();
  co_await std::move(second);
  expect_equal(count, 1L);
  expect_equal(semaphore.value(), 1U);
}

BEHAVIOUR("a permit that nobody looked at comes back", Needs::nothing) {
  Semaphore semaphore;
  {
    const Future<Permit> never_awaited = semaphore.acquire();
    expect_equal(semaphore.value(), 0U);
  }
  expect_equal(semaphore.value(), 1U);
  {
    Permit held = co_await semaphore.acquire();
    const Future<Permit> never_awaited = semaphore.acquire();
    held.release();
    expect_equal(semaphore.value(), 0U);
  }
  expect_equal(semaphore.value(), 1U);
}

BEHAVIOUR("a waiter that is dropped inside its own continuation gives its permit back once", Needs::nothing) {
  Semaphore semaphore;
  Permit held = co_await semaphore.acquire();
  long count = 0;
  std::unique_ptr<Future<void>> own;
  own = std::make_unique<Future<void>>(drop_when_acquired(semaphore.acquire(), own, count));
  Future<Permit> next = semaphore.acquire();
  held.release();
  const Permit got = co_await std::move(next);
  expect_equal(count, 1L);
  expect_equal(semaphore.value(), 0U);
}

BEHAVIOUR("releasing in a callback resumes nobody inside it", Needs::nothing) {
  Semaphore semaphore;
  Permit held = co_await semaphore.acquire();
  History history;
  Future<void> waiter = hold_for_a_turn(semaphore.acquire(), 0, history);
  Promise<void> called;
  IOLoop::current().add_callback([&] {
    held.release();
    history.add("released");
    called.set_value();
  });
  co_await called.get_future();
  co_await std::move(waiter);
  expect_equal(history.text(), "released +0 -0");
}

BEHAVIOUR("a semaphore destroyed under its waiters fails them with cancelled", Needs::nothing) {
  auto semaphore = std::make_unique<Semaphore>(1);
  Permit held = co_await semaphore->acquire();
  Future<Permit> plain = semaphore->acquire();
  Future<Permit> timed = semaphore->acquire(1h);
  Future<Permit> dropped = semaphore->acquire();
  semaphore.reset();
  expect(failure_of(plain) == Errc::cancelled && failure_of(timed) == Errc::cancelled, "they are told");
  dropped = Future<Permit>();
  held.release();
}

BEHAVIOUR("a permit may outlive its semaphore, in a variable, in a future, and detached", Needs::nothing) {
  const std::size_t before = twinloop::detail::pool_stats().live;
  {
    Future<Permit> unseen;
    Future<Permit> handed_over;
    Permit kept;
    {
      Semaphore semaphore(3);
      kept = co_await semaphore.acquire();
      unseen = semaphore.acquire();
      Permit detached = co_await semaphore.acquire();
      handed_over = semaphore.acquire();
      detached.release();
      expect(handed_over.done(), "handed over");
    }
    const Permit late = co_await std::move(handed_over);
    expect(kept && late, "they hold what is no more");
  }
  expect_equal(twinloop::detail::pool_stats().live, before);
}

BEHAVIOUR("a coroutine that holds a permit may die after the semaphore", Needs::nothing) {
  Promise<void> never;
  auto holder = std::make_unique<HolderOfALock>();
  holder->work = keep(holder->semaphore, never);
  expect_equal(holder->semaphore.value(), 0U);
  holder.reset();
  expect(!never.wanted(), "it died");
  co_return;
}

BEHAVIOUR("a woken coroutine may destroy the semaphore that others wait for", Needs::nothing) {
  auto semaphore = std::make_unique<Semaphore>(0);
  Promise<void> signal;
  Future<void> destroyer = destroy_when_woken(signal.get_future(), semaphore);
  Future<Permit> waiting = semaphore->acquire();
  signal.set_value();
  co_await expect_failure(std::move(waiting), Errc::cancelled);
  co_await std::move(destroyer);
}

BEHAVIOUR("a frame's destructor may destroy a lock under its waiters", Needs::nothing) {
  auto lock = std::make_unique<Lock>();
  const Permit held = co_await lock->acquire();
  Future<void> owner = destroy_lock_at_the_end(lock);
  Future<Permit> waiting = lock->acquire();
  owner = Future<void>();
  expect(lock == nullptr, "destroyed");
  co_await expect_failure(std::move(waiting), Errc::cancelled);
}

BEHAVIOUR("100,000 waiters pass a permit on in constant stack", Needs::nothing) {
  constexpr int kWaiters = 100'000;
  Semaphore semaphore;
  Permit held = co_await semaphore.acquire();
  long count = 0;
  std::vector<Future<void>> waiters;
  waiters.reserve(kWaiters);
  for (int i = 0; i < kWaiters; ++i) waiters.push_back(acquire_and_release(semaphore.acquire(), count));
  held.release();
  for (Future<void>& waiter : waiters) co_await std::move(waiter);
  expect_equal(count, long{kWaiters});
  expect_equal(semaphore.value(), 1U);
}

BEHAVIOUR("a permit passes 100,000 dropped waiters in constant stack", Needs::nothing) {
  constexpr int kWaiters = 100'000;
  Semaphore semaphore;
  Permit held = co_await semaphore.acquire();
  long count = 0;
  std::vector<Future<void>> waiters;
  waiters.reserve(kWaiters);
  for (int i = 0; i < kWaiters; ++i) waiters.push_back(acquire_and_release(semaphore.acquire(), count));
  held.release();
  waiters.clear();
  expect_equal(count, 0L);
  expect_equal(semaphore.value(), 1U);
}

// ---- BoundedSemaphore and Lock

BEHAVIOUR("a bounded semaphore takes back no more than it gave", Needs::nothing) {
  BoundedSemaphore semaphore(2);
  Permit permit = co_await semaphore.acquire();
  permit.detach();
  semaphore.release();
  expect_equal(semaphore.value(), 2U);
  Errc reason = Errc::io;
  try {
    semaphore.release();
  } catch (const Error& error) {
    reason = error.reason();
  }
  expect(reason == Errc::limit, "released too often");
  expect_equal(semaphore.value(), 2U);
}

BEHAVIOUR("a lock is held by one at a time, in the order in which they came", Needs::nothing) {
  Lock lock;
  History history;
  std::vector<Future<void>> workers;
  for (int i = 0; i < 10; ++i) workers.push_back(hold_for_a_turn(lock.acquire(), i, history));
  expect(lock.locked(), "the first has it");
  for (Future<void>& worker : workers) co_await std::move(worker);
  expect_equal(history.text(), "+0 -0 +1 -1 +2 -2 +3 -3 +4 -4 +5 -5 +6 -6 +7 -7 +8 -8 +9 -9");
  expect(!lock.locked(), "all gave it back");
}

BEHAVIOUR("a lock stays locked when somebody times out waiting for it", Needs::nothing) {
  Lock lock;
  Permit held = lock.try_acquire();
  expect(static_cast<bool>(held), "it was free");
  co_await expect_failure(lock.acquire(1ms), Errc::timeout);
  expect(lock.locked(), "still");
  held.release();
  const Permit again = co_await lock.acquire();
  expect(lock.locked(), "and again");
}

BEHAVIOUR("releasing an unlocked lock is an error", Needs::nothing) {
  Lock lock;
  Errc reason = Errc::io;
  try {
    lock.release();
  } catch (const Error& error) {
    reason = error.reason();
  }
  expect(reason == Errc::limit, "nothing to release");
  co_return;
}

// Tornado's acquire() leaves the release to the caller; here a Permit owns it until it is told otherwise.
BEHAVIOUR("release() cannot take a lock away from a living permit, only from a detached one", Needs::nothing) {
  Lock lock;
  Permit held = co_await lock.acquire();
  bool refused = false;
  try {
    lock.release();
  } catch (const Error&) {
    refused = true;
  }
  expect(refused && lock.locked(), "the permit still holds it");
  held.detach();
  expect(!held && lock.locked(), "detached, not released");
  lock.release();
  expect(!lock.locked(), "released by hand");
}

BEHAVIOUR("a loop that closes fails timed waits and leaves the others to their primitive", Needs::nothing) {
  Lock lock;
  const Permit held = co_await lock.acquire();
  Future<Permit> timed;
  Future<Permit> plain;
  IOLoop& outer = IOLoop::current();
  {
    IOLoop inner(std::make_unique<ManualBackend>());
    inner.make_current();
    timed = lock.acquire(1h);
    plain = lock.acquire();
    outer.make_current();
  }
  outer.make_current();
  co_await expect_failure(std::move(timed), Errc::loop_closed);
  expect(!plain.done(), "it needs no loop to wait");
}

BEHAVIOUR("events, conditions and locks ask the heap for nothing in steady state", Needs::nothing) {
  Event event;
  Condition condition;
  Lock lock;
  std::size_t before = 0;
  for (int round = 0; round < 100; ++round) {
    co_await sleep_for(Duration::zero());  // what the loop needs for a turn is there from the first round on
    if (round == 10) before = twinloop::detail::pool_stats().from_heap;
    Future<void> set = event.wait();
    Future<bool> notified = condition.wait();
    Permit held = co_await lock.acquire();
    Future<Permit> next = lock.acquire();
    event.set();
    event.clear();
    condition.notify();
    held.release();
    co_await std::move(set);
    const bool heard = co_await std::move(notified);
    const Permit got = co_await std::move(next);
    expect(heard && got, "all arrived");
  }
  if (TWINLOOP_POOLS) expect_equal(twinloop::detail::pool_stats().from_heap, before);
}

// ---- a model

namespace {

// Holds and drops permits of a semaphore at random, and checks against the plainest possible account of who has and who waits.
class SemaphoreTrial {
 public:
  explicit SemaphoreTrial(unsigned seed) : random_(seed), semaphore_(kPermits) {}

  Future<void> run() {
    for (int step = 0; step < 3000; ++step) {
      switch (pick(6)) {
        case 0:
        case 1:
          acquire(kNoTimeout);
          break;
        case 2:
          acquire(1us);
          break;
        case 3:
          release_some();
          break;
        case 4:
          drop_some();
          break;
        case 5:
          if (pick(10) == 0) co_await let_time_pass();
          break;
      }
      check();
    }
    while (!claims_.empty()) drop_some();
    expect_equal(semaphore_.value(), kPermits);
  }

 private:
  static constexpr std::size_t kPermits = 3;

  struct Claim {
    Future<Permit> future;
    bool timed = false;
    bool late = false;
  };

  std::size_t pick(std::size_t count) { return random_() % count; }

  void acquire(Duration timeout) { claims_.push_back({semaphore_.acquire(timeout), timeout != kNoTimeout, false}); }

  void erase(std::size_t index) { claims_.erase(claims_.begin() + static_cast<std::ptrdiff_t>(index)); }

  void release_some() {
    for (std::size_t i = 0; i < claims_.size(); ++i) {
      if (!claims_[i].future.done() || pick(2) == 0) continue;
      Result<Permit> result = claims_[i].future.take_result();
      expect(result.ok() != claims_[i].late, "it has a permit, or was late");
      return erase(i);
    }
  }

  void drop_some() {
    if (claims_.empty()) return;
    const std::size_t index = pick(claims_.size());
    if (claims_[index].late) claims_[index].future.take_result().ok();
    erase(index);
  }

  // What still waits after those that hold: first come, first served.
  Future<void> let_time_pass() {
    std::size_t free = kPermits;
    for (Claim& claim : claims_) {
      if (claim.late) continue;
      if (free > 0) {
        --free;
      } else {
        claim.late = claim.timed;
      }
    }
    co_await sleep_for(2us);
  }

  void check() {
    std::size_t free = kPermits;
    for (const Claim& claim : claims_) {
      const bool has = !claim.late && free > 0;
      if (has) --free;
      expect_equal(claim.future.done(), has || claim.late);
    }
    expect_equal(semaphore_.value(), free);
  }

  std::minstd_rand random_;
  Semaphore semaphore_;
  std::vector<Claim> claims_;
};

}  // namespace

BEHAVIOUR("a semaphore agrees with its model whatever is acquired, released, dropped and late", Needs::nothing) {
  for (unsigned seed = 1; seed <= 10; ++seed) {
    SemaphoreTrial trial(seed);
    co_await trial.run();
  }
}
