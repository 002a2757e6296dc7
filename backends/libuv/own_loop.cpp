// The backend "libuv": a uv_loop_t of our own, which waits when the IOLoop does.
#include <cassert>

#include "backends/libuv/libuv_poller.h"
#include "backends/posix/descriptor.h"
#include "backends/posix/posix_backend.h"

namespace twinloop::detail {
namespace {

// The handles on it must have been closed by the time it is destroyed.
class OwnLoop {
 public:
  OwnLoop() { check_uv(uv_loop_init(&uv_)); }
  OwnLoop(const OwnLoop&) = delete;
  OwnLoop& operator=(const OwnLoop&) = delete;
  ~OwnLoop() {
    uv_run(&uv_, UV_RUN_DEFAULT);
    [[maybe_unused]] const int status = uv_loop_close(&uv_);
    assert(status == 0 && "a handle was left open");
  }

 protected:
  uv_loop_t uv_;
};

class OwnLibuvPoller final : private OwnLoop, public LibuvPoller {
 public:
  OwnLibuvPoller() : LibuvPoller(uv_), timer_(make_handle<uv_timer_t>(uv_, nullptr, &uv_timer_init)) {}

  std::span<FdEvent> wait(TimePoint deadline) override {
    apply_changes();
    run(deadline);
    return take_events();
  }

  void after_fork() noexcept override {
    LibuvPoller::after_fork();
    uv_loop_fork(&uv_);
  }

 private:
  void on_activity() noexcept override {}

  void run(TimePoint deadline) {
    if (deadline == kAlready || has_events()) {
      uv_run(&uv_, UV_RUN_NOWAIT);
    } else if (deadline == kNever) {
      uv_run(&uv_, UV_RUN_ONCE);
    } else {
      uv_timer_start(timer_.get(), &OwnLibuvPoller::stop, timer_delay(uv_, deadline), 0);
      uv_run(&uv_, UV_RUN_ONCE);
      uv_timer_stop(timer_.get());
    }
  }

  // The timer may be due already before the poll, which would then sleep without one.
  static void stop(uv_timer_t* timer) { uv_stop(timer->loop); }

  Handle<uv_timer_t> timer_;
};

}  // namespace

std::unique_ptr<Backend> make_libuv_backend() {
  reserve_standard_descriptors();
  return std::make_unique<PosixBackend>("libuv", std::make_unique<OwnLibuvPoller>());
}

bool libuv_available() noexcept { return true; }

}  // namespace twinloop::detail
