// Poller: the few functions in which epoll, kqueue, select and libuv differ.  It watches descriptors and says which are ready;
// what that means is the business of the Reactor above it.  A new readiness backend is one of these, and the two functions
// by which the table of all backends knows it (docs/guide/loop.md).
//
// Registrations are named by keys, never by pointers or bare descriptors: an event that was on its way while its registration
// ended then finds a key that no longer exists, also when the descriptor's number is already in use again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>
#include <vector>

#include "twinloop/backend.h"

namespace twinloop::detail {

// A place in the reactor's table and how many registrations it has held before.
struct FdKey {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
  friend bool operator==(const FdKey&, const FdKey&) = default;
};

// What a registration wants to hear.  Failures, and the peer's end where the poller can tell, come without asking.
enum class Interest : std::uint8_t { none = 0, read = 1, write = 2, both = 3 };

constexpr Interest operator|(Interest a, Interest b) noexcept {
  return static_cast<Interest>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr bool wants(Interest all, Interest one) noexcept {
  return (static_cast<unsigned>(all) & static_cast<unsigned>(one)) != 0;
}

enum class Trigger : std::uint8_t { level, edge };

// The key of wake(): no registration has it.
inline constexpr FdKey kWakeKey{0, 0xffffffff};

// What happened to a descriptor.  The values of Linux's poll: epoll's need no translation then.
enum class Ready : std::uint32_t {
  none = 0,
  readable = 1,
  urgent = 2,  // out-of-band data: from now on a short read does not mean that there is nothing more
  writable = 4,
  failure = 8,        // SO_ERROR says which, or the descriptor is closed
  hangup = 16,        // both directions are over
  peer_end = 0x2000,  // the peer ended its sending side; unread bytes may stand in front of that
};

constexpr Ready operator|(Ready a, Ready b) noexcept {
  return static_cast<Ready>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr bool has(Ready all, Ready any) noexcept {
  return (static_cast<unsigned>(all) & static_cast<unsigned>(any)) != 0;
}

struct FdEvent {
  Ready ready = Ready::none;
  FdKey key;
};

inline void append_or_merge(std::vector<FdEvent>& events, std::size_t& place, FdEvent event) {
  if (place < events.size() && events[place].key == event.key) {
    events[place].ready = events[place].ready | event.ready;
    return;
  }
  place = events.size();
  events.push_back(event);
}
// For pollers that hear of one descriptor several times: it is told of once.  `place` is the registration's, and says where among the
// events its last one stands.

class Poller {
 public:
  virtual ~Poller() = default;

  virtual bool edge_triggered() const noexcept = 0;
  // Whether Trigger::edge means anything.

  virtual bool reports_end_early() const noexcept = 0;
  // Whether Ready::peer_end comes for a stream's socket also when nothing is wanted of it and unread bytes stand in front of the
  // end.

  virtual std::error_code add(int fd, FdKey key, Interest interest, Trigger trigger) = 0;
  // Fails with `busy` when the descriptor is registered already, with `descriptors_exhausted` when its number is beyond what
  // this poller can watch, and with the system's EPERM for what cannot be polled at all (a regular file).

  virtual std::error_code modify(int fd, FdKey key, Interest interest, Trigger trigger) = 0;
  // What is ready already is reported again.  A poller may put the change off until it next looks, and then report what is wrong
  // with the descriptor as a failure.

  virtual void remove(int fd) noexcept = 0;
  // Before the descriptor is closed.

  virtual std::span<FdEvent> wait(TimePoint deadline) = 0;
  // What is ready, sleeping until something is, the deadline, a signal or wake().  The events stay where they are until the next
  // wait.  Calls nobody.

  virtual void wake() noexcept = 0;
  // Ends wait(), the current or else the next, which finds kWakeKey among its events.  From any thread and from signal handlers.

  virtual void after_fork() noexcept = 0;
  // In the child: closes this process's copies of its own descriptors.  What is asked of it afterwards has no effect, above all
  // none on the parent.
};

}  // namespace twinloop::detail
