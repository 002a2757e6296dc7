// SharedFuture<T>: a result for several waiters.  Copies share the work; when the last copy and the last waiter are gone, unfinished
// work is cancelled.  For one thread, as Future is.
#pragma once

#include <optional>

#include "twinloop/detail/branch.h"
#include "twinloop/ioloop.h"

namespace twinloop {

namespace detail {

template <class T>
class Sharing final : public Pooled {
 public:
  explicit Sharing(Future<T> work) : work_(std::move(work)) {
    if (OperationAccess::pending(work_)) {
      completion_.watch(work_, nullptr);
    } else {
      result_ = work_.take_result();
    }
  }

  void keep() noexcept { ++owners_; }
  void let_go() noexcept {
    if (--owners_ > 0) return;
    if (result_ && !result_->ok() && !looked_at_) log_unseen(result_->failure());
    delete this;
  }

  bool done() const noexcept { return result_.has_value(); }
  const Result<T>& result() noexcept {
    looked_at_ = true;
    return *result_;
  }

  Future<T> wait() {
    if (done()) return ready(result());
    auto* waiter = new Waiting(*this);
    waiters_.push_back(*waiter);
    return OperationAccess::make_future<T>(*waiter);
  }

 private:
  // One who waits: counts as an owner.
  class Waiting final : public Pooled, public ListNode, public OperationBase {
   public:
    explicit Waiting(Sharing& sharing) noexcept : OperationBase(&kHooks), sharing_(sharing) { sharing.keep(); }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting() {
      this->unlink();
      sharing_.let_go();
    }
    void complete() {
      if (sharing_.result_->ok()) return this->reserve();
      const std::unique_ptr<Waiting> self(this);
      this->fail_pending(sharing_.result().failure());
    }

   private:
    static void on_dropped(OperationBase& operation) noexcept { delete &static_cast<Waiting&>(operation); }
    static void on_deliver(OperationBase& operation, FutureBase& into) {
      const std::unique_ptr<Waiting> self(&static_cast<Waiting&>(operation));
      OperationAccess::emplace<T>(into, self->sharing_.result().peek());
    }
    static constexpr Hooks kHooks{&Waiting::on_dropped, &Waiting::on_deliver};
    Sharing& sharing_;
  };

  struct Completion : Branch {
    explicit Completion(Sharing& s) noexcept : Branch(&Sharing::on_done), sharing(s) {}
    Sharing& sharing;
  };

  static Future<T> ready(const Result<T>& result) {
    if (!result.ok()) return Future<T>::failed(result.failure());
    return Future<T>::ready(result.peek());
  }

  static void on_done(Branch& branch) {
    Sharing& self = static_cast<Completion&>(branch).sharing;
    self.result_ = self.work_.take_result();
    self.keep();
    while (Waiting* waiter = self.waiters_.pop_front()) waiter->complete();
    self.let_go();
  }

  Future<T> work_;
  Completion completion_{*this};
  std::optional<Result<T>> result_;
  List<Waiting> waiters_;
  unsigned owners_ = 0;
  bool looked_at_ = false;
};

}  // namespace detail

template <class T>
class SharedFuture {
 public:
  static_assert(std::is_void_v<T> || std::is_copy_constructible_v<T>, "every waiter gets a copy of the value");

  SharedFuture() noexcept = default;
  // Empty: valid() is false, and it must not be awaited.
  explicit SharedFuture(Future<T> work) : sharing_(new detail::Sharing<T>(std::move(work))) { sharing_->keep(); }
  SharedFuture(const SharedFuture& other) noexcept : sharing_(other.sharing_) {
    if (sharing_ != nullptr) sharing_->keep();
  }
  SharedFuture(SharedFuture&& other) noexcept : sharing_(std::exchange(other.sharing_, nullptr)) {}
  SharedFuture& operator=(SharedFuture other) noexcept {
    std::swap(sharing_, other.sharing_);
    return *this;
  }
  ~SharedFuture() {
    if (sharing_ != nullptr) sharing_->let_go();
  }

  bool valid() const noexcept { return sharing_ != nullptr; }
  bool done() const noexcept { return valid() && sharing_->done(); }

  Future<T> get_future() const {
    return valid() ? sharing_->wait() : Future<T>::failed(Failure(Errc::broken_promise, "an empty SharedFuture"));
  }
  // A Future of one's own for the same result, to await or to give to a combinator; dropping it concerns nobody else.
  // `co_await shared` is short for awaiting one of these.

  T result() const {
    assert(done());
    Result<T> copy = sharing_->result();
    return std::move(copy).value();
  }
  // A copy of the value, or throws why there is none.  Only when done(); any number of times.

  Failure exception() const { return done() ? sharing_->result().failure() : Failure(); }
  // Why it failed; empty when it did not, or not yet.

  template <class F>
  void add_done_callback(F callback, Origin origin = {}) const {
    IOLoop::current().add_future(get_future(), std::move(callback), origin);
  }
  // Calls callback(Result<T>) in a later turn after it is done, never at once.  Counts as a waiter.

 private:
  detail::Sharing<T>* sharing_ = nullptr;
};

template <class T>
SharedFuture<T> share(Future<T> work) {
  return SharedFuture<T>(std::move(work));
}

}  // namespace twinloop
