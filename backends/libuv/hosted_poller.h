// The Poller of an IOLoop that lives in an application's uv_loop_t, and what asks that loop for turns.
//
// Events are collected while the host polls; a uv_check, which libuv calls right after that, turns the IOLoop.  When a turn is due
// for another reason, a uv_idle keeps the host from sleeping; the earliest deadline is one uv_timer.  All of them are active only
// then, and count as work of the host's.  The uv_prepare that comes before each poll does not: there we look at what the host's own
// callbacks have done to our coroutines meanwhile.
#pragma once

#include "backends/libuv/libuv_poller.h"
#include "twinloop/detail/list.h"
#include "twinloop/ioloop.h"

namespace twinloop::detail {

class HostedPoller final : public LibuvPoller, public ListNode {
 public:
  explicit HostedPoller(uv_loop_t& host);
  // Throws Error(busy) when the host has one already.

  bool lives_in(const uv_loop_t& host) const noexcept { return &loop() == &host; }
  void attach(IOLoop& ioloop) noexcept { ioloop_ = &ioloop; }
  void request_turn(TimePoint when) noexcept;

  std::span<FdEvent> wait(TimePoint) override { return take_events(); }

 private:
  void on_activity() noexcept override;
  void before_poll() noexcept;
  void after_poll() noexcept;
  bool turn();
  void turn_soon() noexcept;
  void settle();

  Handle<uv_prepare_t> prepare_;
  Handle<uv_check_t> check_;
  Handle<uv_idle_t> idle_;
  Handle<uv_timer_t> timer_;
  IOLoop* ioloop_ = nullptr;
  bool turning_ = false;
};

}  // namespace twinloop::detail
