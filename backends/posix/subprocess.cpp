#include "backends/posix/subprocess.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "backends/posix/descriptor.h"
#include "backends/posix/errno_code.h"
#include "backends/posix/pipe_transport.h"

extern char** environ;

namespace twinloop::detail {
namespace {

// The two ends of a standard stream: the one that the program gets (none: it inherits), and ours.
struct StandardStream {
  Descriptor theirs;
  Descriptor ours;
};

void require(bool success, const std::string& what) {
  if (!success) throw Error(from_errno(errno), what);
}

// Only our end is nonblocking: the program expects an ordinary pipe.
StandardStream make_stream(bool input, const std::string& what) {
  Descriptor reading;
  Descriptor writing;
  require(make_pipe(reading, writing), what);
  StandardStream stream;
  stream.theirs = std::move(input ? reading : writing);
  stream.ours = std::move(input ? writing : reading);
  require(set_blocking(stream.theirs.get()), what);
  return stream;
}

// Everything that the program gets is a copy above 2, so that setting up one of 0, 1 and 2 cannot destroy what another needs.
StandardStream open_standard_stream(const Stdio& stdio, int number, const std::string& what) {
  const bool input = number == STDIN_FILENO;
  StandardStream stream;
  switch (stdio.kind()) {
    case Stdio::Kind::inherit:
      break;
    case Stdio::Kind::null:
      stream.theirs = open_null(input ? O_RDONLY : O_WRONLY);
      require(static_cast<bool>(stream.theirs), what);
      break;
    case Stdio::Kind::descriptor:
      stream.theirs = Descriptor(::fcntl(stdio.fd(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
      require(static_cast<bool>(stream.theirs), what);
      break;
    case Stdio::Kind::stream:
      return make_stream(input, what);
  }
  return stream;
}

// What posix_spawn does in the child before the program.
class SpawnSetup {
 public:
  explicit SpawnSetup(const SubprocessOptions& options) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
    sigset_t signals;
    sigemptyset(&signals);  // unqualified: a macro on some systems
    ::posix_spawnattr_setsigmask(&attributes_, &signals);
    sigaddset(&signals, SIGPIPE);
    ::posix_spawnattr_setsigdefault(&attributes_, &signals);
    const int group = options.leads_group() ? POSIX_SPAWN_SETPGROUP : 0;
    ::posix_spawnattr_setflags(&attributes_,
                               static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | group));
    if (!options.directory().empty()) {
      ::posix_spawn_file_actions_addchdir_np(&actions_, options.directory().c_str());
    }
  }
  ~SpawnSetup() {
    ::posix_spawnattr_destroy(&attributes_);
    ::posix_spawn_file_actions_destroy(&actions_);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;

  void give(const Descriptor& from, int number) {
    if (from) ::posix_spawn_file_actions_adddup2(&actions_, from.get(), number);
  }

  const posix_spawn_file_actions_t* actions() const noexcept { return &actions_; }
  const posix_spawnattr_t* attributes() const noexcept { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

std::vector<std::string> environment_for(const SubprocessOptions& options) {
  std::vector<std::string> environment;
  const auto replaced = [&options](std::string_view variable) {
    const std::string_view name = variable.substr(0, variable.find('='));
    for (const auto& each : options.variables()) {
      if (each.first == name) return true;
    }
    return false;
  };
  for (char** each = environ; options.inherits_environment() && *each != nullptr; ++each) {
    if (!replaced(*each)) environment.emplace_back(*each);
  }
  for (const auto& [name, value] : options.variables())
    environment.push_back(std::string(name).append("=").append(value));
  return environment;
}

// The form that exec takes.
std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

std::string describe(const std::string& program, const SubprocessOptions& options) {
  const std::string& directory = options.directory();
  return "start '" + program + "'" + (directory.empty() ? std::string() : " in '" + directory + "'");
}

}  // namespace

StartedProcess start_program(Reactor& reactor, Children& children, const std::vector<std::string>& argv,
                             const SubprocessOptions& options) {
  const std::string what = describe(argv.front(), options);
  ignore_sigpipe();
  StartedProcess started;
  std::array<StandardStream, 3> stdio;
  SpawnSetup setup(options);
  for (int number = 0; number <= STDERR_FILENO; ++number) {
    const auto i = static_cast<std::size_t>(number);
    stdio[i] = open_standard_stream(options.stdio()[i], number, what);
    setup.give(stdio[i].theirs, number);
    if (!stdio[i].ours) continue;
    const auto end = number == STDIN_FILENO ? PipeTransport::End::writing : PipeTransport::End::reading;
    Result<std::unique_ptr<Transport>> transport = PipeTransport::make(reactor, std::move(stdio[i].ours), end);
    if (!transport.ok()) throw Error(transport.error(), what);
    started.streams[i] = std::move(*transport);
  }
  const std::vector<std::string> environment = environment_for(options);
  const std::vector<char*> arguments = pointers_to(argv);
  const std::vector<char*> variables = pointers_to(environment);
  pid_t pid = -1;
  const int error = ::posix_spawnp(&pid, argv.front().c_str(), setup.actions(), setup.attributes(), arguments.data(),
                                   variables.data());
  if (error != 0) throw Error(from_errno(error), what);
  started.child =
      children.watch(pid, options.leads_group() ? Children::Signals::to_group : Children::Signals::to_process);
  return started;
}

}  // namespace twinloop::detail
