#include <future>
#include <stdexcept>
#include <thread>

#include "bench/harness.h"
#include "bench/loop_subject.h"
#include "twinloop/ioloop.h"
#include "twinloop/remote.h"

namespace {

using namespace bench;
using namespace twinloop;

void watch_nothing(IOLoop& loop, int fd) {
  loop.add_handler(fd, [](int, FdEvents) {}, FdEvents::read);
}

// ---- posting

struct Chain {
  IOLoop& loop;
  std::size_t left;
  void operator()() const {
    if (left == 0) return loop.stop();
    loop.add_callback(Chain{loop, left - 1});
  }
};

double post_chain(std::size_t count, const std::vector<int>& fds) {
  IOLoop loop;
  for (const int fd : fds) watch_nothing(loop, fd);
  const CpuTime time;
  loop.add_callback(Chain{loop, count});
  loop.start();
  return each(time.nanoseconds(), count);
}

double post_all(std::size_t count) {
  IOLoop loop;
  std::size_t done = 0;
  const CpuTime time;
  for (std::size_t i = 0; i < count; ++i) loop.add_callback([&done] { ++done; });
  loop.stop();
  loop.start();
  const double total = time.nanoseconds();
  if (done != count) throw std::runtime_error("callbacks are missing");
  return each(total, count);
}

// ---- waking

struct PingPong {
  IOLoop& loop;
  RemoteLoop here, there;
  std::size_t left;
  void ping() {
    there.post([this] { here.post([this] { back(); }); });
  }
  void back() {
    if (--left == 0) return loop.stop();
    ping();
  }
};

void run_another_loop(std::promise<RemoteLoop>& remote, const std::vector<int>& fds) {
  const OnProcessor there(1);
  IOLoop loop;
  if (!fds.empty()) watch_nothing(loop, fds[1]);
  remote.set_value(loop.remote());
  loop.start();
}

double wake_and_back(std::size_t count, const std::vector<int>& fds) {
  const OnProcessor here(0);
  IOLoop loop;
  if (!fds.empty()) watch_nothing(loop, fds[0]);
  std::promise<RemoteLoop> other;
  std::thread thread(&run_another_loop, std::ref(other), fds);
  PingPong game{loop, loop.remote(), other.get_future().get(), count};
  const WallTime time;
  game.ping();
  loop.start();
  const double total = time.nanoseconds();
  game.there.stop();
  thread.join();
  return each(total, count);
}

// ---- timers

TimerCosts timers(const TimerPlan& plan) {
  IOLoop loop;
  std::vector<Timeout> all(plan.count());
  std::size_t left = plan.left();
  TimerCosts costs;
  const auto start = loop.clock();

  const CpuTime adding;
  for (std::size_t i = 0; i < plan.count(); ++i) {
    all[i] = loop.call_at(start + plan.due(i), [&loop, &left] {
      if (--left == 0) loop.stop();
    });
  }
  costs.add = each(adding.nanoseconds(), plan.count());

  const CpuTime cancelling;
  for (const std::uint32_t i : plan.cancelled()) loop.remove_timeout(all[i]);
  costs.cancel = each(cancelling.nanoseconds(), plan.cancelled().size());

  plan.wait_until_all_are_due(start);
  const CpuTime firing;
  loop.start();
  costs.fire = each(firing.nanoseconds(), plan.left());
  return costs;
}

// In a callback, as programs do: outside of a turn each would read the clock.  To the others it makes no difference.
double start_and_stop(std::size_t count, std::size_t pending) {
  IOLoop loop;
  for (std::size_t i = 0; i < pending; ++i) loop.call_later(due_of_other(i, pending), [] {});
  double total = 0;
  loop.add_callback([&] {
    const CpuTime time;
    for (std::size_t i = 0; i < count; ++i) {
      Timeout timeout = loop.call_later(kOfTheOne, [] {});
      loop.remove_timeout(timeout);
    }
    total = time.nanoseconds();
    loop.stop();
  });
  loop.start();
  return each(total, count);
}

double bytes_per_timer(std::size_t count) {
  IOLoop loop;
  const double before = heap_bytes();
  std::vector<Timeout> all(count);
  for (auto& timeout : all) timeout = loop.call_later(std::chrono::minutes(1), [] {});
  return each(heap_bytes() - before, count);
}

// ---- descriptors

void ready(ReadyDescriptors& descriptors) {
  IOLoop loop;
  const auto on_ready = [&loop, &descriptors](int fd, FdEvents) {
    if (!descriptors.handle(fd)) loop.stop();
  };
  for (const int fd : descriptors.fds()) loop.add_handler(fd, on_ready, FdEvents::read);
  loop.start();
  for (const int fd : descriptors.fds()) loop.remove_handler(fd);
}

double bytes_per_descriptor(const std::vector<int>& fds) {
  IOLoop loop;
  const double before = heap_bytes();
  for (const int fd : fds) watch_nothing(loop, fd);
  return each(heap_bytes() - before, fds.size());
}

void idle(int fd, void (*at_rest)()) {
  IOLoop loop;
  watch_nothing(loop, fd);
  at_rest();
  loop.start();
}

const RegisteredSubject registered(0, {.name = "twinloop",
                                       .version = {},
                                       .post_chain = &post_chain,
                                       .post_all = &post_all,
                                       .wake_and_back = &wake_and_back,
                                       .timers = &timers,
                                       .start_and_stop = &start_and_stop,
                                       .ready = &ready,
                                       .bytes_per_timer = &bytes_per_timer,
                                       .bytes_per_descriptor = &bytes_per_descriptor,
                                       .idle = &idle});

}  // namespace
