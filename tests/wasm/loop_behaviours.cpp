// A page has one IOLoop at a time.
#include <emscripten.h>

#include <array>
#include <string>

#include "twinloop/ioloop.h"
#include "twinloop/run_main.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

// clang-format off
EM_JS_DEPS(loop_behaviours, "$stringToUTF8");
EM_JS(void, keep_errors, (), {
  var host = Module['twinloop'];
  host['shown'] = host['error'];
  host['kept'] = "";
  host['error'] = function(line) { host['kept'] += line; };
});
EM_JS(void, take_errors, (char* into, int size), {
  var host = Module['twinloop'];
  host['error'] = host['shown'];
  stringToUTF8(host['kept'], into, size);
});
// clang-format on

namespace {

constexpr const char* kWhy = "a page has one IOLoop, which still lives";

// Before main(), and with a turn on its way when it goes: all behaviours run on the loop that came after it.
const bool former_has_gone = [] {
  IOLoop former;
  former.add_callback([] {});
  return true;
}();

std::string what_a_second_loop_throws() {
  try {
    const IOLoop second;
  } catch (const Error& error) {
    return std::string(name(error.reason())) + ": " + error.what();
  }
  return "nothing";
}

Future<void> expect_turns() {
  co_await moment();
  co_await sleep_for(1ms);
}

}  // namespace

BEHAVIOUR("in a page a loop may follow one that has gone", Needs::nothing) {
  expect(former_has_gone && IOLoop::current().backend_name() == "browser", "this is the second");
  co_await expect_turns();
}

BEHAVIOUR("a second IOLoop in a page is busy, and the first goes on", Needs::nothing) {
  IOLoop& first = IOLoop::current();
  const std::string thrown = what_a_second_loop_throws();
  expect(thrown.starts_with("busy: ") && thrown.find(kWhy) != std::string::npos, thrown);
  expect(&IOLoop::current() == &first, "the current loop is the first");
  co_await expect_turns();
}

BEHAVIOUR("a second run_main in a page prints why it cannot run and gives 1, and the first goes on", Needs::nothing) {
  bool ran = false;
  std::array<char, 256> printed{};
  keep_errors();
  const int status = run_main([&ran]() -> Future<void> {
    ran = true;
    return Future<void>::failed(Errc::io);
  });
  take_errors(printed.data(), printed.size());
  expect_equal(status, 1);
  expect(!ran, "its coroutine did not start");
  expect(std::string(printed.data()).find(kWhy) != std::string::npos, printed.data());
  co_await expect_turns();
}
