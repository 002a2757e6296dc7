// From std::future, the standard library's result of another thread, to a Future that can be awaited.
//
// Where the producer is your own code a RemotePromise (remote.h) is better: it tells the loop, and no thread has to wait.  And work
// that is yet to begin is given to IOLoop::run_in_executor.
#pragma once

#include <future>

#include "twinloop/executor.h"

namespace twinloop {

namespace detail {

template <class T>
Result<T> result_of(std::future<T>& future) noexcept {
  try {
    if constexpr (std::is_void_v<T>) {
      future.get();
      return Unit{};
    } else {
      return future.get();
    }
  } catch (...) {
    return Failure(std::current_exception());
  }
}

}  // namespace detail

template <class T>
Future<T> from_std(std::future<T> future) {
  static_assert(!std::is_reference_v<T>, "a Future gives values");
  RemotePromise<T> promise;
  Future<T> result = promise.get_future();
  IOLoop::current().executor().execute([promise = std::move(promise), future = std::move(future)]() mutable {
    promise.set_result(detail::result_of(future));
  });
  return result;
}
// What it gives or throws.  A thread of the loop's executor waits for it, and also destroys it: the destructor of one that
// std::async made waits for its thread.  (One with std::launch::deferred runs there.)
//
// Dropping the Future abandons the wait, but nobody can end it: until the std::future is ready one thread of the executor is
// taken, and an executor whose threads all wait like that does nothing else.  Throws Error(not_supported) where there are no
// threads.

}  // namespace twinloop
