// Queues between the coroutines of one loop: Queue, PriorityQueue and LifoQueue (Tornado's), and Channel, which can be closed.
//
// A full queue makes its producers wait, an empty one its consumers, each in the order in which they came.  Every operation may
// be dropped or given a timeout at any moment and then leaves no trace.  A put that was given up never enters.  A get that was
// given up takes nothing: its item goes to the next getter, or back to its old place, also when the getter had been served
// and only its coroutine had not run yet.  (For that moment there may be more than `maxsize` items.)  A put that is done stays done.
//
// put and get never run anybody else's code: who is served continues from the ready queue.  A timeout given to the operation
// itself is cheaper than with_timeout around it.  It counts as call_later does; zero means until the loop's next turn.
//
// Destroying a queue under its waiters fails them with Error(cancelled); gets that were served keep their item.  Nothing here may
// move or be used from another thread (RemoteLoop posts to one).
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <utility>

#include "twinloop/detail/exchange.h"
#include "twinloop/future.h"

namespace twinloop {

template <class T, class Items>
class BasicQueue {
 public:
  using value_type = T;

  explicit BasicQueue(std::size_t maxsize = 0) noexcept : exchange_(maxsize) {}
  // Room for `maxsize` items, 0 for any number.

  Future<void> put(T item, Duration timeout = kNoTimeout) { return exchange_.put(std::move(item), timeout); }
  // Completes when the item is in the queue or set aside for a getter, at once if there is room.  Fails with TimeoutError.

  bool try_put(T&& item) { return exchange_.try_put(item); }
  bool try_put(const T& item) {
    if (full()) return false;
    T copy(item);
    return exchange_.try_put(copy);
  }
  // False when the queue is full (Tornado's put_nowait); the item is then left as it was.

  Future<T> get(Duration timeout = kNoTimeout) { return exchange_.get(timeout); }
  // The next item, at once if there is one.  Fails with TimeoutError.

  std::optional<T> try_get() { return exchange_.try_get(); }
  // Empty when there is no item, or all are set aside for others (Tornado's get_nowait).

  void task_done() {
    if (done_ == exchange_.accepted()) throw_error(Errc::limit, "task_done() called more often than items were put");
    if (++done_ == exchange_.accepted()) joiners_.template complete_all<void>();
  }
  // Says that an item that was got has been dealt with.  Throws Error(limit) when there were not as many.

  Future<void> join(Duration timeout = kNoTimeout) {
    if (done_ == exchange_.accepted()) return Future<void>::ready();
    return joiners_.template enter<void>(timeout);
  }
  // Completes when task_done() was called for every item.  Fails with TimeoutError.

  std::size_t maxsize() const noexcept { return exchange_.maxsize(); }
  std::size_t qsize() const noexcept { return exchange_.size(); }
  bool empty() const noexcept { return exchange_.empty(); }
  bool full() const noexcept { return exchange_.full(); }
  // What is set aside for a getter is no longer in the queue.

 private:
  detail::Exchange<T, Items, T> exchange_;
  std::uint64_t done_ = 0;
  detail::WaitLine<detail::Waiting> joiners_;
};

template <class T>
using Queue = BasicQueue<T, detail::FifoItems<T>>;
// First in, first out.

template <class T, class Compare = std::less<T>>
using PriorityQueue = BasicQueue<T, detail::HeapItems<T, detail::LesserThenOlder<Compare>>>;
// The least item first (as in Tornado, not as in std::priority_queue); of equal ones the oldest.

template <class T>
using LifoQueue = BasicQueue<T, detail::HeapItems<T, detail::Newer>>;
// The newest item first.

// A queue with an end: `while (auto item = co_await channel.next()) use(*item);`.
template <class T>
class Channel {
 public:
  using value_type = T;

  explicit Channel(std::size_t capacity) : exchange_(capacity) {
    if (capacity == 0) throw_error(Errc::limit, "Channel: the capacity must be positive");
  }

  Future<void> put(T item, Duration timeout = kNoTimeout) {
    if (closed_) return Future<void>::failed(refusal());
    return exchange_.put(std::move(item), timeout);
  }
  // As Queue's.  Fails with StreamClosedError(local) once the channel is closed, also when it is waiting then.

  bool try_put(T&& item) { return !closed_ && exchange_.try_put(item); }
  bool try_put(const T& item) {
    if (closed_ || full()) return false;
    T copy(item);
    return exchange_.try_put(copy);
  }
  // False when it is full or closed; the item is then left as it was.

  Future<std::optional<T>> next(Duration timeout = kNoTimeout) {
    if (closed_ && exchange_.empty()) return end();
    return exchange_.get(timeout);
  }
  // The next item; empty when the channel is closed and there is none left.  Fails with TimeoutError, and with what close() said.

  std::optional<T> try_next() { return exchange_.try_get(); }
  // Empty when there is none now.

  void close(Failure failure = {}) {
    if (closed_) return;
    closed_ = true;
    failure_ = std::move(failure);
    exchange_.end_getters([this](detail::Waiting& getter) {
      if (failure_) return getter.fail(failure_);
      getter.complete<std::optional<T>>();
    });
    exchange_.fail_putters(refusal());
  }
  // Nothing more goes in; what is in can still be got.  With a failure, getters are told that one at the end instead of an
  // empty optional.  Harmless when it is closed.

  bool closed() const noexcept { return closed_; }
  std::size_t capacity() const noexcept { return exchange_.maxsize(); }
  std::size_t qsize() const noexcept { return exchange_.size(); }
  bool empty() const noexcept { return exchange_.empty(); }
  bool full() const noexcept { return exchange_.full(); }

 private:
  static Failure refusal() { return Failure(Errc::local, "put on a closed Channel"); }
  Future<std::optional<T>> end() const {
    if (failure_) return Future<std::optional<T>>::failed(failure_);
    return Future<std::optional<T>>::ready(std::nullopt);
  }

  detail::Exchange<T, detail::FifoItems<T>, std::optional<T>> exchange_;
  bool closed_ = false;
  Failure failure_;
};

}  // namespace twinloop
