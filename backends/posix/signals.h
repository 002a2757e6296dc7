// Signals, brought onto a loop.  A signal belongs to the process and a handler to a loop: several loops may watch the same
// signal, and each is told.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>

#include "twinloop/detail/function.h"
#include "twinloop/detail/process_lock.h"

namespace twinloop::detail {

class Reactor;

class SignalWatch {
 public:
  explicit SignalWatch(Reactor& reactor) noexcept : reactor_(reactor) {}
  ~SignalWatch() { end(); }
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  bool set(int number, Function<void()> handler);
  // Replaces the handler, of the process too; an empty one gives the signal back what it did before, unless another loop watches it
  // too or somebody else has changed it since.  False for what is no signal or cannot be caught.

  void dispatch() {
    if (receiver_ != nullptr) run_arrived();
  }
  // Runs the handlers of the signals that came.  What they throw is logged.

  void end() noexcept;
  // Gives all signals back.

  static void after_fork() noexcept;
  // In the child, where none of the parent's loops runs: gives back all that any of them watched.

  static ProcessLock& registry_lock() noexcept;
  // For tests: held by another thread at a fork.

  struct Receiver;

 private:
  void run_arrived();
  void run(int number) noexcept;

  Reactor& reactor_;
  Receiver* receiver_ = nullptr;  // taken at the first set()
  std::map<int, std::shared_ptr<Function<void()>>> handlers_;
};

}  // namespace twinloop::detail
