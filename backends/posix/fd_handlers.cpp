#include "backends/posix/fd_handlers.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "backends/posix/errno_code.h"
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
  bool running() const noexcept { return running_ != FdEvents::none; }
  void operator()() { handler_(fd_, running_); }

 private:
  FdEvents told(Ready ready) const noexcept {
    if (has(ready, Ready::hangup | Ready::failure)) return asked_ == FdEvents::none ? asked_ : asked_ | FdEvents::error;
    if (has(ready, Ready::peer_end)) ready = ready | Ready::readable;
    return static_cast<FdEvents>(ready) & asked_;
  }

  void on_fd_events(Ready ready) override {
    const FdEvents events = told(ready);
    if (events == FdEvents::none) return;
    running_ = events;
    owner_.reactor_.loop().run_step(StepKind::handler, origin_, *this);
    running_ = FdEvents::none;
    if (!registration_) owner_.removed_.reset();  // and with it this
  }

  void on_reactor_closing() noexcept override { end(); }

  FdHandlers& owner_;
  FdRegistration registration_;
  const int fd_;
  FdEvents asked_ = FdEvents::none;
  FdEvents running_ = FdEvents::none;  // what the handler is being told
  Handler handler_;
  const Origin origin_;
};

FdHandlers::FdHandlers(Reactor& reactor) noexcept : reactor_(reactor) {}
FdHandlers::~FdHandlers() = default;

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

// A handler that removes itself lives until it returns.
void FdHandlers::remove(int fd) noexcept {
  std::unique_ptr<Entry>* found = find(fd);
  if (found == nullptr) return;
  --size_;
  std::unique_ptr<Entry> entry = std::move(*found);
  entry->end();
  if (entry->running()) removed_ = std::move(entry);
}

void FdHandlers::close_descriptors() noexcept {
  for (std::size_t index = 0; index < entries_.size(); ++index) {
    if (entries_[index] == nullptr) continue;
    remove(static_cast<int>(index));
    ::close(static_cast<int>(index));
  }
}

}  // namespace twinloop::detail
