// TaskGroup: nothing outlives it, the first failure cancels the rest.
#include <memory>
#include <string>

#include "fixtures.h"
#include "twinloop/task_group.h"
#include "twinloop/timing.h"
#include "work.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;
using namespace work;

namespace {

Future<void> wait_long(int& alive) {
  const Alive here(alive);
  co_await sleep_for(1h);
}

Future<void> append_later(Duration delay, std::string text, std::string& into) {
  co_await sleep_for(delay);
  into += text;
}

Future<void> fail_later(Duration delay, Errc reason) {
  co_await sleep_for(delay);
  throw_error(reason, "as asked");
}

Future<void> spawn_another(TaskGroup& group, int depth, int& done) {
  co_await moment();
  if (depth > 0) group.spawn(&spawn_another, std::ref(group), depth - 1, std::ref(done));
  ++done;
}

Future<void> cancel_group(TaskGroup& group, bool& went_on) {
  const std::string mine = "still mine";
  co_await moment();
  group.cancel();
  went_on = mine == "still mine";
  co_await moment();
  expect(false, "a cancelled coroutine went on behind its next co_await");
}

Future<void> cancel_below(TaskGroup& group, std::string& of_the_caller) {
  co_await moment();
  group.cancel();
  of_the_caller += "!";
}

Future<void> call_the_one_that_cancels(TaskGroup& group, std::string& result) {
  std::string mine = "the caller's local";
  co_await cancel_below(group, mine);
  result = mine;
  co_await moment();
  result = "it went on behind its next co_await";
}

Future<void> own_a_group(std::unique_ptr<Future<void>>& slot, int& alive, std::string& seen) {
  const Alive here(alive);
  std::string mine = "the owner's local";
  TaskGroup group;
  auto child = [&]() -> Future<void> {
    co_await moment();
    slot.reset();
    seen = mine;
    co_await moment();
    seen = "it went on behind its next co_await";
  };
  group.spawn(child);
  group.spawn(&wait_long, std::ref(alive));
  co_await group.join();
}

class SpawnsWhenDestroyed {
 public:
  SpawnsWhenDestroyed(TaskGroup& group, int& alive) noexcept : group_(group), alive_(alive) {}
  SpawnsWhenDestroyed(const SpawnsWhenDestroyed&) = delete;
  SpawnsWhenDestroyed& operator=(const SpawnsWhenDestroyed&) = delete;
  ~SpawnsWhenDestroyed() { group_.spawn(&wait_long, std::ref(alive_)); }

 private:
  TaskGroup& group_;
  int& alive_;
};

Future<void> spawn_at_the_end(TaskGroup& group, int& alive) {
  const SpawnsWhenDestroyed last(group, alive);
  co_await sleep_for(1h);
}

}  // namespace

BEHAVIOUR("join waits for all, also for those that are spawned meanwhile", Needs::nothing) {
  TaskGroup group;
  int done = 0;
  group.spawn(&spawn_another, std::ref(group), 5, std::ref(done));
  co_await group.join();
  expect_equal(done, 6);
  expect_equal(group.size(), 0u);
}

BEHAVIOUR("join of an empty group is done at once", Needs::nothing) {
  TaskGroup group;
  expect(group.join().done(), "nothing to wait for");
  co_return;
}

BEHAVIOUR("a group keeps the callable and the arguments of what it spawned", Needs::nothing) {
  TaskGroup group;
  std::string text;
  {
    const std::string captured = "kept ";
    auto callable = [captured, &text](std::string argument) -> Future<void> {
      co_await moment();
      text = captured + argument;
    };
    group.spawn(std::move(callable), "as well");
  }
  co_await group.join();
  expect_equal(text, "kept as well");
}

BEHAVIOUR("the first failure cancels the rest of a group, and join reports it", Needs::nothing) {
  const RecordedLog logged;
  int alive = 0;
  TaskGroup group;
  group.spawn(&wait_long, std::ref(alive));
  group.spawn(&fail_later, 1ms, Errc::refused);
  group.spawn(&wait_long, std::ref(alive));
  expect_equal(alive, 2);
  co_await expect_failure(group.join(), Errc::refused);
  expect_equal(alive, 0);
  expect_equal(logged.count(LogLevel::error), 0);
}

BEHAVIOUR("a group that has failed drops what is spawned until join has reported it", Needs::nothing) {
  int alive = 0;
  TaskGroup group;
  group.spawn(&fail_later, 0s, Errc::refused);
  while (group.size() > 0) co_await moment();
  group.spawn(&wait_long, std::ref(alive));
  expect_equal(alive, 0);
  co_await expect_failure(group.join(), Errc::refused);
  group.spawn(&wait_long, std::ref(alive));
  expect_equal(alive, 1);
}

BEHAVIOUR("what throws before its first co_await fails its group, not the caller of spawn", Needs::nothing) {
  TaskGroup group;
  auto thrower = []() -> Future<void> { throw_error(Errc::denied, "at once"); };
  group.spawn(thrower);
  co_await expect_failure(group.join(), Errc::denied);
}

BEHAVIOUR("dropping a group cancels all", Needs::nothing) {
  int alive = 0;
  {
    TaskGroup group;
    group.spawn(&wait_long, std::ref(alive));
    group.spawn(wait_long(alive));
    expect_equal(group.size(), 2u);
  }
  expect_equal(alive, 0);
  co_return;
}

BEHAVIOUR("a failure that no join reported is logged with its group", Needs::nothing) {
  const RecordedLog logged;
  {
    TaskGroup group;
    group.spawn(&fail_later, 0s, Errc::refused);
    while (group.size() > 0) co_await moment();
  }
  expect_equal(logged.count(LogLevel::error), 1);
}

BEHAVIOUR("a pending join fails when its group goes away", Needs::nothing) {
  int alive = 0;
  Future<void> joined;
  {
    TaskGroup group;
    group.spawn(&wait_long, std::ref(alive));
    joined = group.join();
    co_await expect_failure(group.join(), Errc::busy);
  }
  expect(joined.done(), "it is done");
  const Result<void> result = joined.take_result();
  expect(result.ok() || result.reason() == Errc::cancelled, "one way or the other");
}

BEHAVIOUR("dropping a join changes nothing", Needs::nothing) {
  TaskGroup group;
  std::string text;
  group.spawn(&append_later, 1ms, "done", std::ref(text));
  {
    const Future<void> joined = group.join();
  }
  co_await group.join();
  expect_equal(text, "done");
}

BEHAVIOUR("cancel ends all and completes join", Needs::nothing) {
  int alive = 0;
  TaskGroup group;
  group.spawn(&wait_long, std::ref(alive));
  Future<void> joined = group.join();
  group.cancel();
  expect_equal(alive, 0);
  co_await std::move(joined);
  group.spawn(&wait_long, std::ref(alive));
  expect_equal(group.size(), 1u);
}

BEHAVIOUR("a coroutine that cancels its own group ends at its next co_await", Needs::nothing) {
  int alive = 0;
  bool went_on = false;
  TaskGroup group;
  group.spawn(&wait_long, std::ref(alive));
  group.spawn(&cancel_group, std::ref(group), std::ref(went_on));
  co_await group.join();
  expect(went_on, "it ran on to its next suspension");
  expect_equal(alive, 0);
  co_await turns(2);
}

BEHAVIOUR("a grandchild that cancels the group may use its caller's locals", Needs::nothing) {
  std::string result;
  TaskGroup group;
  group.spawn(&call_the_one_that_cancels, std::ref(group), std::ref(result));
  co_await group.join();
  co_await turns(2);
  expect(result.empty() || result == "the caller's local!", result);
}

BEHAVIOUR("a coroutine that cancels its group may use its captures and arguments until it suspends", Needs::nothing) {
  std::string seen;
  TaskGroup group;
  auto child = [&group, &seen,
                captured = std::string("a capture long enough for the heap")](std::string argument) -> Future<void> {
    co_await moment();
    group.cancel();
    seen = captured + " and " + argument;
  };
  group.spawn(std::move(child), "an argument");
  co_await group.join();
  expect_equal(seen, "a capture long enough for the heap and an argument");
}

BEHAVIOUR("a coroutine that cancels its group in its first run ends at its first co_await", Needs::nothing) {
  int alive = 0;
  bool went_on = false;
  TaskGroup group;
  auto child = [&]() -> Future<void> {
    const Alive here(alive);
    group.cancel();
    co_await moment();
    went_on = true;
  };
  group.spawn(child);
  expect_equal(group.size(), 0u);
  expect_equal(alive, 0);
  co_await turns(2);
  expect(!went_on, "it had been cancelled");
}

BEHAVIOUR("a coroutine may destroy its own group", Needs::nothing) {
  int alive = 0;
  std::string seen;
  auto group = std::make_unique<TaskGroup>();
  auto child = [&group, &seen](std::string argument) -> Future<void> {
    co_await moment();
    group.reset();
    seen = argument;
    co_await moment();
    seen = "it went on behind its next co_await";
  };
  group->spawn(child, "its argument");
  group->spawn(&wait_long, std::ref(alive));
  co_await turns(3);
  expect(group == nullptr, "it is gone");
  expect_equal(seen, "its argument");
  expect_equal(alive, 0);
}

BEHAVIOUR("a coroutine may destroy its own group in its first run", Needs::nothing) {
  int alive = 0;
  auto group = std::make_unique<TaskGroup>();
  auto child = [&group, &alive]() -> Future<void> {
    const Alive here(alive);
    group.reset();
    co_await moment();
  };
  group->spawn(child);
  expect(group == nullptr, "it is gone");
  expect_equal(alive, 0);
  co_await turns(2);
}

BEHAVIOUR("a child may drop the coroutine that owns its group and waits in join", Needs::nothing) {
  int alive = 0;
  std::string seen;
  std::unique_ptr<Future<void>> slot;
  slot = std::make_unique<Future<void>>(own_a_group(slot, alive, seen));
  expect_equal(alive, 2);
  co_await turns(3);
  expect_equal(seen, "the owner's local");
  expect_equal(alive, 0);
}

BEHAVIOUR("what a cancelled coroutine's destructor spawns into its group does not outlive it either", Needs::nothing) {
  int alive = 0;
  {
    TaskGroup group;
    group.spawn(&spawn_at_the_end, std::ref(group), std::ref(alive));
  }
  expect_equal(alive, 0);
  co_return;
}

namespace {

Future<void> use_groups() {
  std::string text;
  TaskGroup group;
  group.spawn(&append_later, 2ms, "b", std::ref(text));
  group.spawn(&append_later, 1ms, "a", std::ref(text));
  auto nested = [](std::string& into) -> Future<void> {
    TaskGroup inner;
    inner.spawn(&append_later, 3ms, "c", std::ref(into));
    co_await with_timeout(1h, inner.join());
  };
  group.spawn(nested, std::ref(text));
  co_await with_timeout(1h, group.join());
  expect_equal(text, "abc");
  int alive = 0;
  group.spawn(&wait_long, std::ref(alive));
  group.spawn(&fail_later, 1ms, Errc::end);
  co_await expect_failure(group.join(), Errc::end);
}

}  // namespace

BEHAVIOUR("a program of groups can be cancelled at every step and leaves nothing behind", Needs::nothing) {
  const std::size_t cancelled = co_await cancel_everywhere(&use_groups);
  expect(cancelled > 8, "at many places");
}
