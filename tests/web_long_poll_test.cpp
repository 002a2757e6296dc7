// A thousand clients wait; one after the other goes, by a FIN or by a reset, and its handler knows.
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "tests/posix_fixtures.h"
#include "twinloop/web.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr std::size_t kClients = 1000;
constexpr std::size_t kGoing = 20;  // by a FIN, and as many by a reset
constexpr std::size_t kMost = 18;   // a machine that is busy with others may hold up two of them, or us
constexpr Duration kAtOnce = 50ms;

struct MoreDescriptors {
  MoreDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &former);
    rlimit raised = former;
    raised.rlim_cur = std::min<rlim_t>(std::max<rlim_t>(kClients + 200, former.rlim_cur), former.rlim_max);
    ::setrlimit(RLIMIT_NOFILE, &raised);
    REQUIRE(raised.rlim_cur >= kClients + 200);
  }
  ~MoreDescriptors() { ::setrlimit(RLIMIT_NOFILE, &former); }
  MoreDescriptors(const MoreDescriptors&) = delete;
  MoreDescriptors& operator=(const MoreDescriptors&) = delete;

  rlimit former{};
};

// ---- the clients, in a process of their own: so select, which ends at descriptor 1,023, has a thousand of them, too

struct Order {
  std::uint32_t client = 0;
  bool reset = false;
};

void expect_all(bool condition) {
  if (!condition) ::_exit(1);
}

int ask_and_wait(std::uint16_t port) {
  constexpr std::string_view kRequest = "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n";
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  expect_all(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  expect_all(::send(fd, kRequest.data(), kRequest.size(), 0) == static_cast<ssize_t>(kRequest.size()));
  return fd;
}

[[noreturn]] void be_the_clients(int orders) {
  std::uint16_t port = 0;
  expect_all(::read(orders, &port, sizeof(port)) == sizeof(port));
  std::vector<int> sockets;
  for (std::size_t i = 0; i < kClients; ++i) sockets.push_back(ask_and_wait(port));
  for (Order order; ::read(orders, &order, sizeof(order)) == sizeof(order);) {
    const linger hard{1, 0};
    if (order.reset) ::setsockopt(sockets[order.client], SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    ::close(sockets[order.client]);
  }
  ::_exit(0);
}

class Clients {
 public:
  Clients() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    process_ = ::fork();
    REQUIRE(process_ >= 0);
    if (process_ == 0) {
      ::close(ends[0]);
      be_the_clients(ends[1]);
    }
    ::close(ends[1]);
    orders_ = ends[0];
  }
  ~Clients() {
    ::close(orders_);
    int status = 0;
    ::waitpid(process_, &status, 0);
    CHECK(status == 0);
  }
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  template <class T>
  void tell(const T& what) const {
    REQUIRE(::send(orders_, &what, sizeof(what), MSG_NOSIGNAL) == sizeof(what));
  }

 private:
  pid_t process_ = -1;
  int orders_ = -1;
};

// ---- the server

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

double in_ms(Duration time) { return std::chrono::duration<double, std::milli>(time).count(); }

Future<Duration> time_to_notice(const Clients& clients, Order order, Noticed& noticed) {
  noticed.told = Promise<void>();
  Future<void> told = noticed.told.get_future();
  const TimePoint before = IOLoop::current().clock();
  clients.tell(order);
  co_await std::move(told);
  co_return noticed.when - before;
}

Future<void> watch_them_go(std::string backend, const Clients& clients, Noticed& noticed) {
  Application app;
  app.add<Wait>("/wait", std::ref(noticed));
  const std::string listening = co_await app.listen("http://127.0.0.1:0");
  clients.tell(static_cast<std::uint16_t>(std::stoi(listening.substr(listening.rfind(':') + 1))));
  while (noticed.waiting < kClients) co_await sleep_for(1ms);

  std::vector<Duration> times[2];
  for (std::uint32_t next = 0; next < 2 * kGoing; ++next) {
    const Order order{next, next % 2 == 1};
    times[order.reset].push_back(co_await time_to_notice(clients, order, noticed));
  }
  CHECK(noticed.gone == 2 * kGoing);
  CHECK(noticed.finished == 0);
  for (std::vector<Duration>& each : times) std::sort(each.begin(), each.end());
  std::printf(
      "%s: %zu clients wait; a FIN is noticed after %.3f ms (at most %.3f), a reset after %.3f ms (at most %.3f)\n",
      backend.c_str(), kClients, in_ms(times[0][kGoing / 2]), in_ms(times[0].back()), in_ms(times[1][kGoing / 2]),
      in_ms(times[1].back()));
  CHECK(times[0][kMost - 1] < kAtOnce);
  CHECK(times[1][kMost - 1] < kAtOnce);
}

}  // namespace

TEST_CASE("with a thousand clients waiting, the handlers of nine of ten that go know within 50 ms") {
  const std::string backend = each_backend();
  const MoreDescriptors descriptors;
  const Clients clients;  // before there is a loop
  Noticed noticed;        // those that still wait when the loop closes tell it, too
  IOLoop loop(make(backend));
  run(loop, watch_them_go(backend, clients, noticed));
}
