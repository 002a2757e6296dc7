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
constexpr Clock::duration kLongestLook = std::chrono::milliseconds(50);
constexpr Clock::duration kAfterKill =
    std::chrono::seconds(5);  // the system may be slow, but it is not to be argued with

std::optional<int> own_task_id;

struct FailedChild {
  int task;
  Clock::duration lived;
};

// A child that fails as soon as it is made does so again: the pauses before new ones double until one has begun well.
class Pauses {
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
  explicit Family(Clock::duration patience) noexcept : patience_(patience) {}

  bool start(int task);
  // True in the child.

  bool empty() const noexcept { return children_.empty(); }
  std::optional<FailedChild> wait_for_failure();
  // None when all have ended well.

  void end_all() noexcept;
  // Those that do not end when they are told to are killed.

 private:
  struct Child {
    int task;
    Clock::time_point begun;
  };

  void tell_all(int signal) const noexcept;
  bool all_end_within(Clock::duration time) noexcept;

  Clock::duration patience_;
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
  tell_all(SIGTERM);
  if (all_end_within(patience_)) return;
  for (const auto& [pid, child] : children_) {
    log(LogLevel::warning, "child " + std::to_string(child.task) + " (process " + std::to_string(pid) +
                               ") did not end when it was told to and is killed");
  }
  tell_all(SIGKILL);
  all_end_within(kAfterKill);
}

void Family::tell_all(int signal) const noexcept {
  for (const auto& [pid, child] : children_) ::kill(pid, signal);
}

// There is no waiting for a process with a limit that every system has.
bool Family::all_end_within(Clock::duration time) noexcept {
  const Clock::time_point begun = Clock::now();
  for (Clock::duration pause = std::chrono::milliseconds(1);; pause = std::min(2 * pause, kLongestLook)) {
    std::erase_if(children_, [](const auto& child) {
      const pid_t ended = ::waitpid(child.first, nullptr, WNOHANG);
      return ended == child.first || (ended == -1 && errno != EINTR);
    });
    const Clock::duration left = time - (Clock::now() - begun);
    if (children_.empty() || left <= Clock::duration::zero()) return children_.empty();
    std::this_thread::sleep_for(std::min(pause, left));
  }
}

}  // namespace

std::optional<int> task_id() noexcept { return own_task_id; }

std::optional<int> fork_processes(int count, int max_restarts, Duration patience) {
  if (IOLoop::current_or_null() != nullptr) {
    throw Error(Errc::busy,
                "fork_processes: this thread has a loop already, which children cannot share; call it before");
  }
  if (own_task_id) throw Error(Errc::busy, "fork_processes: this process is itself one of its children");
  if (count <= 0) count = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  Family family(patience);
  for (int task = 0; task < count; ++task) {
    if (family.start(task)) return task;
  }
  int failures = 0;
  Pauses pauses;
  while (const std::optional<FailedChild> failed = family.wait_for_failure()) {
    if (++failures > max_restarts) {
      family.end_all();
      throw Error(Errc::limit, "fork_processes: children failed more than " + std::to_string(max_restarts) + " times");
    }
    pauses.pause_after(failed->lived);
    if (family.start(failed->task)) return failed->task;
  }
  return std::nullopt;
}

}  // namespace twinloop
