#include "twinloop/run_main.h"

#include <charconv>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "current.h"
#include "durations.h"
#include "twinloop/detail/builtin.h"
#include "twinloop/log.h"
#include "twinloop/process.h"
#include "twinloop/trace.h"

namespace twinloop::detail {
namespace {

void report(const Failure& failure) noexcept { platform_log(LogLevel::error, failure.message()); }

int status_of(Future<int> work) {
  Result<int> result = work.take_result();
  if (result.ok()) return *result;
  report(result.failure());
  return 1;
}

Future<int> started(Function<Future<int>()>& program) {
  try {
    return program();
  } catch (...) {
    return Future<int>::failed(std::current_exception());
  }
}

// What the environment asks to see of the loop.
class Inspection {
 public:
  explicit Inspection(IOLoop& loop) {
    if (const char* path = platform_environment("TWINLOOP_TRACE"); path != nullptr && *path != '\0') record(loop, path);
    if (const char* limit = platform_environment("TWINLOOP_BLOCKING_MS"); limit != nullptr) watch(loop, limit);
  }
  ~Inspection() {
    if (!trace_) return;
    platform_on_trace_request({});
    save();
  }
  Inspection(const Inspection&) = delete;
  Inspection& operator=(const Inspection&) = delete;

 private:
  void record(IOLoop& loop, const char* path) {
    path_ = path;
    trace_.emplace(loop);
    platform_on_trace_request([this] { save(); });
  }

  static void watch(IOLoop& loop, std::string_view limit) {
    unsigned milliseconds = 0;
    const auto [end, error] = std::from_chars(limit.data(), limit.data() + limit.size(), milliseconds);
    if (error == std::errc() && end == limit.data() + limit.size()) {
      return loop.set_blocking_log_threshold(std::chrono::milliseconds(milliseconds));
    }
    log(LogLevel::warning, "TWINLOOP_BLOCKING_MS is no number of milliseconds: " + std::string(limit));
  }

  void save() const noexcept {
    if (!platform_save(path_.c_str(), trace_->json())) log(LogLevel::error, "cannot write the trace to " + path_);
  }

  std::string path_;
  std::optional<LoopTrace> trace_;
};

Future<void> run_hosted(std::unique_ptr<Inspection> inspection, Function<Future<int>()> program) {
  Future<int> work = started(program);
  Result<int> result = co_await as_result(std::move(work));
  if (!result.ok()) report(result.failure());
  inspection.reset();
  platform_exit(result.ok() ? *result : 1);
}

// The host owns the event loop: main() returns at once and the loop lives as long as the page.
int start_hosted(std::unique_ptr<IOLoop> loop, Function<Future<int>()> program) {
  IOLoop& hosted = *loop.release();
  hosted.make_current();
  hosted.spawn(&run_hosted, std::make_unique<Inspection>(hosted), std::move(program));
  return 0;
}

class NativeProgram final : private Waiter {
 public:
  explicit NativeProgram(IOLoop& loop) noexcept : Waiter(&NativeProgram::on_done), loop_(loop) {}

  int run(Function<Future<int>()>& program) {
    for (const int number : {SIGINT, SIGTERM}) {
      loop_.on_signal(number, [this] { interrupt(); });
    }
    work_ = started(program);
    if (!work_.done()) {
      OperationAccess::attach(work_, *this);
      loop_.start();
    }
    const int status = end();
    loop_.wind_down(interrupted_ ? kDeliveryInHaste : kDelivery);
    return status;
  }

 private:
  static void on_done(Waiter& waiter) { static_cast<NativeProgram&>(waiter).loop_.stop(); }

  int end() {
    if (!work_.valid()) return 0;  // a signal cancelled it
    if (work_.done()) return status_of(std::move(work_));
    report(Failure(Errc::loop_closed, "run_main: somebody stopped the loop before the program was done"));
    work_ = Future<int>();
    return 1;
  }

  // The first signal cancels the program; after it the signals have their usual effect again.  One of fork_processes's children may get
  // the same signal from the original process, too, which sees to it that it ends.
  void interrupt() {
    if (std::exchange(interrupted_, true)) return;
    if (!task_id()) {
      for (const int number : {SIGINT, SIGTERM}) loop_.on_signal(number, {});
    }
    if (work_.valid() && !work_.done()) work_ = Future<int>();
    loop_.stop();
  }

  IOLoop& loop_;
  bool interrupted_ = false;
  Future<int> work_;
};

}  // namespace

int run_program(Function<Future<int>()> program) {
  std::unique_ptr<IOLoop> loop;
  try {
    loop = std::make_unique<IOLoop>();
  } catch (...) {
    report(std::current_exception());
    return 1;
  }
  if (loop->backend().hosted()) return start_hosted(std::move(loop), std::move(program));
  const Current current(*loop);  // also while the program is called, before the loop turns
  const Inspection inspection(*loop);
  return NativeProgram(*loop).run(program);
}

}  // namespace twinloop::detail
