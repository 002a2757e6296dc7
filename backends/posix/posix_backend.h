// PosixBackend: what all readiness backends are; only their Poller differs, and whether somebody else runs it (libuv's hosted.cpp).
#pragma once

#include <memory>
#include <optional>

#include "backends/posix/children.h"
#include "backends/posix/fd_handlers.h"
#include "backends/posix/network.h"
#include "backends/posix/reactor.h"
#include "backends/posix/signals.h"
#include "twinloop/backend.h"

namespace twinloop::detail {

class PosixBackend : public Backend {
 public:
  PosixBackend(std::string_view name, std::unique_ptr<Poller> poller)
      : name_(name), reactor_(std::move(poller)), signals_(reactor_), children_(reactor_) {}
  // `name` must live for ever.

  std::string_view name() const noexcept override { return name_; }
  TimePoint now() const noexcept override { return std::chrono::steady_clock::now(); }
  void wait(TimePoint deadline) override;
  void wake() noexcept override { reactor_.wake(); }
  FdWatcher* fd_watcher() noexcept override { return &handlers_; }
  Network& network() override { return *network_; }
  void attach(IOLoop& loop) override;
  void after_fork() noexcept override { reactor_.after_fork(); }
  bool on_signal(int number, Function<void()> handler) override { return signals_.set(number, std::move(handler)); }

  StartedProcess start_process(const std::vector<std::string>& argv, const SubprocessOptions& options) override;

  Reactor& reactor() noexcept { return reactor_; }
  Children& children() noexcept { return children_; }

 private:
  std::string_view name_;
  Reactor reactor_;
  SignalWatch signals_;
  Children children_;
  FdHandlers handlers_{reactor_};
  std::optional<PosixNetwork> network_;
};

}  // namespace twinloop::detail
