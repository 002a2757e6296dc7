// A second loop, in a thread of its own, for behaviours that need threads.
#pragma once

#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "twinloop/detail/builtin.h"
#include "twinloop/ioloop.h"
#include "twinloop/remote.h"

namespace twinloop::testing {

inline std::unique_ptr<Backend> make_backend(std::string_view name) {
  for (const twinloop::detail::BackendEntry& entry : twinloop::detail::builtin_backends()) {
    if (entry.name == name) return entry.make();
  }
  throw Error(Errc::unknown_backend, name);
}

// Runs on the same backend as the loop of the behaviour, until it is stopped or destroyed; then it is closed.
class OtherLoop {
 public:
  OtherLoop() {
    std::promise<RemoteLoop> made;
    std::future<RemoteLoop> remote = made.get_future();
    thread_ = std::thread(&OtherLoop::run, std::string(IOLoop::current().backend_name()), std::move(made));
    remote_ = remote.get();
  }
  ~OtherLoop() { stop(); }
  OtherLoop(const OtherLoop&) = delete;
  OtherLoop& operator=(const OtherLoop&) = delete;

  const RemoteLoop& remote() const noexcept { return remote_; }
  std::thread::id thread() const noexcept { return thread_.get_id(); }

  void stop() {
    remote_.stop();
    join();
  }
  void join() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  static void run(std::string backend, std::promise<RemoteLoop> made) {
    IOLoop loop(make_backend(backend));
    made.set_value(loop.remote());
    loop.start();
  }

  RemoteLoop remote_;
  std::thread thread_;
};

}  // namespace twinloop::testing
