// The common half of the queues: items, those who wait for one, and those who wait for room.
//
// Either somebody waits for an item or there are items, never both; the same for room.  An item that was set aside for a getter
// lies in the getter's block, and is no longer in the queue; a getter that goes away without taking it gives it back.
#pragma once

#include <optional>
#include <type_traits>

#include "twinloop/detail/items.h"
#include "twinloop/detail/wait_line.h"

namespace twinloop::detail {

// Getters are given a `Taken` made from their item: T itself, or an optional of it.
template <class T, class Items, class Taken>
class Exchange {
  static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T>,
                "the items of a queue must move without throwing");

 public:
  explicit Exchange(std::size_t maxsize) noexcept : maxsize_(maxsize) {}
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  std::size_t maxsize() const noexcept { return maxsize_; }
  std::size_t size() const noexcept { return items_.size(); }
  bool empty() const noexcept { return items_.empty(); }
  bool full() const noexcept { return maxsize_ != 0 && items_.size() >= maxsize_; }
  std::uint64_t accepted() const noexcept { return accepted_; }

  Future<Taken> get(Duration timeout) {
    const bool waits = items_.empty();
    Future<Taken> future = getters_.template enter<Taken>(waits ? timeout : kNoTimeout, *this);
    if (!waits) give_first(pop());
    return future;
  }

  std::optional<T> try_get() {
    if (items_.empty()) return std::nullopt;
    return std::optional<T>(pop().item);
  }

  Future<void> put(T&& item, Duration timeout) {
    if (try_put(item)) return Future<void>::ready();
    return putters_.template enter<void>(timeout, std::move(item));
  }

  bool try_put(T& item) {
    if (full()) return false;
    accept(std::move(item));
    return true;
  }
  // Moves the item away only if there is room.

  template <class Settle>
  void end_getters(Settle settle) {
    while (!getters_.empty()) settle(getters_.front());
  }
  void fail_putters(const Failure& failure) noexcept { putters_.fail_all(failure); }

 private:
  class Getter final : public Waiting {
   public:
    explicit Getter(Exchange& exchange) noexcept : Waiting(this), exchange_(exchange) {}
    void set_aside(Numbered<T>&& item) noexcept { item_.emplace(std::move(item)); }

   private:
    friend class Waiting;
    void deliver(FutureBase& future) override { OperationAccess::emplace<Taken>(future, std::move(item_->item)); }
    void dropped(bool served) noexcept override {
      if (served) exchange_.take_back(std::move(*item_));
    }

    Exchange& exchange_;
    std::optional<Numbered<T>> item_;
  };

  class Putter final : public Waiting {
   public:
    explicit Putter(T&& t) noexcept : item(std::move(t)) {}
    T item;
  };

  void accept(T&& item) {
    Numbered<T> numbered{std::move(item), accepted_};
    if (getters_.empty()) {
      items_.push(std::move(numbered));
    } else {
      give_first(std::move(numbered));
    }
    ++accepted_;
  }

  void give_first(Numbered<T>&& item) noexcept {
    getters_.front().set_aside(std::move(item));
    getters_.serve_front();
  }

  void take_back(Numbered<T>&& item) noexcept {
    if (getters_.empty()) {
      items_.put_back(std::move(item));
    } else {
      give_first(std::move(item));
    }
  }

  Numbered<T> pop() {
    Numbered<T> item = items_.pop();
    if (!putters_.empty() && !full()) admit_first();
    return item;
  }

  void admit_first() {
    Putter& putter = putters_.front();
    items_.push({std::move(putter.item), accepted_++});
    putter.template complete<void>();
  }

  const std::size_t maxsize_;
  std::uint64_t accepted_ = 0;
  Items items_;
  WaitLine<Getter> getters_;
  WaitLine<Putter> putters_;
};

}  // namespace twinloop::detail
