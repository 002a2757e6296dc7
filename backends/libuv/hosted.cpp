#include "backends/libuv/hosted_poller.h"
#include "backends/posix/posix_backend.h"
#include "twinloop/libuv.h"

namespace twinloop {
namespace detail {
namespace {

class HostedBackend final : public PosixBackend {
 public:
  HostedBackend(HostedPoller& poller, std::unique_ptr<Poller> owned)
      : PosixBackend("libuv", std::move(owned)), poller_(poller) {}

  bool hosted() const noexcept override { return true; }
  void request_turn(TimePoint when) override { poller_.request_turn(when); }
  void attach(IOLoop& loop) override {
    poller_.attach(loop);
    PosixBackend::attach(loop);
  }

 private:
  HostedPoller& poller_;
};

}  // namespace
}  // namespace detail

std::unique_ptr<Backend> hosted_by(uv_loop_t& host) {
  auto owned = std::make_unique<detail::HostedPoller>(host);
  detail::HostedPoller& poller = *owned;
  return std::make_unique<detail::HostedBackend>(poller, std::move(owned));
}

}  // namespace twinloop
