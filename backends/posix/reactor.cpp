#include "backends/posix/reactor.h"

#include <cassert>
#include <exception>
#include <string>

#include "twinloop/ioloop.h"
#include "twinloop/log.h"
#include "twinloop/result.h"

namespace twinloop::detail {

Reactor::~Reactor() {
  for (std::uint32_t index = 0; index < chunks_.size() * kChunk; ++index) {
    Slot& each = slot(index);
    if (each.listener == nullptr) continue;
    each.listener->on_reactor_closing();
    assert(each.listener == nullptr && "a listener kept its registration in a reactor that goes away");
  }
}

// The flag keeps a burst of wakes to one write.  It falls only after the poller has swallowed that write: the other way round a
// wake between the two would leave the flag up with nothing written, and all later wakes would be lost.
void Reactor::wake() noexcept {
  if (!woken_.exchange(true, std::memory_order_acq_rel)) poller_->wake();
}

void Reactor::wait(TimePoint deadline) {
  if (has_nothing_to_see() && deadline == kAlready) return;
  batch_.clear();
  if (poller_->wait(deadline, batch_)) woken_.exchange(false, std::memory_order_acq_rel);
  if (deadline != kAlready) loop_->awake();
  loop_->count_handlers(batch_.size());
  for (const FdEvent& event : batch_) dispatch(event);
}

// A hosted poller is told of events by its host, perhaps of a registration that has ended since: they must be taken away.
bool Reactor::has_nothing_to_see() const noexcept {
  return live_ == 0 && !woken_.load(std::memory_order_relaxed) && !loop_->backend().hosted();
}

void Reactor::dispatch(const FdEvent& event) noexcept {
  const Slot& ready = slot(event.key.slot);
  if (ready.generation != event.key.generation || ready.listener == nullptr) return;
  try {
    ready.listener->on_fd_events(event.ready);
  } catch (...) {
    log(LogLevel::error, "exception in a handler of I/O: " + Failure(std::current_exception()).message());
  }
}

std::error_code Reactor::add(int fd, FdListener& listener, Interest interest, Trigger trigger, FdKey& key) {
  const std::uint32_t index = take_slot();
  Slot& taken = slot(index);
  key = FdKey{index, taken.generation};
  if (const std::error_code error = poller_->add(fd, key, interest, trigger)) {
    give_back(index);
    return error;
  }
  taken.listener = &listener;
  taken.fd = fd;
  taken.interest = interest;
  taken.trigger = trigger;
  ++live_;
  return {};
}

std::error_code Reactor::modify(FdKey key, Interest interest) {
  assert(holds(key));
  Slot& changed = slot(key.slot);
  if (changed.interest == interest) return {};
  changed.interest = interest;
  return poller_->modify(changed.fd, key, interest, changed.trigger);
}

void Reactor::remove(FdKey key) noexcept {
  assert(holds(key));
  Slot& ended = slot(key.slot);
  poller_->remove(ended.fd);
  ended.listener = nullptr;
  --live_;
  give_back(key.slot);
}

bool Reactor::holds(FdKey key) const noexcept {
  if (key.slot >= chunks_.size() * kChunk) return false;
  const Slot& found = slot(key.slot);
  return found.listener != nullptr && found.generation == key.generation;
}

std::uint32_t Reactor::take_slot() {
  if (free_ == kNone) {
    const auto first = static_cast<std::uint32_t>(chunks_.size()) * kChunk;
    chunks_.push_back(std::make_unique<std::array<Slot, kChunk>>());
    for (std::uint32_t index = first + kChunk; index-- > first;) {
      slot(index).next_free = free_;
      free_ = index;
    }
  }
  const std::uint32_t index = free_;
  free_ = slot(index).next_free;
  return index;
}

void Reactor::give_back(std::uint32_t index) noexcept {
  Slot& freed = slot(index);
  ++freed.generation;
  freed.next_free = free_;
  free_ = index;
}

}  // namespace twinloop::detail
