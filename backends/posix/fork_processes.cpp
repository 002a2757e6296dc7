#include <pthread.h>
#include <signal.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
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
constexpr Clock::duration kAfterKill =
    std::chrono::seconds(5);  // the system may be slow, but it is not to be argued with

constexpr Clock::duration kLongestWait = std::chrono::hours(1);  // within what every system takes

std::optional<int> own_task_id;

struct FailedChild {
  int task;
  Clock::duration lived;
};

pthread_t waiting_thread;
std::atomic<int> told_with = 0;  // the last signal that told this process to end
std::atomic<unsigned> times_told = 0;

void remember(int number) noexcept {
  if (number == SIGCHLD) return;
  told_with = number;
  ++times_told;
}

// The system may have chosen a thread that does not wait.
extern "C" void twinloop_on_signal_to_original(int number) {
  if (::pthread_equal(::pthread_self(), waiting_thread) == 0) {
    ::pthread_kill(waiting_thread, number);
  } else {
    remember(number);
  }
}

// What the original process waits for: the ends of children, and to be told to end itself, unless the program ignores those signals
// or has handlers of its own for them.  They arrive within wait() only; with this object all is as it was, in the children too.
class Signals {
 public:
  Signals() {
    waiting_thread = ::pthread_self();
    told_with = 0;
    times_told = 0;
    sigset_t ours;
    sigemptyset(&ours);  // unqualified: macros on some systems
    for (Taken& each : taken_) {
      ::sigaction(each.number, nullptr, &each.former);
      each.ours = each.number == SIGCHLD || each.former.sa_handler == SIG_DFL;
      if (each.ours) sigaddset(&ours, each.number);
    }
    ::pthread_sigmask(SIG_BLOCK, &ours, &former_mask_);
    struct sigaction action{};
    action.sa_handler = &twinloop_on_signal_to_original;
    sigemptyset(&action.sa_mask);
    for (const Taken& each : taken_) {
      if (each.ours) ::sigaction(each.number, &action, nullptr);
    }
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals() {
    for (const Taken& each : taken_) {
      if (each.ours) ::sigaction(each.number, &each.former, nullptr);
    }
    ::pthread_sigmask(SIG_SETMASK, &former_mask_, nullptr);
  }

  // Until one has come, or for so long.
  void wait(Clock::duration at_most) const noexcept {
    using namespace std::chrono;
    const auto whole = duration_cast<seconds>(at_most);
    const timespec time{static_cast<time_t>(whole.count()),
                        static_cast<long>(duration_cast<nanoseconds>(at_most - whole).count())};
    sigset_t mask = former_mask_;
    for (const Taken& each : taken_) {
      if (each.ours) sigdelset(&mask, each.number);
    }
    ::pselect(0, nullptr, nullptr, nullptr, &time, &mask);
  }

 private:
  struct Taken {
    int number;
    bool ours = false;
    struct sigaction former{};
  };

  std::array<Taken, 3> taken_{{{SIGCHLD}, {SIGTERM}, {SIGINT}}};
  sigset_t former_mask_;
};

// A child that fails as soon as it is made does so again: the pauses before new ones double until one has begun well.
class Pauses {
 public:
  void pause_after(Clock::duration lived, const Signals& signals) {
    pause_ = lived >= kLongestPause ? Clock::duration::zero() : std::clamp(2 * pause_, kFirstPause, kLongestPause);
    const Clock::time_point end = Clock::now() + pause_;
    for (auto now = Clock::now(); now < end && times_told == 0; now = Clock::now()) signals.wait(end - now);
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

  std::optional<FailedChild> wait_for_failure();
  // None when all have ended well, or when this process is told to end.

  void end_all(int signal) noexcept;
  // Those that do not end when they are told to are killed; at once when this process is told once more.

  const Signals& signals() const noexcept { return signals_; }

 private:
  struct Child {
    int task;
    Clock::time_point begun;
  };

  std::optional<FailedChild> collect(pid_t pid, int status);
  void tell_all(int signal) const noexcept;
  bool all_end_within(Clock::duration time) noexcept;

  Signals signals_;
  Clock::duration patience_;
  std::map<pid_t, Child> children_;
};

// What is buffered in stdio would be printed by every child.
bool Family::start(int task) {
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid == -1) {
    const int error = errno;
    end_all(SIGTERM);
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
  while (!children_.empty() && times_told == 0) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid == -1) throw Error(detail::from_errno(errno), "fork_processes: waiting for the children");
    if (pid == 0) {
      signals_.wait(kLongestWait);
    } else if (const auto failed = collect(pid, status)) {
      return failed;
    }
  }
  return std::nullopt;
}

std::optional<FailedChild> Family::collect(pid_t pid, int status) {
  const auto found = children_.find(pid);
  if (found == children_.end()) return std::nullopt;  // a child from before
  const Child child = found->second;
  children_.erase(found);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return std::nullopt;
  log(LogLevel::warning,
      "child " + std::to_string(child.task) + " (process " + std::to_string(pid) + ") " + describe_end(status));
  return FailedChild{child.task, Clock::now() - child.begun};
}

void Family::end_all(int signal) noexcept {
  tell_all(signal);
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

bool Family::all_end_within(Clock::duration time) noexcept {
  const Clock::time_point begun = Clock::now();
  const unsigned told = times_told;
  for (;;) {
    std::erase_if(children_, [](const auto& child) {
      const pid_t ended = ::waitpid(child.first, nullptr, WNOHANG);
      return ended == child.first || ended == -1;
    });
    const Clock::duration left = time - (Clock::now() - begun);
    if (children_.empty() || left <= Clock::duration::zero() || times_told != told) return children_.empty();
    signals_.wait(std::min(left, kLongestWait));
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
      family.end_all(SIGTERM);
      throw Error(Errc::limit, "fork_processes: children failed more than " + std::to_string(max_restarts) + " times");
    }
    pauses.pause_after(failed->lived, family.signals());
    if (times_told == 0 && family.start(failed->task)) return failed->task;
  }
  if (times_told != 0) family.end_all(told_with);
  return std::nullopt;
}

}  // namespace twinloop
