// What a loop has done so far.  Counting is always on: it costs a few additions a turn.
#pragma once

#include <cstdint>

#include "twinloop/backend.h"

namespace twinloop {

struct LoopStats {
  std::uint64_t turns = 0;
  std::uint64_t callbacks = 0;    // run
  std::uint64_t timers = 0;       // fired, sleeps included
  std::uint64_t handlers = 0;     // called: those of descriptors and those of streams
  std::uint64_t resumptions = 0;  // of coroutines, on this thread
  std::uint64_t moved = 0;        // bytes of pump() that the system moved by itself, without their coming here

  std::size_t pending_timers = 0;  // now
  std::size_t descriptors = 0;     // with handlers, now
  std::size_t spawned = 0;         // coroutines that go on by themselves, now

  Duration longest_callback{};
  // The longest the loop was kept: by one callback, timer or handler with the coroutines it woke, or by up to 16 of them in a row
  // (the clock is not read after each).
  Duration lag{};
  // The latest a timer was: from its deadline to the beginning of the turn that ran it.
  Duration asleep{};
  // In all; the rest of the time the loop was busy, or its host was.
};

}  // namespace twinloop
