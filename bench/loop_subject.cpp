#include "bench/loop_subject.h"

#include <malloc.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <thread>
#include <utility>

namespace bench {
namespace {

using std::chrono::microseconds;

constexpr std::size_t kWarmUpRounds = 16;

int make_eventfd(unsigned value, int flags) {
  const int fd = ::eventfd(value, EFD_NONBLOCK | EFD_CLOEXEC | flags);
  if (fd >= 0) return fd;
  std::perror("eventfd");
  std::_Exit(1);
}

std::map<int, LoopSubject>& columns() {
  static std::map<int, LoopSubject> all;
  return all;
}

// Enough for the slowest to set them and to cancel half.
microseconds head_start(std::size_t count) { return microseconds(2'000 + count); }

microseconds spread(std::size_t count) { return microseconds(std::clamp<std::size_t>(count, 5'000, 50'000)); }

}  // namespace

TimerPlan::TimerPlan(std::size_t count) : due_(count), cancelled_(count) {
  std::mt19937_64 random(42);  // the same plan for everybody
  std::uniform_int_distribution<microseconds::rep> moment(0, spread(count).count());
  for (auto& due : due_) due = head_start(count) + microseconds(moment(random));
  std::iota(cancelled_.begin(), cancelled_.end(), 0u);
  std::shuffle(cancelled_.begin(), cancelled_.end(), random);
  cancelled_.resize(count / 2);
}

void TimerPlan::wait_until_all_are_due(std::chrono::steady_clock::time_point start) const {
  std::this_thread::sleep_until(start + head_start(count()) + spread(count()) + std::chrono::milliseconds(2));
}

ReadyDescriptors::ReadyDescriptors(std::size_t descriptors, std::size_t events, Hook begin, Hook end)
    : next_(kWarmUpRounds * descriptors), events_(events), begin_(std::move(begin)), end_(std::move(end)) {
  for (std::size_t i = 0; i < descriptors; ++i) fds_.push_back(make_eventfd(0x7fffffff, EFD_SEMAPHORE));
}

ReadyDescriptors::~ReadyDescriptors() {
  for (const int fd : fds_) ::close(fd);
}

void ReadyDescriptors::milestone() {
  if (begun_) {
    end_();
    done_ = true;
    return;
  }
  begun_ = true;
  next_ += events_;
  begin_();
}

std::vector<int> quiet_descriptors(std::size_t count) {
  std::vector<int> fds(count);
  for (int& fd : fds) fd = make_eventfd(0, 0);
  return fds;
}

OnProcessor::OnProcessor(unsigned number) {
  ::sched_getaffinity(0, sizeof before_, &before_);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(number % std::thread::hardware_concurrency(), &one);
  ::sched_setaffinity(0, sizeof one, &one);  // where it is not allowed, it stays as it was
}

OnProcessor::~OnProcessor() { ::sched_setaffinity(0, sizeof before_, &before_); }

double heap_bytes() {
  const auto info = ::mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd);
}

void keep_freed_memory() {
  ::mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  ::mallopt(M_MMAP_MAX, 0);
}

const std::vector<LoopSubject>& loop_subjects() {
  static const std::vector<LoopSubject> all = [] {
    std::vector<LoopSubject> subjects;
    for (const auto& [column, subject] : columns()) subjects.push_back(subject);
    return subjects;
  }();
  return all;
}

RegisteredSubject::RegisteredSubject(int column, LoopSubject subject) { columns().emplace(column, std::move(subject)); }

}  // namespace bench
