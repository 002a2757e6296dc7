// Children where there are no pidfds, and children that outlive their loop.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

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
