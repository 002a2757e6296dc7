// Linux: splice(2), through a pipe that each thread keeps.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "backends/posix/descriptor.h"
#include "backends/posix/errno_code.h"
#include "twinloop/detail/builtin.h"
#include "twinloop/error.h"

namespace twinloop::detail {
namespace {

constexpr int kWishedCapacity = 1024 * 1024;
constexpr unsigned kFlags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;

// Empty between two calls, so that nothing of a stream is ever in it while somebody could be cancelled.  One that a call could not
// empty is not used again.
class Channel {
 public:
  static Channel* of_thread();
  // Null when there is no descriptor left for one.

  std::size_t take(int from, std::size_t most) noexcept;
  void give(int to) noexcept;
  void read(std::string& rest);

 private:
  bool open() noexcept;

  Descriptor reading_;
  Descriptor writing_;
  std::size_t capacity_ = 0;
  std::size_t held_ = 0;
  pid_t owner_ = -1;
};

// A forked child shares its parent's pipe and makes one of its own.
Channel* Channel::of_thread() {
  thread_local Channel channel;
  const bool usable = channel.owner_ == ::getpid() && channel.held_ == 0;
  return usable || channel.open() ? &channel : nullptr;
}

bool Channel::open() noexcept {
  owner_ = -1;
  if (!make_pipe(reading_, writing_)) return false;
  ignore_sigpipe();
  ::fcntl(writing_.get(), F_SETPIPE_SZ, kWishedCapacity);  // an unprivileged user may have few of that size
  const int capacity = ::fcntl(writing_.get(), F_GETPIPE_SZ);
  if (capacity <= 0) return false;
  capacity_ = static_cast<std::size_t>(capacity);
  held_ = 0;
  owner_ = ::getpid();
  return true;
}

std::size_t Channel::take(int from, std::size_t most) noexcept {
  const ssize_t count = ::splice(from, nullptr, writing_.get(), nullptr, std::min(most, capacity_), kFlags);
  held_ = count > 0 ? static_cast<std::size_t>(count) : 0;
  return held_;
}

void Channel::give(int to) noexcept {
  while (held_ > 0) {
    const ssize_t some = ::splice(reading_.get(), nullptr, to, nullptr, held_, kFlags);
    if (some <= 0) return;
    held_ -= static_cast<std::size_t>(some);
  }
}

void Channel::read(std::string& rest) {
  rest.resize(held_);
  for (char* at = rest.data(); held_ > 0;) {
    const ssize_t some = ::read(reading_.get(), at, held_);
    if (some <= 0) throw Error(from_errno(errno), "pump: reading back what the other side had no room for");
    at += some;
    held_ -= static_cast<std::size_t>(some);
  }
}

}  // namespace

std::size_t platform_move(int from, int to, std::size_t most, std::string& rest) {
  Channel* const channel = Channel::of_thread();
  if (channel == nullptr) return 0;
  const std::size_t taken = channel->take(from, most);
  channel->give(to);
  channel->read(rest);
  return taken;
}

}  // namespace twinloop::detail
