#include "backends/posix/signals.h"

#include <signal.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <thread>
#include <utility>

#include "backends/posix/reactor.h"
#include "twinloop/ioloop.h"

namespace twinloop::detail {

// What the signal handler may touch of a loop.  Receivers are used again and never freed.
struct SignalWatch::Receiver {
  std::atomic<Reactor*> reactor = nullptr;
  std::atomic<std::uint64_t> wanted = 0;
  std::atomic<std::uint64_t> arrived = 0;
  Receiver* next = nullptr;
  bool taken = true;  // guarded by registry
};

namespace {

constexpr int kSignals = 64;

std::atomic<SignalWatch::Receiver*> receivers = nullptr;
std::atomic<unsigned> handlers_running = 0;
constinit ProcessLock registry;
std::array<struct sigaction, kSignals + 1> former;  // guarded by registry

std::uint64_t bit(int number) noexcept { return std::uint64_t{1} << (number - 1); }

extern "C" void twinloop_on_signal(int number) {
  const int saved = errno;
  handlers_running.fetch_add(1);
  for (auto* each = receivers.load(); each != nullptr; each = each->next) {
    Reactor* reactor = each->reactor.load();
    if (reactor == nullptr || (each->wanted.load() & bit(number)) == 0) continue;
    each->arrived.fetch_or(bit(number));
    reactor->wake();
  }
  handlers_running.fetch_sub(1);
  errno = saved;
}

bool is_ours(const struct sigaction& action) noexcept { return action.sa_handler == &twinloop_on_signal; }

bool is_wanted(int number) noexcept {
  for (auto* each = receivers.load(); each != nullptr; each = each->next) {
    if ((each->wanted.load() & bit(number)) != 0) return true;
  }
  return false;
}

// Also where somebody has put a handler of their own in place of ours.  What it did before is known before anything changes: a fork
// may come at any time.
bool begin_watching(int number) {
  const std::lock_guard lock(registry);
  struct sigaction present{};
  if (::sigaction(number, nullptr, &present) != 0) return false;
  if (is_ours(present)) return true;
  former[static_cast<std::size_t>(number)] = present;
  struct sigaction action{};
  action.sa_handler = &twinloop_on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);  // unqualified: a macro on some systems
  return ::sigaction(number, &action, nullptr) == 0;
}

// A handler that somebody has put in place of ours stays.
void restore(int number) noexcept {
  struct sigaction present{};
  if (::sigaction(number, nullptr, &present) != 0 || !is_ours(present)) return;
  ::sigaction(number, &former[static_cast<std::size_t>(number)], nullptr);
}

void end_watching(int number) noexcept {
  const std::lock_guard lock(registry);
  if (!is_wanted(number)) restore(number);
}

SignalWatch::Receiver* take_receiver(Reactor& reactor) {
  const std::lock_guard lock(registry);
  SignalWatch::Receiver* receiver = receivers.load();
  while (receiver != nullptr && receiver->taken) receiver = receiver->next;
  if (receiver == nullptr) {
    receiver = new SignalWatch::Receiver;
    receiver->next = receivers.load();
    receivers.store(receiver);
  }
  receiver->taken = true;
  receiver->reactor.store(&reactor);
  return receiver;
}

// A handler may be running on another thread with the reactor in its hands; it is done in microseconds.
void give_back(SignalWatch::Receiver& receiver) noexcept {
  receiver.reactor.store(nullptr);
  while (handlers_running.load() != 0) std::this_thread::yield();
  receiver.arrived.store(0);
  const std::lock_guard lock(registry);
  receiver.taken = false;
}

}  // namespace

void SignalWatch::end() noexcept {
  while (!handlers_.empty()) set(handlers_.begin()->first, {});
  if (Receiver* receiver = std::exchange(receiver_, nullptr)) give_back(*receiver);
}

ProcessLock& SignalWatch::registry_lock() noexcept { return registry; }

// The threads that were here have gone, perhaps in the middle of a change, so what is watched is asked of the system.
void SignalWatch::after_fork() noexcept {
  registry.forget_holder();
  handlers_running.store(0);
  for (Receiver* each = receivers.load(); each != nullptr; each = each->next) {
    each->reactor.store(nullptr);
    each->wanted.store(0);
    each->arrived.store(0);
    each->taken = false;
  }
  for (int number = 1; number <= kSignals; ++number) restore(number);
}

bool SignalWatch::set(int number, Function<void()> handler) {
  if (number < 1 || number > kSignals) return false;
  if (!handler) {
    if (!handlers_.contains(number)) return true;
    receiver_->wanted.fetch_and(~bit(number));
    end_watching(number);
    handlers_.erase(number);
    return true;
  }
  if (receiver_ == nullptr) receiver_ = take_receiver(reactor_);
  handlers_[number] = std::make_shared<Function<void()>>(std::move(handler));
  receiver_->wanted.fetch_or(bit(number));
  if (begin_watching(number)) return true;
  receiver_->wanted.fetch_and(~bit(number));
  handlers_.erase(number);
  return false;
}

void SignalWatch::run_arrived() {
  if (receiver_->arrived.load(std::memory_order_relaxed) == 0) return;
  const std::uint64_t arrived = receiver_->arrived.exchange(0);
  for (int number = 1; number <= kSignals; ++number) {
    if ((arrived & bit(number)) != 0) run(number);
  }
}

// A handler may replace or end itself, so it is held here while it runs.
void SignalWatch::run(int number) noexcept {
  const auto found = handlers_.find(number);
  if (found == handlers_.end()) return;
  const std::shared_ptr<Function<void()>> handler = found->second;
  reactor_.loop().run_step(StepKind::callback, Origin("a handler of a signal", {}), *handler);
}

}  // namespace twinloop::detail
