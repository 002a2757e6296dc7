// The example program that hosts an IOLoop in its uv_loop_t.
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <catch2/catch_test_macros.hpp>
#include <string>

#include "backends/posix/descriptor.h"
#include "tests/posix_fixtures.h"
#include "twinloop/ioloop.h"
#include "twinloop/net.h"

extern char** environ;

namespace {

using namespace twinloop;
using namespace twinloop::detail;
using namespace twinloop::testing;

// A program whose standard output is read here.
class Program {
 public:
  explicit Program(const char* path) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    output_.reset(ends[0]);
    const Descriptor writing(ends[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, writing.get(), 1);
    posix_spawn_file_actions_addclose(&actions, output_.get());
    char* arguments[] = {const_cast<char*>(path), nullptr};
    REQUIRE(::posix_spawn(&process_, path, &actions, nullptr, arguments, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Program() {
    if (process_ > 0) finish(SIGKILL);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  std::string read_line() {
    std::string line;
    for (char c; ::read(output_.get(), &c, 1) == 1 && c != '\n';) line += c;
    return line;
  }

  int finish(int signal) {
    ::kill(process_, signal);
    int status = -1;
    ::waitpid(process_, &status, 0);
    process_ = 0;
    return status;
  }

 private:
  pid_t process_ = 0;
  Descriptor output_;
};

Future<std::string> send_line(std::string url) {
  IOStream stream = co_await connect(url);
  co_await stream.write("hello\n");
  co_return co_await stream.read_until("\n");
}

}  // namespace

TEST_CASE("the example libuv_host echoes on twinloop, and ends by a signal of libuv's") {
  Program host(TWINLOOP_LIBUV_HOST);
  const std::string announced = host.read_line();
  REQUIRE(announced.starts_with("listening tcp://"));
  IOLoop loop;
  for (int i = 0; i < 3; ++i) CHECK(run(loop, send_line(announced.substr(10))) == "hello\n");
  CHECK(host.finish(SIGINT) == 0);
  std::string last;
  for (std::string line = host.read_line(); !line.empty(); line = host.read_line()) last = line;
  CHECK(last == "3 lines in all");
}
