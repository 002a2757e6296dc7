#include "backends/kqueue/kqueue_poller.h"

#include <fcntl.h>
#include <sys/types.h>
// <sys/event.h> of some systems needs the types first.
#include <sys/event.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <span>
#include <vector>

#include "backends/posix/descriptor.h"
#include "backends/posix/errno_code.h"
#include "backends/posix/posix_backend.h"
#include "backends/posix/wake_pipe.h"

namespace twinloop::detail {
namespace {

using Kevent = struct kevent;  // the function has the same name

constexpr std::size_t kBatch = 256;

// What stands behind a descriptor, as far as kqueue treats it differently: a socket, or one end of a pipe or terminal.
enum class Kind : std::uint8_t { socket, input, output };

// The fields have other types on each system; assignment with a cast fits them all.  udata stays unused: a key would not fit
// into a 32-bit pointer.
Kevent change(int fd, int filter, unsigned flags, unsigned fflags = 0, int data = 0) noexcept {
  Kevent event{};
  event.ident = static_cast<decltype(event.ident)>(fd);
  event.filter = static_cast<decltype(event.filter)>(filter);
  event.flags = static_cast<decltype(event.flags)>(flags | EV_RECEIPT);
  event.fflags = static_cast<decltype(event.fflags)>(fflags);
  event.data = data;
  return event;
}

bool is_filter(const Kevent& event, int filter) noexcept {
  return event.filter == static_cast<decltype(event.filter)>(filter);
}

// Null for no limit.
timespec* to_timeout(TimePoint deadline, timespec& memory) noexcept {
  constexpr Duration kDay = std::chrono::hours(24);  // some systems refuse more than three years
  if (deadline == kNever) return nullptr;
  memory = {};
  if (deadline == kAlready) return &memory;
  const Duration left = deadline - TimePoint(std::chrono::steady_clock::now());
  const Duration timeout = std::clamp(left, Duration::zero(), kDay);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(timeout);
  memory.tv_sec = static_cast<decltype(memory.tv_sec)>(seconds.count());
  memory.tv_nsec = static_cast<decltype(memory.tv_nsec)>((timeout - seconds).count());
  return &memory;
}

// EPERM for files, as epoll has it.  Here some systems call them ready once, some for ever.
int kind_of(int fd, Kind& kind) noexcept {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return errno;
  if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)) return EPERM;
  if (S_ISSOCK(status.st_mode)) return 0;
  kind = (::fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY ? Kind::output : Kind::input;
  return 0;
}

// Devices that cannot be polled are refused with another error on each system.
std::error_code refusal(int error) noexcept {
  const bool no_filter = error == EPERM || error == EINVAL || error == ENODEV || error == EOPNOTSUPP;
  return no_filter ? std::error_code(EPERM, std::system_category()) : from_errno(error);
}

class KqueuePoller final : public Poller {
 public:
  KqueuePoller() : kqueue_(::kqueue()) {
    if (!kqueue_ || ::fcntl(kqueue_.get(), F_SETFD, FD_CLOEXEC) == -1 || !wake_.open()) fail(errno);
    std::array changes{change(wake_.fd(), EVFILT_READ, EV_ADD)};
    if (const int error = submit(changes)) fail(error);
  }

  bool edge_triggered() const noexcept override { return true; }
  bool reports_end_early() const noexcept override { return true; }

  std::error_code add(int fd, FdKey key, Interest interest, Trigger trigger) override {
    if (fd < 0) return from_errno(EBADF);
    Entry& entry = grown_to(fd);
    if (entry.used) return Errc::busy;
    Entry fresh{key, interest, trigger, Kind::socket, true, 0};
    if (trigger == Trigger::level) {  // edges are for sockets
      if (const int error = kind_of(fd, fresh.kind)) return refusal(error);
    }
    if (const int error = watch(fd, fresh)) {
      unwatch(fd);
      return refusal(error);
    }
    entry = fresh;
    return {};
  }

  std::error_code modify(int fd, FdKey, Interest interest, Trigger trigger) override {
    Entry& entry = entry_of(fd);
    entry.interest = interest;
    entry.trigger = trigger;
    const int error = watch(fd, entry);
    return error != 0 ? refusal(error) : std::error_code();
  }

  void remove(int fd) noexcept override {
    unwatch(fd);
    entry_of(fd).used = false;
  }

  std::span<FdEvent> wait(TimePoint deadline) override {
    if (!broken_.empty()) deadline = kAlready;
    timespec memory;
    const int count = ::kevent(kqueue_.get(), nullptr, 0, events_.data(), kBatch, to_timeout(deadline, memory));
    found_.swap(broken_);
    broken_.clear();
    for (int i = 0; i < count; ++i) {
      const Kevent& event = events_[static_cast<std::size_t>(i)];
      const int fd = static_cast<int>(event.ident);
      if (fd == wake_.fd()) {
        found_.push_back({Ready::none, kWakeKey});
        wake_.drain();
      } else if (const Ready ready = to_ready(event, entry_of(fd)); ready != Ready::none) {
        append_or_merge(found_, entry_of(fd).event, {ready, entry_of(fd).key});
      }
    }
    return found_;
  }

  void wake() noexcept override { wake_.wake(); }

  // A kqueue is not inherited: its number is free in the child, or somebody else's by now.
  void after_fork() noexcept override {
    kqueue_.release();
    wake_.close();
  }

 private:
  // A kevent is named by descriptor and filter alone, and adding it twice changes it silently: what is registered is known here.
  struct Entry {
    FdKey key;
    Interest interest = Interest::none;
    Trigger trigger = Trigger::level;
    Kind kind = Kind::socket;
    bool used = false;
    std::size_t event = 0;  // where its last one stands: each of its filters has events of its own
  };

  [[noreturn]] static void fail(int error) { throw Error(from_errno(error), "making a kqueue loop"); }

  Entry& entry_of(int fd) noexcept {
    assert(static_cast<std::size_t>(fd) < entries_.size());
    return entries_[static_cast<std::size_t>(fd)];
  }

  Entry& grown_to(int fd) {
    const auto index = static_cast<std::size_t>(fd);
    if (index >= entries_.size()) entries_.resize(std::max(index + 1, 2 * entries_.size()));
    return entries_[index];
  }

  // Always anew: a filter that exists already would keep its EV_CLEAR, and only a new one is certain to report what is ready.
  int watch(int fd, Entry& entry) {
    std::array changes{change(fd, EVFILT_READ, EV_DELETE), change(fd, EVFILT_WRITE, EV_DELETE), Kevent{}, Kevent{}};
    std::size_t count = 2;
    const unsigned clear = entry.trigger == Trigger::edge ? EV_CLEAR : 0;
    const bool read = wants(entry.interest, Interest::read);
    const bool write = wants(entry.interest, Interest::write);
    if (write) changes[count++] = change(fd, EVFILT_WRITE, EV_ADD | clear);
    if (read) changes[count++] = change(fd, EVFILT_READ, EV_ADD | clear);
    if (watches_end_only(entry)) changes[count++] = end_only(fd, entry.kind);
    const int error = submit(std::span(changes).first(count));
    if (!lost_its_reader(error, entry)) return error;
    append_or_merge(broken_, entry.event, {Ready::writable | Ready::failure, entry.key});
    return 0;
  }

  void unwatch(int fd) noexcept {
    std::array changes{change(fd, EVFILT_READ, EV_DELETE), change(fd, EVFILT_WRITE, EV_DELETE)};
    submit(changes);
  }

  // The peer's end is told without asking; a level that somebody waits for tells it anyway.
  static bool watches_end_only(const Entry& entry) noexcept {
    if (wants(entry.interest, Interest::read)) return false;
    return entry.trigger == Trigger::edge || entry.interest == Interest::none;
  }

  // As an edge with a low-water mark out of reach.  Pipes do not know that mark on every system: to_ready drops what they report
  // too much.
  static Kevent end_only(int fd, Kind kind) noexcept {
    return change(fd, kind == Kind::output ? EVFILT_WRITE : EVFILT_READ, EV_ADD | EV_CLEAR, NOTE_LOWAT, INT_MAX);
  }

  // A pipe that nobody can read any more: some systems refuse to watch it instead of reporting it.
  static bool lost_its_reader(int error, const Entry& entry) noexcept {
    return entry.kind == Kind::output && (error == EPIPE || error == EBADF);
  }

  // The error of the first addition that failed.  That there was nothing to delete is no error.
  int submit(std::span<Kevent> changes) noexcept {
    const timespec at_once{};
    const int size = static_cast<int>(changes.size());
    const int receipts = ::kevent(kqueue_.get(), changes.data(), size, changes.data(), size, &at_once);
    if (receipts == -1) return errno;
    for (const Kevent& receipt : changes.first(static_cast<std::size_t>(receipts))) {
      const auto error = static_cast<int>(receipt.data);
      if ((receipt.flags & EV_ERROR) != 0 && error != 0 && error != ENOENT) return error;
    }
    return 0;
  }

  // EV_EOF of a socket's write filter says nothing new: it may be our own shutdown.
  static Ready to_ready(const Kevent& event, const Entry& entry) noexcept {
    if (!entry.used) return Ready::none;
    const bool end = (event.flags & EV_EOF) != 0;
    const bool socket = entry.kind == Kind::socket;
    Ready ready = end && socket && event.fflags != 0 ? Ready::failure : Ready::none;
    if (is_filter(event, EVFILT_READ)) {
      // Reads stop short of urgent data, of which most of these systems tell nobody: so a short read means nothing here.
      if (wants(entry.interest, Interest::read)) ready = ready | Ready::readable | Ready::urgent;
      if (end) ready = ready | (socket ? Ready::peer_end : Ready::hangup);
    } else {
      if (wants(entry.interest, Interest::write)) ready = ready | Ready::writable;
      if (end && !socket) ready = ready | Ready::failure;
    }
    return ready;
  }

  Descriptor kqueue_;
  WakePipe wake_;
  std::vector<Entry> entries_;   // by descriptor
  std::vector<FdEvent> broken_;  // told at the next wait
  std::vector<FdEvent> found_;
  std::array<Kevent, kBatch> events_;
};

}  // namespace

std::unique_ptr<Poller> make_kqueue_poller() {
  reserve_standard_descriptors();
  return std::make_unique<KqueuePoller>();
}

std::unique_ptr<Backend> make_kqueue_backend() {
  return std::make_unique<PosixBackend>("kqueue", make_kqueue_poller());
}

bool kqueue_available() noexcept { return true; }

}  // namespace twinloop::detail
