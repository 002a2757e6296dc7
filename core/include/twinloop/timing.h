// Time limits on work.  They really cancel: what did not finish in time is destroyed where it waits, and a read that was given up
// leaves its bytes in the stream.
#pragma once

#include "twinloop/detail/limited.h"
#include "twinloop/ioloop.h"

namespace twinloop {

namespace detail {

// The limit that is a point in time.
class Deadline : private Timer {
 protected:
  template <class When>
  Deadline(IOLoop& loop, When when) noexcept : loop_(loop) {
    loop_.add_timer(*this, when);
  }
  ~Deadline() { lift(); }
  void lift() noexcept {
    if (scheduled()) loop_.remove_timer(*this);
  }
  virtual void cut(Failure failure) noexcept = 0;

 private:
  void fire() override { cut(Errc::timeout); }
  void expire() noexcept override { cut(Errc::loop_closed); }
  IOLoop& loop_;
};

}  // namespace detail

template <class T>
Future<T> with_deadline(TimePoint when, Future<T> work) {
  if (!detail::OperationAccess::pending(work)) return work;
  IOLoop& loop = IOLoop::current();
  if (loop.closed()) return Future<T>::failed(Errc::loop_closed);
  return detail::Limited<T, detail::Deadline>::start(std::move(work), loop, when);
}
// What `work` gives, or TimeoutError once that time has come: then the work is cancelled.  A result that exists wins over the
// deadline.  Nothing is logged: cancelled work has no failure left.  Dropping the future in the instant in which the work is done
// loses nothing that the work itself would not lose: an item stays in its queue, bytes in their stream.

template <class T>
Future<T> with_timeout(Duration timeout, Future<T> work) {
  if (!detail::OperationAccess::pending(work)) return work;
  IOLoop& loop = IOLoop::current();
  if (loop.closed()) return Future<T>::failed(Errc::loop_closed);
  return detail::Limited<T, detail::Deadline>::start(std::move(work), loop, timeout);
}
// The same, counted from the end of the turn, as call_later counts.  Zero gives the work one turn.

}  // namespace twinloop
