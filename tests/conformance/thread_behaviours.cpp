// What crosses threads: executors, handles to other loops, promises that any thread fulfils.  RULES §2.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <future>
#include <latch>
#include <memory>
#include <semaphore>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "crowd.h"
#include "fixtures.h"
#include "other_loop.h"
#include "twinloop/executor.h"
#include "twinloop/std_future.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kThreads = Needs::threads;

// The loop's executor, and the process's again at the end.
class OwnExecutor {
 public:
  explicit OwnExecutor(std::shared_ptr<Executor> executor) {
    IOLoop::current().set_default_executor(std::move(executor));
  }
  ~OwnExecutor() { IOLoop::current().set_default_executor(nullptr); }
  OwnExecutor(const OwnExecutor&) = delete;
  OwnExecutor& operator=(const OwnExecutor&) = delete;
};

// A gate that a job stands in front of until the test lets it through.
struct Gate {
  std::binary_semaphore reached{0};
  std::binary_semaphore opened{0};
  void pass() {
    reached.release();
    opened.acquire();
  }
  static void wait_at(const std::shared_ptr<Gate>& gate) { gate->pass(); }
};

class CountingExecutor final : public Executor {
 public:
  void execute(twinloop::detail::Function<void()> job) override {
    ++jobs;
    pool_.execute(std::move(job));
  }
  int jobs = 0;

 private:
  ThreadPoolExecutor pool_{1};
};

std::thread::id thread_that_runs() { return std::this_thread::get_id(); }

std::string join_words(const std::string& one, const std::string& other) { return one + " " + other; }

Future<std::string> greet_slowly(std::string name) {
  co_await sleep_for(1ms);
  co_return "hello, " + name;
}

Future<int> refuse_to_begin() { throw_error(Errc::limit, "no coroutine yet"); }

Future<int> fail_slowly() {
  co_await sleep_for(1ms);
  throw Error(Errc::protocol, "over there");
}

// Tells a promise of another loop that its frame was destroyed.
struct TellsWhenDestroyed {
  RemotePromise<>* promise;
  ~TellsWhenDestroyed() { promise->set_value(); }
};

Future<int> wait_for_ever(std::binary_semaphore* begun, RemotePromise<> ended) {
  const TellsWhenDestroyed tells{&ended};
  begun->release();
  co_await sleep_until(kNever);
  co_return 0;
}

Future<int> ask(RemoteLoop home, int number) {
  const int doubled = co_await home.submit([](int n) { return 2 * n; }, number);
  co_return doubled + 1;
}

Future<void> hold(std::shared_ptr<RemotePromise<int>> promise) {
  *promise = RemotePromise<int>();
  Future<int> future = promise->get_future();
  co_await future;
}

Future<void> await_job(std::shared_ptr<Gate> gate) {
  co_await IOLoop::current().run_in_executor(&Gate::wait_at, std::move(gate));
}

enum class Closing { inside_a_turn, outside };

void close_amid_a_crowd(const std::string& backend, Closing closing) {
  IOLoop loop(make_backend(backend));
  Crowd crowd(loop, [&] { closing == Closing::inside_a_turn ? loop.close() : loop.stop(); });
  loop.start();
  crowd.disperse();
  crowd.expect_each_run_or_destroyed();
}

// The turns in which a thread's callbacks ran, and their numbers, as they came.
struct Arrivals {
  std::vector<int> numbers;
  std::set<std::uint64_t> turns;

  void note(int number) {
    numbers.push_back(number);
    turns.insert(IOLoop::current().stats().turns);
  }
};

// By turns to add_callback and to a handle.
void give(IOLoop& loop, Arrivals& arrivals, int count) {
  const RemoteLoop remote = loop.remote();
  for (int i = 0; i < count; i += 2) {
    loop.add_callback([&arrivals, i] { arrivals.note(i); });
    remote.post([&arrivals, i] { arrivals.note(i + 1); });
  }
}

}  // namespace

// ---- executors

BEHAVIOUR("there is an executor where there are threads, and a clear error where there are none", Needs::nothing) {
  Errc reason = Errc::end;
  try {
    IOLoop::current().executor();
  } catch (const Error& error) {
    reason = error.reason();
  }
  expect(reason == (twinloop::detail::platform_has_threads() ? Errc::end : Errc::not_supported), name(reason));
  co_return;
}

BEHAVIOUR("two calls in the executor run at the same time, in other threads", kThreads) {
  const auto both = std::make_shared<std::latch>(2);
  const auto meet = [both] {
    both->arrive_and_wait();
    return std::this_thread::get_id();
  };
  Future<std::thread::id> first = IOLoop::current().run_in_executor(meet);
  Future<std::thread::id> second = IOLoop::current().run_in_executor(meet);
  const std::thread::id one = co_await first;
  const std::thread::id other = co_await second;
  expect(one != other, "each in a thread of its own");
  expect(one != std::this_thread::get_id() && other != std::this_thread::get_id(), "none in the loop's");
}

BEHAVIOUR("the executor is given its arguments by value, also those that only move", kThreads) {
  std::string text = "before";
  auto number = std::make_unique<int>(7);
  const auto join = [](const std::string& a, std::unique_ptr<int> b) { return a + std::to_string(*b); };
  Future<std::string> joined = IOLoop::current().run_in_executor(join, text, std::move(number));
  text = "after";
  const std::string result = co_await joined;
  expect_equal(result, "before7");
}

BEHAVIOUR("what a call in the executor throws is thrown where its future is awaited", kThreads) {
  Future<int> failing = IOLoop::current().run_in_executor([]() -> int { throw std::runtime_error("in a thread"); });
  std::string what;
  try {
    co_await failing;
  } catch (const std::runtime_error& error) {
    what = error.what();
  }
  expect_equal(what, "in a thread");
}

BEHAVIOUR("a call that is dropped before it began is withdrawn, one that runs is abandoned", kThreads) {
  const OwnExecutor one_thread(std::make_shared<ThreadPoolExecutor>(1));
  IOLoop& loop = IOLoop::current();
  const auto gate = std::make_shared<Gate>();
  const auto ran = std::make_shared<std::atomic<bool>>(false);
  Future<int> running = loop.run_in_executor([gate] { return gate->pass(), 1; });
  Future<void> waiting = loop.run_in_executor([ran] { *ran = true; });
  gate->reached.acquire();
  expect_equal(ran.use_count(), 2);
  waiting = Future<void>();
  expect_equal(ran.use_count(), 1);
  running = Future<int>();
  gate->opened.release();
  Future<int> last = loop.run_in_executor([] { return 3; });
  const int three = co_await last;
  expect_equal(three, 3);
  expect(!*ran, "what was withdrawn did not run");
}

BEHAVIOUR("the executor that was set is the one that is used", kThreads) {
  const auto counting = std::make_shared<CountingExecutor>();
  {
    const OwnExecutor own(counting);
    Future<int> work = IOLoop::current().run_in_executor([] { return 5; });
    const int five = co_await work;
    expect_equal(five, 5);
    expect_equal(counting->jobs, 1);
  }
  Future<int> other = IOLoop::current().run_in_executor([] { return 6; });
  const int six = co_await other;
  expect_equal(six, 6);
  expect_equal(counting->jobs, 1);
}

BEHAVIOUR("a call can be given an executor, and the next is the loop's own again", kThreads) {
  IOLoop& loop = IOLoop::current();
  CountingExecutor counting;
  Future<std::string> greeting = loop.run_in_executor(counting, join_words, std::string("its"), "own");
  const std::string words = co_await greeting;
  expect_equal(words, "its own");
  expect_equal(counting.jobs, 1);
  Future<std::thread::id> there = loop.run_in_executor(&thread_that_runs);
  expect(co_await there != std::this_thread::get_id(), "in the loop's executor");
  expect_equal(counting.jobs, 1);
}

BEHAVIOUR("a call that was given an executor which goes before it begins fails with broken_promise", kThreads) {
  struct Forgetful final : Executor {
    void execute(twinloop::detail::Function<void()> job) override { jobs.push_back(std::move(job)); }
    std::vector<twinloop::detail::Function<void()>> jobs;
  };
  Future<int> queued;
  const auto token = std::make_shared<int>(1);
  {
    Forgetful executor;
    queued = IOLoop::current().run_in_executor(executor, [token] { return *token; });
    expect_equal(executor.jobs.size(), 1u);
  }
  expect_equal(token.use_count(), 1);
  co_await expect_failure(std::move(queued), Errc::broken_promise);
}

BEHAVIOUR("a pool of one thread does its jobs in the order of the calls", kThreads) {
  const OwnExecutor one_thread(std::make_shared<ThreadPoolExecutor>(1));
  const auto order = std::make_shared<std::string>();
  std::vector<Future<void>> jobs;
  for (char c = 'a'; c <= 'j'; ++c) {
    jobs.push_back(IOLoop::current().run_in_executor([order, c] { order->push_back(c); }));
  }
  for (Future<void>& job : jobs) co_await job;
  expect_equal(*order, "abcdefghij");
}

BEHAVIOUR("a pool that goes, even by the hand of its own job, fails what is queued with broken_promise", kThreads) {
  IOLoop& loop = IOLoop::current();
  std::shared_ptr<Executor> pool = std::make_shared<ThreadPoolExecutor>(1);
  const auto gate = std::make_shared<Gate>();
  Future<void> last_owner;
  Future<void> queued;
  {
    const OwnExecutor own(pool);
    const auto let_go = [gate](std::shared_ptr<Executor> owned) {
      gate->pass();
      owned.reset();
    };
    last_owner = loop.run_in_executor(let_go, std::move(pool));
    queued = loop.run_in_executor([] {});
  }
  gate->reached.acquire();
  gate->opened.release();
  co_await expect_failure(std::move(queued), Errc::broken_promise);
  co_await last_owner;
}

BEHAVIOUR("a loop may close while its job runs", kThreads) {
  const auto gate = std::make_shared<Gate>();
  OtherLoop other;
  other.remote().post([gate] { IOLoop::current().spawn(&await_job, gate); });
  gate->reached.acquire();
  other.stop();
  gate->opened.release();
  while (gate.use_count() > 1) co_await moment();
}

// ---- a handle to a loop

BEHAVIOUR("a handle that was made from no loop takes nothing", Needs::nothing) {
  const RemoteLoop none;
  expect(!none.post([] {}), "post says so");
  expect(none.closed(), "and so does closed");
  none.stop();
  co_return;
}

BEHAVIOUR("a loop can post and submit to itself, in a later turn", Needs::nothing) {
  const RemoteLoop own = IOLoop::current().remote();
  bool ran = false;
  expect(own.post([&ran] { ran = true; }), "it is taken");
  Future<std::string> greeting = own.submit(&greet_slowly, std::string("me"));
  expect(!ran && !greeting.done(), "nothing runs inside the call");
  const std::string text = co_await greeting;
  expect(ran, "the callback ran");
  expect_equal(text, "hello, me");
}

BEHAVIOUR("a handle posts to its loop's thread, outlives the loop, and then says that nothing is taken", kThreads) {
  OtherLoop other;
  const RemoteLoop remote = other.remote();
  const std::thread::id there = other.thread();
  RemotePromise<std::thread::id> promise;
  Future<std::thread::id> told = promise.get_future();
  expect(remote.post([promise = std::move(promise)]() mutable { promise.set_value(std::this_thread::get_id()); }),
         "taken");
  const std::thread::id where = co_await told;
  expect(where == there, "it ran in the other loop's thread");
  expect(!remote.closed(), "that loop is open");
  other.stop();
  expect(remote.closed(), "and now it is not");
  const auto token = std::make_shared<int>(0);
  expect(!remote.post([token] {}), "nothing is taken");
  expect_equal(token.use_count(), 1);
  remote.stop();
}

BEHAVIOUR("what was taken and not run when the loop closed is destroyed", kThreads) {
  OtherLoop other;
  const auto gate = std::make_shared<Gate>();
  const auto ran = std::make_shared<std::atomic<bool>>(false);
  other.remote().post([gate] {
    gate->pass();
    IOLoop::current().stop();
  });
  gate->reached.acquire();
  expect(other.remote().post([ran] { *ran = true; }), "it is taken");
  gate->opened.release();
  other.join();
  expect(!*ran, "it did not run");
  expect_equal(ran.use_count(), 1);
  co_return;
}

BEHAVIOUR("eight threads may go on adding callbacks while the loop closes, and each is run or destroyed", kThreads) {
  const std::string backend(IOLoop::current().backend_name());
  for (int round = 0; round < 10; ++round) {
    const Closing closing = round % 2 == 0 ? Closing::inside_a_turn : Closing::outside;
    co_await IOLoop::current().run_in_executor(&close_amid_a_crowd, backend, closing);
  }
}

BEHAVIOUR("what a thread gives while the loop is kept runs in the turn after, in order, and costs no other", kThreads) {
  constexpr int kCount = 1000;
  IOLoop& loop = IOLoop::current();
  Arrivals arrivals;
  co_await moment();
  const std::uint64_t kept = loop.stats().turns;
  std::thread(&give, std::ref(loop), std::ref(arrivals), kCount).join();
  co_await sleep_for(5ms);
  expect_equal(arrivals.numbers.size(), std::size_t{kCount});
  expect(std::is_sorted(arrivals.numbers.begin(), arrivals.numbers.end()), "in the order in which they were given");
  expect_equal(arrivals.turns.size(), 1u);
  expect_equal(*arrivals.turns.begin(), kept + 1);
  expect(loop.stats().turns - kept <= 5, std::to_string(loop.stats().turns - kept) + " turns");
}

BEHAVIOUR("a function submitted to another loop runs there and its result comes back here", kThreads) {
  OtherLoop other;
  Future<std::thread::id> work = other.remote().submit(&thread_that_runs);
  const std::thread::id where = co_await work;
  expect(where == other.thread(), "there");
  auto number = std::make_unique<int>(20);
  const auto add = [](std::unique_ptr<int> n) { return std::make_unique<int>(*n + 1); };
  Future<std::unique_ptr<int>> sum = other.remote().submit(add, std::move(number));
  const std::unique_ptr<int> moved_back = co_await sum;
  expect_equal(*moved_back, 21);
}

BEHAVIOUR("a coroutine submitted to another loop runs there to its end, or brings back its failure", kThreads) {
  OtherLoop other;
  Future<std::string> greeting = other.remote().submit(&greet_slowly, std::string("there"));
  const std::string text = co_await greeting;
  expect_equal(text, "hello, there");
  co_await expect_failure(other.remote().submit(&fail_slowly), Errc::protocol);
  co_await expect_failure(other.remote().submit(&refuse_to_begin), Errc::limit);
}

BEHAVIOUR("dropping a submitted coroutine's future cancels it over there", kThreads) {
  OtherLoop other;
  std::binary_semaphore begun(0);
  RemotePromise<> promise;
  Future<void> ended = promise.get_future();
  Future<int> work = other.remote().submit(&wait_for_ever, &begun, std::move(promise));
  begun.acquire();
  expect(!ended.done(), "it is under way");
  work = Future<int>();
  co_await ended;
}

BEHAVIOUR("work submitted to a loop that closes fails with loop_closed, begun, queued or too late", kThreads) {
  OtherLoop other;
  const auto gate = std::make_shared<Gate>();
  std::binary_semaphore begun(0);
  RemotePromise<> promise;
  Future<void> ended = promise.get_future();
  Future<int> running = other.remote().submit(&wait_for_ever, &begun, std::move(promise));
  begun.acquire();
  other.remote().post([gate] {
    gate->pass();
    IOLoop::current().stop();
  });
  gate->reached.acquire();
  Future<int> queued = other.remote().submit([] { return 1; });
  gate->opened.release();
  other.join();
  Future<int> late = other.remote().submit([] { return 1; });
  co_await expect_failure(std::move(running), Errc::loop_closed);
  co_await expect_failure(std::move(queued), Errc::loop_closed);
  co_await expect_failure(std::move(late), Errc::loop_closed);
  co_await ended;
}

BEHAVIOUR("two loops can ask each other", kThreads) {
  OtherLoop other;
  std::vector<Future<int>> answers;
  for (int i = 0; i < 100; ++i) answers.push_back(other.remote().submit(&ask, IOLoop::current().remote(), i));
  int sum = 0;
  for (Future<int>& answer : answers) sum += co_await answer;
  expect_equal(sum, 2 * 4950 + 100);
}

// ---- promises that any thread fulfils

BEHAVIOUR("a remote promise is fulfilled once, from any thread", kThreads) {
  RemotePromise<std::string> promise;
  Future<std::string> future = promise.get_future();
  expect(promise.wanted(), "somebody waits");
  std::array<bool, 2> taken{};
  std::thread thread([&taken, &promise] {
    taken[0] = promise.set_value("from a thread");
    taken[1] = promise.set_value("again");
  });
  thread.join();
  expect(taken[0] && !taken[1], "the first value is taken, the second not");
  expect(!future.done(), "it is delivered by the loop, in a later turn");
  const std::string text = co_await future;
  expect_equal(text, "from a thread");
}

BEHAVIOUR("a remote promise that a thread destroys unfulfilled fails its future with broken_promise", kThreads) {
  RemotePromise<int> promise;
  Future<int> future = promise.get_future();
  std::thread thread([promise = std::move(promise)] {});
  thread.join();
  co_await expect_failure(std::move(future), Errc::broken_promise);
}

BEHAVIOUR("a remote promise knows when its future was dropped", Needs::nothing) {
  RemotePromise<int> promise;
  bool told = false;
  promise.on_dropped([&told] { told = true; });
  Future<int> future = promise.get_future();
  expect(promise.wanted() && !told, "somebody waits");
  future = Future<int>();
  expect(!promise.wanted() && told, "nobody waits any more");
  expect(!promise.set_value(1), "nor is anything taken");
  co_return;
}

BEHAVIOUR("a remote promise of a loop that is closed takes nothing, from any thread", kThreads) {
  OtherLoop other;
  const auto promise = std::make_shared<RemotePromise<int>>();
  Future<int> begun = other.remote().submit([promise] { return IOLoop::current().spawn(&hold, promise), 1; });
  co_await begun;
  expect(promise->wanted(), "the other loop waits for it");
  other.stop();
  expect(!promise->wanted(), "nobody waits any more");
  expect(!promise->set_value(1), "nothing is taken");
}

// ---- std::future

BEHAVIOUR("a std::future gives what its thread put into it, or threw", kThreads) {
  std::promise<std::string> text;
  std::promise<int> failure;
  std::promise<void> nothing;
  Future<std::string> awaited = from_std(text.get_future());
  Future<int> failing = from_std(failure.get_future());
  Future<void> done = from_std(nothing.get_future());
  std::thread producer([&] {
    text.set_value("from a thread");
    failure.set_exception(std::make_exception_ptr(Error(Errc::refused, "by a thread")));
    nothing.set_value();
  });
  expect(co_await awaited == "from a thread", "its value");
  co_await expect_failure(std::move(failing), Errc::refused);
  co_await std::move(done);
  producer.join();
}

BEHAVIOUR("a std::future that is ready is given in a later turn, one that nobody will fulfil is an error", kThreads) {
  std::promise<std::unique_ptr<int>> promise;
  promise.set_value(std::make_unique<int>(5));
  Future<std::unique_ptr<int>> ready = from_std(promise.get_future());
  expect(!ready.done(), "a thread looks at it first");
  expect_equal(*co_await ready, 5);
  std::future<int> orphan = std::promise<int>().get_future();
  const Result<int> result = co_await as_result(from_std(std::move(orphan)));
  expect(!result.ok() && result.failure().exception(), "std::future_error");
}

BEHAVIOUR("a deferred std::async runs in the executor", kThreads) {
  const std::thread::id here = std::this_thread::get_id();
  std::thread::id there = co_await from_std(std::async(std::launch::deferred, &thread_that_runs));
  expect(there != here, "in another thread");
}

BEHAVIOUR("dropping what waits for a std::async does not block the loop, begun or queued", kThreads) {
  const OwnExecutor own(std::make_shared<ThreadPoolExecutor>(1));
  const auto first = std::make_shared<Gate>();
  const auto second = std::make_shared<Gate>();
  Future<void> begun = from_std(std::async(std::launch::async, &Gate::wait_at, first));
  Future<void> queued = from_std(std::async(std::launch::async, &Gate::wait_at, second));
  first->reached.acquire();
  second->reached.acquire();
  begun = Future<void>();
  queued = Future<void>();  // neither waits for its thread here
  first->opened.release();
  second->opened.release();
  co_await IOLoop::current().run_in_executor([] {});  // the executor's one thread is free again
}

BEHAVIOUR("where there are no threads nothing can wait for a std::future", Needs::nothing) {
  if (twinloop::detail::platform_has_threads()) co_return;
  std::promise<int> promise;
  bool refused = false;
  try {
    [[maybe_unused]] const Future<int> waiting = from_std(promise.get_future());
  } catch (const Error& error) {
    refused = error.reason() == Errc::not_supported;
  }
  expect(refused, "with not_supported");
}
