#include "backends/posix/reactor.h"

#include <algorithm>
#include <cassert>

#include "twinloop/detail/observers.h"
#include "twinloop/detail/scheduler.h"
#include "twinloop/ioloop.h"

namespace twinloop::detail {
namespace {

inline void tell_listener(FdListener& listener, Ready ready) noexcept {
  try {
    listener.on_fd_events(ready);
  } catch (...) {
    log_failed_step(StepKind::handler, Origin("I/O", {}));
  }
}

void tell_observed(Observers& observers, FdListener& listener, Ready ready) noexcept {
  const ObservedStep step(observers, StepKind::handler, listener.origin());
  tell_listener(listener, ready);
}

}  // namespace

// So that the wake's key has a slot to be compared with.
Reactor::Reactor(std::unique_ptr<Poller> poller)
    : poller_(std::move(poller)), edge_triggered_(poller_->edge_triggered()) {
  give_back(take_slot());
}

Reactor::~Reactor() {
  for (std::uint32_t index = 0; index < chunks_.size() * kChunk; ++index) {
    Slot& each = slot(index);
    if (each.listener == nullptr) continue;
    each.listener->on_reactor_closing();
    assert(each.listener == nullptr && "a listener kept its registration in a reactor that goes away");
  }
}

// The flag keeps a burst of wakes to one write.  It falls only after the poller has swallowed that write: the other way round a
// wake between the two would leave the flag up with nothing written, and all later wakes would be lost.  What is woken for while
// listeners are told is seen before the loop sleeps.
void Reactor::wake() noexcept {
  if (!woken_.exchange(true, std::memory_order_acq_rel)) poller_->wake();
}

void Reactor::wait(TimePoint deadline) {
  if (deadline == kAlready && has_nothing_to_see()) return;
  const std::span<FdEvent> events = poller_->wait(deadline);
  if (deadline != kAlready) loop_->awake();
  if (!edge_triggered_) let_another_be_first(events);
  loop_->count_handlers(std::ssize(events));
  telling_ = true;
  untold_ = events.size();
  if (loop_->observers().any())
    tell<true>(events.data());
  else
    tell<false>(events.data());
  telling_ = false;
}

// What an event wakes runs while what was read is in the cache, and before the next stream needs memory for its own.
template <bool observed>
void Reactor::tell(const FdEvent* next) {
  Scheduler& scheduler = Scheduler::current();
  while (untold_ > 0) {
    --untold_;
    const FdEvent& event = *next++;
    const Slot& told = slot(event.key.slot);
    if (told.generation != event.key.generation) [[unlikely]] {
      if (event.key == kWakeKey) woken_.exchange(false, std::memory_order_acq_rel);
      loop_->count_handlers(-1);  // that was the wake, or a registration that has ended
      continue;
    }
    loop_->begin_step();
    if constexpr (observed)
      tell_observed(loop_->observers(), *told.listener, event.ready);
    else
      tell_listener(*told.listener, event.ready);
    if (scheduler.has_ready()) scheduler.drain();
  }
}

// A level-triggered poller tells what is ready in the same order again and again.  A client that is answered first asks again
// first, and those at the end would lag for ever.
void Reactor::let_another_be_first(std::span<FdEvent> events) noexcept {
  if (events.size() < 2) return;
  const auto first = static_cast<std::ptrdiff_t>(turns_++ % events.size());
  std::rotate(events.begin(), events.begin() + first, events.end());
}

// A hosted poller is told of events by its host, perhaps of a registration that has ended since: they must be taken away.
bool Reactor::has_nothing_to_see() const noexcept {
  return live_ == 0 && !woken_.load(std::memory_order_relaxed) && !loop_->backend().hosted();
}

void Reactor::remind(FdKey key) {
  reminders_.push_back(key);
  loop_->add_hook(*this);
}

// What is asked for meanwhile is for the next turn.
void Reactor::on_turn() {
  std::vector<FdKey> due;
  due.swap(reminders_);
  for (const FdKey key : due) {
    if (holds(key)) tell_listener(*slot(key.slot).listener, Ready::none);
  }
  due.clear();
  if (reminders_.empty()) reminders_.swap(due);  // keeps its memory
}

std::error_code Reactor::add(int fd, FdListener& listener, Interest interest, Trigger trigger, FdKey& key) {
  const std::uint32_t index = take_slot();
  Slot& taken = slot(index);
  key = FdKey{index, taken.generation};
  try {
    if (const std::error_code error = poller_->add(fd, key, interest, trigger)) {
      give_back(index);
      return error;
    }
  } catch (...) {
    give_back(index);
    throw;
  }
  taken.listener = &listener;
  taken.number = static_cast<std::uint32_t>(fd) & kNone;
  taken.interest = static_cast<std::uint32_t>(interest) & 3;
  taken.edge = trigger == Trigger::edge;
  ++live_;
  return {};
}

std::error_code Reactor::modify(FdKey key, Interest interest) {
  assert(holds(key));
  Slot& changed = slot(key.slot);
  const auto bits = static_cast<std::uint32_t>(interest);
  if (changed.interest == bits) return {};
  changed.interest = bits & 3;
  const Trigger trigger = changed.edge != 0 ? Trigger::edge : Trigger::level;
  return poller_->modify(static_cast<int>(changed.number), key, interest, trigger);
}

void Reactor::remove(FdKey key) noexcept {
  assert(holds(key));
  Slot& ended = slot(key.slot);
  poller_->remove(static_cast<int>(ended.number));
  ended.listener = nullptr;
  --live_;
  give_back(key.slot);
}

bool Reactor::watches(int fd) const noexcept {
  for (std::uint32_t index = 0; index < chunks_.size() * kChunk; ++index) {
    const Slot& each = slot(index);
    if (each.listener != nullptr && each.number == static_cast<std::uint32_t>(fd)) return true;
  }
  return false;
}

std::uint32_t Reactor::take_slot() {
  if (free_ == kNone) {
    const auto first = static_cast<std::uint32_t>(chunks_.size()) * kChunk;
    chunks_.push_back(std::make_unique<std::array<Slot, kChunk>>());
    for (std::uint32_t index = first + kChunk; index-- > first;) {
      slot(index).number = free_ & kNone;
      free_ = index;
    }
  }
  const std::uint32_t index = free_;
  free_ = slot(index).number;
  return index;
}

void Reactor::give_back(std::uint32_t index) noexcept {
  Slot& freed = slot(index);
  freed.generation = (freed.generation + 1) % kWakeKey.generation;
  freed.number = free_ & kNone;
  free_ = index;
}

}  // namespace twinloop::detail
