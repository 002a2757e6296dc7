// LoopThreads: one loop a core.  The same coroutine in several threads, each with an IOLoop of its own; they share nothing, and the
// system deals out the connections of a port that all of them listen on.
//
//   Future<void> serve(unsigned, Future<void> stop) {
//     TCPServer server(handle_stream);
//     co_await server.listen("tcp://:8888", ListenOptions().set_reuse_port(true));
//     co_await std::move(stop);
//     co_await server.drain(10s);
//   }
//   …
//   LoopThreads threads(0, &serve);
//   co_await threads.finished();
#pragma once

#include <functional>
#include <memory>

#include "twinloop/future.h"

namespace twinloop {

// It belongs to the thread of the loop that is current when it is made.
class LoopThreads {
 public:
  using Work = std::function<Future<void>(unsigned index, Future<void> stop)>;
  // Called once on each thread, with its number from 0 on and a future that completes at stop().  All threads call the same object:
  // what it refers to must bear that, and outlive the threads.

  LoopThreads(unsigned count, Work work);
  // Starts them: `count`, or one for each processor when that is 0, on the same backend as the current loop.  A thread ends when its
  // coroutine has; what that spawned and left is then cancelled, and what closed streams had accepted is still sent, for 5 s at most.
  // Throws Error(not_supported) where there are no threads (a browser), and Error with the system's reason when it has none to give.

  LoopThreads(LoopThreads&&) noexcept;
  LoopThreads& operator=(LoopThreads&&) noexcept;
  ~LoopThreads();
  // Cancels the coroutines and waits, without turning this loop, until the threads have ended: each has a second for what is still
  // to be sent, and one whose coroutine had ended before has its five.

  unsigned size() const noexcept;

  void stop() noexcept;
  // Completes every thread's `stop`: they are asked to come to an end, and decide how.  From any thread.

  Future<void> finished();
  // Completes when all threads have ended.  When a coroutine fails it is logged, the other threads are asked to stop, and this fails
  // with what was thrown first.  Dropping it ends nobody.

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace twinloop
