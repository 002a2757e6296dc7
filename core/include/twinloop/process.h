// Other programs and other processes: Subprocess runs a program with its standard streams as IOStreams and its end as a future,
// fork_processes makes several processes of this one.  Not in a browser.
//
//   Subprocess sort({"sort", "-n"}, SubprocessOptions().set_stdin(Stdio::stream()).set_stdout(Stdio::stream()));
//   co_await sort.stdin_stream().write("10\n9\n");
//   co_await sort.stdin_stream().shutdown_write();
//   std::string sorted = co_await sort.stdout_stream().read_until_close();
//   co_await sort.wait_for_success();
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "twinloop/error.h"
#include "twinloop/future.h"
#include "twinloop/iostream.h"

namespace twinloop {

class ChildProcess;

// What stands behind a standard stream of a program that is started.
class Stdio {
 public:
  enum class Kind : unsigned char { inherit, null, stream, descriptor };

  static Stdio inherit() noexcept { return Stdio(Kind::inherit); }
  // The same as this program's.
  static Stdio null() noexcept { return Stdio(Kind::null); }
  // /dev/null: nothing to read, and what is written vanishes.
  static Stdio stream() noexcept { return Stdio(Kind::stream); }
  // A pipe, whose other end is stdin_stream(), stdout_stream() or stderr_stream().
  static Stdio descriptor(int fd) noexcept { return Stdio(Kind::descriptor, fd); }
  // An open descriptor of this program, which keeps its own: a file, or 1 as the program's stderr (the shell's 2>&1).

  Kind kind() const noexcept { return kind_; }
  int fd() const noexcept { return fd_; }

 private:
  explicit Stdio(Kind kind, int fd = -1) noexcept : kind_(kind), fd_(fd) {}
  Kind kind_;
  int fd_;
};

// How a program is started.  Without more it inherits everything.
class SubprocessOptions {
 public:
  SubprocessOptions& set_stdin(Stdio from) { return stdio_[0] = from, *this; }
  SubprocessOptions& set_stdout(Stdio to) { return stdio_[1] = to, *this; }
  SubprocessOptions& set_stderr(Stdio to) { return stdio_[2] = to, *this; }
  SubprocessOptions& set_directory(std::string path) { return directory_ = std::move(path), *this; }
  // The working directory it starts in.  A relative argv[0] with a slash is looked up from there.
  SubprocessOptions& set_variable(std::string name, std::string value) {
    return variables_.emplace_back(std::move(name), std::move(value)), *this;
  }
  // An environment variable, besides those inherited or in place of one.
  SubprocessOptions& clear_environment() { return inherits_environment_ = false, *this; }
  // It gets the variables of set_variable() only.
  SubprocessOptions& lead_group() { return leads_group_ = true, *this; }
  // Makes it the leader of a process group, to which send_signal, terminate and kill then go: a shell and all that it started.
  // The terminal's Ctrl-C no longer reaches it.
  SubprocessOptions& set_stream(const StreamOptions& options) { return stream_ = options, *this; }
  // Limits of the streams.

  const std::array<Stdio, 3>& stdio() const noexcept { return stdio_; }
  const std::string& directory() const noexcept { return directory_; }
  const std::vector<std::pair<std::string, std::string>>& variables() const noexcept { return variables_; }
  bool inherits_environment() const noexcept { return inherits_environment_; }
  bool leads_group() const noexcept { return leads_group_; }
  const StreamOptions& stream() const noexcept { return stream_; }

 private:
  std::array<Stdio, 3> stdio_{Stdio::inherit(), Stdio::inherit(), Stdio::inherit()};
  std::string directory_;
  std::vector<std::pair<std::string, std::string>> variables_;
  StreamOptions stream_;
  bool inherits_environment_ = true;
  bool leads_group_ = false;
};

// A program that ran and failed: it exited with a status other than 0, or a signal ended it.
class CalledProcessError : public Error {
 public:
  CalledProcessError(std::string_view program, int exit_status);

  int exit_status() const noexcept { return exit_status_; }
  // As Subprocess::wait_for_exit() gives it.

 private:
  int exit_status_;
};

// A program under way (Tornado's process.Subprocess).  Movable at any time.  It belongs to its loop's thread.
//
// Destroying it lets the program go on: its streams close (so it sees the end of its input, and an error when it writes), and the
// loop sees to it that no zombie stays.  Call kill() or terminate() first where it must not go on.
class Subprocess {
 public:
  explicit Subprocess(std::vector<std::string> argv, const SubprocessOptions& options = {});
  // Starts argv[0], looked up in this program's PATH unless it has a slash, with these arguments.  No shell: nothing in them is
  // expanded.  Returns when the program has taken the place of the child, so what prevents that is thrown from here: Error with
  // not_found (no such program or directory), denied (not executable), descriptors_exhausted, bad_descriptor, not_supported (a
  // browser starts no programs).
  //
  // SIGPIPE is back to its default in the program and no signal is blocked.  In this process it is ignored from now on, unless it
  // has a handler: a pipe's reader that has gone is an error to report.  Descriptors of this process that are not close-on-exec
  // are inherited; the library's own never are.

  Subprocess(Subprocess&&) noexcept;
  Subprocess& operator=(Subprocess&&) noexcept;
  ~Subprocess();

  int pid() const noexcept;

  IOStream& stdin_stream() noexcept { return streams_[0]; }
  IOStream& stdout_stream() noexcept { return streams_[1]; }
  IOStream& stderr_stream() noexcept { return streams_[2]; }
  // Those that were asked for with Stdio::stream(), else empty ones.  stdin is written to: shutdown_write() ends the program's
  // input behind all that was written, and close() does if the program takes that within the linger timeout; a read from it finds
  // the end.  stdout and stderr are read from; a write to one closes it with not_supported.

  Future<int> wait_for_exit();
  // The exit status, or minus the number of the signal that ended the program: -9 after kill().  Any number may wait, before and
  // after the end; dropping the future loses nothing.  It says nothing about the streams: what the program wrote stays readable.
  //
  // Fails with `local` when the Subprocess is destroyed before, with loop_closed, and with the system's ECHILD when somebody else
  // in this process has collected the status (a waitpid for any child, or an ignored SIGCHLD).

  Future<void> wait_for_success();
  // The same, but fails with CalledProcessError unless the program exited with 0.

  std::optional<int> exit_status() const noexcept;
  // As wait_for_exit() gave it or would give it at once.

  bool send_signal(int number);
  bool terminate();
  bool kill();
  // SIGTERM, SIGKILL.  False when the program has ended; throws Error when the system refuses (`denied`, or no such signal).

 private:
  std::string program_;
  std::array<IOStream, 3> streams_;
  std::unique_ptr<ChildProcess> child_;
};

std::optional<int> fork_processes(int count, int max_restarts = 100, Duration patience = std::chrono::seconds(10));
// Makes `count` processes of this one (0: one for each processor).  Each of them goes on from here with its task id, 0 to
// count - 1.  The original process stays inside until all of them have ended with status 0, and then gets no value.  A child that
// fails or is ended by a signal is replaced by a new one with the same task id: at once if it had run for a second, else after a
// pause that doubles from 10 ms to a second.
//
//   const std::optional<int> task = fork_processes(0);
//   if (!task) return 0;
//   return run_main(…);
//
// SIGTERM and SIGINT to the original process are passed on to the children, unless it ignores them or has handlers of its own: they
// may end in order, those that have not after `patience` are killed, and at a second signal all are; then it gets no value, as when they
// had ended by themselves.  A signal to the whole process group therefore reaches children twice, and in them run_main takes the
// second one for the first.
//
// Call it before this thread has a loop, and before other threads exist, because only the calling one lives on in the children.
// Throws Error(busy) when there is a loop, Error(not_supported) in a browser, and in the original process Error(limit) after
// more than `max_restarts` failures, or the system's reason when it can make no process; the other children are then told to
// end (SIGTERM), and those that have not after `patience` are killed.

std::optional<int> task_id() noexcept;
// That of this process, if fork_processes made it.

// ---- for backends

// What a Subprocess stands on.  Destroying it lets the program go on.
class ChildProcess {
 public:
  virtual ~ChildProcess() = default;
  virtual int pid() const noexcept = 0;
  virtual std::optional<int> exit_status() const noexcept = 0;
  virtual Future<int> wait_for_exit() = 0;
  virtual bool send_signal(int number) = 0;
  virtual bool terminate() = 0;
  virtual bool kill() = 0;
};

struct StartedProcess {
  std::unique_ptr<ChildProcess> child;
  std::array<std::unique_ptr<Transport>, 3> streams;  // this program's ends; null where none was asked for
};

}  // namespace twinloop
