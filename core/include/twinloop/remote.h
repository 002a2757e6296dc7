// What crosses threads: RemoteLoop, a handle to a loop that other threads may hold for as long as they like, and RemotePromise,
// which any thread may fulfil.  Everything else of a loop is for its own thread.
#pragma once

#include <atomic>
#include <memory>
#include <tuple>
#include <type_traits>

#include "twinloop/detail/mailbox.h"
#include "twinloop/ioloop.h"

namespace twinloop {

class RemoteLoop {
 public:
  RemoteLoop() noexcept = default;
  // Of no loop: post() says false.

  template <class F>
  bool post(F&& callback, Origin origin = {}) const {
    static_assert(!ReturnsFuture<F>, "this callback is a coroutine and would be cancelled at once: use submit");
    return mailbox_ != nullptr && mailbox_->post(detail::Callback(std::forward<F>(callback), origin));
  }
  // Runs it in the loop's next turn.  False, and the callback is destroyed, when the loop is closed.  A callback that was taken is
  // destroyed without being run when the loop closes before its turn comes.

  template <class F, class... Args>
  auto submit(F&& work, Args&&... args) const;
  // Runs a function or a coroutine on that loop and gives its result as a Future of the calling thread's loop.  Callable, arguments
  // and result are moved from thread to thread.  Dropping the Future cancels the work over there, as soon as that loop hears of it.
  // Fails with loop_closed when that loop closes first.

  void stop() const noexcept {
    if (mailbox_ != nullptr) mailbox_->stop();
  }
  // As IOLoop::stop().

  bool closed() const noexcept { return mailbox_ == nullptr || mailbox_->closed(); }

 private:
  friend class IOLoop;
  explicit RemoteLoop(std::shared_ptr<detail::Mailbox> mailbox) noexcept : mailbox_(std::move(mailbox)) {}
  std::shared_ptr<detail::Mailbox> mailbox_;
};

namespace detail {

// The half of a RemotePromise that stays with its loop.  While the future is pending it keeps itself alive, so that it is always
// cut loose on the loop's thread and may then be destroyed on any.
template <class T>
class RemoteResult final : public OperationBase, private CloseHook {
 public:
  explicit RemoteResult(IOLoop& loop) : OperationBase(&kHooks), home(loop.remote()), loop_(loop) {}

  Future<T> make_future(std::shared_ptr<RemoteResult> self) {
    if (loop_.closed()) {
      wanted.store(false, std::memory_order_relaxed);
      return Future<T>::failed(Errc::loop_closed);
    }
    self_ = std::move(self);
    loop_.add_closer(*this);
    return OperationAccess::make_future<T>(*this);
  }

  void complete(Result<T> result) {
    if (!attached()) return;
    if (!result.ok()) {
      fail_pending(result.failure());
    } else if constexpr (std::is_void_v<T>) {
      OperationAccess::emplace<T>(detach<FutureBase>());
    } else {
      OperationAccess::emplace<T>(detach<FutureBase>(), std::move(*result));
    }
    let_go();
  }

  const RemoteLoop home;
  std::atomic<bool> wanted = true;
  Function<void()> on_dropped;  // on the loop's thread

 private:
  static void dropped(OperationBase& operation) noexcept {
    auto& self = static_cast<RemoteResult&>(operation);
    self.wanted.store(false, std::memory_order_relaxed);
    const std::shared_ptr<RemoteResult> keep = self.self_;
    if (self.on_dropped) self.on_dropped();
    self.let_go();
  }

  void on_loop_close() noexcept override {
    wanted.store(false, std::memory_order_relaxed);
    fail_pending(Errc::loop_closed);
    let_go();
  }

  void let_go() noexcept {
    this->unlink();
    on_dropped.reset();
    [[maybe_unused]] const std::shared_ptr<RemoteResult> last = std::move(self_);
  }

  static constexpr Hooks kHooks{&RemoteResult::dropped, nullptr};
  IOLoop& loop_;
  std::shared_ptr<RemoteResult> self_;
};

}  // namespace detail

// A promise that any thread may fulfil; its future belongs to the loop on whose thread it was made.
template <class T = void>
class RemotePromise {
 public:
  explicit RemotePromise(IOLoop& loop = IOLoop::current()) : state_(std::make_shared<detail::RemoteResult<T>>(loop)) {}
  RemotePromise(RemotePromise&&) noexcept = default;
  RemotePromise& operator=(RemotePromise&& other) noexcept {
    set_error(Errc::broken_promise);
    state_ = std::move(other.state_);
    return *this;
  }
  ~RemotePromise() { set_error(Errc::broken_promise); }
  // A pending future fails with broken_promise.

  Future<T> get_future() { return state_->make_future(state_); }
  // Once, on the loop's thread.  Fails with loop_closed at once where that is closed.

  bool set_result(Result<T> result) {
    const auto state = std::exchange(state_, nullptr);
    if (state == nullptr || !state->wanted.load(std::memory_order_relaxed)) return false;
    return state->home.post([state, result = std::move(result)]() mutable { state->complete(std::move(result)); });
  }
  template <class... Args>
  bool set_value(Args&&... args) {
    return set_result(typename Future<T>::Stored(std::forward<Args>(args)...));
  }
  bool set_error(Failure failure) { return set_result(std::move(failure)); }
  // From any thread, once.  The future is completed in a later turn of its loop.  False when nobody waits any more.

  bool wanted() const noexcept { return state_ != nullptr && state_->wanted.load(std::memory_order_relaxed); }
  // From any thread: false once the future was dropped or its loop closed, so that long work can stop early.

  void on_dropped(detail::Function<void()> function) { state_->on_dropped = std::move(function); }
  // Calls it on the loop's thread when the future is dropped unfinished.  Only on the loop's thread, before work begins elsewhere.

 private:
  std::shared_ptr<detail::RemoteResult<T>> state_;
};

namespace detail {

template <class T>
struct FutureValue {
  using type = T;
};
template <class T>
struct FutureValue<Future<T>> {
  using type = T;
};

// A call that is made elsewhere: the callable and its arguments.
template <class F, class... Args>
class StoredCall {
 public:
  using Returned = std::invoke_result_t<F&, Args...>;
  using Value = typename FutureValue<Returned>::type;
  static constexpr bool kCoroutine = !std::is_same_v<Returned, Value>;

  template <class G, class... Brgs>
  explicit StoredCall(G&& callable, Brgs&&... args)
      : callable_(std::forward<G>(callable)), args_(std::forward<Brgs>(args)...) {}

  Returned operator()() {
    return std::apply([this](Args&... args) -> Returned { return std::invoke(callable_, std::move(args)...); }, args_);
  }

  Result<Value> result() noexcept
    requires(!kCoroutine)
  {
    try {
      if constexpr (std::is_void_v<Value>) {
        (*this)();
        return Unit{};
      } else {
        return (*this)();
      }
    } catch (...) {
      return Failure(std::current_exception());
    }
  }

 private:
  F callable_;
  std::tuple<Args...> args_;
};

// RemoteLoop::submit: shared by the loop that asked and the one that works.
template <class Call>
struct Submission {
  using Value = typename Call::Value;

  template <class... Parts>
  explicit Submission(Parts&&... parts) : call(std::forward<Parts>(parts)...) {}
  ~Submission() { promise.set_error(Errc::loop_closed); }

  static void start(std::shared_ptr<Submission> self) {
    if (!self->promise.wanted()) return;
    if constexpr (Call::kCoroutine) {
      IOLoop::current().spawn(run(std::move(self)));
    } else {
      self->promise.set_result(self->call.result());
    }
  }

  static Future<void> run(std::shared_ptr<Submission> self) {
    Future<void> given_up = self->given_up.get_future();
    Future<Value> work = Limited<Value, Signal>::start(self->begin(), std::move(given_up));
    Result<Value> result = co_await as_result(std::move(work));
    self->promise.set_result(std::move(result));
  }

  // A function that gives a Future may throw instead.
  Future<Value> begin() noexcept
    requires(Call::kCoroutine)
  {
    try {
      return call();
    } catch (...) {
      return Future<Value>::failed(std::current_exception());
    }
  }

  Call call;
  Promise<void> given_up;  // the working loop's
  RemotePromise<Value> promise;
};

}  // namespace detail

template <class F, class... Args>
auto RemoteLoop::submit(F&& work, Args&&... args) const {
  using Job = detail::Submission<detail::StoredCall<std::decay_t<F>, std::decay_t<Args>...>>;
  auto job = std::make_shared<Job>(std::forward<F>(work), std::forward<Args>(args)...);
  auto future = job->promise.get_future();
  job->promise.on_dropped([there = *this, given_up = std::weak_ptr<Job>(job)] {
    if (auto dropped = given_up.lock()) there.post([dropped = std::move(dropped)] { dropped->given_up.set_value(); });
  });
  post([job = std::move(job)]() mutable { Job::start(std::move(job)); });
  return future;
}

}  // namespace twinloop
