// Small coroutines that the behaviours of combinators wait for.
#pragma once

#include <string>

#include "fixtures.h"
#include "twinloop/ioloop.h"

namespace work {

using namespace twinloop;

using testing::Alive;

inline Future<int> later(Duration delay, int value) {
  co_await sleep_for(delay);
  co_return value;
}

inline Future<int> failing_later(Duration delay, Errc reason) {
  co_await sleep_for(delay);
  co_return reason;
}

inline Future<void> wait_for(Future<void> signal, int& alive) {
  const Alive here(alive);
  co_await std::move(signal);
}

inline Future<int> never(int& alive) {
  const Alive here(alive);
  co_await sleep_for(std::chrono::hours(1));
  co_return 0;
}

inline Future<void> turns(int count) {
  for (int i = 0; i < count; ++i) co_await moment();
}

}  // namespace work
