#include "backends/libuv/hosted_poller.h"

namespace twinloop::detail {
namespace {

// As on a loop of our own, which leaves out so many polls while work waits.
constexpr unsigned kTurnsInARow = 16;
constexpr Duration kTurnsInARowFor = std::chrono::microseconds(100);

thread_local List<HostedPoller> living;

void refuse_second(const uv_loop_t& host) {
  living.for_each([&host](const HostedPoller& other) {
    if (other.lives_in(host)) throw Error(Errc::busy, "hosted_by: another IOLoop lives in this uv_loop_t");
  });
}

}  // namespace

HostedPoller::HostedPoller(uv_loop_t& host) : LibuvPoller(host) {
  refuse_second(host);
  prepare_ = make_handle<uv_prepare_t>(host, this, &uv_prepare_init);
  check_ = make_handle<uv_check_t>(host, this, &uv_check_init);
  idle_ = make_handle<uv_idle_t>(host, this, &uv_idle_init);
  timer_ = make_handle<uv_timer_t>(host, this, &uv_timer_init);
  uv_unref(as_handle(async()));
  uv_unref(as_handle(prepare_.get()));
  uv_prepare_start(prepare_.get(),
                   [](uv_prepare_t* handle) { static_cast<HostedPoller*>(handle->data)->before_poll(); });
  living.push_back(*this);
}

// ---- asking for turns

void HostedPoller::on_activity() noexcept {
  if (!turning_) turn_soon();
}

void HostedPoller::turn_soon() noexcept {
  uv_check_start(check_.get(), [](uv_check_t* handle) { static_cast<HostedPoller*>(handle->data)->after_poll(); });
  uv_idle_start(idle_.get(), [](uv_idle_t*) {});
}

// A turn that is due already is not taken back: it may have events to look at, and ends by asking anew.
void HostedPoller::request_turn(TimePoint when) noexcept {
  if (when == kAlready) return turn_soon();
  if (when == kNever) {
    uv_timer_stop(timer_.get());
    return;
  }
  const auto ring = [](uv_timer_t* handle) { static_cast<HostedPoller*>(handle->data)->turn_soon(); };
  uv_timer_start(timer_.get(), ring, timer_delay(loop(), when), 0);
}

// ---- turning

// Coroutines may have been woken, timers taken back and tasks dropped by callbacks of the host's, which do not tell us.
void HostedPoller::before_poll() noexcept {
  ioloop_->arrange_turn();
  settle();
}

void HostedPoller::after_poll() noexcept {
  uv_check_stop(check_.get());
  uv_idle_stop(idle_.get());
  turning_ = true;
  if (!turn()) return;
  turning_ = false;
  settle();
}

// False when the IOLoop was closed meanwhile, and this destroyed with it.
bool HostedPoller::turn() {
  uv_check_t* survivor = check_.get();
  const TimePoint until = ioloop_->clock() + kTurnsInARowFor;
  TimePoint next = kAlready;
  for (unsigned turns = 0; next == kAlready && turns < kTurnsInARow; ++turns) {
    next = ioloop_->turn();
    if (uv_is_closing(as_handle(survivor))) return false;
    if (ioloop_->clock() >= until) break;
  }
  request_turn(next);
  return true;
}

void HostedPoller::settle() {
  apply_changes();
  if (ioloop_->has_spawned())
    uv_ref(as_handle(async()));
  else
    uv_unref(as_handle(async()));
  if (has_events()) turn_soon();
}

}  // namespace twinloop::detail
