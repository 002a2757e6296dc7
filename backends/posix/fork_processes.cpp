#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <map>
#include <string>
#include <thread>

#include "backends/posix/errno_code.h"
#include "twinloop/ioloop.h"
#include "twinloop/log.h"
#include "twinloop/process.h"

namespace twinloop {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Clock::duration kFirstPause = std::chrono::milliseconds(10);
constexpr Clock::duration kLongestPause =
    std::chrono::seconds(1);  // also how long a child must live to have begun well

std::optional<int> own_task_id;

struct FailedChild {
  int task;
  Clock::duration lived;
};

// A child that fails as soon as it is made does so again: the pauses before new ones double until one has begun well.
class Patience {
 public:
  void pause_after(Clock::duration lived) {
    pause_ = lived >= kLongestPause ? Clock::duration::zero() : std::clamp(2 * pause_, kFirstPause, kLongestPause);
    std::this_thread::sleep_for(pause_);
  }

 private:
  Clock::duration pause_{};
};

// The processes that fork_processes has made, each with its task id.
class Family {
 public:
  bool start(int task);
  // True in the child.

  bool empty() const noexcept { return children_.empty(); }
  std::optional<FailedChild> wait_for_failure();
  // None when all have ended well.

  void end_all() noexcept;

 private:
  struct Child {
    int task;
    Clock::time_point begun;
  };
  std::map<pid_t, Child> children_;
};

// What is buffered in stdio would be printed by every child.
bool Family::start(int task) {
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid == -1) {
    const int error = errno;
    end_all();
    throw Error(detail::from_errno(error), "fork_processes");
  }
  if (pid > 0) {
    children_.emplace(pid, Child{task, Clock::now()});
    return false;
  }
  IOLoop::after_fork();
  own_task_id = task;
  return true;
}

std::string describe_end(int status) {
  if (WIFSIGNALED(status)) return "was ended by signal " + std::to_string(WTERMSIG(status));
  return "exited with status " + std::to_string(WEXITSTATUS(status));
}

std::optional<FailedChild> Family::wait_for_failure() {
  while (!children_.empty()) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, 0);
    if (pid == -1 && errno == EINTR) continue;
    if (pid == -1) throw Error(detail::from_errno(errno), "fork_processes: waiting for the children");
    const auto found = children_.find(pid);
    if (found == children_.end()) continue;  // a child from before
    const Child child = found->second;
    children_.erase(found);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
    log(LogLevel::warning,
        "child " + std::to_string(child.task) + " (process " + std::to_string(pid) + ") " + describe_end(status));
    return FailedChild{child.task, Clock::now() - child.begun};
  }
  return std::nullopt;
}

void Family::end_all() noexcept {
  for (const auto& [pid, child] : children_) ::kill(pid, SIGTERM);
  for (const auto& [pid, child] : children_) {
    while (::waitpid(pid, nullptr, 0) == -1 && errno == EINTR) {
    }
  }
  children_.clear();
}

}  // namespace

std::optional<int> task_id() noexcept { return own_task_id; }

std::optional<int> fork_processes(int count, int max_restarts) {
  if (IOLoop::current_or_null() != nullptr) {
    throw Error(Errc::busy,
                "fork_processes: this thread has a loop already, which children cannot share; call it before");
  }
  if (own_task_id) throw Error(Errc::busy, "fork_processes: this process is itself one of its children");
  if (count <= 0) count = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  Family family;
  for (int task = 0; task < count; ++task) {
    if (family.start(task)) return task;
  }
  int failures = 0;
  Patience patience;
  while (const std::optional<FailedChild> failed = family.wait_for_failure()) {
    if (++failures > max_restarts) {
      family.end_all();
      throw Error(Errc::limit, "fork_processes: children failed more than " + std::to_string(max_restarts) + " times");
    }
    patience.pause_after(failed->lived);
    if (family.start(failed->task)) return failed->task;
  }
  return std::nullopt;
}

}  // namespace twinloop
