#include "backends/posix/fd_handlers.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "backends/posix/errno_code.h"
#include "twinloop/detail/observers.h"
#include "twinloop/ioloop.h"

namespace twinloop::detail {
namespace {

static_assert(static_cast<unsigned>(FdEvents::read) == static_cast<unsigned>(Ready::readable));
static_assert(static_cast<unsigned>(FdEvents::write) == static_cast<unsigned>(Ready::writable));
static_assert(static_cast<unsigned>(FdEvents::error) == static_cast<unsigned>(Ready::failure | Ready::hangup));

Interest interest_in(FdEvents events) noexcept {
  return (any_of(events, FdEvents::read) ? Interest::read : Interest::none) |
         (any_of(events, FdEvents::write) ? Interest::write : Interest::none);
}

// Regular files are always ready; epoll refuses them, and so that programs are the same everywhere all pollers do.
std::error_code check(int fd) noexcept {
  struct stat status;
  if (::fstat(fd, &status) != 0) return from_errno(errno);
  if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)) return Errc::bad_descriptor;
  return {};
}

}  // namespace

class FdHandlers::Entry final : public FdListener {
 public:
  Entry(FdHandlers& owner, int fd, Handler handler, const Origin& origin) noexcept
      : owner_(owner), fd_(fd), handler_(std::move(handler)), origin_(origin) {}

  std::error_code begin(FdEvents events) {
    asked_ = events;
    const std::error_code error = registration_.begin(owner_.reactor_, fd_, *this, interest_in(events), Trigger::level);
    return error == std::error_code(EPERM, std::system_category()) ? make_error_code(Errc::bad_descriptor) : error;
  }
  std::error_code update(FdEvents events) {
    asked_ = events;
    return registration_.modify(interest_in(events));
  }
  void end() noexcept { registration_.end(); }

  std::unique_ptr<Entry> next;  // in FdHandlers::removed_

 private:
  FdEvents told(Ready ready) const noexcept {
    if (has(ready, Ready::hangup | Ready::failure | Ready::peer_end)) [[unlikely]]
      return told_of_end(ready);
    return static_cast<FdEvents>(ready) & asked_;
  }
  FdEvents told_of_end(Ready ready) const noexcept {
    if (!has(ready, Ready::hangup | Ready::failure)) return static_cast<FdEvents>(ready | Ready::readable) & asked_;
    return asked_ == FdEvents::none ? asked_ : asked_ | FdEvents::error;
  }

  void on_fd_events(Ready ready) override {
    const FdEvents events = told(ready);
    if (events == FdEvents::none) return;
    try {
      handler_(fd_, events);
    } catch (...) {
      log_failed_step(StepKind::handler, origin_);
    }
  }

  Origin origin() const noexcept override { return origin_; }
  void on_reactor_closing() noexcept override { end(); }

  FdHandlers& owner_;
  FdRegistration registration_;
  const int fd_;
  FdEvents asked_ = FdEvents::none;
  Handler handler_;
  const Origin origin_;
};

FdHandlers::FdHandlers(Reactor& reactor) noexcept : Waiter(&FdHandlers::on_drained), reactor_(reactor) {}

FdHandlers::~FdHandlers() {
  destroy(std::move(removed_));
  destroy(std::move(leaving_));
}

std::unique_ptr<FdHandlers::Entry>* FdHandlers::find(int fd) noexcept {
  const auto index = static_cast<std::size_t>(fd);
  return fd >= 0 && index < entries_.size() && entries_[index] != nullptr ? &entries_[index] : nullptr;
}

std::error_code FdHandlers::add(int fd, Handler handler, FdEvents events, const Origin& origin) {
  if (const std::error_code error = check(fd)) return error;
  if (find(fd) != nullptr) return Errc::busy;
  auto entry = std::make_unique<Entry>(*this, fd, std::move(handler), origin);
  if (const std::error_code error = entry->begin(events)) return error;
  const auto index = static_cast<std::size_t>(fd);
  if (index >= entries_.size()) entries_.resize(index + 1);
  entries_[index] = std::move(entry);
  ++size_;
  return {};
}

std::error_code FdHandlers::update(int fd, FdEvents events) {
  std::unique_ptr<Entry>* entry = find(fd);
  return entry != nullptr ? (*entry)->update(events) : make_error_code(Errc::bad_descriptor);
}

void FdHandlers::remove(int fd) noexcept {
  std::unique_ptr<Entry>* found = find(fd);
  if (found == nullptr) return;
  --size_;
  std::unique_ptr<Entry> entry = std::move(*found);
  entry->end();
  if (reactor_.telling() || Scheduler::current().has_ready()) bury(std::move(entry));
}

// A handler may remove itself, and what it holds must outlast the coroutines that it wakes, before that and after: it goes behind
// those that are ready when this comes up in their queue, for which it must have returned.
void FdHandlers::bury(std::unique_ptr<Entry> entry) noexcept {
  entry->next = std::move(removed_);
  removed_ = std::move(entry);
  wake();
}

void FdHandlers::on_drained(Waiter& waiter) noexcept {
  auto& self = static_cast<FdHandlers&>(waiter);
  destroy(std::exchange(self.leaving_, std::move(self.removed_)));
  if (self.leaving_ != nullptr) self.wake();
}

void FdHandlers::destroy(Entries entries) noexcept {
  while (entries != nullptr) {
    const std::unique_ptr<Entry> first = std::move(entries);
    entries = std::move(first->next);
  }
}

void FdHandlers::close_descriptors() noexcept {
  for (std::size_t index = 0; index < entries_.size(); ++index) {
    if (entries_[index] == nullptr) continue;
    remove(static_cast<int>(index));
    ::close(static_cast<int>(index));
  }
}

}  // namespace twinloop::detail
