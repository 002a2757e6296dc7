// What `./dev bench loop` asks of a loop.  Each library answers in a file of its own (loop_NAME.cpp), in the way its users would
// write it; what it does not have it leaves out.
#pragma once

#include <sched.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace bench {

// A million timers that are due at random moments of one short time, far enough away to be set and half of them cancelled before.
class TimerPlan {
 public:
  explicit TimerPlan(std::size_t count);

  std::size_t count() const noexcept { return due_.size(); }
  std::chrono::microseconds due(std::size_t i) const noexcept { return due_[i]; }
  // After the moment at which the first timer is made.

  const std::vector<std::uint32_t>& cancelled() const noexcept { return cancelled_; }
  // Half of them, in random order.
  std::size_t left() const noexcept { return count() - cancelled_.size(); }

  void wait_until_all_are_due(std::chrono::steady_clock::time_point start) const;

 private:
  std::vector<std::chrono::microseconds> due_;
  std::vector<std::uint32_t> cancelled_;
};

struct TimerCosts {  // ns each
  double add = 0, cancel = 0, fire = 0;
};

// Descriptors that are always readable, until their handlers have read often enough.  Each is a semaphore eventfd: a read takes
// eight bytes and leaves it readable, so that a loop pays for its polls, its dispatch and the handler's read, and nothing else.
class ReadyDescriptors {
 public:
  using Hook = std::function<void()>;

  ReadyDescriptors(std::size_t descriptors, std::size_t events, Hook begin, Hook end);
  ReadyDescriptors(const ReadyDescriptors&) = delete;
  ReadyDescriptors& operator=(const ReadyDescriptors&) = delete;
  ~ReadyDescriptors();

  const std::vector<int>& fds() const noexcept { return fds_; }

  bool handle(int fd) {
    std::uint64_t eight_bytes = 0;
    [[maybe_unused]] const auto size = ::read(fd, &eight_bytes, sizeof eight_bytes);
    if (++handled_ == next_) milestone();
    return !done_;
  }
  // What each handler does.  False: enough, stop the loop.  The hooks are called when it has warmed up, and `events` later.

 private:
  void milestone();

  std::vector<int> fds_;
  std::size_t handled_ = 0;
  std::size_t next_ = 0;
  std::size_t events_;
  bool begun_ = false;
  bool done_ = false;
  Hook begin_, end_;
};

// One timer set for an hour and taken back, again and again, among others that are due evenly before and after it.
inline constexpr std::chrono::milliseconds kOfTheOne = std::chrono::hours(1);
constexpr std::chrono::milliseconds due_of_other(std::size_t i, std::size_t others) {
  return 2 * kOfTheOne * (static_cast<std::chrono::milliseconds::rep>(i) + 1) /
         (static_cast<std::chrono::milliseconds::rep>(others) + 1);
}

std::vector<int> quiet_descriptors(std::size_t count);
// That nothing happens to; the process never closes them.

double heap_bytes();
// What the allocator has given out, its own overhead included.

void keep_freed_memory();
// From now on the allocator gives nothing back to the system: else whoever comes first after a change of size pays for the kernel's
// page faults, and those are dearer than most of what is measured here.

// Keeps the calling thread on one processor (of those there are) while it lives: whether two threads share one decides what a wake
// costs, and the system decides that anew every moment.
class OnProcessor {
 public:
  explicit OnProcessor(unsigned number);
  OnProcessor(const OnProcessor&) = delete;
  OnProcessor& operator=(const OnProcessor&) = delete;
  ~OnProcessor();

 private:
  cpu_set_t before_;
};

// Every member may be null: it has no such thing.
struct LoopSubject {
  std::string name;
  std::string version;
  double (*post_chain)(std::size_t count, const std::vector<int>& fds) = nullptr;
  // ns per handler that posts the next, while the loop waits for those descriptors to become readable
  double (*post_all)(std::size_t count) = nullptr;  // ns per handler, all posted before the first runs
  double (*wake_and_back)(std::size_t count, const std::vector<int>& fds) = nullptr;
  // ns of wall time; each of the two loops waits for one of those descriptors, if there are any
  TimerCosts (*timers)(const TimerPlan& plan) = nullptr;
  double (*start_and_stop)(std::size_t count, std::size_t pending) = nullptr;
  void (*ready)(ReadyDescriptors& descriptors) = nullptr;  // turns until handle() says that it is enough
  double (*bytes_per_timer)(std::size_t count) = nullptr;  // the handle that its user keeps included
  double (*bytes_per_descriptor)(const std::vector<int>& fds) = nullptr;
  void (*idle)(int fd, void (*at_rest)()) = nullptr;  // turns for ever; at_rest() comes just before
};

const std::vector<LoopSubject>& loop_subjects();
// Those of this build, ours first.

class RegisteredSubject {
 public:
  RegisteredSubject(int column, LoopSubject subject);
};

}  // namespace bench
