#include "bench/echo/server_process.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <thread>

#include "bench/loop_subject.h"

namespace bench {
namespace {

[[noreturn]] void die(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  std::exit(2);
}

[[noreturn]] void become(const std::vector<std::string>& command, int output) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // no server outlives its benchmark
  cpu_set_t first;
  CPU_ZERO(&first);
  CPU_SET(0, &first);
  ::sched_setaffinity(0, sizeof first, &first);
  ::dup2(output, STDOUT_FILENO);
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execvp(arguments.front(), arguments.data());
  std::perror(command.front().c_str());
  ::_exit(127);
}

std::string read_line(int fd) {
  std::string line;
  for (char c = 0; ::read(fd, &c, 1) == 1 && c != '\n';) line += c;
  return line;
}

}  // namespace

bool runs(const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()) == 0; }

std::string python_with(const std::string& module) {
  for (const std::string python : {"python3", "/usr/bin/python3"}) {
    if (runs(python + " -c 'import " + module + "'")) return python;
  }
  return {};
}

ServerProcess::ServerProcess(const std::vector<std::string>& command) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) die("pipe failed");
  std::fflush(nullptr);
  pid_ = ::fork();
  if (pid_ < 0) die("fork failed");
  if (pid_ == 0) become(command, ends[1]);
  ::close(ends[1]);
  output_ = ends[0];
  const std::string line = read_line(output_);
  const std::size_t colon = line.rfind(':');
  if (!line.starts_with("listening ") || colon == std::string::npos) die(command.front() + " does not listen: " + line);
  port_ = static_cast<std::uint16_t>(std::atoi(line.c_str() + colon + 1));
}

ServerProcess::~ServerProcess() {
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  ::close(output_);
}

double ServerProcess::processor_time() const {
  clockid_t clock{};
  timespec time{};
  if (::clock_getcpuclockid(pid_, &clock) != 0 || ::clock_gettime(clock, &time) != 0) die("a server has ended");
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

std::size_t ServerProcess::resident_bytes() const {
  std::ifstream file("/proc/" + std::to_string(pid_) + "/statm");
  std::size_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// Only the thread that traces may wait for the traced, so the work goes to another.
template <class Count>
std::size_t ServerProcess::traced(const std::function<void()>& work, Count count) const {
  if (::ptrace(PTRACE_SEIZE, pid_, nullptr, reinterpret_cast<void*>(PTRACE_O_TRACESYSGOOD)) != 0)
    die("ptrace is not allowed here");
  ::ptrace(PTRACE_INTERRUPT, pid_, nullptr, nullptr);
  int status = 0;
  ::waitpid(pid_, &status, 0);
  std::atomic<bool> done = false;
  std::thread worker([&] {
    work();
    done = true;
    ::kill(pid_, SIGWINCH);  // stops the traced for its tracer, and means nothing to it
  });
  const std::size_t counted = count(done);
  worker.join();
  ::ptrace(PTRACE_DETACH, pid_, nullptr, nullptr);
  return counted;
}

std::size_t ServerProcess::system_calls_during(const std::function<void()>& work) const {
  return traced(work, [this](const std::atomic<bool>& done) {
    std::size_t stops = 0;  // two a call
    while (!done) {
      ::ptrace(PTRACE_SYSCALL, pid_, nullptr, nullptr);
      int status = 0;
      if (::waitpid(pid_, &status, 0) != pid_ || !WIFSTOPPED(status)) die("a traced server has ended");
      if (WSTOPSIG(status) == (SIGTRAP | 0x80)) ++stops;
    }
    return stops / 2;
  });
}

std::size_t ServerProcess::instructions_during(const std::function<void()>& work) const {
  // Tracer and traced take turns anyway, and on one processor that is three times as fast.
  const OnProcessor together(0);
  cpu_set_t here;
  ::sched_getaffinity(0, sizeof here, &here);
  ::sched_setaffinity(pid_, sizeof here, &here);
  return traced(work, [this](const std::atomic<bool>& done) {
    std::size_t steps = 0;
    while (!done) {
      ::ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr);
      int status = 0;
      if (::waitpid(pid_, &status, 0) != pid_ || !WIFSTOPPED(status)) die("a traced server has ended");
      if (WSTOPSIG(status) == SIGTRAP) ++steps;
    }
    return steps;
  });
}

}  // namespace bench
