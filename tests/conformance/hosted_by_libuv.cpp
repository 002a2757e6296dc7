// Each behaviour inside the uv_run of an application, which afterwards finds its loop as it was.
#include <uv.h>

#include <functional>
#include <optional>
#include <stdexcept>

#include "drivers.h"
#include "twinloop/ioloop.h"
#include "twinloop/libuv.h"
#include "twinloop/timing.h"

namespace {

using namespace twinloop;
using testing::Behaviour;

// The application.
class Host {
 public:
  Host() { require(uv_loop_init(&loop_) == 0, "uv_loop_init failed"); }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  uv_loop_t& loop() noexcept { return loop_; }
  void run() noexcept { uv_run(&loop_, UV_RUN_DEFAULT); }
  void stop() noexcept { uv_stop(&loop_); }

  void close() {
    run();
    int handles = 0;
    uv_walk(&loop_, [](uv_handle_t*, void* count) { ++*static_cast<int*>(count); }, &handles);
    require(handles == 0, "handles are left in the host's loop");
    require(uv_loop_close(&loop_) == 0, "uv_loop_close failed");
  }

  static void require(bool condition, const char* otherwise) {
    if (!condition) throw std::runtime_error(otherwise);
  }

 private:
  uv_loop_t loop_;
};

Future<void> run_then_stop(const Behaviour& behaviour, Host& host, std::optional<Result<void>>& result) {
  Future<void> work = with_timeout(kLimit, behaviour.run());
  result = co_await as_result(std::move(work));
  host.stop();
}

// uv_run goes on by itself as long as the behaviour is under way: nobody else has work there.
void run_hosted(const Behaviour& behaviour) {
  Host host;
  std::optional<Result<void>> result;
  {
    IOLoop loop(hosted_by(host.loop()));
    loop.spawn(&run_then_stop, std::ref(behaviour), std::ref(host), std::ref(result));
    host.run();
  }
  host.close();
  Host::require(result.has_value(), "the host's uv_run ended before the behaviour did");
  std::move(*result).value();
}

}  // namespace

std::vector<HostedDriver> hosted_drivers() { return {{"libuv-hosted", &run_hosted}}; }
