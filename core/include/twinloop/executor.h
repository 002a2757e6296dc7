// Executors: threads for what blocks (a slow library call, getaddrinfo, a computation), so that the loop does not.
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "twinloop/remote.h"

namespace twinloop {

class Executor {
 public:
  virtual ~Executor() = default;

  virtual void execute(detail::Function<void()> job) = 0;
  // Calls the job, which throws nothing, in some other thread.  From any thread.
};

// A fixed number of threads and a queue.
class ThreadPoolExecutor final : public Executor {
 public:
  explicit ThreadPoolExecutor(unsigned threads = 0);
  // 0: four more than the machine has cores, 32 at most.  Each thread is started when there is a job for it.  Throws
  // Error(not_supported) where there are no threads (a browser).  A machine that has none left serves with those there are;
  // execute() throws when there is not even one.

  ~ThreadPoolExecutor() override;
  // Drops what is queued and waits for what is running.

  void execute(detail::Function<void()> job) override;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

namespace detail {

std::shared_ptr<Executor> process_executor();
// What loops use that were given none: one for the process, whose threads end with it.  Throws where there are no threads.
void forget_process_executor() noexcept;
// In the child of a fork, where its threads are not.

// run_in_executor: shared by the loop that asked and the thread that works.  `call` belongs to whoever changes `taken`.
template <class Call>
struct ExecutorJob {
  using Value = typename Call::Value;

  template <class... Parts>
  explicit ExecutorJob(IOLoop& loop, Parts&&... parts)
      : call(std::in_place, std::forward<Parts>(parts)...), promise(loop) {}

  void run() noexcept {
    if (taken.exchange(true, std::memory_order_acq_rel)) return;
    Result<Value> result = call->result();
    call.reset();
    promise.set_result(std::move(result));
  }

  void withdraw() noexcept {
    if (!taken.exchange(true, std::memory_order_acq_rel)) call.reset();
  }

  std::optional<Call> call;
  std::atomic<bool> taken = false;
  RemotePromise<Value> promise;
};

}  // namespace detail

template <class F, class... Args>
  requires std::invocable<std::decay_t<F>&, std::decay_t<Args>...>
auto IOLoop::run_in_executor(Executor& executor, F&& function, Args&&... args) {
  using Call = detail::StoredCall<std::decay_t<F>, std::decay_t<Args>...>;
  static_assert(!Call::kCoroutine, "a coroutine belongs to a loop: use spawn, or RemoteLoop::submit");
  auto job = std::make_shared<detail::ExecutorJob<Call>>(*this, std::forward<F>(function), std::forward<Args>(args)...);
  auto future = job->promise.get_future();
  if (future.done()) return future;  // the loop is closed
  job->promise.on_dropped([given_up = std::weak_ptr(job)] {
    if (auto dropped = given_up.lock()) dropped->withdraw();
  });
  executor.execute([job = std::move(job)] { job->run(); });
  return future;
}

template <class F, class... Args>
  requires std::invocable<std::decay_t<F>&, std::decay_t<Args>...>
auto IOLoop::run_in_executor(F&& function, Args&&... args) {
  return run_in_executor(executor(), std::forward<F>(function), std::forward<Args>(args)...);
}

}  // namespace twinloop
