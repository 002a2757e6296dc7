// Programs started by this one, and processes of this one.  Tornado's process_test.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "fixtures.h"
#include "twinloop/process.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kPrograms = Needs::fds | Needs::signals;

using Options = SubprocessOptions;

std::vector<std::string> words(const char* a, const char* b = nullptr, const char* c = nullptr) {
  std::vector<std::string> all;
  for (const char* each : {a, b, c}) {
    if (each != nullptr) all.emplace_back(each);
  }
  return all;
}

Subprocess shell(const char* script, const Options& options = Options()) {
  return Subprocess(words("sh", "-c", script), options);
}

Options reading_stdout() { return Options().set_stdout(Stdio::stream()); }
Options conversing() { return Options().set_stdin(Stdio::stream()).set_stdout(Stdio::stream()); }

// Everything that the script prints; it must succeed.
Future<std::string> output_of(const char* script, Options options = reading_stdout()) {
  Subprocess program = shell(script, options);
  std::string output = co_await program.stdout_stream().read_until_close();
  co_await program.wait_for_success();
  co_return output;
}

std::error_code failure_to_start(std::vector<std::string> argv, const Options& options = Options()) {
  try {
    const Subprocess started(std::move(argv), options);
  } catch (const Error& error) {
    return error.code();
  }
  return {};
}

std::vector<int> open_descriptors() {
  std::vector<int> open;
  for (int fd = 0; fd < 256; ++fd) {
    if (::fcntl(fd, F_GETFD) != -1) open.push_back(fd);
  }
  return open;
}

// Whether the process exists, be it as a zombie: a child whose status nobody has collected still has its number.
bool exists(int pid) { return ::kill(pid, 0) == 0; }

// Until it has ended; it stays a zombie.
void wait_for_zombie(int pid) {
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
}

Future<void> until_gone(int pid) {
  while (exists(pid)) co_await sleep_for(1ms);  // the behaviour's own limit bounds it
}

Future<void> converse(std::vector<int>& pids) {
  Subprocess cat(words("cat"), conversing());
  pids.push_back(cat.pid());
  co_await cat.stdin_stream().write("hello\n");
  const std::string line = co_await cat.stdout_stream().read_until("\n");
  expect_equal(line, "hello\n");
  cat.stdin_stream().close();
  co_await cat.wait_for_success();
}

class Pipe {
 public:
  Pipe() { expect(::pipe(ends_) == 0, "a pipe"); }
  ~Pipe() {
    for (const int each : ends_) ::close(each);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int end(int number) const { return ends_[number]; }
  std::string read() const {
    char bytes[64];
    const ssize_t count = ::read(ends_[0], bytes, sizeof bytes);
    return {bytes, static_cast<std::size_t>(std::max<ssize_t>(count, 0))};
  }

 private:
  int ends_[2];
};

// Calls the function while these are descriptors 1 and 2 of this process.
template <class F>
auto with_standard_output(int out, int err, F function) {
  const int former_out = ::fcntl(1, F_DUPFD_CLOEXEC, 3);
  const int former_err = ::fcntl(2, F_DUPFD_CLOEXEC, 3);
  ::dup2(out, 1);
  ::dup2(err, 2);
  auto result = function();
  ::dup2(former_out, 1);
  ::dup2(former_err, 2);
  ::close(former_out);
  ::close(former_err);
  return result;
}

class Directory {
 public:
  Directory() { expect(::mkdtemp(name_) != nullptr, "a directory"); }
  ~Directory() { std::filesystem::remove_all(name_); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  std::string path() const { return std::filesystem::canonical(name_); }

 private:
  char name_[32] = "/tmp/twinloop-test-XXXXXX";
};

}  // namespace

BEHAVIOUR("a program reads what is written to its stdin, and its stdout is read here", kPrograms) {
  Subprocess cat(words("cat"), conversing());
  co_await cat.stdin_stream().write("hello\n");
  const std::string line = co_await cat.stdout_stream().read_until("\n");
  expect_equal(line, "hello\n");
  co_await cat.stdin_stream().write("and again\n");
  cat.stdin_stream().close();
  const std::string rest = co_await cat.stdout_stream().read_until_close();
  expect_equal(rest, "and again\n");
  const int status = co_await cat.wait_for_exit();
  expect_equal(status, 0);
}

BEHAVIOUR("a megabyte goes through a program and comes back", kPrograms) {
  Subprocess cat(words("cat"), conversing());
  const std::string sent(1'000'000, 'x');
  Future<void> written = cat.stdin_stream().write(sent);
  Future<std::string> reading = cat.stdout_stream().read_bytes(sent.size());
  co_await written;
  const std::string received = co_await std::move(reading);
  expect(received == sent, "every byte");
  co_await cat.stdin_stream().finish();
  co_await cat.wait_for_success();
}

BEHAVIOUR("closing a program's stdin delivers what was written before it ends", kPrograms) {
  Subprocess program = shell("wc -c", conversing());
  const std::string sent(300'000, 'x');
  program.stdin_stream().write(sent).ignore();
  program.stdin_stream().close();
  const std::string counted = co_await program.stdout_stream().read_until_close();
  expect_equal(std::stoi(counted), 300'000);
}

BEHAVIOUR("ending a program's input by shutdown_write delivers all that was written, also when nobody waits for it",
          kPrograms) {
  Subprocess program = shell("wc -c", conversing());
  program.stdin_stream().write(std::string(3'000'000, 'x')).ignore();
  program.stdin_stream().shutdown_write().ignore();
  const std::string counted = co_await program.stdout_stream().read_until_close();
  expect_equal(std::stoi(counted), 3'000'000);
}

BEHAVIOUR("stderr is a stream of its own", kPrograms) {
  Subprocess program = shell("echo out; echo err >&2", reading_stdout().set_stderr(Stdio::stream()));
  const std::string err = co_await program.stderr_stream().read_until_close();
  const std::string out = co_await program.stdout_stream().read_until_close();
  expect_equal(out + err, "out\nerr\n");
}

BEHAVIOUR("without streams a program inherits, and from null it reads nothing", kPrograms) {
  const std::string nothing = co_await output_of("cat", reading_stdout().set_stdin(Stdio::null()));
  expect_equal(nothing, "");
  Subprocess program = shell("test -t 0; echo lost", Options().set_stdout(Stdio::null()));
  expect(!program.stdin_stream() && !program.stdout_stream(), "no stream was asked for");
  co_await program.wait_for_success();
}

BEHAVIOUR("a program may get any open descriptor, 1 and 2 crosswise too", kPrograms) {
  const Pipe one;
  const Pipe two;
  const Options crosswise = Options().set_stdout(Stdio::descriptor(2)).set_stderr(Stdio::descriptor(1));
  Subprocess program =
      with_standard_output(one.end(1), two.end(1), [&crosswise] { return shell("echo out; echo err >&2", crosswise); });
  co_await program.wait_for_success();
  expect_equal(one.read() + two.read(), "err\nout\n");
}

BEHAVIOUR("the exit status is told, also after the end and to several", kPrograms) {
  Subprocess program = shell("exit 7");
  Future<int> first = program.wait_for_exit();
  Future<int> second = program.wait_for_exit();
  const int one = co_await std::move(first);
  const int two = co_await std::move(second);
  const int three = co_await program.wait_for_exit();
  expect_equal(one * 100 + two * 10 + three, 777);
  expect(program.exit_status() == 7, "and without waiting");
}

BEHAVIOUR("a wait that is dropped loses nothing", kPrograms) {
  Subprocess program = shell("read line; exit 3", Options().set_stdin(Stdio::stream()));
  {
    Future<int> dropped = program.wait_for_exit();
  }
  expect(!program.exit_status(), "it runs");
  program.stdin_stream().close();
  const int status = co_await program.wait_for_exit();
  expect_equal(status, 3);
}

BEHAVIOUR("a program that a signal ended has minus its number as exit status", kPrograms) {
  Subprocess program(words("sleep", "1000"));
  expect(program.terminate(), "it was there");
  const int terminated = co_await program.wait_for_exit();
  expect_equal(terminated, -SIGTERM);
  Subprocess other(words("sleep", "1000"));
  other.kill();
  const int killed = co_await other.wait_for_exit();
  expect_equal(killed, -SIGKILL);
}

BEHAVIOUR("a signal reaches the program, and after its end nobody", kPrograms) {
  Subprocess program = shell("trap 'exit 5' USR1; echo ready; while :; do sleep 0.01; done", reading_stdout());
  co_await program.stdout_stream().read_until("\n");
  expect(program.send_signal(SIGUSR1), "it runs");
  const int status = co_await program.wait_for_exit();
  expect_equal(status, 5);
  expect(!program.send_signal(SIGUSR1) && !program.terminate() && !program.kill(), "it has ended");
}

BEHAVIOUR("signals to the leader of a group reach what it started too", kPrograms) {
  Subprocess program = shell("sleep 1000 & echo $!; wait", reading_stdout().lead_group());
  const std::string line = co_await program.stdout_stream().read_until("\n");
  program.terminate();
  const int status = co_await program.wait_for_exit();
  expect_equal(status, -SIGTERM);
  const std::string rest = co_await program.stdout_stream().read_until_close();  // ends when the last writer has
  expect_equal(rest, "");
}

BEHAVIOUR("wait_for_success fails with CalledProcessError, which names the program and its status", kPrograms) {
  Subprocess program = shell("exit 4");
  bool thrown = false;
  try {
    co_await program.wait_for_success();
  } catch (const CalledProcessError& error) {
    thrown = true;
    expect_equal(error.exit_status(), 4);
    expect(error.reason() == Errc::process_failed, "its reason");
    expect(std::string_view(error.what()).find("'sh' exited with status 4") != std::string_view::npos, error.what());
  }
  expect(thrown, "it was thrown");
}

BEHAVIOUR("what cannot be started is an error with its reason, and leaves nothing", kPrograms) {
  co_await output_of("true");  // what a first start opens for good is open now
  const Directory directory;
  const std::vector<int> before = open_descriptors();
  const bool other_children = ::waitpid(-1, nullptr, WNOHANG) != -1;  // of behaviours that ran before in this process
  const Options streams = conversing().set_stderr(Stdio::stream());
  expect(failure_to_start(words("no-such-program-anywhere"), streams) == Errc::not_found, "no such program");
  expect(failure_to_start(words("true"), conversing().set_directory("/no/such/place")) == Errc::not_found, "directory");
  expect(failure_to_start(words(directory.path().c_str()), streams) == Errc::denied, "a directory is no program");
  expect(failure_to_start({}) == Errc::not_found, "no name at all");
  expect(failure_to_start(words("true"), conversing().set_stderr(Stdio::descriptor(200))) == Errc::bad_descriptor,
         "a descriptor that is not open");
  expect(open_descriptors() == before, "the same descriptors");
  expect(other_children || (::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD), "no child is left");
}

BEHAVIOUR("arguments reach the program as they are, without a shell", kPrograms) {
  Subprocess echo(words("printf", "%s", "$HOME `id` *"), reading_stdout());
  const std::string printed = co_await echo.stdout_stream().read_until_close();
  expect_equal(printed, "$HOME `id` *");
}

BEHAVIOUR("variables are added to the environment, or replace it", kPrograms) {
  const std::string added = co_await output_of("echo \"$TWINLOOP_TEST:${PATH:+path}\"",
                                               reading_stdout().set_variable("TWINLOOP_TEST", "a b"));
  expect_equal(added, "a b:path\n");
  Subprocess env(words("env"), reading_stdout().clear_environment().set_variable("ONLY", "1"));
  const std::string all = co_await env.stdout_stream().read_until_close();
  expect_equal(all, "ONLY=1\n");
}

BEHAVIOUR("a program starts in the directory it is given", kPrograms) {
  const Directory directory;
  const std::string path = directory.path();
  const std::string printed = co_await output_of("pwd -P", reading_stdout().set_directory(path));
  expect_equal(printed, path + "\n");
}

BEHAVIOUR("no program inherits what belongs to another", kPrograms) {
  const std::vector<int> before = open_descriptors();
  Subprocess first(words("cat"), conversing().set_stderr(Stdio::stream()));
  for (const int fd : open_descriptors()) {
    const bool old = std::find(before.begin(), before.end(), fd) != before.end();
    expect(old || (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0, "it is close-on-exec");
  }
  Subprocess second(words("cat"), conversing());
  first.stdin_stream().close();
  co_await first.wait_for_success();  // for ever, if the second one held the other end of its input
  second.stdin_stream().close();
  co_await second.wait_for_success();
}

BEHAVIOUR("SIGPIPE ends a program as usual", kPrograms) {
  Subprocess program = shell("kill -PIPE $$; exit 0", Options().set_stdin(Stdio::stream()));
  const int status = co_await program.wait_for_exit();
  expect_equal(status, -SIGPIPE);
}

BEHAVIOUR("writing to a program that has gone is an error and no signal", kPrograms) {
  Subprocess program = shell("exit 0", Options().set_stdin(Stdio::stream()));
  wait_for_zombie(program.pid());  // without a turn of the loop: the write is the first to notice
  IOStream& input = program.stdin_stream();
  const Result<void> written = co_await as_result(input.write("x"));
  const Result<void> flushed = co_await as_result(input.flush());
  expect(!written.ok() || !flushed.ok(), "the reader has gone");
  expect(input.is_closed() && input.error() == Errc::reset, input.error().message());
}

BEHAVIOUR("the end of a program's output is noticed while nobody reads", kPrograms) {
  Subprocess program = shell("true", reading_stdout());
  co_await program.stdout_stream().peer_ended();
  co_await program.wait_for_success();
}

BEHAVIOUR("what a program wrote stays readable after it has ended", kPrograms) {
  Subprocess program = shell("echo last words", reading_stdout());
  co_await program.wait_for_success();
  const std::string words_left = co_await program.stdout_stream().read_until_close();
  expect_equal(words_left, "last words\n");
}

BEHAVIOUR("a Subprocess that is destroyed lets its program go on, and leaves neither a zombie nor a descriptor",
          kPrograms) {
  co_await output_of("true");
  const Directory directory;
  const std::string sign = directory.path() + "/sign";
  const std::vector<int> before = open_descriptors();
  int pid = 0;
  {
    const Subprocess program =
        shell("cat >/dev/null; echo > sign", Options().set_stdin(Stdio::stream()).set_directory(directory.path()));
    pid = program.pid();
  }
  co_await until_gone(pid);
  expect(std::filesystem::exists(sign), "it saw the end of its input and went on");
  expect(open_descriptors() == before, "the same descriptors");
}

BEHAVIOUR("a Subprocess that is destroyed after its program has ended leaves no zombie", kPrograms) {
  int pid = 0;
  {
    Subprocess program = shell("true");
    pid = program.pid();
    wait_for_zombie(pid);
  }
  co_await until_gone(pid);
}

BEHAVIOUR("destroying a Subprocess fails those who wait for its end", kPrograms) {
  Future<int> waiting;
  int pid = 0;
  {
    Subprocess program = shell("cat", Options().set_stdin(Stdio::stream()));
    pid = program.pid();
    waiting = program.wait_for_exit();
  }
  co_await expect_failure(std::move(waiting), Errc::local);
  co_await until_gone(pid);
}

BEHAVIOUR("a Subprocess moves while somebody waits for it", kPrograms) {
  Subprocess program = shell("read line; exit 9", Options().set_stdin(Stdio::stream()));
  Future<int> waiting = program.wait_for_exit();
  Subprocess moved = std::move(program);
  moved.stdin_stream().close();
  const int status = co_await std::move(waiting);
  expect_equal(status, 9);
}

BEHAVIOUR("a status that somebody else has collected is an error, not a guess", kPrograms) {
  Subprocess program = shell("read line; exit 1", Options().set_stdin(Stdio::stream()));
  program.stdin_stream().close();
  ::waitpid(program.pid(), nullptr, 0);
  const Result<int> status = co_await as_result(program.wait_for_exit());
  expect(!status.ok() && status.error() == std::errc::no_child_process, "it cannot be known");
}

BEHAVIOUR("fifty programs at once each tell their own status", kPrograms) {
  std::vector<Subprocess> programs;
  for (int i = 0; i < 50; ++i) programs.push_back(shell(("exit " + std::to_string(i)).c_str()));
  for (int i = 0; i < 50; ++i) {
    const int status = co_await programs[static_cast<std::size_t>(i)].wait_for_exit();
    expect_equal(status, i);
  }
}

BEHAVIOUR("whatever step a conversation with a program is cancelled at, neither a program nor a descriptor is left",
          kPrograms) {
  std::vector<int> pids;
  co_await converse(pids);
  const std::vector<int> before = open_descriptors();
  const auto program = [&pids] { return converse(pids); };
  const std::size_t cancelled = co_await cancel_everywhere(program);
  expect(cancelled > 2, "it was cancelled in between");
  for (const int pid : pids) co_await until_gone(pid);
  expect(open_descriptors() == before, "the same descriptors");
}

BEHAVIOUR("processes cannot be forked off where a loop is", kPrograms) {
  Errc reason = Errc::end;
  try {
    (void)fork_processes(2);
  } catch (const Error& error) {
    reason = error.reason();
  }
  expect(reason == Errc::busy, "the loop is in the way");
  expect(!task_id(), "this is no such process");
  co_return;
}
