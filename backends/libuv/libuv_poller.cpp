#include "backends/libuv/libuv_poller.h"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "backends/posix/descriptor.h"

namespace twinloop::detail {
namespace {

constexpr int kReadOrWrite = UV_READABLE | UV_WRITABLE;

// On epoll, ends and failures come also to somebody who wants neither to read nor to write.  On kqueue they are flags of events
// that were asked for.
constexpr bool kOnEpoll = TWINLOOP_LIBUV_ON_EPOLL;

// Failures come unasked, but only while something is asked for: out-of-band data is that thing when nothing else is wanted.
constexpr int kNothingElse = kOnEpoll ? UV_PRIORITIZED : 0;

int wanted_events(Interest interest) noexcept {
  return (wants(interest, Interest::read) ? UV_READABLE : 0) | (wants(interest, Interest::write) ? UV_WRITABLE : 0);
}

Ready to_ready(int events) noexcept {
  Ready ready = Ready::none;
  if (events & UV_READABLE) ready = ready | Ready::readable;
  if (events & UV_WRITABLE) ready = ready | Ready::writable;
  if (events & UV_DISCONNECT) ready = ready | Ready::peer_end;
  return ready;
}

// libuv reports a failure as UV_EBADF and a hang-up as everything that was asked for.  The kernel knows which it is.
Ready ask_kernel(int fd, int events) noexcept {
  pollfd asked{fd, POLLPRI, 0};
  ::poll(&asked, 1, 0);
  if (asked.revents & (POLLERR | POLLNVAL)) events = (events & kReadOrWrite);
  Ready ready = to_ready(events);
  if (asked.revents & (POLLERR | POLLNVAL)) ready = ready | Ready::failure;
  if (asked.revents & POLLHUP) ready = ready | Ready::hangup;
  if (asked.revents & POLLPRI) ready = ready | Ready::urgent;
  return ready;
}

bool is_open(int fd) noexcept { return ::fcntl(fd, F_GETFD) != -1; }

// uv_poll_init makes the file nonblocking, for everybody who shares it: the terminal, say, with the shell that started us.
int init_poll(uv_loop_t& loop, uv_poll_t& poll, int fd) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  const int status = uv_poll_init(&loop, &poll, fd);
  if (status == 0 && (flags & O_NONBLOCK) == 0) ::fcntl(fd, F_SETFL, flags);
  return status;
}

// EPERM says that the file cannot be polled, not that somebody forbids it.
std::error_code refusal(int status) noexcept {
  if (status == UV_EEXIST) return Errc::busy;
  if (status == UV_EPERM) return {EPERM, std::system_category()};
  return from_errno(-status);
}

}  // namespace

// One descriptor's registration.
struct LibuvPoller::Watch {
  uv_poll_t poll;  // first: libuv's pointers to it are pointers to this
  int fd = -1;
  FdKey key;
  Interest interest = Interest::none;
  int events = 0;         // what libuv watches for us now
  std::size_t event = 0;  // where in events_ its last event stands, if that has not been taken yet
  bool scheduled = true;  // in changed_
  bool ended = false;     // its end was told; UV_DISCONNECT would tell it again at every poll
  bool broken = false;    // as was a hang-up, a failure or out-of-band data

  int wanted() const noexcept {
    return wanted_events(interest) | (ended ? 0 : UV_DISCONNECT) | (broken ? 0 : kNothingElse);
  }
};

LibuvPoller::LibuvPoller(uv_loop_t& loop) : loop_(loop) {
  async_ = make_handle<uv_async_t>(loop, this, &uv_async_init, [](uv_async_t* async) {
    auto* self = static_cast<LibuvPoller*>(async->data);
    self->woken_ = true;
    self->on_activity();
  });
}

LibuvPoller::~LibuvPoller() = default;

bool LibuvPoller::reports_end_early() const noexcept { return kOnEpoll; }

// ---- registrations

std::error_code LibuvPoller::add(int fd, FdKey key, Interest interest, Trigger) {
  if (fd < 0) return from_errno(EBADF);
  const auto index = static_cast<std::size_t>(fd);
  if (index >= watches_.size()) watches_.resize(index + 1);
  if (watches_[index] != nullptr) return Errc::busy;
  auto watch = std::make_unique<Watch>();
  if (const int status = init_poll(loop_, watch->poll, fd); status != 0) return refusal(status);
  watch->poll.data = this;
  watch->fd = fd;
  watch->key = key;
  watch->interest = interest;
  watches_[index].reset(watch.release());
  changed_.push_back(fd);
  on_activity();
  return {};
}

std::error_code LibuvPoller::modify(int fd, FdKey, Interest interest, Trigger) {
  Watch* watch = watches_[static_cast<std::size_t>(fd)].get();
  if (watch == nullptr) return from_errno(EBADF);  // after a fork
  watch->interest = interest;
  schedule(*watch);
  return {};
}

void LibuvPoller::remove(int fd) noexcept { watches_[static_cast<std::size_t>(fd)].reset(); }

// The handles stay where they are: closing them could end the parent's registrations, in an epoll that both processes share.
void LibuvPoller::after_fork() noexcept {
  [[maybe_unused]] const uv_async_t* async = async_.release();
  for (Handle<Watch>& each : watches_) {
    [[maybe_unused]] const Watch* watch = each.release();
  }
}

void LibuvPoller::schedule(Watch& watch) {
  if (std::exchange(watch.scheduled, true)) return;
  changed_.push_back(watch.fd);
  on_activity();
}

void LibuvPoller::apply_changes() {
  for (const int fd : changed_) {
    Watch* watch = watches_[static_cast<std::size_t>(fd)].get();
    if (watch != nullptr && std::exchange(watch->scheduled, false)) apply(*watch);
  }
  changed_.clear();
}

// Only what somebody waits for keeps the loop running.  libuv aborts the process when the descriptor was closed behind our back.
void LibuvPoller::apply(Watch& watch) {
  if (watch.interest == Interest::none)
    uv_unref(as_handle(&watch));
  else
    uv_ref(as_handle(&watch));
  const int events = watch.wanted();
  if (events == watch.events) return;
  if (!is_open(watch.fd)) return report(watch, Ready::failure);
  const int status = uv_poll_start(&watch.poll, events, [](uv_poll_t* poll, int error, int ready) {
    static_cast<LibuvPoller*>(poll->data)->on_poll(*reinterpret_cast<Watch*>(poll), error, ready);
  });
  watch.events = status == 0 ? events : 0;
  if (status != 0) report(watch, Ready::failure);
}

// ---- events

// An error has stopped the handle.
void LibuvPoller::on_poll(Watch& watch, int status, int events) {
  if (status != 0) watch.events = 0;
  const bool plain = status == 0 && (events & ~kReadOrWrite) == 0 && !watch.broken;
  const Ready ready = plain ? to_ready(events) : ask_kernel(watch.fd, events | (status == 0 ? 0 : watch.wanted()));
  if (has(ready, Ready::hangup | Ready::failure | Ready::urgent)) watch.broken = true;
  if (has(ready, Ready::hangup | Ready::failure | Ready::peer_end)) watch.ended = true;
  if (watch.wanted() != watch.events) schedule(watch);
  if (ready != Ready::none) report(watch, ready);
}

// libuv may call several times for one descriptor before the loop comes to look: it polls again at once after 1024 events.
void LibuvPoller::report(Watch& watch, Ready ready) {
  append_or_merge(events_, watch.event, {ready, watch.key});
  on_activity();
}

std::span<FdEvent> LibuvPoller::take_events() {
  found_.swap(events_);
  events_.clear();
  if (woken_) found_.push_back({Ready::none, kWakeKey});
  woken_ = false;
  return found_;
}

// ---- time

std::uint64_t timer_delay(const uv_loop_t& loop, TimePoint deadline) noexcept {
  constexpr Duration kDay = std::chrono::hours(24);
  const Duration left = std::clamp(deadline - TimePoint(std::chrono::steady_clock::now()), Duration::zero(), kDay);
  const std::chrono::milliseconds read_at(uv_now(&loop));
  const Duration behind = std::chrono::nanoseconds(uv_hrtime()) - read_at;
  return static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::milliseconds>(left + behind).count());
}

}  // namespace twinloop::detail
