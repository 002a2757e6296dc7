// Cancellation by std::stop_token, for programs that pass one around.  Inside this library dropping a Future is enough.
#pragma once

#include <version>

#if !defined(__cpp_lib_jthread)
#error \
    "twinloop/stop.h needs std::stop_token, which this standard library lacks (libc++ has it from LLVM 20 on): drop the Future instead"
#endif

#include <stop_token>

#include "twinloop/detail/limited.h"
#include "twinloop/remote.h"

namespace twinloop {

namespace detail {

// Completes on this loop once a stop was requested, by whatever thread.
class StopSignal : private Signal {
 protected:
  explicit StopSignal(std::stop_token token) : StopSignal(std::move(token), RemotePromise<void>()) {}
  void lift() noexcept {
    callback_.reset();
    Signal::lift();
  }

 private:
  struct Tell {
    RemotePromise<void> promise;
    void operator()() noexcept { promise.set_value(); }
  };
  StopSignal(std::stop_token token, RemotePromise<void> promise) : Signal(promise.get_future()) {
    callback_.emplace(std::move(token), Tell{std::move(promise)});
  }

  std::optional<std::stop_callback<Tell>> callback_;
};

}  // namespace detail

template <class T>
Future<T> with_stop(std::stop_token token, Future<T> work) {
  if (!detail::OperationAccess::pending(work)) return work;
  if (token.stop_requested()) return Future<T>::failed(Errc::cancelled);
  return detail::Limited<T, detail::StopSignal>::start(std::move(work), std::move(token));
}
// What `work` gives, or Error(cancelled) once a stop was requested: then the work is cancelled.  A result that exists wins.  The
// request may come from any thread; the work is cancelled in a turn of this loop.

}  // namespace twinloop
