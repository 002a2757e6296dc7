#include "backends/epoll/epoll_poller.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "backends/posix/descriptor.h"
#include "backends/posix/errno_code.h"
#include "backends/posix/posix_backend.h"

namespace twinloop::detail {
namespace {

constexpr std::size_t kBatch = 256;

constexpr std::uint64_t pack(FdKey key) noexcept { return std::uint64_t{key.generation} << 32 | key.slot; }
constexpr FdKey unpack(std::uint64_t data) noexcept {
  return {static_cast<std::uint32_t>(data), static_cast<std::uint32_t>(data >> 32)};
}

// A level-triggered descriptor that nobody wants anything of would report a hang-up for ever: as an edge it comes once.
std::uint32_t to_epoll(Interest interest, Trigger trigger) noexcept {
  std::uint32_t events = 0;
  if (wants(interest, Interest::read)) events |= EPOLLIN;
  if (wants(interest, Interest::write)) events |= EPOLLOUT;
  if (trigger == Trigger::edge) return events | EPOLLET | EPOLLRDHUP | EPOLLPRI;
  return interest == Interest::none ? static_cast<std::uint32_t>(EPOLLET) : events;
}

constexpr Ready to_ready(std::uint32_t events) noexcept { return static_cast<Ready>(events); }
static_assert(to_ready(EPOLLIN) == Ready::readable && to_ready(EPOLLPRI) == Ready::urgent);
static_assert(to_ready(EPOLLOUT) == Ready::writable && to_ready(EPOLLERR) == Ready::failure);
static_assert(to_ready(EPOLLHUP) == Ready::hangup && to_ready(EPOLLRDHUP) == Ready::peer_end);

[[maybe_unused]] FdEvent to_found(const epoll_event& event) noexcept {
  return {to_ready(event.events), unpack(event.data.u64)};
}

// Whether what the kernel writes is what the reactor reads: on x86 it is, elsewhere the kernel aligns its events to eight bytes.
constexpr bool kSameEvents = sizeof(epoll_event) == sizeof(FdEvent) &&
                             offsetof(epoll_event, data) == offsetof(FdEvent, key) &&
                             std::endian::native == std::endian::little;

Duration time_left(TimePoint deadline) noexcept {
  if (deadline == kAlready) return Duration::zero();
  return std::max(Duration::zero(), deadline - TimePoint(std::chrono::steady_clock::now()));
}

int wait_milliseconds(int epoll, epoll_event* events, TimePoint deadline) noexcept {
  constexpr std::int64_t kDay = 24 * 60 * 60 * 1000;
  int timeout = -1;
  if (deadline != kNever) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(time_left(deadline)).count();
    timeout = static_cast<int>(std::min<std::int64_t>(left, kDay));
  }
  return ::epoll_wait(epoll, events, kBatch, timeout);
}

#if TWINLOOP_HAVE_EPOLL_PWAIT2
int wait_nanoseconds(int epoll, epoll_event* events, TimePoint deadline) noexcept {
  const Duration left = time_left(deadline);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
  timespec timeout{};
  timeout.tv_sec = static_cast<decltype(timeout.tv_sec)>(seconds.count());
  timeout.tv_nsec = static_cast<decltype(timeout.tv_nsec)>((left - seconds).count());
  return ::epoll_pwait2(epoll, events, kBatch, &timeout, nullptr);
}
#else
int wait_nanoseconds(int, epoll_event*, TimePoint) noexcept {
  errno = ENOSYS;
  return -1;
}
#endif

class EpollPoller final : public Poller {
 public:
  EpollPoller() : epoll_(::epoll_create1(EPOLL_CLOEXEC)), wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (!epoll_ || !wake_) throw Error(from_errno(errno), "making an epoll loop");
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.u64 = pack(kWakeKey);
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) {
      throw Error(from_errno(errno), "making an epoll loop");
    }
  }

  bool edge_triggered() const noexcept override { return true; }
  bool reports_end_early() const noexcept override { return true; }

  std::error_code add(int fd, FdKey key, Interest interest, Trigger trigger) override {
    const auto number = static_cast<std::size_t>(fd);
    if (number < taken_.size() && taken_[number]) return Errc::busy;
    if (control(EPOLL_CTL_ADD, fd, key, interest, trigger) != 0) return refusal(errno);
    if (number >= taken_.size()) grow(fd);
    taken_[number] = true;
    return {};
  }

  std::error_code modify(int fd, FdKey key, Interest interest, Trigger trigger) override {
    return control(EPOLL_CTL_MOD, fd, key, interest, trigger) == 0 ? std::error_code() : refusal(errno);
  }

  void remove(int fd) noexcept override {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    taken_[static_cast<std::size_t>(fd)] = false;
  }

  std::span<FdEvent> wait(TimePoint deadline) override {
    const auto count = static_cast<std::size_t>(std::max(wait_for_events(deadline), 0));
    if constexpr (!kSameEvents) std::transform(events_.data(), events_.data() + count, found_.data(), to_found);
    return std::span(found_).first(count);
  }

  // Each write is an edge of its own: nobody has to read the counter.
  void wake() noexcept override {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
  }

  void after_fork() noexcept override {
    epoll_.reset();
    wake_.reset();
  }

 private:
  // Here EPERM says that the file cannot be polled, not that somebody forbids it.
  static std::error_code refusal(int error) noexcept {
    return error == EPERM ? std::error_code(EPERM, std::system_category()) : from_errno(error);
  }

  void grow(int fd) {
    try {
      taken_.resize(std::max(static_cast<std::size_t>(fd) + 1, 2 * taken_.size()));
    } catch (...) {
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
      throw;
    }
  }

  int control(int operation, int fd, FdKey key, Interest interest, Trigger trigger) noexcept {
    epoll_event event{};
    event.events = to_epoll(interest, trigger);
    event.data.u64 = pack(key);
    return ::epoll_ctl(epoll_.get(), operation, fd, &event);
  }

  // Precision costs the kernel some 20 to 40 ns: only where there is a time to be precise about.
  int wait_for_events(TimePoint deadline) noexcept {
    if (precise_ && deadline != kNever && deadline != kAlready) {
      const int count = wait_nanoseconds(epoll_.get(), reported(), deadline);
      if (count != -1 || (errno != ENOSYS && errno != EPERM)) return count;
      precise_ = false;
    }
    return wait_milliseconds(epoll_.get(), reported(), deadline);
  }

  epoll_event* reported() noexcept {
    if constexpr (kSameEvents)
      return reinterpret_cast<epoll_event*>(found_.data());
    else
      return events_.data();
  }

  Descriptor epoll_;
  Descriptor wake_;
  // By descriptor.  The kernel forgets one that was closed behind our back, and would take its number for somebody else, whom a late
  // remove() then takes away.
  std::vector<bool> taken_;
  bool precise_ = true;  // false where epoll_pwait2 is missing (before 5.11) or forbidden (old sandboxes)
  std::array<epoll_event, kSameEvents ? 0 : kBatch> events_;
  alignas(64) std::array<FdEvent, kBatch> found_;
};

}  // namespace

std::unique_ptr<Poller> make_epoll_poller() {
  reserve_standard_descriptors();
  return std::make_unique<EpollPoller>();
}

std::unique_ptr<Backend> make_epoll_backend() { return std::make_unique<PosixBackend>("epoll", make_epoll_poller()); }

bool epoll_available() noexcept { return true; }

}  // namespace twinloop::detail
