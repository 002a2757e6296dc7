#include "backends/posix/resolver.h"

#include <netdb.h>
#include <signal.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>

#include "twinloop/detail/task.h"
#include "twinloop/ioloop.h"

namespace twinloop::detail {
namespace {

Resolution look_up(const std::string& host, std::uint16_t port, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  Resolution resolution;
  const int error = ::getaddrinfo(host.empty() ? nullptr : host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (error != 0) {
    resolution.problem = error == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(error);
    return resolution;
  }
  for (const addrinfo* each = list; each != nullptr; each = each->ai_next) {
    resolution.addresses.emplace_back(each->ai_addr, each->ai_addrlen);
  }
  ::freeaddrinfo(list);
  return resolution;
}

// "::" takes connections of both kinds and so comes first.
void put_ipv6_first(std::vector<Address>& addresses) {
  std::partition(addresses.begin(), addresses.end(), [](const Address& a) { return a.family() == AF_INET6; });
}

}  // namespace

struct Resolver::Job {
  Job(std::string h, std::uint16_t p) : host(std::move(h)), port(p) {}
  const std::string host;
  const std::uint16_t port;
  Resolution resolution;       // written by the thread, then read by the loop
  Request* request = nullptr;  // the loop's only; null once nobody waits
};

// What the thread and the loop share.  It lives as long as either.
struct Resolver::Worker {
  explicit Worker(IOLoop& owner) noexcept : loop(&owner) {}

  std::mutex mutex;
  std::condition_variable work;
  std::deque<std::shared_ptr<Job>> queue;  // guarded by mutex, as all below
  IOLoop* loop;                            // null once it goes away
  bool busy = false;
  std::thread thread;

  void enqueue(std::shared_ptr<Job> job, std::shared_ptr<Worker> self);
  void withdraw(const std::shared_ptr<Job>& job) noexcept;
  void stop() noexcept;
  void run();
  void start_thread(std::shared_ptr<Worker> self);
};

// Waits for one job, in the frame of the coroutine that asked.
class Resolver::Request final : private CloseHook {
 public:
  Request(IOLoop& loop, std::shared_ptr<Worker> worker, std::shared_ptr<Job> job)
      : worker_(std::move(worker)), job_(std::move(job)) {
    loop.add_closer(*this);
    job_->request = this;
  }
  ~Request() {
    job_->request = nullptr;
    worker_->withdraw(job_);
  }

  Future<void> begin() {
    Future<void> answered = answered_.get_future();
    worker_->enqueue(job_, worker_);
    return answered;
  }
  void answer() { answered_.set_value(); }

 private:
  void on_loop_close() noexcept override { answered_.set_error(Errc::loop_closed); }

  std::shared_ptr<Worker> worker_;
  std::shared_ptr<Job> job_;
  Promise<void> answered_;
};

void Resolver::Worker::enqueue(std::shared_ptr<Job> job, std::shared_ptr<Worker> self) {
  const std::lock_guard lock(mutex);
  if (!thread.joinable()) start_thread(std::move(self));
  queue.push_back(std::move(job));
  work.notify_one();
}

// Signals are for the program's own threads.
void Resolver::Worker::start_thread(std::shared_ptr<Worker> self) {
  sigset_t all;
  sigset_t former;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &former);
  thread = std::thread([self = std::move(self)] { self->run(); });
  ::pthread_sigmask(SIG_SETMASK, &former, nullptr);
}

void Resolver::Worker::run() {
  std::unique_lock lock(mutex);
  for (;;) {
    work.wait(lock, [this] { return loop == nullptr || !queue.empty(); });
    if (loop == nullptr) return;
    std::shared_ptr<Job> job = std::move(queue.front());
    queue.pop_front();
    busy = true;
    lock.unlock();
    job->resolution = look_up(job->host, job->port, 0);
    lock.lock();
    busy = false;
    if (loop == nullptr) return;
    loop->add_callback([job = std::move(job)] {
      if (job->request != nullptr) job->request->answer();
    });
  }
}

void Resolver::Worker::withdraw(const std::shared_ptr<Job>& job) noexcept {
  const std::lock_guard lock(mutex);
  std::erase(queue, job);
}

// A thread that is inside getaddrinfo may stay there for many seconds: it is left to end by itself.
void Resolver::Worker::stop() noexcept {
  std::unique_lock lock(mutex);
  loop = nullptr;
  queue.clear();
  if (!thread.joinable()) return;
  if (busy) return thread.detach();
  work.notify_one();
  lock.unlock();
  thread.join();
}

Resolver::Resolver(IOLoop& loop) : loop_(loop), worker_(std::make_shared<Worker>(loop)) {}

Resolver::~Resolver() { worker_->stop(); }

Future<Resolution> Resolver::resolve(const std::string& host, std::uint16_t port, EmptyHost empty) {
  const int passive = empty == EmptyHost::every_address ? AI_PASSIVE : 0;
  Resolution numeric = look_up(host, port, AI_NUMERICHOST | passive);
  if (host.empty() && passive != 0) put_ipv6_first(numeric.addresses);
  if (!numeric.addresses.empty() || host.empty()) return Future<Resolution>::ready(std::move(numeric));
  return ask(loop_, worker_, std::make_shared<Job>(host, port));
}

Future<Resolution> Resolver::ask(IOLoop& loop, std::shared_ptr<Worker> worker, std::shared_ptr<Job> job) {
  Request request(loop, std::move(worker), job);
  Future<void> answered = request.begin();
  co_await answered;
  co_return std::move(job->resolution);
}

}  // namespace twinloop::detail
