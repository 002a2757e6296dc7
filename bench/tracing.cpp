#include "bench/tracing.h"

#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <thread>

namespace bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kMark = SIGUSR1;

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::_Exit(1);
}

// Tracer and traced take turns anyway, and on one processor that is three times as fast.
void stay_on_this_processor() {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(::sched_getcpu()), &set);
  ::sched_setaffinity(0, sizeof set, &set);
}

pid_t fork_here() {
  stay_on_this_processor();
  return ::fork();
}

// A child that stops at its marks and wherever it is told to.
class Traced {
 public:
  explicit Traced(const std::function<void()>& program) : pid_(fork_here()) {
    if (pid_ < 0) give_up("fork");
    if (pid_ == 0) {
      if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) give_up("this system does not allow tracing: ptrace");
      program();
      std::_Exit(0);
    }
    run_to_mark();
    ::ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_TRACESYSGOOD);  // what next_system_call's facts need
  }
  Traced(const Traced&) = delete;
  Traced& operator=(const Traced&) = delete;
  ~Traced() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  bool step() {  // false at the mark
    resume(PTRACE_SINGLESTEP);
    return wait() != kMark;
  }

  void resume_to_system_call() { resume(PTRACE_SYSCALL); }

  std::optional<long> next_system_call() {  // none at the mark
    for (;;) {
      resume(PTRACE_SYSCALL);
      if (wait() == kMark) return {};
      __ptrace_syscall_info call{};
      if (::ptrace(PTRACE_GET_SYSCALL_INFO, pid_, sizeof call, &call) < 0) give_up("ptrace");
      if (call.op == PTRACE_SYSCALL_INFO_ENTRY) return static_cast<long>(call.entry.nr);
    }
  }

  bool stopped() {
    int status = 0;
    return ::waitpid(pid_, &status, WNOHANG) == pid_ && checked(status) != 0;
  }

 private:
  void run_to_mark() {
    while (wait() != kMark) resume(PTRACE_CONT);
  }

  int wait() {  // the signal that stopped it
    int status = 0;
    ::waitpid(pid_, &status, 0);
    return checked(status);
  }

  void resume(decltype(PTRACE_CONT) how) {
    if (::ptrace(how, pid_, nullptr, nullptr) != 0) give_up("ptrace");
  }

  static int checked(int status) {
    if (WIFSTOPPED(status)) return WSTOPSIG(status);
    std::fprintf(stderr, "a traced program ended before its mark\n");
    std::_Exit(1);
  }

  pid_t pid_;
};

}  // namespace

bool can_trace() {
  const pid_t child = ::fork();
  if (child == 0) std::_Exit(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 ? 0 : 1);
  int status = 1;
  ::waitpid(child, &status, 0);
  return status == 0;
}

void mark() { ::raise(kMark); }

std::uint64_t user_instructions(const std::function<void()>& program) {
  Traced traced(program);
  std::uint64_t count = 0;
  while (traced.step()) ++count;
  return count;
}

std::vector<long> system_calls(const std::function<void()>& program) {
  Traced traced(program);
  std::vector<long> calls;
  while (const std::optional<long> call = traced.next_system_call()) calls.push_back(*call);
  return calls;
}

double system_calls_per_second(const std::function<void()>& program, double seconds) {
  Traced traced(program);
  const auto settled = Clock::now() + std::chrono::milliseconds(20);
  const auto end = settled + std::chrono::duration<double>(seconds);
  std::uint64_t stops = 0;  // two a system call, one for that in which it sleeps
  traced.resume_to_system_call();
  for (auto now = Clock::now(); now < end; now = Clock::now()) {
    if (!traced.stopped()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      continue;
    }
    if (now >= settled) ++stops;
    traced.resume_to_system_call();
  }
  return static_cast<double>(stops) / 2 / seconds;
}

}  // namespace bench
