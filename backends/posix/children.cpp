#include "backends/posix/children.h"

#include <signal.h>
#include <sys/wait.h>

#include <cerrno>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "backends/posix/errno_code.h"
#include "backends/posix/pidfd.h"
#include "twinloop/detail/process_lock.h"
#include "twinloop/ioloop.h"

namespace twinloop::detail {
namespace {

int exit_status_of(int status) noexcept { return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status); }

// The status of a child that has ended, a failure when somebody else has collected it, nothing while it runs.
std::optional<Result<int>> collect(pid_t pid) noexcept {
  int status = 0;
  pid_t ended;
  do {
    ended = ::waitpid(pid, &status, WNOHANG);
  } while (ended == -1 && errno == EINTR);
  if (ended == 0) return std::nullopt;
  if (ended == -1) return Result<int>(Failure(from_errno(errno)));
  return Result<int>(exit_status_of(status));
}

constinit ProcessLock lock_of_orphans;
std::vector<pid_t> orphans;  // guarded by that lock: they outlived the loop that started them

void collect_orphans() noexcept {
  const std::lock_guard lock(lock_of_orphans);
  std::erase_if(orphans, [](pid_t pid) { return collect(pid).has_value(); });
}

void add_orphan(pid_t pid) {
  const std::lock_guard lock(lock_of_orphans);
  orphans.push_back(pid);
}

}  // namespace

// What a Subprocess holds.  It knows its child until that has ended or the loop has.
class Children::Handle final : public ChildProcess, private CloseHook {
 public:
  Handle(IOLoop& loop, pid_t pid, Signals signals, Child& child) noexcept
      : pid_(pid), signals_(signals), child_(&child) {
    loop.add_closer(*this);
  }
  ~Handle() override;

  int pid() const noexcept override { return pid_; }
  std::optional<int> exit_status() const noexcept override { return status_; }

  Future<int> wait_for_exit() override {
    if (status_) return Future<int>::ready(*status_);
    if (failure_) return Future<int>::failed(failure_);
    std::erase_if(waiting_, [](const Promise<int>& each) { return !each.wanted(); });
    return waiting_.emplace_back().get_future();
  }

  // The number is the child's until its status is collected, which nobody does in between.
  bool send_signal(int number) override {
    if (child_ == nullptr) return false;
    if (::kill(signals_ == Signals::to_group ? -pid_ : pid_, number) == 0) return true;
    throw Error(from_errno(errno), "send signal " + std::to_string(number) + " to process " + std::to_string(pid_));
  }
  bool terminate() override { return send_signal(SIGTERM); }
  bool kill() override { return send_signal(SIGKILL); }

  void end(Result<int> result) {
    child_ = nullptr;
    CloseHook::unlink();
    if (!result.ok()) return fail(result.failure());
    status_ = *result;
    for (Promise<int>& each : std::exchange(waiting_, {})) each.set_value(*status_);
  }

 private:
  void on_loop_close() noexcept override;
  void let_go() noexcept;

  void fail(const Failure& failure) {
    failure_ = failure;
    for (Promise<int>& each : std::exchange(waiting_, {})) each.set_error(failure_);
  }

  pid_t pid_;
  Signals signals_;
  Child* child_;
  std::optional<int> status_;
  Failure failure_;
  std::vector<Promise<int>> waiting_;
};

// One program under way.
class Children::Child final : public ListNode, private FdListener {
 public:
  Child(Children& owner, pid_t pid) noexcept : owner_(owner), pid_(pid) {}

  bool watch_descriptor() {
    pidfd_ = open_pidfd(pid_);
    if (!pidfd_) return false;
    const std::error_code error =
        registration_.begin(owner_.reactor_, pidfd_.get(), *this, Interest::read, Trigger::level);
    if (error) pidfd_.reset();  // beyond what select can watch, say
    return !error;
  }
  bool watched_by_signal() const noexcept { return !registration_; }
  pid_t pid() const noexcept { return pid_; }

  void set_handle(Handle* handle) noexcept { handle_ = handle; }

  // Destroys itself when it has ended.
  void look() {
    std::optional<Result<int>> result = collect(pid_);
    if (!result) return;
    if (handle_ != nullptr) handle_->end(std::move(*result));
    owner_.forget(*this);
  }

 private:
  void on_fd_events(Ready) override { look(); }
  void on_reactor_closing() noexcept override { registration_.end(); }

  Children& owner_;
  pid_t pid_;
  Descriptor pidfd_;
  FdRegistration registration_;  // ends before the descriptor closes
  Handle* handle_ = nullptr;
};

Children::Handle::~Handle() {
  let_go();
  fail(Errc::local);
}

void Children::Handle::on_loop_close() noexcept {
  let_go();
  fail(Errc::loop_closed);
}

void Children::Handle::let_go() noexcept {
  if (child_ != nullptr) std::exchange(child_, nullptr)->set_handle(nullptr);
}

Children::Children(Reactor& reactor) noexcept : reactor_(reactor), signals_(reactor) {}

Children::~Children() {
  while (!all_.empty()) {
    add_orphan(all_.front().pid());
    forget(all_.front());
  }
  collect_orphans();
}

ProcessLock& Children::orphans_lock() noexcept { return lock_of_orphans; }

// A thread that has gone may have been changing the list, so it is not looked at again.
void Children::after_fork() noexcept {
  lock_of_orphans.forget_holder();
  std::construct_at(&orphans);
}

std::unique_ptr<ChildProcess> Children::watch(pid_t pid, Signals signals) {
  collect_orphans();
  auto* child = new Child(*this, pid);
  all_.push_back(*child);
  ++size_;
  auto handle = std::make_unique<Handle>(reactor_.loop(), pid, signals, *child);
  child->set_handle(handle.get());
  if (pidfds_ && child->watch_descriptor()) return handle;
  if (by_signal_++ == 0) signals_.set(SIGCHLD, [this] { look(); });
  child->look();  // it may have ended before anybody listened
  return handle;
}

void Children::look() {
  all_.for_each([](Child& child) {
    if (child.watched_by_signal()) child.look();
  });
}

void Children::forget(Child& child) noexcept {
  if (child.watched_by_signal() && --by_signal_ == 0) signals_.set(SIGCHLD, {});
  --size_;
  delete &child;
}

}  // namespace twinloop::detail
