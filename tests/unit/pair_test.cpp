// What `pair:` has that is a thread's and not a loop's.
#include <catch2/catch_test_macros.hpp>
#include <thread>
#include <utility>

#include "twinloop/ioloop.h"
#include "twinloop/net.h"

using namespace twinloop;

namespace {

Future<void> ignore(IOStream) { co_return; }

Future<void> serve_for_ever() {
  Listener listener = co_await listen("pair:of-a-thread");
  co_await serve(std::move(listener), &ignore);
}

}  // namespace

// The loop that instance() makes goes at the thread's end, with its coroutines; ASan sees what they touch that has gone before.
TEST_CASE("a thread may end while a coroutine on its own loop still listens on pair:") {
  bool listens = false;
  std::thread([&] {
    IOLoop& loop = IOLoop::instance();
    loop.spawn(&serve_for_ever);
    loop.run_sync([]() -> Future<void> { (void)co_await connect("pair:of-a-thread"); });
    listens = true;
  }).join();
  CHECK(listens);
}
