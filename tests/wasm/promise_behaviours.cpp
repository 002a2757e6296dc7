// Futures from JavaScript's promises and the other way round: twinloop/js.h.
#include <emscripten.h>

#include <optional>
#include <string>

#include "tests/conformance/fixtures.h"
#include "tests/conformance/work.h"
#include "twinloop/all.h"
#include "twinloop/detail/pool.h"
#include "twinloop/js.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;
using namespace work;
using emscripten::val;

// clang-format off
EM_JS_DEPS(promise_behaviours, "$Emval,$count_emval_handles,$UTF8ToString");
EM_JS(emscripten::EM_VAL, promise_of, (int value, int milliseconds), {
  return Emval.toHandle(new Promise(function(resolve) { setTimeout(function() { resolve(value); }, milliseconds); }));
});
EM_JS(emscripten::EM_VAL, promise_that_fails, (const char* text), {
  return Emval.toHandle(Promise.reject(new TypeError(UTF8ToString(text))));
});
EM_JS(emscripten::EM_VAL, thenable_that_throws, (), {
  return Emval.toHandle({ then: function() { throw "thrown by then"; } });
});
EM_JS(emscripten::EM_VAL, code_and_message_of, (emscripten::EM_VAL promise), {
  return Emval.toHandle(Emval.toValue(promise).then(
    function() { return "resolved"; }, function(error) { return error['code'] + ": " + error['message']; }));
});
EM_JS(int, values_held, (), { return count_emval_handles(); });
// clang-format on

namespace {

val taken(emscripten::EM_VAL handle) { return val::take_ownership(handle); }

Future<int> value_of(val promise) {
  JsValue value = co_await from_promise(promise);
  co_return value.value.as<int>();
}

Future<std::string> outcome_of(val promise) {
  JsValue text = co_await from_promise(taken(code_and_message_of(promise.as_handle())));
  co_return text.value.as<std::string>();
}

Future<std::string> greeting(Duration delay) {
  co_await sleep_for(delay);
  co_return "hello from C++";
}

Future<int> failing_with_text() {
  co_await moment();
  throw_error(Errc::refused, "connect ws://example");
  co_return 0;
}

struct Awaited {
  bool begun = false;
  std::optional<Result<JsValue>> result;
};

// Called by the host: inside a turn of the page's loop no other turns.
void await_on_a_loop_that_closes(void* given) {
  auto& awaited = *static_cast<Awaited*>(given);
  IOLoop loop(std::make_unique<ManualBackend>());
  loop.add_callback([&awaited] {
    Future<JsValue> waiting = from_promise(taken(promise_of(1, 1)));
    std::move(waiting).add_done_callback([&awaited](Result<JsValue> result) { awaited.result = std::move(result); });
    awaited.begun = true;
  });
  loop.turn();
}

}  // namespace

BEHAVIOUR("a promise's value is that of its Future", Needs::nothing) {
  expect_equal(co_await value_of(taken(promise_of(42, 0))), 42);
}

BEHAVIOUR("a value that is no promise is given in a later turn", Needs::nothing) {
  Future<JsValue> value = from_promise(val(7));
  expect(!value.done(), "not at once");
  const JsValue given = co_await std::move(value);
  expect_equal(given.value.as<int>(), 7);
}

BEHAVIOUR("promises can be given to combinators", Needs::nothing) {
  std::tuple<int, int> both = co_await all(value_of(taken(promise_of(1, 5))), value_of(taken(promise_of(2, 0))));
  expect_equal(std::get<0>(both) * 10 + std::get<1>(both), 12);
}

BEHAVIOUR("a rejected promise fails its Future with JsError, which has the text and the value", Needs::nothing) {
  Future<JsValue> future = from_promise(taken(promise_that_fails("no such thing")));
  bool caught = false;
  try {
    co_await std::move(future);
  } catch (const JsError& error) {
    caught = std::string(error.what()).find("no such thing") != std::string::npos &&
             error.thrown()["name"].as<std::string>() == "TypeError";
  }
  expect(caught, "a JsError");
}

BEHAVIOUR("a thenable that throws is a rejection", Needs::nothing) {
  const Result<JsValue> result = co_await as_result(from_promise(taken(thenable_that_throws())));
  expect(!result.ok() && result.failure().message().find("thrown by then") != std::string::npos, "its text");
}

BEHAVIOUR("a promise that is settled after its Future was dropped is ignored, and nothing is left", Needs::nothing) {
  co_await sleep_for(5ms);  // what the behaviours before left to JavaScript has come
  const int held = values_held();
  const std::size_t living = twinloop::detail::pool_stats().live;
  for (int i = 0; i < 10; ++i) {
    Future<JsValue> fulfilled = from_promise(taken(promise_of(i, 1)));
    Future<JsValue> rejected = from_promise(taken(promise_that_fails("nobody hears of it")));
  }
  Future<int> late = with_timeout(1ms, value_of(taken(promise_of(1, 3))));
  co_await expect_failure(std::move(late), Errc::timeout);
  expect_equal(twinloop::detail::pool_stats().live, living);
  co_await value_of(taken(promise_of(0, 10)));
  expect_equal(values_held(), held);
  expect_equal(twinloop::detail::pool_stats().live, living);
}

BEHAVIOUR("a promise awaited on a loop that closes fails with loop_closed", Needs::nothing) {
  Awaited awaited;
  emscripten_async_call(&await_on_a_loop_that_closes, &awaited, 0);
  while (!awaited.begun) co_await sleep_for(1ms);
  co_await value_of(taken(promise_of(0, 5)));
  expect(!awaited.result || !awaited.result->ok(), "it gave nothing");
}

BEHAVIOUR("a Future's value is that of its promise", Needs::nothing) {
  JsValue text = co_await from_promise(to_promise(greeting(1ms)));
  expect(text.value.as<std::string>() == "hello from C++", "what the coroutine returned");
  JsValue nothing = co_await from_promise(to_promise(moment()));
  expect(nothing.value.isUndefined(), "a Future<void> gives undefined");
  JsValue there_and_back = co_await from_promise(to_promise(from_promise(val(3))));
  expect_equal(there_and_back.value.as<int>(), 3);
}

BEHAVIOUR("a Future's failure rejects its promise with the reason's name and text", Needs::nothing) {
  const std::string outcome = co_await outcome_of(to_promise(failing_with_text()));
  expect(outcome.starts_with("refused: connect ws://example"), outcome);
}

BEHAVIOUR("what JavaScript threw comes back to it as it was", Needs::nothing) {
  Future<JsValue> round = from_promise(to_promise(from_promise(taken(promise_that_fails("round trip")))));
  bool same = false;
  try {
    co_await std::move(round);
  } catch (const JsError& error) {
    same = error.thrown()["name"].as<std::string>() == "TypeError";
  }
  expect(same, "the TypeError itself");
}

BEHAVIOUR("the promise of an unfinished Future is rejected when its loop closes", Needs::nothing) {
  int alive = 0;
  std::optional<val> promise;
  {
    IOLoop other(std::make_unique<ManualBackend>());
    Promise<void> never_kept;
    promise = to_promise(wait_for(never_kept.get_future(), alive), other);
    expect_equal(alive, 1);
    other.close();
    expect_equal(alive, 0);
  }
  const std::string outcome = co_await outcome_of(*promise);
  expect(outcome.starts_with("loop_closed: "), outcome);
}
