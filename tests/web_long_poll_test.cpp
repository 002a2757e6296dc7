// A thousand clients wait; one after the other goes, by a FIN or by a reset, and its handler knows.
#include <sys/resource.h>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/posix_fixtures.h"
#include "twinloop/web.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr std::size_t kGoing = 40;  // half of them by a FIN

class MoreDescriptors {
 public:
  explicit MoreDescriptors(rlim_t count) {
    ::getrlimit(RLIMIT_NOFILE, &former_);
    rlimit raised = former_;
    raised.rlim_cur = std::min(std::max(count, former_.rlim_cur), former_.rlim_max);
    ::setrlimit(RLIMIT_NOFILE, &raised);
    enough_ = raised.rlim_cur >= count;
  }
  ~MoreDescriptors() { ::setrlimit(RLIMIT_NOFILE, &former_); }
  MoreDescriptors(const MoreDescriptors&) = delete;
  MoreDescriptors& operator=(const MoreDescriptors&) = delete;

  bool enough() const noexcept { return enough_; }

 private:
  rlimit former_{};
  bool enough_ = false;
};

struct Noticed {
  std::size_t waiting = 0;
  std::size_t gone = 0;
  std::size_t finished = 0;
  TimePoint when;
  Promise<void> told;
};

class Wait : public RequestHandler {
 public:
  explicit Wait(Noticed& noticed) : noticed_(noticed) {}
  Future<void> get() override {
    set_cancel_on_connection_close(true);
    ++noticed_.waiting;
    co_await sleep_for(1h);
  }
  void on_finish() override { ++noticed_.finished; }
  void on_connection_close() override {
    ++noticed_.gone;
    noticed_.when = IOLoop::current().clock();
    noticed_.told.set_value();
  }

 private:
  Noticed& noticed_;
};

double median_ms(std::vector<Duration> times) {
  std::sort(times.begin(), times.end());
  return std::chrono::duration<double, std::milli>(times[times.size() / 2]).count();
}

Future<Duration> time_to_notice(IOStream& client, bool reset, Noticed& noticed) {
  noticed.told = Promise<void>();
  Future<void> told = noticed.told.get_future();
  const TimePoint before = IOLoop::current().clock();
  if (reset)
    client.abort();
  else
    client.close();
  co_await std::move(told);
  co_return noticed.when - before;
}

Future<void> watch_them_go(std::string backend, std::size_t count, Noticed& noticed) {
  Application app;
  app.add<Wait>("/wait", std::ref(noticed));
  const std::string listening = co_await app.listen("http://127.0.0.1:0");
  const std::string url = "tcp" + listening.substr(4);
  std::vector<IOStream> clients;
  for (std::size_t i = 0; i < count; ++i) {
    clients.push_back(co_await connect(url));
    co_await clients.back().write("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  while (noticed.waiting < count) co_await sleep_for(1ms);

  std::vector<Duration> times[2];
  for (std::size_t i = 0; i < kGoing; ++i) {
    const bool reset = i % 2 == 1;
    times[reset].push_back(co_await time_to_notice(clients[i], reset, noticed));
  }
  CHECK(noticed.gone == kGoing);
  CHECK(noticed.finished == 0);
  const double fin = median_ms(times[0]);
  const double reset = median_ms(times[1]);
  std::printf("%s: %zu clients wait; a FIN is noticed after %.3f ms, a reset after %.3f ms (medians of %zu)\n",
              backend.c_str(), count, fin, reset, kGoing / 2);
  CHECK(fin < 50.0);
  CHECK(reset < 50.0);
}

}  // namespace

TEST_CASE("with a thousand clients waiting, the handler of one that goes knows within 50 ms") {
  const std::string backend = each_backend();
  const MoreDescriptors descriptors(3000);
  const bool few = backend == "select" || !descriptors.enough();  // both ends are ours, and select ends at FD_SETSIZE
  Noticed noticed;  // those that still wait when the loop closes tell it, too
  IOLoop loop(make(backend));
  run(loop, watch_them_go(backend, few ? 400 : 1000, noticed));
}
