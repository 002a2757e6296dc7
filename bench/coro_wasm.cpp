// The programs of coro_programs.h for JavaScript: coro_wasm.mjs calls measure() and reads the clock around it.
#include <emscripten/emscripten.h>

#include <memory>

#include "bench/coro_programs.h"
#include "twinloop/ioloop.h"
#include "twinloop/testing.h"

using namespace twinloop;

// In the order of the rows in coro_wasm.mjs.
extern "C" EMSCRIPTEN_KEEPALIVE void measure(int row, unsigned count) {
  const bench::CoroPrograms& all = bench::coro_programs;
  const bench::CoroPrograms::Program programs[] = {all.ready_future,
                                                   all.finished_coroutine,
                                                   all.hop,
                                                   all.pending_promise,
                                                   all.child_that_hops,
                                                   all.spawn,
                                                   all.timeout,
                                                   all.queue};
  IOLoop loop(std::make_unique<testing::ManualBackend>());
  loop.run_sync(programs[row], std::size_t{count});
}
