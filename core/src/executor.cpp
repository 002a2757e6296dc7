#include "twinloop/executor.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "twinloop/detail/builtin.h"

namespace twinloop {

// What the threads of a pool share.
struct ThreadPoolExecutor::Shared {
  std::mutex mutex;
  std::condition_variable work;
  std::deque<detail::Function<void()>> queue;  // guarded by mutex, as all below
  std::vector<std::thread> threads;
  unsigned most_threads = 1;
  unsigned idle = 0;
  bool ending = false;

  void run();
  void start_thread(const std::shared_ptr<Shared>& self);
};

void ThreadPoolExecutor::Shared::run() {
  std::unique_lock lock(mutex);
  for (;;) {
    ++idle;
    work.wait(lock, [this] { return ending || !queue.empty(); });
    --idle;
    if (ending) return;
    detail::Function<void()> job = std::move(queue.front());
    queue.pop_front();
    lock.unlock();
    job();
    job.reset();
    lock.lock();
  }
}

ThreadPoolExecutor::ThreadPoolExecutor(unsigned threads) : shared_(std::make_shared<Shared>()) {
  if (!detail::platform_has_threads()) {
    throw Error(Errc::not_supported, "an executor: this platform has no threads; do the work in pieces on the loop");
  }
  shared_->most_threads = threads != 0 ? threads : std::min(32u, std::thread::hardware_concurrency() + 4);
}

ThreadPoolExecutor::~ThreadPoolExecutor() {
  std::deque<detail::Function<void()>> dropped;
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->ending = true;
    dropped.swap(shared_->queue);
    threads.swap(shared_->threads);
  }
  shared_->work.notify_all();
  for (std::thread& thread : threads) {
    if (thread.get_id() == std::this_thread::get_id()) {
      thread.detach();  // a job held the last reference to its own executor
    } else {
      thread.join();
    }
  }
}

// Where the system has no thread left, those that there are will come to the job.
void ThreadPoolExecutor::Shared::start_thread(const std::shared_ptr<Shared>& self) {
  try {
    threads.push_back(detail::platform_start_thread([self] { self->run(); }));
  } catch (const std::system_error& error) {
    if (threads.empty()) throw Error(error.code(), "an executor starts its first thread");
  }
}

void ThreadPoolExecutor::execute(detail::Function<void()> job) {
  const std::lock_guard lock(shared_->mutex);
  const bool enough = shared_->queue.size() < shared_->idle || shared_->threads.size() == shared_->most_threads;
  if (!enough) shared_->start_thread(shared_);
  shared_->queue.push_back(std::move(job));
  if (enough) shared_->work.notify_one();
}

namespace detail {
namespace {

// Never destroyed: a job that is running when the process ends is cut off with it.  Without a lock, which a forked child might find
// held by a thread that it does not have.
constinit std::atomic<std::shared_ptr<Executor>*> process_pool = nullptr;

}  // namespace

std::shared_ptr<Executor> process_executor() {
  std::shared_ptr<Executor>* known = process_pool.load(std::memory_order_acquire);
  if (known != nullptr) return *known;
  auto made = std::make_unique<std::shared_ptr<Executor>>(std::make_shared<ThreadPoolExecutor>());
  if (process_pool.compare_exchange_strong(known, made.get(), std::memory_order_acq_rel)) return *made.release();
  return *known;  // another thread's
}

void forget_process_executor() noexcept { process_pool.store(nullptr, std::memory_order_relaxed); }

}  // namespace detail
}  // namespace twinloop
