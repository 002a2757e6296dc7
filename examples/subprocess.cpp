// Runs shell commands side by side, as a Procfile runner does: every line that one prints gets its number in front, and the first
// one that fails ends the others.
//
//   subprocess 'make -C server' 'npm run watch' 'tail -f log'
#include <cstdio>
#include <string>
#include <vector>

#include "command_line.h"
#include "twinloop/all.h"
#include "twinloop/process.h"

using namespace twinloop;

Future<void> show_lines(IOStream& output, std::size_t number) {
  for (;;) {
    const std::optional<std::string> line = co_await output.next_line();
    if (!line) co_return;
    std::printf("%zu: %s\n", number, line->c_str());
    std::fflush(stdout);
  }
}

// Letting a Subprocess go does not end its program.
struct Running {
  ~Running() { program.terminate(); }
  Subprocess program;
};

Future<void> run(std::string command, std::size_t number) {
  std::vector<std::string> argv{"sh", "-c", command};
  SubprocessOptions options = SubprocessOptions().set_stdin(Stdio::null()).set_stdout(Stdio::stream());
  options.lead_group();  // what the shell starts ends with it
  Running running{Subprocess(std::move(argv), options)};
  co_await show_lines(running.program.stdout_stream(), number);
  const int status = co_await running.program.wait_for_exit();
  if (status != 0) throw CalledProcessError(command, status);
}

Future<void> run_all(std::vector<std::string> commands) {
  std::vector<Future<void>> all_running;
  for (std::size_t i = 0; i < commands.size(); ++i) all_running.push_back(run(commands[i], i + 1));
  co_await all_fail_fast(std::move(all_running));
}

int main(int argc, char** argv) {
  CLI::App app("Runs shell commands side by side, until all have ended or one has failed.", "subprocess");
  std::vector<std::string> commands;
  app.add_option("COMMAND", commands, "A command of the shell, as 'make -C server'")->required();
  return run_command(app, argc, argv, [&] { return run_all(std::move(commands)); });
}
