// What a loop says about its coroutines: who waits where.
#include <string>

#include "twinloop/tasks.h"
#include "twinloop/testing.h"

using namespace twinloop;
using namespace twinloop::testing;

namespace {

Future<void> innermost(Future<void> signal) { co_await std::move(signal); }
Future<void> middle(Future<void> signal) { co_await innermost(std::move(signal)); }
Future<void> outermost(Future<void> signal) { co_await middle(std::move(signal)); }

bool names(const Origin& place, std::string_view function) {
  return std::string_view(place.where().function_name()).find(function) != std::string_view::npos;
}

}  // namespace

BEHAVIOUR("the spawned coroutines of a loop and where each of them waits can be listed", Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  const std::size_t before = tasks_of(loop).size();
  Promise<void> promise;
  loop.spawn(Origin("session"), &outermost, promise.get_future());
  const std::vector<TaskInfo> tasks = tasks_of(loop);
  expect_equal(tasks.size(), before + 1);
  const TaskInfo& session = tasks.back();
  expect_equal(std::string_view(session.origin.label()), "session");
  expect_equal(session.stack.size(), 3u);
  expect(names(session.stack[0], "outermost"), "the spawned one first");
  expect(names(session.stack[1], "middle"), "then what it awaits");
  expect(names(session.stack[2], "innermost"), "the innermost last");
  expect_equal(session.stack[0].where().line(), session.stack[2].where().line() + 2);
  const std::string text = describe_tasks(loop);
  expect(text.find("session (inspection_behaviours.cpp:") != std::string::npos, text);
  expect(text.find("  inspection_behaviours.cpp:12 ") != std::string::npos, text);
  promise.set_value();
  co_await sleep_for(std::chrono::milliseconds(1));
  expect_equal(tasks_of(loop).size(), before);
}
