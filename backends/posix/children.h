// Children: the programs that a loop has started.  It learns of the end of each, by a pidfd where there is one and else by
// SIGCHLD, collects its status, and does so also for those whose Subprocess has gone.
#pragma once

#include <sys/types.h>

#include <memory>

#include "backends/posix/reactor.h"
#include "backends/posix/signals.h"
#include "twinloop/detail/list.h"
#include "twinloop/process.h"

namespace twinloop::detail {

class Children {
 public:
  explicit Children(Reactor& reactor) noexcept;
  ~Children();
  // What still runs is collected by whichever loop starts a program next.

  enum class Signals { to_process, to_group };

  std::unique_ptr<ChildProcess> watch(pid_t pid, Signals signals);
  // A child of this process that nobody else will wait for; whom signals go to, it alone or the group that it leads.

  void dispatch() {
    if (by_signal_ > 0) signals_.dispatch();
  }
  // After the poller: looks at children if a SIGCHLD came.

  static void after_fork() noexcept;
  // In the child: those that outlived their loops are the parent's.
  static ProcessLock& orphans_lock() noexcept;
  // Guards the list of those.

  void use_signals() noexcept { pidfds_ = false; }
  // For tests: as on a system without pidfds.

  std::size_t size() const noexcept { return size_; }

 private:
  class Child;
  class Handle;

  void look();
  void forget(Child& child) noexcept;

  Reactor& reactor_;
  SignalWatch signals_;  // its own, so that a program's handler of SIGCHLD is nobody's rival
  List<Child> all_;
  std::size_t size_ = 0;
  std::size_t by_signal_ = 0;
  bool pidfds_ = true;
};

}  // namespace twinloop::detail
