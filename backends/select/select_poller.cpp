#include "backends/select/select_poller.h"

#include <fcntl.h>
#include <sys/select.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include "backends/posix/descriptor.h"
#include "backends/posix/errno_code.h"
#include "backends/posix/posix_backend.h"
#include "backends/posix/wake_pipe.h"

namespace twinloop::detail {
namespace {

bool fits(int fd) noexcept { return fd >= 0 && fd < FD_SETSIZE; }

bool is_closed(int fd) noexcept { return ::fcntl(fd, F_GETFD) == -1 && errno == EBADF; }

// Rounded up, so that a timer is never found not yet due; null for no limit.
timeval* to_timeout(TimePoint deadline, timeval& memory) noexcept {
  constexpr std::chrono::microseconds kDay = std::chrono::hours(24);
  if (deadline == kNever) return nullptr;
  memory = {};
  if (deadline == kAlready) return &memory;
  const Duration left = std::max(Duration::zero(), deadline - TimePoint(std::chrono::steady_clock::now()));
  const auto microseconds = std::min(kDay, std::chrono::ceil<std::chrono::microseconds>(left));
  const auto seconds = std::chrono::floor<std::chrono::seconds>(microseconds);
  memory.tv_sec = static_cast<decltype(memory.tv_sec)>(seconds.count());
  memory.tv_usec = static_cast<decltype(memory.tv_usec)>((microseconds - seconds).count());
  return &memory;
}

class SelectPoller final : public Poller {
 public:
  SelectPoller() {
    FD_ZERO(&reading_);
    FD_ZERO(&writing_);
    if (!wake_.open()) throw Error(from_errno(errno), "making a select loop");
    if (!fits(wake_.fd())) throw Error(Errc::descriptors_exhausted, "making a select loop");
    FD_SET(wake_.fd(), &reading_);
    highest_ = wake_.fd();
  }

  bool edge_triggered() const noexcept override { return false; }
  bool reports_end_early() const noexcept override { return false; }

  std::error_code add(int fd, FdKey key, Interest interest, Trigger) override {
    if (!fits(fd)) return Errc::descriptors_exhausted;
    Entry& entry = entry_of(fd);
    if (entry.used) return Errc::busy;
    entry = {key, true};
    highest_ = std::max(highest_, fd);
    set(fd, interest);
    return {};
  }

  std::error_code modify(int fd, FdKey, Interest interest, Trigger) override {
    set(fd, interest);
    return {};
  }

  void remove(int fd) noexcept override {
    set(fd, Interest::none);
    entry_of(fd).used = false;
    while (highest_ > wake_.fd() && !entry_of(highest_).used) --highest_;
  }

  std::span<FdEvent> wait(TimePoint deadline) override {
    found_.clear();
    fd_set readable = reading_;
    fd_set writable = writing_;
    timeval memory;
    const int count = ::select(highest_ + 1, &readable, &writable, nullptr, to_timeout(deadline, memory));
    if (count == -1 && errno == EBADF) report_closed();
    if (count <= 0) return found_;
    collect(readable, writable, count);
    if (FD_ISSET(wake_.fd(), &readable)) {
      found_.push_back({Ready::none, kWakeKey});
      wake_.drain();
    }
    return found_;
  }

  void wake() noexcept override { wake_.wake(); }

  void after_fork() noexcept override { wake_.close(); }

 private:
  struct Entry {
    FdKey key;
    bool used = false;
  };

  Entry& entry_of(int fd) noexcept { return entries_[static_cast<std::size_t>(fd)]; }

  void set(int fd, Interest interest) noexcept {
    if (wants(interest, Interest::read))
      FD_SET(fd, &reading_);
    else
      FD_CLR(fd, &reading_);
    if (wants(interest, Interest::write))
      FD_SET(fd, &writing_);
    else
      FD_CLR(fd, &writing_);
  }

  void collect(const fd_set& readable, const fd_set& writable, int count) {
    for (int fd = 0; fd <= highest_ && count > 0; ++fd) {
      const bool read = FD_ISSET(fd, &readable);
      const bool write = FD_ISSET(fd, &writable);
      count -= static_cast<int>(read) + static_cast<int>(write);
      if (!entry_of(fd).used || !(read || write)) continue;
      found_.push_back(
          {(read ? Ready::readable : Ready::none) | (write ? Ready::writable : Ready::none), entry_of(fd).key});
    }
  }

  // Somebody closed a descriptor behind our back.  Its listener is told once; to watch it further would fail at each turn.
  void report_closed() {
    for (int fd = 0; fd <= highest_; ++fd) {
      if (!FD_ISSET(fd, &reading_) && !FD_ISSET(fd, &writing_)) continue;
      if (!entry_of(fd).used || !is_closed(fd)) continue;
      set(fd, Interest::none);
      found_.push_back({Ready::failure, entry_of(fd).key});
    }
  }

  WakePipe wake_;
  fd_set reading_;
  fd_set writing_;
  int highest_ = -1;
  std::array<Entry, FD_SETSIZE> entries_;
  std::vector<FdEvent> found_;
};

}  // namespace

std::unique_ptr<Poller> make_select_poller() {
  reserve_standard_descriptors();
  return std::make_unique<SelectPoller>();
}

std::unique_ptr<Backend> make_select_backend() {
  return std::make_unique<PosixBackend>("select", make_select_poller());
}

bool select_available() noexcept { return true; }

}  // namespace twinloop::detail
