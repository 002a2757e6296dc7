// Mistakes that must not compile, and what the compiler must say about each.  check.cmake compiles this file once for each of them:
//   // MISTAKE name: part of the message
// begins one, which goes on to the next; each sees only what stands above the first.
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "twinloop/all.h"
#include "twinloop/executor.h"
#include "twinloop/generator.h"
#include "twinloop/locks.h"
#include "twinloop/queues.h"
#include "twinloop/race.h"
#include "twinloop/remote.h"
#include "twinloop/shared_future.h"
#include "twinloop/task_group.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;

struct ForeignAwaiter {
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  void await_resume() const noexcept {}
};

struct ThrowsWhenMoved {
  ThrowsWhenMoved() = default;
  ThrowsWhenMoved(ThrowsWhenMoved&&) noexcept(false) {}
  ThrowsWhenMoved& operator=(ThrowsWhenMoved&&) noexcept(false) { return *this; }
};

Future<void> work();
Future<int> number();
Generator<int> numbers();

// MISTAKE nothing_wrong:
Future<void> f() { co_await work(); }

// MISTAKE await_a_std_future: co_await of a std::future: its get() would block the loop
Future<int> f(std::future<int> other) { co_return co_await other; }

// MISTAKE await_a_shared_std_future: co_await of a std::future: its get() would block the loop
Future<int> f(std::shared_future<int> other) { co_return co_await other; }

// MISTAKE await_a_foreign_awaitable: co_await of an awaitable made for other coroutine libraries
Future<void> f() { co_await ForeignAwaiter{}; }

// MISTAKE await_suspend_always: co_await of an awaitable made for other coroutine libraries
Future<void> f() { co_await std::suspend_always{}; }

// MISTAKE await_a_pointer: co_await of a pointer to a Future: dereference it
Future<int> f(Future<int>* other) { co_return co_await other; }

// MISTAKE await_a_lambda: co_await of a function or a lambda: call it, and await the Future that it returns
Future<void> f() {
  const auto lambda = []() -> Future<void> { co_await work(); };
  co_await lambda;
}

// MISTAKE await_a_function: co_await of a function or a lambda: call it, and await the Future that it returns
Future<void> f() { co_await work; }

// MISTAKE await_a_const_future: co_await takes the result out of the Future, and this one is const
Future<int> f(const Future<int>& other) { co_return co_await other; }

// MISTAKE await_a_lock: co_await of a lock or a limiter: await its acquire(), and keep the Permit
Future<void> f(Lock& lock) { co_await lock; }

// MISTAKE await_a_semaphore: co_await of a lock or a limiter: await its acquire(), and keep the Permit
Future<void> f(Semaphore& semaphore) { co_await semaphore; }

// MISTAKE await_a_generator: co_await of a sequence: await its next()
Future<void> f() {
  Generator<int> all = numbers();
  co_await all;
}

// MISTAKE await_a_number: co_await takes a Future, a SharedFuture, as_result
Future<void> f() { co_await 42; }

// MISTAKE parameter_that_dangles: a coroutine's T&& parameter dangles after its first co_await: take it by value
Future<void> f(std::string&& text) {
  co_await work();
  text.clear();
}

// MISTAKE generator_parameter_that_dangles: a generator's T&& parameter dangles before its first value: take it by value
Generator<char> f(std::string&& text) { co_yield text[0]; }

// MISTAKE generator_of_references: a Generator gives values
void f(Generator<int&>& references) { (void)references.done(); }

// MISTAKE return_of_another_type: co_return a value of the Future's type, or a Failure
Future<int> f() {
  co_await work();
  co_return std::string("no number");
}

// MISTAKE coroutine_as_a_callback: this callback is a coroutine and would be cancelled at once: use spawn
void f(IOLoop& loop) { loop.add_callback(&work); }

// MISTAKE coroutine_as_a_timer: this callback is a coroutine and would be cancelled at once: use spawn
void f(IOLoop& loop) { loop.call_later(1s, &work); }

// MISTAKE coroutine_as_a_timer_at_a_time: this callback is a coroutine and would be cancelled at once: use spawn
void f(IOLoop& loop) { loop.call_at(loop.time(), &work); }

// MISTAKE coroutine_as_a_posted_callback: this callback is a coroutine and would be cancelled at once: use submit
void f(const RemoteLoop& other) { other.post(&work); }

// MISTAKE coroutine_when_a_future_is_done: would be cancelled at once
void f(IOLoop& loop) {
  loop.add_future(number(), [](Result<int>) { return work(); });
}

// MISTAKE callback_of_another_type: the callback of a Future<T> takes a Result<T>
void f(IOLoop& loop) {
  loop.add_future(number(), [](const std::string&) {});
}

// MISTAKE coroutine_in_a_thread: a coroutine belongs to a loop: use spawn, or RemoteLoop::submit
Future<void> f() { co_await IOLoop::current().run_in_executor(&work); }

// MISTAKE callback_on_a_kept_future: a Future has one owner
void f(Future<int>& future) {
  future.add_done_callback([](Result<int>) {});
}

// MISTAKE copied_future: use of deleted function|call to implicitly-deleted copy constructor
Future<int> f(Future<int>& future) { return future; }

// MISTAKE dropped_future: a dropped Future cancels its work: await it, keep it, or spawn it
void f() { work(); }

// MISTAKE dropped_generator: a dropped Generator gives nothing: call next()
void f() { numbers(); }

// MISTAKE dropped_permit: it is given back at once: keep it in a variable
void f(Lock& lock) { lock.try_acquire(); }

// MISTAKE group_of_results: a TaskGroup spawns coroutines that return Future<void>
void f(TaskGroup& group) { group.spawn(&number); }

// MISTAKE share_what_cannot_be_copied: every waiter gets a copy of the value
void f(Future<std::unique_ptr<int>> future) { (void)share(std::move(future)); }

// MISTAKE race_of_nobody: a race needs a future that can win it
void f() { (void)race(); }

// MISTAKE future_of_what_throws: a Future's value must move without throwing
void f() { (void)Future<ThrowsWhenMoved>().valid(); }

// MISTAKE queue_of_what_throws: the items of a queue must move without throwing
void f() { Queue<ThrowsWhenMoved> queue; }

// MISTAKE channel_of_what_throws: the items of a queue must move without throwing
void f() { Channel<ThrowsWhenMoved> channel(1); }
