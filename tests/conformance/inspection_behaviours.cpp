// What a loop says about itself: who waits where, what keeps it, what it did when.
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "fixtures.h"
#include "twinloop/tasks.h"
#include "twinloop/trace.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

Future<void> innermost(Future<void> signal) { co_await std::move(signal); }
Future<void> middle(Future<void> signal) { co_await innermost(std::move(signal)); }
Future<void> outermost(Future<void> signal) { co_await middle(std::move(signal)); }

Future<void> keep_busy_after_a_wait() {
  co_await sleep_for(1ms);
  keep_busy(20ms);
}

// Watches the loop while it lives.
class BlockingWatch {
 public:
  explicit BlockingWatch(Duration threshold) {
    IOLoop::current().set_blocking_log_threshold(threshold, [this](const Step& step) { steps.push_back(step); });
  }
  ~BlockingWatch() { IOLoop::current().set_blocking_log_threshold(Duration::zero()); }
  BlockingWatch(const BlockingWatch&) = delete;
  BlockingWatch& operator=(const BlockingWatch&) = delete;

  std::vector<Step> steps;
};

std::size_t count_of(std::string_view part, std::string_view text) {
  std::size_t number = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++number;
  return number;
}

int number_behind(std::string_view words, const std::string& text) {
  const std::size_t at = text.find(words);
  return at == std::string::npos ? -1 : std::atoi(text.c_str() + at + words.size());
}

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
  const std::string innermost_line = std::to_string(session.stack[2].where().line());
  expect(text.find("  inspection_behaviours.cpp:" + innermost_line + " ") != std::string::npos, text);
  promise.set_value();
  co_await sleep_for(std::chrono::milliseconds(1));
  expect_equal(tasks_of(loop).size(), before);
}

BEHAVIOUR("what keeps the loop too long is reported with its kind, its name and its place", Needs::nothing) {
  BlockingWatch watch(15ms);
  IOLoop& loop = IOLoop::current();
  loop.add_callback([] { keep_busy(20ms); }, "slow callback");
  const auto line = static_cast<unsigned>(std::source_location::current().line()) - 1;
  loop.call_later(1ms, [] { keep_busy(20ms); }, "slow timer");
  loop.spawn(&keep_busy_after_a_wait);
  loop.add_callback([] {}, "quick");
  co_await sleep_for(50ms);
  std::string seen;
  for (const Step& step : watch.steps) {
    const bool coroutine = names(step.origin, "keep_busy_after_a_wait");
    const bool ours = coroutine || std::string_view(step.origin.label()).starts_with("slow ");
    if (!ours && !has_manual_clock()) continue;  // a busy machine may have stopped us within any other step
    expect(step.ended - step.begun >= 20ms, "its time");
    if (step.kind == StepKind::callback) expect_equal(step.origin.where().line(), line);
    seen += std::string(name(step.kind)) + " " + step.origin.label() + ";";
  }
  expect_equal(seen, "callback slow callback;timer slow timer;coroutine ;");
}

BEHAVIOUR("without somebody to tell, what keeps the loop is a warning in the log", Needs::nothing) {
  const RecordedLog log;
  IOLoop& loop = IOLoop::current();
  loop.set_blocking_log_threshold(15ms);
  loop.add_callback([] { keep_busy(20ms); }, "refresh");
  co_await sleep_for(1ms);
  loop.set_blocking_log_threshold(Duration::zero());
  loop.add_callback([] { keep_busy(20ms); }, "unwatched");
  co_await sleep_for(1ms);
  expect(!log.mentions("unwatched"), log.text());
  expect(log.mentions("a callback, refresh (inspection_behaviours.cpp:"), log.text());
  expect(number_behind(", kept the loop for ", log.text()) >= 20, log.text());
}

BEHAVIOUR("whoever is told of what keeps the loop may end the watch and a trace, or set another watch",
          Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  std::string told;
  std::optional<LoopTrace> trace;
  const std::string mine = "a name that is too long for the string itself";
  loop.set_blocking_log_threshold(15ms, [&told, &trace, &loop, mine](const Step&) {
    trace.reset();
    loop.set_blocking_log_threshold(15ms, [&told, &loop](const Step&) {
      loop.set_blocking_log_threshold(Duration::zero());
      told += ", and another";
    });
    told += mine;
  });
  trace.emplace(loop);
  for (int i = 0; i < 3; ++i) {
    loop.add_callback([] { keep_busy(20ms); });
    co_await sleep_for(1ms);
  }
  expect_equal(told, mine + ", and another");
}

BEHAVIOUR("a trace has every step by its kind, name and place, and the sleeps between", Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  const LoopTrace trace(loop);
  loop.add_callback([] {}, "a \"quoted\" name");
  co_await sleep_for(2ms);
  const std::string json = trace.json();
  expect(json.starts_with("{\"displayTimeUnit\":\"ns\",\"traceEvents\":["), json);
  expect(json.ends_with("]}\n"), json);
  expect(json.find("\"name\":\"a \\\"quoted\\\" name (inspection_behaviours.cpp:") != std::string::npos, json);
  expect_equal(count_of("\"cat\":\"callback\"", json), 1u);
  expect_equal(count_of("\"cat\":\"timer\"", json), 1u);
  if (!loop.backend().hosted()) expect(count_of("\"cat\":\"sleep\"", json) > 0, "a loop that turns itself sleeps");
}

BEHAVIOUR("a trace forgets the oldest steps when it is full", Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  const LoopTrace trace(loop, 3);
  for (const char* label : {"first", "second", "third", "fourth"}) loop.add_callback([] {}, label);
  co_await moment();
  expect_equal(trace.size(), 3u);
  const std::string json = trace.json();
  expect(json.find("first") == std::string::npos && json.find("fourth") != std::string::npos, json);
}

BEHAVIOUR("nobody is told of steps once a trace is gone", Needs::nothing) {
  IOLoop& loop = IOLoop::current();
  {
    const LoopTrace trace(loop);
    co_await moment();
    expect(trace.size() > 0, "it recorded");
  }
  co_await moment();
}
