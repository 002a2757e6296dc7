// Children where there are no pidfds, children that outlive their loop, and processes made by forking.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "backends/posix/descriptor.h"
#include "tests/posix_fixtures.h"
#include "twinloop/process.h"

namespace {

using namespace twinloop;
using namespace twinloop::detail;
using namespace twinloop::testing;
using namespace std::chrono_literals;

std::vector<std::string> shell(const char* script) {
  std::vector<std::string> argv{"sh", "-c"};
  argv.emplace_back(script);
  return argv;
}

Children& children_of(IOLoop& loop) { return static_cast<PosixBackend&>(loop.backend()).children(); }

SubprocessOptions reading_stdin() { return SubprocessOptions().set_stdin(Stdio::stream()); }

bool exists(int pid) { return ::kill(pid, 0) == 0; }

// Until it has ended; it stays a zombie.
void wait_for_zombie(int pid) {
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
}

Future<void> until_no_child(Children& children) {
  while (children.size() > 0) co_await sleep_for(1ms);
}

}  // namespace

// ---- SIGCHLD

TEST_CASE("without pidfds SIGCHLD tells of the ends of programs") {
  IOLoop loop(make(each_backend()));
  children_of(loop).use_signals();
  Subprocess first(shell("read line; exit 3"), reading_stdin());
  Subprocess second(shell("read line; exit 4"), reading_stdin());
  Future<int> one = first.wait_for_exit();
  Future<int> two = second.wait_for_exit();
  first.stdin_stream().close();
  CHECK(run(loop, std::move(one)) == 3);
  second.stdin_stream().close();
  CHECK(run(loop, std::move(two)) == 4);
}

TEST_CASE("without pidfds a program that ends at once is noticed") {
  IOLoop loop(make(each_backend()));
  children_of(loop).use_signals();
  for (int i = 0; i < 20; ++i) {
    Subprocess program(shell("exit 6"));
    CHECK(run(loop, program.wait_for_exit()) == 6);
  }
}

TEST_CASE("without pidfds a Subprocess that is destroyed leaves no zombie") {
  IOLoop loop(make(each_backend()));
  children_of(loop).use_signals();
  const int pid = Subprocess(shell("cat"), reading_stdin()).pid();
  run(loop, until_no_child(children_of(loop)));
  CHECK_FALSE(exists(pid));
}

TEST_CASE("a program's own handler of SIGCHLD is told beside the library's") {
  IOLoop loop(make(each_backend()));
  children_of(loop).use_signals();
  int told = 0;
  loop.on_signal(SIGCHLD, [&told] { ++told; });
  Subprocess program(shell("read line; exit 2"), reading_stdin());
  program.stdin_stream().close();
  CHECK(run(loop, program.wait_for_exit()) == 2);
  CHECK(told == 1);
  loop.on_signal(SIGCHLD, {});
}

TEST_CASE("SIGCHLD is given back when no program needs it any more") {
  IOLoop loop(make(each_backend()));
  children_of(loop).use_signals();
  {
    Subprocess program(shell("true"));
    run(loop, program.wait_for_exit());
  }
  struct sigaction action{};
  ::sigaction(SIGCHLD, nullptr, &action);
  CHECK(action.sa_handler == SIG_DFL);
}

// ---- the loop's end

TEST_CASE("closing the loop fails those who wait for a program, which goes on") {
  IOLoop loop(make(each_backend()));
  Subprocess program(shell("exec sleep 1000"));
  Future<int> waiting = program.wait_for_exit();
  loop.close();
  CHECK(waiting.take_result().reason() == Errc::loop_closed);
  CHECK(program.wait_for_exit().take_result().reason() == Errc::loop_closed);
  CHECK_FALSE(program.terminate());
  CHECK(exists(program.pid()));
  ::kill(program.pid(), SIGKILL);
}

TEST_CASE("a program that outlived its loop is collected when the next one is started") {
  const std::string name = each_backend();
  int pid = 0;
  {
    IOLoop loop(make(name));
    pid = Subprocess(shell("cat"), reading_stdin()).pid();
  }
  wait_for_zombie(pid);
  IOLoop loop(make(name));
  Subprocess other(shell("true"));
  CHECK_FALSE(exists(pid));
  run(loop, other.wait_for_exit());
}

// ---- forked processes

namespace {

// What the processes report, a byte each, to the test.
struct Reports {
  Reports() { REQUIRE(make_pipe(reading, writing)); }

  void say(char what) const { [[maybe_unused]] const auto written = ::write(writing.get(), &what, 1); }
  std::string all() const {
    char bytes[256];
    const ssize_t count = ::read(reading.get(), bytes, sizeof bytes);
    std::string text(bytes, static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    std::sort(text.begin(), text.end());
    return text;
  }

  Descriptor reading;
  Descriptor writing;
};

// Runs the function in a process of its own, which ends with its result.
template <class F>
int status_of(F function) {
  std::fflush(nullptr);  // or the child would print it again
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGTERM, SIG_DFL);  // Catch2 reports it as a failed test
    int status = 99;
    try {
      status = function();
    } catch (const Error& error) {
      status = error.reason() == Errc::limit ? 77 : 98;
    }
    ::_exit(status);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Future<int> echo_a_word() {
  Subprocess echo(shell("echo $((20 + 1))"), SubprocessOptions().set_stdout(Stdio::stream()));
  const std::string word = co_await echo.stdout_stream().read_until("\n");
  co_return std::stoi(word);
}

}  // namespace

TEST_CASE("fork_processes makes that many, each with its task id, and the first one returns when all have ended") {
  const Reports reports;
  const int status = status_of([&reports] {
    const std::optional<int> task = fork_processes(3);
    if (!task) {
      reports.say('p');
      return task_id() ? 1 : 42;
    }
    if (task_id() != task) return 1;
    reports.say(static_cast<char>('0' + *task));
    return 0;
  });
  CHECK(status == 42);
  CHECK(reports.all() == "012p");
}

TEST_CASE("a process that fails or is killed is replaced by one with the same task id") {
  const Reports reports;
  Descriptor tickets_reading;
  Descriptor tickets_writing;
  REQUIRE(make_pipe(tickets_reading, tickets_writing));
  REQUIRE(::write(tickets_writing.get(), "fk", 2) == 2);  // one is to fail, one to be killed
  const int status = status_of([&] {
    const LogHandler former = set_log_handler([](LogLevel, std::string_view, const Location&) {});
    const std::optional<int> task = fork_processes(2);
    set_log_handler(former);
    if (!task) return 42;
    reports.say(static_cast<char>('0' + *task));
    char ticket = 0;
    if (*task == 1 && ::read(tickets_reading.get(), &ticket, 1) == 1) {
      if (ticket == 'k') ::raise(SIGKILL);
      return 3;
    }
    return 0;
  });
  CHECK(status == 42);
  CHECK(reports.all() == "0111");
}

TEST_CASE("after too many failures fork_processes gives up and ends the others") {
  const Reports reports;
  const int status = status_of([&reports] {
    set_log_handler([](LogLevel, std::string_view, const Location&) {});
    const std::optional<int> task = fork_processes(2, 3);
    if (!task) return 1;
    if (*task == 0) {
      ::pause();  // until it is told to end
      return 1;
    }
    reports.say('x');
    return 9;
  });
  CHECK(status == 77);
  CHECK(reports.all() == "xxxx");
}

TEST_CASE("a forked process has a loop of its own, and starts programs on it") {
  const std::string name = each_backend();
  const int status = status_of([&name] {
    if (!fork_processes(2)) return 42;
    IOLoop loop(make(name));
    return run(loop, echo_a_word()) == 21 ? 0 : 1;
  });
  CHECK(status == 42);
}
