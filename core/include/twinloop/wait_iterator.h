// WaitIterator: the results of several futures in the order in which they come.
//
//   WaitIterator<std::string> answers(std::move(questions));
//   while (auto answer = co_await answers.next()) use(answer->index, answer->result);
#pragma once

#include "twinloop/detail/children.h"

namespace twinloop {

template <class T>
class WaitIterator {
 public:
  struct Item {
    std::size_t index;  // of the future in the vector
    Result<T> result;
  };

  explicit WaitIterator(std::vector<Future<T>> futures) : state_(std::make_unique<State>(std::move(futures))) {}
  // Owns them: dropping the iterator cancels what is under way and fails a pending next() with `cancelled`; one that has been
  // given its item keeps it.  Those that are done already come first, in order.

  Future<std::optional<Item>> next() { return state_->next(); }
  // The next one to complete, or nullopt after the last.  A failure is an item like any other and does not end the iteration.
  // One at a time: fails with `busy` while another next() is pending.  Dropping it loses no item: the next next() gets it.

  bool done() const noexcept { return remaining() == 0; }
  std::size_t remaining() const noexcept { return state_->remaining(); }
  // How many next() has still to give.

 private:
  class State final : public detail::Pooled, public detail::OperationBase {
   public:
    explicit State(std::vector<Future<T>> futures)
        : OperationBase(&kHooks), futures_(std::move(futures)), arms_(futures_.size()) {
      order_.reserve(futures_.size());
      for (std::size_t index = 0; index < futures_.size(); ++index) {
        if (!detail::OperationAccess::pending(futures_[index])) {
          order_.push_back(index);
        } else {
          arms_[index].watch(futures_[index], this);
        }
      }
    }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() {
      this->deliver_now();
      this->fail_pending(Errc::cancelled);
    }

    Future<std::optional<Item>> next() {
      if (this->pending()) return Future<std::optional<Item>>::failed(Errc::busy);
      this->deliver_now();
      if (remaining() == 0) return nothing();
      auto future = detail::OperationAccess::make_future<std::optional<Item>>(*this);
      if (taken_ < order_.size()) this->reserve();
      return future;
    }

    std::size_t remaining() const noexcept { return futures_.size() - taken_; }

   private:
    struct Arm : detail::Branch {
      Arm() noexcept : Branch(&State::on_done) {}
    };

    // Built in place: gcc 12 sees uninitialized memory in an empty optional that is moved.
    static Future<std::optional<Item>> nothing() {
      Future<std::optional<Item>> future;
      detail::OperationAccess::emplace<std::optional<Item>>(future, std::nullopt);
      return future;
    }

    static void on_done(detail::Branch& branch) {
      auto& self = static_cast<State&>(*branch.operation());
      self.order_.push_back(static_cast<std::size_t>(static_cast<Arm*>(&branch) - self.arms_.data()));
      if (self.pending()) self.reserve();
    }

    static void on_dropped(OperationBase&) noexcept {}
    static void on_deliver(OperationBase& operation, FutureBase& into) {
      auto& self = static_cast<State&>(operation);
      const std::size_t index = self.order_[self.taken_++];
      detail::OperationAccess::emplace<std::optional<Item>>(into, Item{index, self.futures_[index].take_result()});
    }
    static constexpr typename OperationBase::Hooks kHooks{&State::on_dropped, &State::on_deliver, nullptr, true};

    std::vector<Future<T>> futures_;
    std::vector<Arm, detail::PoolAllocator<Arm>> arms_;
    std::vector<std::size_t> order_;  // of completion
    std::size_t taken_ = 0;
  };

  std::unique_ptr<State> state_;
};

}  // namespace twinloop
