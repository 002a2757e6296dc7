// Reactor: who listens to which descriptor.  It owns the Poller and a table of registrations, and hands each event to its
// listener if that registration still exists.  Listeners may do anything inside a notice: end registrations, theirs too, make
// new ones, destroy themselves.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "backends/posix/poller.h"
#include "twinloop/detail/task.h"
#include "twinloop/origin.h"

namespace twinloop {
class IOLoop;
}

namespace twinloop::detail {

class FdListener {
 public:
  virtual void on_fd_events(Ready ready) = 0;

  virtual Origin origin() const noexcept { return Origin("I/O", {}); }
  // What those who watch the loop's steps are told of it.

  virtual void on_reactor_closing() noexcept = 0;
  // The loop goes away: end the registration now and ask nothing of loop or reactor any more.

 protected:
  ~FdListener() = default;
};

class Reactor : private TurnHook {
 public:
  explicit Reactor(std::unique_ptr<Poller> poller);
  ~Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  void attach(IOLoop& loop) noexcept { loop_ = &loop; }
  IOLoop& loop() const noexcept { return *loop_; }

  bool edge_triggered() const noexcept { return edge_triggered_; }
  bool reports_end_early() const noexcept { return poller_->reports_end_early(); }

  void wait(TimePoint deadline);
  // Sleeps as Backend::wait does, then tells the listeners, each as a step of the loop.  What a listener throws is logged.

  bool telling() const noexcept { return telling_; }
  // Whether a listener is being told, or a coroutine runs that one woke.

  void wake() noexcept;
  // From any thread and from signal handlers.  Wakes that come before the loop has noticed the first cost nothing.

  void after_fork() noexcept {
    poller_->after_fork();
    untold_ = 0;
  }
  // In the child.  What the parent was about to be told is told to it alone.

  std::error_code add(int fd, FdListener& listener, Interest interest, Trigger trigger, FdKey& key);
  std::error_code modify(FdKey key, Interest interest);
  void remove(FdKey key) noexcept;
  Interest interest(FdKey key) const noexcept { return static_cast<Interest>(slot(key.slot).interest); }
  // FdRegistration calls these.

  void remind(FdKey key);
  // Tells the listener of Ready::none once, in this turn or the next, if the registration still exists then.

  bool holds(FdKey key) const noexcept {
    if (key.slot >= chunks_.size() * kChunk) return false;
    const Slot& found = slot(key.slot);
    return found.listener != nullptr && found.generation == key.generation;
  }
  // False once the registration has ended: how a listener finds out whether it survived a call it made.

  bool watches(int fd) const noexcept;
  // Whether there is a registration for that descriptor.  Looks through all of them.

  std::size_t size() const noexcept { return live_; }

 private:
  struct Slot {
    FdListener* listener = nullptr;  // null while free
    std::uint32_t generation = 0;
    std::uint32_t interest : 2 = 0;
    std::uint32_t edge : 1 = 0;
    std::uint32_t number : 29 = 0;  // the descriptor; of a free one, the next free one
  };
  static_assert(sizeof(Slot) <= 8 + sizeof(void*));

  static constexpr std::uint32_t kChunk = 256;
  static constexpr std::uint32_t kNone = (1u << 29) - 1;

  Slot& slot(std::uint32_t index) const noexcept { return (*chunks_[index / kChunk])[index % kChunk]; }
  void on_turn() override;
  bool has_nothing_to_see() const noexcept;
  std::uint32_t take_slot();
  void give_back(std::uint32_t index) noexcept;
  template <bool observed>
  void tell(const FdEvent* next);
  void let_another_be_first(std::span<FdEvent> events) noexcept;

  std::unique_ptr<Poller> poller_;
  const bool edge_triggered_;
  IOLoop* loop_ = nullptr;
  std::vector<std::unique_ptr<std::array<Slot, kChunk>>> chunks_;
  std::uint32_t free_ = kNone;
  std::size_t live_ = 0;
  std::size_t turns_ = 0;  // in which there were several
  std::vector<FdKey> reminders_;
  std::size_t untold_ = 0;  // of the events that are being told
  bool telling_ = false;
  std::atomic<bool> woken_ = false;
};

// One descriptor's registration, ended by its destructor.  It must end before the descriptor is closed.
class FdRegistration {
 public:
  FdRegistration() noexcept = default;
  ~FdRegistration() { end(); }
  FdRegistration(const FdRegistration&) = delete;
  FdRegistration& operator=(const FdRegistration&) = delete;

  std::error_code begin(Reactor& reactor, int fd, FdListener& listener, Interest interest, Trigger trigger) {
    const std::error_code error = reactor.add(fd, listener, interest, trigger, key_);
    if (!error) reactor_ = &reactor;
    return error;
  }
  std::error_code modify(Interest interest) { return reactor_->modify(key_, interest); }
  Interest interest() const noexcept { return reactor_->interest(key_); }
  void end() noexcept {
    if (Reactor* reactor = std::exchange(reactor_, nullptr)) reactor->remove(key_);
  }

  explicit operator bool() const noexcept { return reactor_ != nullptr; }
  Reactor& reactor() const noexcept { return *reactor_; }
  FdKey key() const noexcept { return key_; }

 private:
  Reactor* reactor_ = nullptr;
  FdKey key_;
};

}  // namespace twinloop::detail
