// What a loop's spawned coroutines wait for: the first thing to look at when a program hangs.
#pragma once

#include <string>
#include <vector>

#include "twinloop/ioloop.h"

namespace twinloop {

// One spawned coroutine.
struct TaskInfo {
  Origin origin;              // what was given to spawn(); empty if nothing was
  std::vector<Origin> stack;  // where each coroutine in it waits: the spawned one first, the innermost last
};

std::vector<TaskInfo> tasks_of(IOLoop& loop);
// Oldest first.  A coroutine that is running, the caller's own for one, has its last co_await as its place.  Behind a co_await of
// something other than a Future (an awaitable of one's own, a race) the stack ends.

std::string describe_tasks(IOLoop& loop);
// The same to read:
//   session (server.cpp:40)
//     server.cpp:22 Future<void> serve(IOStream)
//     protocol.cpp:71 Future<Request> read_request(IOStream&)

}  // namespace twinloop
