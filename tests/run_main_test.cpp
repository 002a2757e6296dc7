// How a program that is one coroutine ends: by itself, by an exception, by signals.  Each is a process of its own.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <string>
#include <utility>

#include "twinloop/iostream.h"
#include "twinloop/net.h"
#include "twinloop/run_main.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;

namespace {

// A child that runs `program`, which says with tell() how far it is.
class Child {
 public:
  explicit Child(int (*program)(int tell)) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      ::close(ends[0]);
      for (const int number : {SIGINT, SIGTERM})
        std::signal(number, SIG_DFL);  // the test program has handlers of its own
      ::_exit(program(ends[1]));
    }
    ::close(ends[1]);
    said_ = ends[0];
  }
  ~Child() {
    ::close(said_);
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  char heard() const {  // what it says next; 0 when it has ended
    char word = 0;
    return ::read(said_, &word, 1) == 1 ? word : '\0';
  }
  void signal(int number) const { REQUIRE(::kill(pid_, number) == 0); }
  int status() {
    int status = 0;
    REQUIRE(::waitpid(std::exchange(pid_, 0), &status, 0) > 0);
    return status;
  }

 private:
  pid_t pid_ = -1;
  int said_ = -1;
};

void tell(int pipe, char word) { [[maybe_unused]] const auto written = ::write(pipe, &word, 1); }

// Says so when the frame that holds it ends.
struct TellsTheEnd {
  int pipe;
  char word;
  ~TellsTheEnd() { tell(pipe, word); }
};

Future<void> wait_for_ever(int pipe, char at_its_end) {
  const TellsTheEnd end{pipe, at_its_end};
  co_await sleep_until(kNever);
}

Future<void> main_that_waits(int pipe) {
  IOLoop::current().spawn(&wait_for_ever, pipe, 's');
  const TellsTheEnd end{pipe, 'm'};
  tell(pipe, 'r');
  co_await sleep_until(kNever);
}

int run_waiting(int pipe) {
  return run_main([pipe] { return main_that_waits(pipe); });
}

// A stream whose peer reads nothing cannot deliver what it accepted: when the program ends, that takes the whole second it has.
Future<void> main_that_leaves_bytes(int pipe) {
  static IOStream silent_peer;
  Listener listener = co_await listen("tcp://127.0.0.1:0");
  silent_peer = co_await connect(listener.url());
  IOStream stream = co_await listener.accept();
  stream.write(std::string(8 << 20, 'x')).ignore();
  const TellsTheEnd end{pipe, 'm'};
  tell(pipe, 'r');
  co_await sleep_until(kNever);
}

int run_leaving_bytes(int pipe) {
  return run_main([pipe] { return main_that_leaves_bytes(pipe); });
}

Future<int> three() {
  co_await sleep_for(1ms);
  co_return 3;
}

Future<void> failing() {
  co_await sleep_for(1ms);
  throw_error(Errc::refused, "on purpose");
}

int run_three(int) { return run_main(&three); }
int run_after_another_loop(int) {
  ::alarm(20);  // not for ever
  IOLoop another;
  return run_main(&three);
}
int run_failing(int pipe) {
  ::dup2(pipe, STDERR_FILENO);
  return run_main(&failing);
}

Future<void> stopped_by_a_callback(int pipe) {
  const TellsTheEnd end{pipe, '\n'};
  IOLoop::current().add_callback([] { IOLoop::current().stop(); });
  co_await sleep_until(kNever);
}

int run_stopped(int pipe) {
  ::dup2(pipe, STDERR_FILENO);
  return run_main([pipe] { return stopped_by_a_callback(pipe); });
}

}  // namespace

TEST_CASE("a program whose loop somebody stops is cancelled, says so and ends with 1") {
  Child child(&run_stopped);
  std::string text;
  while (const char c = child.heard()) text += c;
  CHECK(text.find("stopped the loop") != std::string::npos);
  CHECK(text.ends_with("\n\n"));  // its frame has ended
  const int status = child.status();
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 1));
}

TEST_CASE("a program's status is its coroutine's") {
  Child child(&run_three);
  const int status = child.status();
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 3));
}

TEST_CASE("a program's coroutine begins on its own loop, also where the thread had one before") {
  Child child(&run_after_another_loop);
  const int status = child.status();
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 3));
}

TEST_CASE("a program that fails says why in one line and ends with 1") {
  Child child(&run_failing);
  std::string line;
  while (const char c = child.heard()) line += c;
  CHECK(line.find("on purpose") != std::string::npos);
  CHECK(line.find('\n') == line.size() - 1);
  const int status = child.status();
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 1));
}

TEST_CASE("SIGTERM and SIGINT cancel the program and what it spawned, and the status is 0") {
  for (const int number : {SIGTERM, SIGINT}) {
    Child child(&run_waiting);
    REQUIRE(child.heard() == 'r');
    child.signal(number);
    CHECK(child.heard() == 'm');
    CHECK(child.heard() == 's');
    const int status = child.status();
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  }
}

TEST_CASE("a program that a signal ends has one second to deliver what it had accepted") {
  Child child(&run_leaving_bytes);
  REQUIRE(child.heard() == 'r');
  child.signal(SIGTERM);
  REQUIRE(child.heard() == 'm');
  const auto begun = std::chrono::steady_clock::now();
  const int status = child.status();
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  const auto taken = std::chrono::steady_clock::now() - begun;
  CHECK(taken > 900ms);
  CHECK(taken < 4s);  // a stream by itself would linger for five
}

TEST_CASE("a second signal ends a program that is still delivering") {
  Child child(&run_leaving_bytes);
  REQUIRE(child.heard() == 'r');
  child.signal(SIGTERM);
  REQUIRE(child.heard() == 'm');
  child.signal(SIGINT);
  const int status = child.status();
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGINT));
}
