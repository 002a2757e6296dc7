#include "twinloop/detail/wait_line.h"

#include "twinloop/ioloop.h"

namespace twinloop::detail {

void Waiting::fail(Failure failure) {
  leave();
  fail_pending(std::move(failure));
  delete this;
}

void Waiting::set_deadline(Duration timeout) {
  loop_ = &IOLoop::current();
  loop_->add_timer(*this, timeout);
  if (!scheduled()) fail(Errc::loop_closed);
}

void Waiting::cancel_deadline() noexcept { loop_->remove_timer(*this); }

}  // namespace twinloop::detail
