// What `./dev bench coro` runs natively and in wasm: each program does its one thing `count` times.
#pragma once

#include <cstddef>

#include "twinloop/future.h"

namespace bench {

struct CoroPrograms {
  using Program = twinloop::Future<void> (*)(std::size_t count);

  Program ready_future;
  Program finished_coroutine;
  Program hop;
  Program pending_promise;
  Program child_that_hops;
  Program spawn;
  Program timeout;
  Program queue;
};

extern const CoroPrograms coro_programs;

}  // namespace bench
