// How a coroutine starts, suspends, returns, fails and ends, and awaitables of one's own.  RULES §2; Tornado's gen_test and
// concurrent_test.
#include <cctype>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "fixtures.h"
#include "twinloop/all.h"
#include "twinloop/net.h"
#include "twinloop/shared_future.h"
#include "twinloop/timing.h"
#include "work.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;
using namespace work;

namespace {

Future<void> note_steps(std::string& steps, Future<void> signal) {
  steps += "begun ";
  co_await std::move(signal);
  steps += "resumed ";
}

Future<int> return_at_once() { co_return 42; }

Future<void> throw_at_once() {
  throw std::runtime_error("before the first co_await");
  co_return;
}

Future<void> throw_later() {
  co_await moment();
  throw std::runtime_error("after a co_await");
}

Future<int> return_early(bool early) {
  co_await moment();
  if (early) co_return 1;
  co_await moment();
  co_return 2;
}

Future<std::string> swallow() {
  std::string text;
  try {
    co_await throw_later();
  } catch (const std::runtime_error& error) {
    text = error.what();
  }
  co_await moment();
  co_return text + ", swallowed";
}

Future<void> replace() {
  try {
    co_await throw_later();
  } catch (const std::runtime_error&) {
    throw Error(Errc::protocol, "another");
  }
}

Future<std::string> text_of_failure(Future<void> work) {
  const Result<void> result = co_await as_result(std::move(work));
  co_return result.ok() ? "none" : result.failure().message();
}

Future<int> holds_until_it_returns(int& alive) {
  const Alive here(alive);
  co_await moment();
  co_return 1;
}

Future<void> for_ever(int& alive) {
  const Alive here(alive);
  for (;;) co_await moment();
}

Future<std::string> read_shared(SharedFuture<std::string> text) {
  std::string copy = co_await text;
  co_return copy + "!";
}

// Answers each line in capitals, and one without letters with an error.
Future<void> capitalize(IOStream stream) {
  while (std::optional<std::string> line = co_await stream.next_line()) {
    std::string answer = line->empty() ? "error\tnothing to capitalize\n" : "ok\t";
    for (const char c : *line) answer += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    if (!line->empty()) answer += '\n';
    co_await stream.write(std::move(answer));
  }
}

Future<std::string> capitals_of(IOStream& stream, std::string text) {
  text += '\n';
  co_await stream.write(std::move(text));
  std::string answer = co_await stream.read_until("\n");
  answer.pop_back();
  if (answer.starts_with("error")) throw Error(Errc::protocol, answer.substr(6));
  co_return answer.substr(3);
}

// ---- an awaitable of one's own

class Countdown {
 public:
  explicit Countdown(int count) : left_(count) {}
  void count_down() {
    if (--left_ == 0 && waiter_ != nullptr) std::exchange(waiter_, nullptr)->wake();
  }
  bool awaited() const { return waiter_ != nullptr; }

  class Opened {
   public:
    explicit Opened(Countdown& countdown) : countdown_(countdown) {}
    Opened(const Opened&) = delete;
    Opened& operator=(const Opened&) = delete;
    ~Opened() { countdown_.waiter_ = nullptr; }
    bool await_ready() const { return countdown_.left_ <= 0; }
    void await_suspend(Waiter& waiter) { countdown_.waiter_ = &waiter; }
    int await_resume() const { return countdown_.left_; }

   private:
    Countdown& countdown_;
  };
  Opened opened() { return Opened(*this); }

 private:
  int left_;
  Waiter* waiter_ = nullptr;
};

Future<int> wait_for_countdown(Countdown& countdown, int& alive) {
  const Alive here(alive);
  co_return co_await countdown.opened();
}

struct ThrowsWhenResumed {
  bool await_ready() const noexcept { return false; }
  void await_suspend(Waiter& waiter) const { waiter.wake(); }
  void await_resume() const { throw Error(Errc::protocol, "by the awaitable"); }
};

Future<void> await_what_throws() { co_await ThrowsWhenResumed(); }

}  // namespace

BEHAVIOUR("a coroutine runs to its first unfinished co_await inside the call", Needs::nothing) {
  std::string steps;
  Signal signal;
  Future<void> work = note_steps(steps, std::move(signal.future));
  expect_equal(steps, "begun ");
  signal.promise.set_value();
  expect_equal(steps, "begun ");  // never inside set_value
  co_await std::move(work);
  expect_equal(steps, "begun resumed ");
}

BEHAVIOUR("a coroutine that never waits is done when its call returns", Needs::nothing) {
  Future<int> work = return_at_once();
  expect(work.done(), "at once");
  expect_equal(work.result(), 42);
  co_return;
}

BEHAVIOUR("what a coroutine throws before its first co_await goes into its Future, not out of the call",
          Needs::nothing) {
  Future<void> work = throw_at_once();
  expect(work.done(), "it has failed");
  expect_equal(co_await text_of_failure(std::move(work)), "before the first co_await");
}

BEHAVIOUR("what a coroutine throws after a co_await is thrown where it is awaited", Needs::nothing) {
  expect_equal(co_await text_of_failure(throw_later()), "after a co_await");
}

BEHAVIOUR("a coroutine may return early, and be called again", Needs::nothing) {
  expect_equal(co_await return_early(true), 1);
  expect_equal(co_await return_early(false), 2);
}

BEHAVIOUR("a coroutine may swallow an exception of what it awaits and go on", Needs::nothing) {
  expect_equal(co_await swallow(), "after a co_await, swallowed");
}

BEHAVIOUR("a coroutine may replace an exception of what it awaits by its own", Needs::nothing) {
  co_await expect_failure(replace(), Errc::protocol);
}

BEHAVIOUR("a coroutine's locals and arguments are gone when its Future is done", Needs::nothing) {
  int alive = 0;
  Future<int> work = holds_until_it_returns(alive);
  expect_equal(alive, 1);
  co_await turns(3);
  expect(work.done(), "it has returned");
  expect_equal(alive, 0);  // while the Future still holds the value
  expect_equal(work.result(), 1);
}

BEHAVIOUR("several moments can be awaited together", Needs::nothing) { co_await all(moment(), moment(), moment()); }

BEHAVIOUR("a spawned coroutine goes on although nobody holds it", Needs::nothing) {
  int alive = 0;
  Signal signal;
  IOLoop::current().spawn(wait_for(std::move(signal.future), alive));
  co_await turns(20);
  expect_equal(alive, 1);
  signal.promise.set_value();
  co_await turns(2);
  expect_equal(alive, 0);
}

BEHAVIOUR("a coroutine that never ends is destroyed with its loop", Needs::nothing) {
  int alive = 0;
  IOLoop other(std::make_unique<ManualBackend>());
  other.spawn(for_ever(alive));
  expect_equal(alive, 1);
  other.close();
  expect_equal(alive, 0);
  co_return;
}

BEHAVIOUR("fulfilling a promise whose Future was dropped is refused, and no error", Needs::nothing) {
  Promise<int> promise;
  Future<int> future = promise.get_future();
  expect(promise.wanted(), "somebody waits");
  future = Future<int>();
  expect(!promise.wanted(), "nobody waits any more");
  expect(!promise.set_value(1) && !promise.set_error(Errc::protocol), "nobody to tell");
  co_return;
}

BEHAVIOUR("a result passes through futures of all kinds", Needs::nothing) {
  Promise<std::string> promise;
  SharedFuture<std::string> shared = share(with_timeout(1h, promise.get_future()));
  Future<std::string> end = read_shared(shared);
  promise.set_value("a text that is too long for the small buffer of a string");
  expect_equal(co_await std::move(end), "a text that is too long for the small buffer of a string!");
}

BEHAVIOUR("a client coroutine gets the server's answers, and throws the errors that it is sent", Needs::nothing) {
  auto [near, far] = make_pair_streams();
  Future<void> server = capitalize(std::move(far));
  expect_equal(co_await capitals_of(near, "hello"), "HELLO");
  co_await expect_failure(capitals_of(near, ""), Errc::protocol);
  expect_equal(co_await capitals_of(near, "again"), "AGAIN");
}

BEHAVIOUR("an awaitable of one's own is woken by its Waiter, in the ready queue", Needs::nothing) {
  int alive = 0;
  Countdown countdown(2);
  Future<int> waiting = wait_for_countdown(countdown, alive);
  countdown.count_down();
  countdown.count_down();
  expect(!waiting.done(), "nothing is resumed inside wake()");
  expect_equal(co_await std::move(waiting), 0);
  expect_equal(co_await wait_for_countdown(countdown, alive), 0);  // ready: it does not suspend
}

BEHAVIOUR("an awaitable of one's own is destroyed when who awaits it is cancelled, before or after it was woken",
          Needs::nothing) {
  int alive = 0;
  Countdown countdown(1);
  Future<int> waiting = wait_for_countdown(countdown, alive);
  expect(countdown.awaited(), "it waits");
  waiting = Future<int>();
  expect(!countdown.awaited() && alive == 0, "the awaitable's destructor has run");
  waiting = wait_for_countdown(countdown, alive);
  countdown.count_down();
  waiting = Future<int>();
  co_await turns(2);
  expect_equal(alive, 0);
}

BEHAVIOUR("an awaitable of one's own may take part in time limits, within a coroutine", Needs::nothing) {
  int alive = 0;
  Countdown countdown(1);
  co_await expect_failure(with_timeout(1ms, wait_for_countdown(countdown, alive)), Errc::timeout);
  expect(!countdown.awaited() && alive == 0, "it was cancelled");
}

BEHAVIOUR("an awaitable of one's own may throw when it is resumed", Needs::nothing) {
  co_await expect_failure(await_what_throws(), Errc::protocol);
}
