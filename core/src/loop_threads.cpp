#include "twinloop/loop_threads.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "durations.h"
#include "twinloop/detail/builtin.h"
#include "twinloop/ioloop.h"
#include "twinloop/locks.h"
#include "twinloop/log.h"
#include "twinloop/remote.h"

namespace twinloop {
namespace {

using Stop = Promise<void>;

std::unique_ptr<IOLoop> make_loop(std::string_view backend) {
  for (const detail::BackendEntry& entry : detail::builtin_backends()) {
    if (entry.name == backend) return std::make_unique<IOLoop>(entry.make());
  }
  return std::make_unique<IOLoop>();  // the owner's loop is turned by a host
}

// What all threads share.
class Crew {
 public:
  Crew(unsigned count, LoopThreads::Work work) : work_(std::move(work)), members_(count) {}

  Future<void> begin(unsigned index, Future<void> stop) const { return work_(index, std::move(stop)); }

  bool join(unsigned index, RemoteLoop loop, const std::shared_ptr<Stop>& stop);
  // False when all is over already.
  void leave(unsigned index, const Result<void>& result);
  void stop() noexcept;
  void cancel() noexcept;
  std::optional<Failure> failure() const;

 private:
  // A member's promise belongs to its thread; it is gone once that has ended.
  struct Member {
    RemoteLoop loop;
    std::weak_ptr<Stop> stop;
  };

  static void ask(const Member& member) {
    member.loop.post([stop = member.stop] {
      if (const auto promise = stop.lock()) promise->set_value();
    });
  }

  const LoopThreads::Work work_;
  mutable std::mutex mutex_;
  std::vector<Member> members_;  // guarded by mutex_, as all below
  std::optional<Failure> failure_;
  bool stopping_ = false;
  bool cancelled_ = false;
};

bool Crew::join(unsigned index, RemoteLoop loop, const std::shared_ptr<Stop>& stop) {
  const std::lock_guard lock(mutex_);
  members_[index] = {std::move(loop), stop};
  if (stopping_) stop->set_value();
  return !cancelled_;
}

void Crew::leave(unsigned index, const Result<void>& result) {
  {
    const std::lock_guard lock(mutex_);
    members_[index] = {};
    if (result.ok() || cancelled_) return;
    if (!failure_) failure_ = result.failure();
  }
  log(LogLevel::error, "loop thread " + std::to_string(index) + " failed: " + result.failure().message());
  stop();
}

void Crew::stop() noexcept {
  const std::lock_guard lock(mutex_);
  if (std::exchange(stopping_, true)) return;
  for (const Member& member : members_) ask(member);
}

void Crew::cancel() noexcept {
  const std::lock_guard lock(mutex_);
  cancelled_ = true;
  for (const Member& member : members_) member.loop.stop();
}

std::optional<Failure> Crew::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

// The owner's count of threads that have not ended, on the owner's loop.
struct Running {
  explicit Running(unsigned count) noexcept : number(count) {}
  unsigned number;
  Event none_left;
};

// Where a thread tells that it has ended.
struct Home {
  RemoteLoop loop;
  std::weak_ptr<Running> running;

  void tell() const {
    loop.post([running = running] {
      const auto all = running.lock();
      if (all != nullptr && --all->number == 0) all->none_left.set();
    });
  }
};

Result<void> run_work(IOLoop& loop, Crew& crew, unsigned index) noexcept {
  try {
    const auto stop = std::make_shared<Stop>();
    Future<void> stopping = stop->get_future();
    if (crew.join(index, loop.remote(), stop)) {
      loop.run_sync([&] { return crew.begin(index, std::move(stopping)); });
    }
    return Unit();
  } catch (...) {
    return Failure(std::current_exception());
  }
}

Result<void> run_loop(Crew& crew, const std::string& backend, unsigned index) noexcept {
  try {
    const std::unique_ptr<IOLoop> loop = make_loop(backend);
    Result<void> result = run_work(*loop, crew, index);
    loop->wind_down(result.ok() ? detail::kDelivery : detail::kDeliveryInHaste);
    return result;
  } catch (...) {
    return Failure(std::current_exception());
  }
}

Future<void> wait_for_all(std::shared_ptr<Running> running, std::shared_ptr<const Crew> crew) {
  co_await running->none_left.wait();
  const std::optional<Failure> failure = crew->failure();
  if (failure) failure->raise();
}

}  // namespace

class LoopThreads::Impl {
 public:
  Impl(unsigned count, Work work)
      : crew_(std::make_shared<Crew>(count, std::move(work))), running_(std::make_shared<Running>(count)) {
    try {
      start(count);
    } catch (const std::system_error& error) {
      end();
      throw Error(error.code(), "LoopThreads: starting a thread");
    } catch (...) {
      end();
      throw;
    }
  }
  ~Impl() { end(); }

  unsigned size() const noexcept { return static_cast<unsigned>(threads_.size()); }
  void stop() noexcept { crew_->stop(); }
  Future<void> finished() { return wait_for_all(running_, crew_); }

 private:
  void start(unsigned count) {
    const Home home{IOLoop::current().remote(), running_};
    const std::string backend(IOLoop::current().backend_name());
    threads_.reserve(count);
    for (unsigned index = 0; index < count; ++index) {
      threads_.push_back(detail::platform_start_thread([crew = crew_, backend, home, index] {
        crew->leave(index, run_loop(*crew, backend, index));
        home.tell();
      }));
    }
  }

  void end() noexcept {
    crew_->cancel();
    for (std::thread& thread : threads_) thread.join();
  }

  std::shared_ptr<Crew> crew_;
  std::shared_ptr<Running> running_;
  std::vector<std::thread> threads_;
};

LoopThreads::LoopThreads(unsigned count, Work work)
    : impl_(std::make_unique<Impl>(count != 0 ? count : std::max(1U, std::thread::hardware_concurrency()),
                                   std::move(work))) {}

LoopThreads::LoopThreads(LoopThreads&&) noexcept = default;
LoopThreads& LoopThreads::operator=(LoopThreads&&) noexcept = default;
LoopThreads::~LoopThreads() = default;

unsigned LoopThreads::size() const noexcept { return impl_->size(); }
void LoopThreads::stop() noexcept { impl_->stop(); }
Future<void> LoopThreads::finished() { return impl_->finished(); }

}  // namespace twinloop
