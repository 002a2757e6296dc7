// What the loop itself costs, beside libuv, Asio and a hand-written epoll loop: `./dev bench loop`.
#include <algorithm>

#include "bench/harness.h"
#include "bench/loop_subject.h"
#include "bench/tracing.h"

namespace {

using namespace bench;

using Measure = std::function<std::vector<double>(const LoopSubject&)>;

// Adds an experiment for those that have `member`.
template <class Member>
void add(Suite& suite, std::vector<Figure> figures, Member LoopSubject::* member, const Measure& measure,
         How how = How::rounds) {
  std::vector<Contestant> contestants;
  for (const auto& subject : loop_subjects()) {
    if (subject.*member == nullptr) continue;
    contestants.push_back({subject.name, [&subject, measure] { return measure(subject); }});
  }
  suite.add(std::move(figures), std::move(contestants), how);
}

void add_callbacks(Suite& suite) {
  const std::size_t count = suite.count(1'000'000, 2'000);
  for (const std::size_t descriptors : {0u, 1u}) {  // Asio has no reactor until the first descriptor needs one
    const std::string with = descriptors == 0 ? ", no descriptor registered" : ", one descriptor registered";
    add(suite, {{"post and run: a handler that posts the next" + with, "ns"}}, &LoopSubject::post_chain,
        [count, fds = quiet_descriptors(descriptors)](const LoopSubject& subject) {
          return std::vector{subject.post_chain(count, fds)};
        });
  }
  add(suite, {{"post and run: " + with_separators(count) + " posted, then run", "ns"}}, &LoopSubject::post_all,
      [=](const LoopSubject& subject) { return std::vector{subject.post_all(count)}; });

  const std::size_t wakes = suite.count(3'000, 20);
  for (const std::size_t descriptors : {0u, 2u}) {
    const std::string with = descriptors == 0 ? ", no descriptor registered" : ", one descriptor registered in each";
    add(suite, {{"wake the loop of another thread, and back" + with, "ns"}}, &LoopSubject::wake_and_back,
        [wakes, fds = quiet_descriptors(descriptors)](const LoopSubject& subject) {
          return std::vector{subject.wake_and_back(wakes, fds)};
        });
  }
}

std::vector<double> timer_costs(const LoopSubject& subject, const TimerPlan& plan, std::size_t times) {
  std::vector<double> sums(4);
  for (std::size_t i = 0; i < times; ++i) {
    const TimerCosts costs = subject.timers(plan);
    sums[0] += costs.add;
    sums[1] += costs.cancel;
    sums[2] += costs.fire;
    sums[3] += costs.add + (costs.cancel + costs.fire) / 2;
  }
  for (double& sum : sums) sum = each(sum, times);
  return sums;
}

void add_timers(Suite& suite) {
  const std::size_t count = suite.count(300'000, 2'000);
  for (const std::size_t pending : {0u, 10'000u}) {
    const std::string among = pending == 0 ? "alone" : "among " + with_separators(pending);
    add(suite, {{"timer started and stopped, " + among, "ns"}}, &LoopSubject::start_and_stop,
        [=](const LoopSubject& subject) { return std::vector{subject.start_and_stop(count, pending)}; });
  }
  for (std::size_t n = 1'000; n <= suite.count(1'000'000, 1'000); n *= 10) {
    const std::string name = with_separators(n) + " timers: ";
    add(suite,
        {{name + "add", "ns"},
         {name + "cancel half", "ns"},
         {name + "fire the rest", "ns"},
         {name + "all of that", "ns"}},
        &LoopSubject::timers,
        [plan = TimerPlan(n), times = std::max<std::size_t>(1, suite.count(20'000, 1'000) / n)](
            const LoopSubject& subject) { return timer_costs(subject, plan, times); });
  }
}

double processor_time_per_event(const LoopSubject& subject, std::size_t descriptors, std::size_t events) {
  CpuTime time;
  double total = 0;
  ReadyDescriptors ready(descriptors, events, [&] { time = CpuTime(); }, [&] { total = time.nanoseconds(); });
  subject.ready(ready);
  return each(total, events);
}

double instructions_per_event(const LoopSubject& subject, std::size_t descriptors, std::size_t events) {
  const auto program = [&] {
    ReadyDescriptors ready(descriptors, events, mark, mark);
    subject.ready(ready);
  };
  return each(static_cast<double>(user_instructions(program)), events);
}

void add_readiness(Suite& suite) {
  for (const std::size_t descriptors : {std::size_t{1}, suite.count(64, 4)}) {
    const std::string name =
        "readiness event, " + std::to_string(descriptors) + (descriptors == 1 ? " descriptor" : " descriptors");
    const std::size_t timed = descriptors * (suite.count(128'000, 640) / descriptors);
    add(suite, {{name, "ns"}}, &LoopSubject::ready,
        [=](const LoopSubject& subject) { return std::vector{processor_time_per_event(subject, descriptors, timed)}; });
    const std::size_t counted = descriptors * suite.count(descriptors == 1 ? 64 : 2, 1);
    add(
        suite, {{name + ", user space", "instructions"}}, &LoopSubject::ready,
        [=](const LoopSubject& subject) { return std::vector{instructions_per_event(subject, descriptors, counted)}; },
        How::own_process);
  }
}

void add_memory(Suite& suite) {
  const std::size_t timers = suite.count(100'000, 1'000);
  add(
      suite, {{"heap per timer, of " + with_separators(timers), "bytes"}}, &LoopSubject::bytes_per_timer,
      [=](const LoopSubject& subject) { return std::vector{subject.bytes_per_timer(timers)}; }, How::own_process);
  const std::size_t descriptors = suite.count(900, 100);
  add(
      suite, {{"heap per registered descriptor, of " + with_separators(descriptors), "bytes"}},
      &LoopSubject::bytes_per_descriptor,
      [=](const LoopSubject& subject) {
        return std::vector{subject.bytes_per_descriptor(quiet_descriptors(descriptors))};
      },
      How::own_process);
}

void add_idleness(Suite& suite) {
  const double seconds = suite.smoke() ? 0.02 : 1;
  add(
      suite, {{"idle, one descriptor registered: system calls", "1/s"}}, &LoopSubject::idle,
      [=](const LoopSubject& subject) {
        const auto program = [&] { subject.idle(quiet_descriptors(1).front(), mark); };
        return std::vector{system_calls_per_second(program, seconds)};
      },
      How::own_process);
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  Suite suite("loop", argc, argv);
  for (std::size_t i = 1; i < loop_subjects().size(); ++i)
    suite.peer(loop_subjects()[i].name, loop_subjects()[i].version);
  add_callbacks(suite);
  add_timers(suite);
  add_readiness(suite);
  add_memory(suite);
  add_idleness(suite);
  return suite.run();
}
