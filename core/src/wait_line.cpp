#include "twinloop/detail/wait_line.h"

#include "twinloop/ioloop.h"

namespace twinloop::detail {

void Waiting::fail(Failure failure) {
  leave();
  fail_pending(std::move(failure));
  delete this;
}

void Waiting::on_dropped(OperationBase& operation) noexcept {
  const std::unique_ptr<Waiting> self(&static_cast<Waiting&>(operation));
  self->leave();
  self->dropped(self->served_);
}

void Waiting::on_deliver(OperationBase& operation, FutureBase& future) {
  const std::unique_ptr<Waiting> self(&static_cast<Waiting&>(operation));
  self->leave();
  self->deliver(future);
}

bool Waiting::set_deadline(Duration timeout) {
  loop_ = &IOLoop::current();
  loop_->add_timer(*this, timeout);
  return scheduled();
}

void Waiting::cancel_deadline() noexcept { loop_->remove_timer(*this); }

}  // namespace twinloop::detail
