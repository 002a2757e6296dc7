#include <uv.h>

#include <deque>
#include <stdexcept>
#include <thread>

#include "bench/harness.h"
#include "bench/loop_subject.h"

namespace {

using namespace bench;

void check(int result) {
  if (result < 0) throw std::runtime_error(uv_strerror(result));
}

// Its handles must outlive it: it closes them.
class UvLoop {
 public:
  UvLoop() { check(uv_loop_init(&loop_)); }
  UvLoop(const UvLoop&) = delete;
  UvLoop& operator=(const UvLoop&) = delete;
  ~UvLoop() {
    uv_walk(&loop_, [](uv_handle_t* handle, void*) { uv_close(handle, nullptr); }, nullptr);
    run();
    uv_loop_close(&loop_);
  }

  uv_loop_t* get() noexcept { return &loop_; }
  void run() { uv_run(&loop_, UV_RUN_DEFAULT); }

 private:
  uv_loop_t loop_;
};

void on_nothing(uv_poll_t*, int, int) {}

void watch(UvLoop& loop, uv_poll_t& poll, int fd, uv_poll_cb handler) {
  check(uv_poll_init(loop.get(), &poll, fd));
  check(uv_poll_start(&poll, UV_READABLE, handler));
}

// ---- waking

struct Pinger {
  uv_async_t async{};
  uv_async_t* other = nullptr;
  std::size_t left = 0;
};

void pass_on(uv_async_t* async) {
  auto& self = *static_cast<Pinger*>(async->data);
  if (self.left-- == 0) return uv_stop(async->loop);
  uv_async_send(self.other);
}

double wake_and_back(std::size_t count, const std::vector<int>& fds) {
  const OnProcessor first(0);
  Pinger ping, pong;
  uv_poll_t polls[2];
  UvLoop here, there;
  for (std::size_t i = 0; i < fds.size(); ++i) watch(i == 0 ? here : there, polls[i], fds[i], &on_nothing);
  ping.left = pong.left = count;
  for (auto [pinger, loop] : {std::pair(&ping, &here), std::pair(&pong, &there)}) {
    check(uv_async_init(loop->get(), &pinger->async, &pass_on));
    pinger->async.data = pinger;
  }
  ping.other = &pong.async;
  pong.other = &ping.async;
  std::thread thread([&] {
    const OnProcessor second(1);
    there.run();
  });
  const WallTime time;
  uv_async_send(&ping.async);
  here.run();
  const double total = time.nanoseconds();
  pong.left = 0;
  uv_async_send(&pong.async);
  thread.join();
  return each(total, count);
}

// ---- timers

void count_down(uv_timer_t* timer) { --*static_cast<std::size_t*>(timer->data); }

std::uint64_t milliseconds(std::chrono::microseconds duration) {
  return static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::milliseconds>(duration).count());
}

TimerCosts timers(const TimerPlan& plan) {
  std::vector<uv_timer_t> all(plan.count());
  UvLoop loop;
  std::size_t left = plan.left();
  TimerCosts costs;
  uv_update_time(loop.get());
  const auto start = std::chrono::steady_clock::now();

  const CpuTime adding;
  for (std::size_t i = 0; i < plan.count(); ++i) {
    uv_timer_init(loop.get(), &all[i]);
    all[i].data = &left;
    uv_timer_start(&all[i], &count_down, milliseconds(plan.due(i)), 0);
  }
  costs.add = each(adding.nanoseconds(), plan.count());

  const CpuTime cancelling;
  for (const std::uint32_t i : plan.cancelled()) uv_timer_stop(&all[i]);
  costs.cancel = each(cancelling.nanoseconds(), plan.cancelled().size());

  plan.wait_until_all_are_due(start);
  const CpuTime firing;
  loop.run();
  costs.fire = each(firing.nanoseconds(), plan.left());
  if (left != 0) throw std::runtime_error("libuv timers are missing");
  return costs;
}

double start_and_stop(std::size_t count, std::size_t pending) {
  std::size_t left = 0;
  std::vector<uv_timer_t> all(pending + 1);
  UvLoop loop;
  for (auto& timer : all) {
    uv_timer_init(loop.get(), &timer);
    timer.data = &left;
  }
  for (std::size_t i = 0; i < pending; ++i) {
    uv_timer_start(&all[i + 1], &count_down, milliseconds(due_of_other(i, pending)), 0);
  }
  const CpuTime time;
  for (std::size_t i = 0; i < count; ++i) {
    uv_timer_start(&all[0], &count_down, milliseconds(kOfTheOne), 0);
    uv_timer_stop(&all[0]);
  }
  return each(time.nanoseconds(), count);
}

double bytes_per_timer(std::size_t count) {
  std::vector<uv_timer_t> all;
  UvLoop loop;
  const double before = heap_bytes();
  all.resize(count);
  for (auto& timer : all) {
    uv_timer_init(loop.get(), &timer);
    uv_timer_start(&timer, &count_down, 60'000, 0);
  }
  return each(heap_bytes() - before, count);
}

// ---- descriptors

void on_ready(uv_poll_t* poll, int, int) {
  int fd = -1;
  uv_fileno(reinterpret_cast<uv_handle_t*>(poll), &fd);
  if (!static_cast<ReadyDescriptors*>(poll->data)->handle(fd)) uv_stop(poll->loop);
}

void ready(ReadyDescriptors& descriptors) {
  std::deque<uv_poll_t> polls;
  UvLoop loop;
  for (const int fd : descriptors.fds()) {
    watch(loop, polls.emplace_back(), fd, &on_ready);
    polls.back().data = &descriptors;
  }
  loop.run();
}

double bytes_per_descriptor(const std::vector<int>& fds) {
  std::vector<uv_poll_t> polls;
  UvLoop loop;
  const double before = heap_bytes();
  polls.resize(fds.size());
  for (std::size_t i = 0; i < fds.size(); ++i) watch(loop, polls[i], fds[i], &on_nothing);
  return each(heap_bytes() - before, fds.size());
}

void idle(int fd, void (*at_rest)()) {
  uv_poll_t poll;
  UvLoop loop;
  watch(loop, poll, fd, &on_nothing);
  at_rest();
  loop.run();
}

const RegisteredSubject registered(1, {.name = "libuv",
                                       .version = uv_version_string(),
                                       .wake_and_back = &wake_and_back,
                                       .timers = &timers,
                                       .start_and_stop = &start_and_stop,
                                       .ready = &ready,
                                       .bytes_per_timer = &bytes_per_timer,
                                       .bytes_per_descriptor = &bytes_per_descriptor,
                                       .idle = &idle});

}  // namespace
