// Readiness by libuv: uv_poll_t on somebody's uv_loop_t.  What differs between a loop of our own and one that an application
// hosts us in is who runs it; see libuv_poller.cpp and hosted_poller.h.
#pragma once

#include <uv.h>

#include <cstdint>
#include <vector>

#include "backends/libuv/handle.h"
#include "backends/posix/poller.h"

namespace twinloop::detail {

class LibuvPoller : public Poller {
 public:
  LibuvPoller(const LibuvPoller&) = delete;
  LibuvPoller& operator=(const LibuvPoller&) = delete;
  ~LibuvPoller() override;

  bool edge_triggered() const noexcept final { return false; }  // libuv hides the system's edges
  bool reports_end_early() const noexcept final;

  std::error_code add(int fd, FdKey key, Interest interest, Trigger trigger) final;
  std::error_code modify(int fd, FdKey key, Interest interest, Trigger trigger) final;
  void remove(int fd) noexcept final;
  void wake() noexcept final {
    if (async_ != nullptr) uv_async_send(async_.get());
  }
  void after_fork() noexcept override;

 protected:
  explicit LibuvPoller(uv_loop_t& loop);

  uv_loop_t& loop() const noexcept { return loop_; }
  uv_async_t* async() const noexcept { return async_.get(); }

  void apply_changes();
  // Tells libuv what is wanted now.  To be called just before it polls: interests that come and go in a turn then cost nothing,
  // where each uv_poll_start would be two system calls.

  bool has_events() const noexcept { return !events_.empty() || woken_; }
  std::span<FdEvent> take_events();

  virtual void on_activity() noexcept = 0;
  // There is something to take, or to apply.

 private:
  struct Watch;

  void schedule(Watch& watch);
  void apply(Watch& watch);
  void on_poll(Watch& watch, int status, int events);
  void report(Watch& watch, Ready ready);

  uv_loop_t& loop_;
  Handle<uv_async_t> async_;
  std::vector<Handle<Watch>> watches_;  // by descriptor
  std::vector<int> changed_;            // descriptors; they may be registered anew or not at all by now
  std::vector<FdEvent> events_;
  std::vector<FdEvent> found_;  // by the last look
  bool woken_ = false;
};

std::uint64_t timer_delay(const uv_loop_t& loop, TimePoint deadline) noexcept;
// What to give uv_timer_start so that it does not fire before the deadline: libuv counts whole milliseconds, from a clock that it
// read some time ago.

}  // namespace twinloop::detail
