// twinloop inside a program that has a libuv loop already: its streams, timers and coroutines live beside the application's own
// handles, on the same thread, and the application's uv_run drives both.
//
//   uv_loop_t* host = uv_default_loop();
//   IOLoop loop(hosted_by(*host));
//   loop.spawn(serve_clients);
//   uv_run(host, UV_RUN_DEFAULT);
//
// There is nothing to start or stop: start() and run_sync() fail with `not_supported`, and run_main is for programs without a
// loop of their own.  A program that merely wants libuv underneath says IOLoop::configure("libuv") and needs none of this.
#pragma once

#include <uv.h>

#include <memory>

#include "twinloop/backend.h"

namespace twinloop {

std::unique_ptr<Backend> hosted_by(uv_loop_t& host);
// The backend of an IOLoop that lives inside `host`.  The IOLoop belongs to the thread that runs `host`, and turns after the host
// has polled: at most 16 turns or 100 µs in a row, then the host's own handles have theirs.  A host has one IOLoop at a time: this
// throws Error(busy) while another one lives in it.
//
// uv_run(host, UV_RUN_DEFAULT) returns by itself when nothing of the application and nothing of the IOLoop is pending.  Pending is:
//   - a callback, or a coroutine that can go on;
//   - a timer: call_later, sleep_for, a timeout that is counting;
//   - a descriptor of which something is wanted: a read that waits, output that the peer has no room for, a connection being
//     made, an accept, a handler of a descriptor that asks for events, a closed stream that still delivers its bytes;
//   - a coroutine that was given to spawn(), until it ends, whatever it waits for: also another thread, or the host.
// Not pending is a connection that is merely open (its end is noticed as long as the host runs for another reason), a handler of a
// signal, and a Future that you hold yourself: spawn what must be brought to its end.
//
// A coroutine may be woken from the host's own callbacks, by Promise::set_value; from other threads there is add_callback.
//
// Close or destroy the IOLoop on the host's thread before the host goes.  libuv lets go of its handles in the next uv_run; after
// that nothing of twinloop is left in the host, and uv_loop_close(host) gives 0.

}  // namespace twinloop
