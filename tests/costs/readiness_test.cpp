// What it costs that a descriptor is ready: counted in a process of its own, which is traced.
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cerrno>
#include <chrono>
#include <functional>
#include <vector>

#include "bench/loop_subject.h"
#include "bench/tracing.h"
#include "twinloop/detail/builtin.h"
#include "twinloop/ioloop.h"

#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__) && defined(__x86_64__)

using namespace std::chrono_literals;
using namespace twinloop;

namespace {

// Runs `prepare(loop)` and then a loop on epoll whose descriptors are always ready, with a mark before and behind so many events.
template <class Prepare>
void handle_events(std::size_t descriptors, std::size_t events, Prepare prepare) {
  IOLoop::configure("epoll");
  IOLoop loop;
  prepare(loop);
  bench::ReadyDescriptors ready(descriptors, events, &bench::mark, &bench::mark);
  for (const int fd : ready.fds()) {
    loop.add_handler(fd, [&ready](int number, FdEvents) { ready.handle(number); }, FdEvents::read);
  }
  loop.start();
}

constexpr long kPrecise = 441;  // SYS_epoll_pwait2, which older headers do not name

// Neither missing (before 5.11) nor forbidden (old sandboxes).
bool kernel_is_precise() {
  return ::syscall(kPrecise, -1, nullptr, 0, nullptr, nullptr, 0) == 0 || errno == EBADF || errno == EINVAL;
}

std::vector<long> waits_of(const std::function<void()>& program) {
  std::vector<long> calls = bench::system_calls(program);
  std::erase_if(calls, [](long call) { return call != SYS_epoll_wait && call != SYS_epoll_pwait && call != kPrecise; });
  return calls;
}

// Asks for a callback in every turn, so that none of them sleeps.
struct Busy {
  IOLoop& loop;
  void operator()() const { loop.add_callback(*this); }
};

}  // namespace

TEST_CASE(
    "a handler is called for a readiness event in as few instructions in user space as it was") {  // gcc 12 -O2, and 6 %
  if (!bench::can_trace()) SKIP("this system does not allow tracing");
  constexpr std::size_t kDescriptors = 64;
  constexpr std::size_t kEvents = 4 * kDescriptors;
  const auto program = [] { handle_events(kDescriptors, kEvents, [](IOLoop&) {}); };
  CHECK(bench::user_instructions(program) / kEvents <= 93);
}

TEST_CASE("epoll waits with precision only where there is a time to be precise about") {
  if (!bench::can_trace()) SKIP("this system does not allow tracing");
  constexpr std::size_t kEvents = 20;
  const auto forever = waits_of([] { handle_events(1, kEvents, [](IOLoop&) {}); });
  CHECK(forever == std::vector<long>(kEvents, SYS_epoll_wait));

  Timeout later;
  const auto set_timer = [&later](IOLoop& loop) { later = loop.call_later(1h, [] {}); };
  const auto until = waits_of([&] { handle_events(1, kEvents, set_timer); });
  if (TWINLOOP_HAVE_EPOLL_PWAIT2 && kernel_is_precise()) CHECK(until == std::vector<long>(kEvents, kPrecise));

  const auto set_timer_and_keep_busy = [&](IOLoop& loop) {
    set_timer(loop);
    loop.add_callback(Busy{loop});
  };
  const auto at_once = waits_of([&] { handle_events(1, kEvents, set_timer_and_keep_busy); });
  CHECK(at_once == std::vector<long>(kEvents, SYS_epoll_wait));
}

#endif
