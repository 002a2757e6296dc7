// twinloop::testing::cancel_everywhere.
#include "twinloop/detail/branch.h"
#include "twinloop/detail/observers.h"
#include "twinloop/detail/pool.h"
#include "twinloop/ioloop.h"
#include "twinloop/testing.h"

namespace twinloop::testing {
namespace {

constexpr std::size_t kMostSteps = 100'000;
constexpr int kTurnsToSettle = 20;
constexpr int kMillisecondsToSettle = 1000;

// What a program may leave behind.
struct Remains {
  std::size_t pooled = twinloop::detail::pool_stats().live;  // frames, operations, tasks
  std::size_t timers = IOLoop::current().stats().pending_timers;
  std::size_t handlers = IOLoop::current().stats().descriptors;
  std::size_t spawned = IOLoop::current().stats().spawned;
  bool operator==(const Remains&) const = default;

  std::string beside(const Remains& before) const {
    const auto change = [](std::size_t now, std::size_t then, const char* what) {
      return now == then ? std::string() : " " + std::to_string(then) + " -> " + std::to_string(now) + " " + what;
    };
    return change(pooled, before.pooled, "frames and operations") + change(timers, before.timers, "timers") +
           change(handlers, before.handlers, "handlers") + change(spawned, before.spawned, "spawned tasks");
  }
};

// One run, dropped after a number of steps of its loop.
class Run final : private twinloop::detail::StepObserver, private twinloop::detail::Branch {
 public:
  explicit Run(std::size_t steps) : Branch(&Run::on_done), steps_left_(steps) { IOLoop::current().add_observer(*this); }

  Future<void> start(const std::function<Future<void>()>& program) {
    Future<void> over = over_.get_future();
    work_ = program();
    if (steps_left_ == 0) {
      drop("its start");
    } else {
      watch(work_, nullptr);
    }
    return over;
  }

  bool cancelled() const noexcept { return !work_.valid(); }
  const std::string& place() const noexcept { return place_; }
  Failure failure() { return work_.exception(); }

 private:
  void on_step(const Step& step) override {
    if (step.kind == StepKind::sleep || !work_.valid() || work_.done()) return;
    if (--steps_left_ == 0) drop(std::string(name(step.kind)) + " " + step.origin.text());
  }

  static void on_done(Branch& branch) { static_cast<Run&>(branch).over_.set_value(); }

  void drop(std::string place) {
    stop();
    place_ = std::move(place);
    work_ = Future<void>();
    over_.set_value();
  }

  std::size_t steps_left_;
  std::string place_ = "its end";
  Promise<void> over_;
  Future<void> work_;
};

// Gives what is under way in the background a little time: some turns at first, then milliseconds.
Future<void> settle(int round) {
  if (round < kTurnsToSettle) return moment();
  return sleep_for(std::chrono::milliseconds(1));
}

void expect_rest(int rounds, const Remains& before, const Run& run) {
  expect(rounds < kTurnsToSettle + kMillisecondsToSettle,
         "dropped at " + run.place() + ", the program left something:" + Remains().beside(before));
}

}  // namespace

Future<std::size_t> cancel_everywhere(std::function<Future<void>()> program, std::function<void()> check) {
  for (std::size_t steps = 0; steps < kMostSteps; ++steps) {
    Run run(steps);
    co_await moment();  // the loop tells its steps from the next turn on
    const Remains before;
    co_await run.start(program);
    const Failure failure = run.failure();
    if (failure) throw_error(Errc::protocol, "cancel_everywhere: the program failed: " + failure.message());
    const bool cancelled = run.cancelled();
    for (int round = 0; Remains() != before; ++round) {
      expect_rest(round, before, run);
      co_await settle(round);
    }
    if (check) check();
    if (!cancelled) co_return steps;
  }
  co_return Failure(Errc::limit, "cancel_everywhere: the program does not end");
}

}  // namespace twinloop::testing
