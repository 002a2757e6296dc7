#include "twinloop/periodic.h"

#include "durations.h"
#include "twinloop/log.h"

namespace twinloop {
namespace detail {

TimePoint next_beat(TimePoint last, Duration period, TimePoint now) noexcept {
  const auto left_out = now > last ? (now - last) / period : 0;
  return later(last + period * left_out, period);
}

}  // namespace detail

PeriodicCallback::PeriodicCallback(std::shared_ptr<void> callback, Beat begin, Duration period, double jitter,
                                   const Origin& origin)
    : Waiter(&PeriodicCallback::on_done),
      callback_(std::move(callback)),
      begin_(begin),
      period_(period),
      jitter_(jitter),
      origin_(origin) {
  if (period <= Duration::zero()) throw Error(Errc::limit, "PeriodicCallback: the period must be positive");
  if (!(jitter >= 0 && jitter <= 1)) throw Error(Errc::limit, "PeriodicCallback: the jitter must be from 0 to 1");
}

PeriodicCallback::~PeriodicCallback() {
  stop();
  if (destroyed_ != nullptr) *destroyed_ = true;
}

void PeriodicCallback::start() {
  if (is_running()) return;
  IOLoop& loop = IOLoop::current();
  if (loop.closed()) throw Error(Errc::loop_closed, "PeriodicCallback::start");
  loop_ = &loop;
  if (!loop_end_.linked()) loop_->add_closer(loop_end_);
  next_ = loop_->clock();
  random_.seed(static_cast<std::minstd_rand::result_type>(next_.time_since_epoch().count()));
  if (!beat_.valid() && destroyed_ == nullptr) schedule_next();
}

void PeriodicCallback::stop() noexcept {
  if (loop_ == nullptr) return;
  loop_->remove_timer(*this);
  loop_ = nullptr;
}

// What the beat holds may own this object.
void PeriodicCallback::on_loop_close() noexcept {
  stop();
  detail::OperationAccess::detach_waiter(beat_);
  const Future<void> ended = std::move(beat_);
}

// The callback may destroy this object: `destroyed` tells.
void PeriodicCallback::fire() {
  bool destroyed = false;
  destroyed_ = &destroyed;
  Future<void> begun = begin_(callback_);
  if (destroyed) return;
  destroyed_ = nullptr;
  beat_ = std::move(begun);
  if (beat_.done()) return finish_beat();
  detail::OperationAccess::attach(beat_, *this);
}

void PeriodicCallback::on_done(Waiter& waiter) { static_cast<PeriodicCallback&>(waiter).finish_beat(); }

void PeriodicCallback::finish_beat() {
  const Result<void> result = beat_.take_result();
  if (!result.ok()) {
    log(LogLevel::error, "exception in a PeriodicCallback, " + origin_.text() + ": " + result.failure().message(),
        origin_.where());
  }
  if (is_running()) schedule_next();
}

void PeriodicCallback::schedule_next() {
  next_ = detail::next_beat(next_, next_period(), loop_->clock());
  loop_->add_timer(*this, next_);
}

Duration PeriodicCallback::next_period() {
  if (jitter_ == 0) return period_;
  const double factor = 1 + jitter_ * (std::uniform_real_distribution<double>()(random_) - 0.5);
  return std::max(Duration(1), to_duration(static_cast<double>(period_.count()) * factor));
}

}  // namespace twinloop
