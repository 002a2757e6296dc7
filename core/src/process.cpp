#include "twinloop/process.h"

#include "twinloop/ioloop.h"

namespace twinloop {
namespace {

std::string describe_end(std::string_view program, int status) {
  const bool by_signal = status < 0;
  return "'" + std::string(program) + (by_signal ? "' was ended by signal " : "' exited with status ") +
         std::to_string(by_signal ? -status : status);
}

Future<void> expect_success(std::string program, Future<int> exit) {
  const int status = co_await std::move(exit);
  if (status != 0) throw CalledProcessError(program, status);
}

}  // namespace

CalledProcessError::CalledProcessError(std::string_view program, int exit_status)
    : Error(Errc::process_failed, describe_end(program, exit_status)), exit_status_(exit_status) {}

Subprocess::Subprocess(std::vector<std::string> argv, const SubprocessOptions& options) {
  if (argv.empty()) throw Error(Errc::not_found, "start a program: argv is empty");
  program_ = argv.front();
  StartedProcess started = IOLoop::current().backend().start_process(argv, options);
  child_ = std::move(started.child);
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    if (started.streams[i] != nullptr) streams_[i] = IOStream(std::move(started.streams[i]), options.stream());
  }
}

Subprocess::Subprocess(Subprocess&&) noexcept = default;
Subprocess& Subprocess::operator=(Subprocess&&) noexcept = default;
Subprocess::~Subprocess() = default;

int Subprocess::pid() const noexcept { return child_->pid(); }
Future<int> Subprocess::wait_for_exit() { return child_->wait_for_exit(); }
Future<void> Subprocess::wait_for_success() { return expect_success(program_, child_->wait_for_exit()); }
std::optional<int> Subprocess::exit_status() const noexcept { return child_->exit_status(); }
bool Subprocess::send_signal(int number) { return child_->send_signal(number); }
bool Subprocess::terminate() { return child_->terminate(); }
bool Subprocess::kill() { return child_->kill(); }

}  // namespace twinloop
