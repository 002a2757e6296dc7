// Linux: splice(2), through a pipe that each thread keeps.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "backends/posix/descriptor.h"
#include "twinloop/detail/builtin.h"

namespace twinloop::detail {
namespace {

constexpr int kWishedCapacity = 1024 * 1024;
constexpr unsigned kFlags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;

// Empty between two calls, so that nothing of a stream is ever in it while somebody could be cancelled.
class Channel {
 public:
  static Channel* of_thread();
  // Null when there is no descriptor left for one.

  std::size_t take(int from, std::size_t most) noexcept;
  std::size_t give(int to, std::size_t count) noexcept;
  void read(std::string& rest, std::size_t count);

 private:
  bool open() noexcept;

  Descriptor reading_;
  Descriptor writing_;
  std::size_t capacity_ = 0;
  pid_t owner_ = -1;
};

// A forked child shares its parent's pipe and makes one of its own.
Channel* Channel::of_thread() {
  thread_local Channel channel;
  return channel.owner_ == ::getpid() || channel.open() ? &channel : nullptr;
}

bool Channel::open() noexcept {
  owner_ = -1;
  if (!make_pipe(reading_, writing_)) return false;
  ignore_sigpipe();
  ::fcntl(writing_.get(), F_SETPIPE_SZ, kWishedCapacity);  // an unprivileged user may have few of that size
  const int capacity = ::fcntl(writing_.get(), F_GETPIPE_SZ);
  if (capacity <= 0) return false;
  capacity_ = static_cast<std::size_t>(capacity);
  owner_ = ::getpid();
  return true;
}

std::size_t Channel::take(int from, std::size_t most) noexcept {
  const ssize_t count = ::splice(from, nullptr, writing_.get(), nullptr, std::min(most, capacity_), kFlags);
  return count > 0 ? static_cast<std::size_t>(count) : 0;
}

std::size_t Channel::give(int to, std::size_t count) noexcept {
  std::size_t given = 0;
  while (given < count) {
    const ssize_t some = ::splice(reading_.get(), nullptr, to, nullptr, count - given, kFlags);
    if (some <= 0) break;
    given += static_cast<std::size_t>(some);
  }
  return given;
}

void Channel::read(std::string& rest, std::size_t count) {
  rest.resize(count);
  for (std::size_t done = 0; done < count;) {
    const ssize_t some = ::read(reading_.get(), rest.data() + done, count - done);
    if (some > 0) done += static_cast<std::size_t>(some);
  }
}

}  // namespace

std::size_t platform_move(int from, int to, std::size_t most, std::string& rest) {
  Channel* const channel = Channel::of_thread();
  if (channel == nullptr) return 0;
  const std::size_t taken = channel->take(from, most);
  const std::size_t given = channel->give(to, taken);
  if (given < taken) channel->read(rest, taken - given);
  return taken;
}

}  // namespace twinloop::detail
