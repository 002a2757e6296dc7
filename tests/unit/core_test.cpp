// What is synchronous in core: URLs, errors, buffers, the timer heap, frame sizes.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers.hpp>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "buffers.h"
#include "twinloop/detail/pool.h"
#include "twinloop/ioloop.h"
#include "twinloop/iostream.h"
#include "twinloop/log.h"
#include "twinloop/net.h"
#include "twinloop/queues.h"
#include "twinloop/testing.h"
#include "twinloop/url.h"

using namespace twinloop;
using namespace std::chrono_literals;

TEST_CASE("a URL is taken apart and put together again") {
  const Url url = Url::parse("WS://127.0.0.1:8080/chat?room=1").value();
  CHECK(url.scheme == "ws");
  CHECK(url.host == "127.0.0.1");
  CHECK(url.port == 8080);
  CHECK(url.path == "/chat?room=1");
  CHECK(url.to_string() == "ws://127.0.0.1:8080/chat?room=1");
}

TEST_CASE("an IPv6 address keeps its brackets in the authority only") {
  const Url url = Url::parse("tcp://[::1]:7").value();
  CHECK(url.host == "::1");
  CHECK(url.authority() == "[::1]:7");
}

TEST_CASE("a URL without an authority keeps what follows the colon") {
  CHECK(Url::parse("pair:meeting").value().path == "meeting");
  CHECK(Url::parse("stdio:").value().to_string() == "stdio:");
}

TEST_CASE("a URL that is none is refused with the text in the message") {
  for (const char* text : {"", "nonsense", ":x", "tcp://h:70000", "tcp://h:7x", "tcp://[::1:7", "tcp://a b:1",
                           "tcp://u@h:1", "ws://h/#f", "t^p://h:1"}) {
    const Result<Url> url = Url::parse(text);
    INFO(text);
    REQUIRE(!url.ok());
    CHECK(url.reason() == Errc::invalid_url);
    CHECK(url.failure().message().find(text) != std::string::npos);
  }
}

TEST_CASE("every reason has a name, a message and an advice") {
  for (int value = static_cast<int>(Errc::end); value <= static_cast<int>(Errc::io); ++value) {
    const auto reason = static_cast<Errc>(value);
    CHECK(name(reason) != "unknown");
    CHECK(!advice(reason).empty());
    CHECK(make_error_code(reason).message() != "unknown error");
    CHECK(reason_of(make_error_code(reason)) == reason);
  }
  CHECK(reason_of(std::make_error_code(std::errc::bad_message)) == Errc::io);
}

TEST_CASE("an error's class fits its reason") {
  CHECK_THROWS_AS(throw_error(Errc::timeout), TimeoutError);
  CHECK_THROWS_AS(throw_error(Errc::end), StreamClosedError);
  CHECK_THROWS_AS(throw_error(Errc::refused), Error);
}

TEST_CASE("the input buffer gives back what it was given, and its memory when empty") {
  detail::InputBuffer buffer;
  std::minstd_rand random(7);
  std::string expected;
  std::string taken;
  std::string given;
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 3000, static_cast<char>(random()));
    if (!bytes.empty()) {
      std::span<char> room = buffer.room(bytes.size());
      REQUIRE(room.size() >= bytes.size());
      std::copy(bytes.begin(), bytes.end(), room.begin());
      buffer.commit(bytes.size());
      given += bytes;
    }
    const std::size_t count = random() % (buffer.size() + 1);
    taken += buffer.view().substr(0, count);
    buffer.consume(count);
    if (round % 37 == 0) buffer.shrink();
  }
  taken += buffer.view();
  CHECK(taken == given);
}

TEST_CASE("an output queue gives up all of its pieces at once") {
  detail::OutputQueue queue;
  queue.append(std::string_view("small"));
  queue.append(std::string(5000, 'a'));
  queue.append(std::string(20'000, 'b'));
  queue.append(std::string(20'000, 'c'));
  queue.consume(queue.size());
  CHECK(queue.empty());
}

TEST_CASE("the output queue hands out its bytes in order, whatever the pieces") {
  detail::OutputQueue queue;
  std::minstd_rand random(9);
  std::string given;
  std::string sent;
  for (int round = 0; round < 3000; ++round) {
    std::string bytes(random() % 2 == 0 ? random() % 50 : random() % 20'000, static_cast<char>('a' + random() % 26));
    given += bytes;
    if (random() % 2 == 0) {
      queue.append(std::string_view(bytes));
    } else {
      queue.append(std::move(bytes));
    }
    ConstBytes pieces[4];
    const std::size_t count = queue.gather(pieces);
    std::size_t budget = random() % 15'000;
    std::size_t moved = 0;
    for (std::size_t i = 0; i < count && budget > 0; ++i) {
      const std::size_t part = std::min(budget, pieces[i].size());
      sent.append(reinterpret_cast<const char*>(pieces[i].data()), part);
      budget -= part;
      moved += part;
    }
    queue.consume(moved);
  }
  while (!queue.empty()) {
    ConstBytes piece[1];
    REQUIRE(queue.gather(piece) == 1);
    sent.append(reinterpret_cast<const char*>(piece[0].data()), piece[0].size());
    queue.consume(piece[0].size());
  }
  CHECK(sent == given);
}

namespace {
struct TestTimer final : detail::Timer {
  void fire() override {}
  void expire() noexcept override {}
  TimePoint when;
};
}  // namespace

TEST_CASE("the timer heap gives timers by time, then in the order of adding, whatever is taken out between") {
  std::minstd_rand random(3);
  detail::TimerHeap heap;
  std::vector<std::unique_ptr<TestTimer>> timers;
  for (int i = 0; i < 5000; ++i) {
    timers.push_back(std::make_unique<TestTimer>());
    timers.back()->when = TimePoint(std::chrono::milliseconds(random() % 300));
    heap.add(*timers.back(), timers.back()->when);
    if (i == 2000) heap.settle(TimePoint{});  // from now on there are both, those in the heap and new ones
    if (i % 3 == 2) heap.remove(*timers[random() % timers.size()]);
  }
  const std::size_t left = heap.size();
  CHECK(left < timers.size() - 1000);
  CHECK_FALSE(heap.settled());
  heap.settle(TimePoint{});
  TimePoint last = TimePoint::min();
  std::size_t popped = 0;
  while (detail::Timer* timer = heap.pop()) {
    const auto* test = static_cast<TestTimer*>(timer);
    CHECK(test->when >= last);
    last = test->when;
    ++popped;
  }
  CHECK(popped == left);
}

TEST_CASE(
    "the timer heap counts the delays of new timers from when it sorts them in, equal times in the order of adding") {
  using std::chrono::milliseconds;
  detail::TimerHeap heap;
  TestTimer soon, late, at, same;
  heap.add(late, milliseconds(20));
  heap.add(at, TimePoint(milliseconds(115)));
  heap.add(soon, milliseconds(10));
  heap.add(same, milliseconds(15));
  CHECK(heap.earliest() == kNever);
  heap.settle(TimePoint(milliseconds(100)));
  CHECK(heap.earliest() == TimePoint(milliseconds(110)));
  CHECK(heap.pop_due(TimePoint(milliseconds(109))) == nullptr);
  CHECK(heap.pop_due(TimePoint(milliseconds(110))) == &soon);
  CHECK(heap.pop() == &at);
  CHECK(heap.pop() == &same);
  CHECK(heap.pop() == &late);
  CHECK(heap.pop() == nullptr);
}

TEST_CASE("outside of a turn a delay counts from the clock, and one asked for in a run's last turn from there") {
  auto backend = std::make_unique<testing::ManualBackend>();
  testing::ManualBackend& clock = *backend;
  IOLoop loop(std::move(backend));
  TimePoint fired;
  const auto fire = [&] {
    fired = loop.clock();
    loop.stop();
  };
  const TimePoint asked = loop.clock();
  loop.call_later(10ms, fire);
  clock.advance(8ms);
  loop.start();
  CHECK(fired >= asked + 10ms);
  CHECK(fired < asked + 11ms);

  loop.add_callback([&] {
    loop.call_later(10ms, fire);
    loop.stop();
  });
  loop.start();
  const TimePoint ended = loop.clock();
  clock.advance(8ms);
  loop.start();
  CHECK(fired >= ended + 9ms);
  CHECK(fired < ended + 11ms);
}

TEST_CASE("a limit on a wait needs a loop, and leaves nothing where there is none") {
  Errc reason = Errc::end;
  std::size_t living = 0;
  std::thread([&] {
    Queue<int> queue;
    const std::size_t before = detail::pool_stats().live;
    try {
      const Future<int> item = queue.get(10ms);
    } catch (const Error& error) {
      reason = error.reason();
    }
    living = detail::pool_stats().live - before;
  }).join();
  CHECK(reason == Errc::loop_closed);
  CHECK(living == 0);
}

TEST_CASE("a pending promise and its future allocate nothing") {
  IOLoop loop(std::make_unique<testing::ManualBackend>());
  const auto before = detail::pool_stats().allocations;
  Promise<int> promise;
  Future<int> future = promise.get_future();
  promise.set_value(1);
  CHECK(future.result() == 1);
  CHECK(detail::pool_stats().allocations == before);
}

TEST_CASE("a failure keeps its context through moves, as a result and as an exception, without a throw of its own") {
  Future<int> first = Future<int>::failed(Failure(Errc::refused, "connect tcp://h:1"));
  Future<int> second = std::move(first);
  const Result<int> result = second.take_result();
  CHECK(result.reason() == Errc::refused);
  CHECK(result.failure().message() == "connect tcp://h:1: the connection was refused");
  Future<void> third = Future<void>::failed(result.failure());
  CHECK_THROWS_WITH(third.result(), "connect tcp://h:1: the connection was refused");
}

TEST_CASE("the sizes that idle connections pay for stay small") {
  CHECK(sizeof(Future<void>) <= 24);
  CHECK(sizeof(Future<std::string>) <= 48);
  CHECK(sizeof(Promise<int>) == 2 * sizeof(void*));
  CHECK(sizeof(IOStream) == sizeof(void*));
}

namespace {

// The environment variable, as it was again at the end.
class BackendVariable {
 public:
  BackendVariable() {
    if (const char* former = std::getenv(kName)) former_ = former;
    ::unsetenv(kName);
  }
  ~BackendVariable() {
    ::unsetenv(kName);
    if (former_) set(*former_);
  }
  BackendVariable(const BackendVariable&) = delete;
  BackendVariable& operator=(const BackendVariable&) = delete;

  void set(const std::string& value) { ::setenv(kName, value.c_str(), 1); }

 private:
  static constexpr const char* kName = "TWINLOOP_BACKEND";
  std::optional<std::string> former_;
};

std::vector<std::string> backends_here() {
  std::vector<std::string> names;
  for (const BackendInfo& backend : IOLoop::available_backends()) {
    if (backend.available) names.push_back(backend.name);
  }
  return names;
}

std::string backend_of_a_new_loop() { return std::string(IOLoop().backend_name()); }

void check_refusal_of_teleport(const std::function<void()>& action) {
  try {
    action();
    FAIL("it must be refused");
  } catch (const Error& error) {
    CHECK(error.reason() == Errc::unknown_backend);
    const std::string message = error.what();
    CHECK(message.find("teleport") != std::string::npos);
    for (const std::string& name : backends_here()) CHECK(message.find(name) != std::string::npos);
  }
}

}  // namespace

TEST_CASE("an unknown backend is refused with the list of those there are") {
  check_refusal_of_teleport([] { IOLoop::configure("teleport"); });
}

TEST_CASE("an unknown backend in TWINLOOP_BACKEND is refused where a loop is made, with the list of those there are") {
  BackendVariable variable;
  variable.set("teleport");
  check_refusal_of_teleport([] { const IOLoop loop; });
  CHECK(IOLoop::current_or_null() == nullptr);
}

TEST_CASE("TWINLOOP_BACKEND chooses the backend; unset or empty it is the best there is") {
  BackendVariable variable;
  CHECK(backend_of_a_new_loop() == backends_here().front());
  variable.set("");
  CHECK(backend_of_a_new_loop() == backends_here().front());
  for (const std::string& name : backends_here()) {
    variable.set(name);
    CHECK(backend_of_a_new_loop() == name);
  }
}

TEST_CASE("configure overrides TWINLOOP_BACKEND, whatever that names, until it is taken back") {
  BackendVariable variable;
  const std::string best = backends_here().front();
  const std::string last = backends_here().back();
  IOLoop::configure(best);
  for (const std::string& value : {last, std::string("teleport"), std::string()}) {
    variable.set(value);
    CHECK(backend_of_a_new_loop() == best);
  }
  variable.set(last);
  IOLoop::configure("");
  CHECK(backend_of_a_new_loop() == last);
}

TEST_CASE("what a program can do on a backend is told beforehand") {
  for (const BackendInfo& backend : IOLoop::available_backends()) {
    CHECK(covers(backend.capabilities, Capabilities::tcp | Capabilities::listen | Capabilities::fds));
    CHECK_FALSE(backend.hosted);
  }
}

TEST_CASE("configure chooses the backend of the loops made from now on") {
  for (const std::string& name : backends_here()) {
    IOLoop::configure(name);
    CHECK(backend_of_a_new_loop() == name);
  }
  IOLoop::configure("");
}

TEST_CASE("a loop that closes fails pending work with loop_closed and leaves nothing behind") {
  Result<std::string> outcome = Failure(Errc::io);
  auto loop = std::make_unique<IOLoop>(std::make_unique<testing::ManualBackend>());
  auto [near, far] = make_pair_streams();
  Future<std::string> read = near.read_bytes(1);
  Future<void> sleep = sleep_for(1h);
  loop.reset();
  REQUIRE(read.done());
  CHECK(read.take_result().reason() == Errc::loop_closed);
  REQUIRE(sleep.done());
  CHECK(sleep.take_result().reason() == Errc::loop_closed);
  CHECK(near.is_closed());
}
