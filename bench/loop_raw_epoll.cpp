// The loop that somebody writes who needs nothing but epoll: a table of callbacks by descriptor, and a flag to stop.
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "bench/harness.h"
#include "bench/loop_subject.h"

namespace {

using namespace bench;

class RawLoop {
 public:
  using Handler = void (*)(RawLoop& loop, int fd, std::uint32_t events, void* context);

  RawLoop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}
  RawLoop(const RawLoop&) = delete;
  RawLoop& operator=(const RawLoop&) = delete;
  ~RawLoop() { ::close(epoll_); }

  void watch(int fd, Handler handler, void* context) {
    const auto index = static_cast<std::size_t>(fd);
    if (watches_.size() <= index) watches_.resize(index + 1);
    watches_[index] = {handler, context};
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }

  void run() {
    while (!stopped_) {
      const int count = ::epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), -1);
      for (int i = 0; i < count; ++i) dispatch(events_[static_cast<std::size_t>(i)]);
    }
  }

  void stop() noexcept { stopped_ = true; }

 private:
  struct Watch {
    Handler handler = nullptr;
    void* context = nullptr;
  };

  void dispatch(const epoll_event& event) {
    const Watch watch = watches_[static_cast<std::size_t>(event.data.fd)];
    if (watch.handler != nullptr) watch.handler(*this, event.data.fd, event.events, watch.context);
  }

  int epoll_;
  bool stopped_ = false;
  std::vector<Watch> watches_;
  std::array<epoll_event, 256> events_;
};

void on_ready(RawLoop& loop, int fd, std::uint32_t, void* context) {
  if (!static_cast<ReadyDescriptors*>(context)->handle(fd)) loop.stop();
}

void on_nothing(RawLoop&, int, std::uint32_t, void*) {}

void ready(ReadyDescriptors& descriptors) {
  RawLoop loop;
  for (const int fd : descriptors.fds()) loop.watch(fd, &on_ready, &descriptors);
  loop.run();
}

double bytes_per_descriptor(const std::vector<int>& fds) {
  RawLoop loop;
  const double before = heap_bytes();
  for (const int fd : fds) loop.watch(fd, &on_nothing, nullptr);
  return each(heap_bytes() - before, fds.size());
}

void idle(int fd, void (*at_rest)()) {
  RawLoop loop;
  loop.watch(fd, &on_nothing, nullptr);
  at_rest();
  loop.run();
}

const RegisteredSubject registered(4, {.name = "raw epoll",
                                       .version = {},
                                       .ready = &ready,
                                       .bytes_per_descriptor = &bytes_per_descriptor,
                                       .idle = &idle});

}  // namespace
