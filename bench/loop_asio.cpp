// Asio twice: as it comes for one thread, and with the hint that its io_context needs no locks at all (then nothing may be posted
// from another thread).
#include <asio.hpp>
#include <stdexcept>
#include <thread>

#include "bench/harness.h"
#include "bench/loop_subject.h"

namespace {

using namespace bench;

using asio::posix::stream_descriptor;

constexpr int kOneThread = 1;
constexpr int kNoLocks = ASIO_CONCURRENCY_HINT_UNSAFE;

void watch_nothing(std::vector<stream_descriptor>& watched, asio::io_context& io, int fd) {
  watched.emplace_back(io, fd).async_wait(stream_descriptor::wait_read, [](const asio::error_code&) {});
}

void let_go(std::vector<stream_descriptor>& watched) {  // they are others' too
  for (stream_descriptor& descriptor : watched) descriptor.release();
}

// ---- posting

struct Chain {
  asio::io_context& io;
  std::size_t left;
  void operator()() {
    if (left == 0) return io.stop();
    --left;
    asio::post(io, *this);
  }
};

template <int kHint>
double post_chain(std::size_t count, const std::vector<int>& fds) {
  asio::io_context io(kHint);
  std::vector<stream_descriptor> watched;
  for (const int fd : fds) watch_nothing(watched, io, fd);
  const CpuTime time;
  asio::post(io, Chain{io, count});
  io.run();
  const double total = time.nanoseconds();
  let_go(watched);
  return each(total, count);
}

template <int kHint>
double post_all(std::size_t count) {
  asio::io_context io(kHint);
  std::size_t done = 0;
  const CpuTime time;
  for (std::size_t i = 0; i < count; ++i) asio::post(io, [&done] { ++done; });
  io.run();
  const double total = time.nanoseconds();
  if (done != count) throw std::runtime_error("Asio handlers are missing");
  return each(total, count);
}

// ---- waking

struct PingPong {
  asio::io_context& here;
  asio::io_context& there;
  std::size_t left;
  void ping() {
    asio::post(there, [this] { asio::post(here, [this] { back(); }); });
  }
  void back() {
    if (--left == 0) return here.stop();
    ping();
  }
};

double wake_and_back(std::size_t count, const std::vector<int>& fds) {
  const OnProcessor first(0);
  asio::io_context here(kOneThread), there(kOneThread);
  std::vector<stream_descriptor> watched;
  for (const int fd : fds) watch_nothing(watched, watched.empty() ? here : there, fd);
  const auto work_here = asio::make_work_guard(here), work_there = asio::make_work_guard(there);
  std::thread thread([&] {
    const OnProcessor second(1);
    there.run();
  });
  PingPong game{here, there, count};
  const WallTime time;
  game.ping();
  here.run();
  const double total = time.nanoseconds();
  there.stop();
  thread.join();
  let_go(watched);
  return each(total, count);
}

// ---- timers

template <int kHint>
TimerCosts timers(const TimerPlan& plan) {
  asio::io_context io(kHint);
  std::vector<asio::steady_timer> all;
  all.reserve(plan.count());
  std::size_t left = plan.left(), aborted = 0;
  TimerCosts costs;
  const auto start = std::chrono::steady_clock::now();

  const CpuTime adding;
  for (std::size_t i = 0; i < plan.count(); ++i) {
    auto& timer = all.emplace_back(io, start + plan.due(i));
    timer.async_wait([&left, &aborted](const asio::error_code& error) { --(error ? aborted : left); });
  }
  costs.add = each(adding.nanoseconds(), plan.count());

  const CpuTime cancelling;
  aborted = plan.cancelled().size();
  for (const std::uint32_t i : plan.cancelled()) all[i].cancel();
  while (aborted > 0) io.poll_one();
  costs.cancel = each(cancelling.nanoseconds(), plan.cancelled().size());

  plan.wait_until_all_are_due(start);
  const CpuTime firing;
  io.run();
  costs.fire = each(firing.nanoseconds(), plan.left());
  if (left != 0) throw std::runtime_error("Asio timers are missing");
  return costs;
}

// The handlers of cancelled waits are run in batches: one by one each would cost a poll.
template <int kHint>
double start_and_stop(std::size_t count, std::size_t pending) {
  constexpr std::size_t kBatch = 64;
  asio::io_context io(kHint);
  const auto work = asio::make_work_guard(io);
  std::vector<asio::steady_timer> others;
  for (std::size_t i = 0; i < pending; ++i) {
    others.emplace_back(io, due_of_other(i, pending)).async_wait([](const asio::error_code&) {});
  }
  asio::steady_timer timer(io);
  const CpuTime time;
  for (std::size_t i = 0; i < count; ++i) {
    timer.expires_after(kOfTheOne);
    timer.async_wait([](const asio::error_code&) {});
    timer.cancel();
    if (i % kBatch == kBatch - 1) io.poll();
  }
  io.poll();
  return each(time.nanoseconds(), count);
}

template <int kHint>
double bytes_per_timer(std::size_t count) {
  asio::io_context io(kHint);
  asio::steady_timer first(io);
  const double before = heap_bytes();
  std::vector<asio::steady_timer> all;
  all.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    all.emplace_back(io, std::chrono::minutes(1)).async_wait([](const asio::error_code&) {});
  }
  return each(heap_bytes() - before, count);
}

// ---- descriptors

struct Reader {
  asio::io_context& io;
  ReadyDescriptors& descriptors;
  stream_descriptor& stream;
  void wait() const { stream.async_wait(stream_descriptor::wait_read, *this); }
  void operator()(const asio::error_code&) const {
    if (!descriptors.handle(stream.native_handle())) return io.stop();
    wait();
  }
};

template <int kHint>
void ready(ReadyDescriptors& descriptors) {
  asio::io_context io(kHint);
  std::vector<stream_descriptor> streams;
  streams.reserve(descriptors.fds().size());
  for (const int fd : descriptors.fds()) Reader{io, descriptors, streams.emplace_back(io, fd)}.wait();
  io.run();
  for (auto& stream : streams) stream.release();
}

void watch_nothing(stream_descriptor& stream) {
  stream.async_wait(stream_descriptor::wait_read, [](const asio::error_code&) {});
}

template <int kHint>
double bytes_per_descriptor(const std::vector<int>& fds) {
  asio::io_context io(kHint);
  stream_descriptor none(io);
  const double before = heap_bytes();
  std::vector<stream_descriptor> streams;
  streams.reserve(fds.size());
  for (const int fd : fds) watch_nothing(streams.emplace_back(io, fd));
  return each(heap_bytes() - before, fds.size());
}

template <int kHint>
void idle(int fd, void (*at_rest)()) {
  asio::io_context io(kHint);
  stream_descriptor stream(io, fd);
  watch_nothing(stream);
  at_rest();
  io.run();
}

template <int kHint>
LoopSubject subject(const char* name) {
  return {.name = name,
          .version = std::to_string(ASIO_VERSION / 100000) + "." + std::to_string(ASIO_VERSION / 100 % 1000) + "." +
                     std::to_string(ASIO_VERSION % 100),
          .post_chain = &post_chain<kHint>,
          .post_all = &post_all<kHint>,
          .wake_and_back = kHint == kOneThread ? &wake_and_back : nullptr,
          .timers = &timers<kHint>,
          .start_and_stop = &start_and_stop<kHint>,
          .ready = &ready<kHint>,
          .bytes_per_timer = &bytes_per_timer<kHint>,
          .bytes_per_descriptor = &bytes_per_descriptor<kHint>,
          .idle = &idle<kHint>};
}

const RegisteredSubject with_locks(2, subject<kOneThread>("Asio"));
const RegisteredSubject without_locks(3, subject<kNoLocks>("Asio, no locks"));

}  // namespace
