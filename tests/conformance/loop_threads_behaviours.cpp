// LoopThreads: the same coroutine in several threads, each with a loop of its own.
#include <atomic>
#include <set>
#include <string>
#include <thread>

#include "fixtures.h"
#include "twinloop/loop_threads.h"
#include "twinloop/tcpserver.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

// What the threads of one behaviour tell.
struct Told {
  std::atomic<unsigned> begun = 0;
  std::atomic<unsigned> ended = 0;
  std::atomic<unsigned> destroyed = 0;
};

struct Leaving {
  explicit Leaving(Told& t) noexcept : told(t) {}
  ~Leaving() { ++told.destroyed; }
  Leaving(const Leaving&) = delete;
  Leaving& operator=(const Leaving&) = delete;
  Told& told;
};

Future<void> until_stopped(Told& told, Future<void> stop) {
  const Leaving leaving(told);
  ++told.begun;
  co_await std::move(stop);
  ++told.ended;
}

Future<void> until(const std::atomic<unsigned>& number, unsigned count) {
  while (number != count) co_await sleep_for(1ms);
}

Future<void> say_which(unsigned index, IOStream stream) {
  const std::string line = co_await stream.read_until("\n");
  co_await stream.write(std::to_string(index) + " " + line);
}

Future<void> serve_at(std::string url, Told& told, unsigned index, Future<void> stop) {
  TCPServer server([index](IOStream stream) { return say_which(index, std::move(stream)); });
  co_await server.listen(std::move(url), ListenOptions().set_reuse_port(true));
  ++told.begun;
  co_await std::move(stop);
  co_await server.drain(20s);
  ++told.ended;
}

}  // namespace

BEHAVIOUR("each thread has a loop of its own, on the same backend", Needs::threads) {
  std::mutex mutex;
  std::set<std::thread::id> ids;
  std::set<unsigned> numbers;
  const std::string backend(IOLoop::current().backend_name());
  std::atomic<bool> same = true;
  LoopThreads threads(3, [&](unsigned index, Future<void>) -> Future<void> {
    const std::lock_guard lock(mutex);
    ids.insert(std::this_thread::get_id());
    numbers.insert(index);
    if (IOLoop::current().backend_name() != backend) same = false;
    return Future<void>::ready();
  });
  expect_equal(threads.size(), 3u);
  co_await threads.finished();
  co_await threads.finished();
  expect_equal(ids.size(), 3u);
  expect(ids.count(std::this_thread::get_id()) == 0, "not this thread");
  expect(numbers == std::set<unsigned>{0, 1, 2}, "each has its number");
  expect(same, "the backend");
}

BEHAVIOUR("threads serve one port together, and drain when they are asked to stop",
          Needs::threads | Needs::tcp | Needs::listen) {
  Told told;
  std::optional<Listener> first = co_await listen("tcp://127.0.0.1:0", ListenOptions().set_reuse_port(true));
  const std::string url = first->url();
  LoopThreads threads(
      3, [&told, url](unsigned index, Future<void> stop) { return serve_at(url, told, index, std::move(stop)); });
  co_await until(told.begun, 3);
  first.reset();  // it held the port
  for (int i = 0; i < 30; ++i) {
    IOStream client = co_await connect(url);
    co_await client.write("which of you?\n");
    const std::string answer = co_await client.read_until("\n");
    expect_equal(answer.substr(1), " which of you?\n");
  }
  IOStream last = co_await connect(url);
  co_await last.write("to the ");
  co_await last.flush();
  co_await sleep_for(5ms);
  threads.stop();
  threads.stop();
  Future<void> finished = threads.finished();
  co_await until(told.ended, 2);  // the third waits for its connection
  expect(!finished.done(), "it drains");
  co_await last.write("end\n");
  const std::string answer = co_await last.read_until("\n");
  expect_equal(answer.substr(1), " to the end\n");
  co_await std::move(finished);
  expect_equal(told.ended.load(), 3u);
}

namespace {

constexpr std::size_t kMuch = 8 << 20;

Future<void> write_and_leave(std::string url) {
  IOStream stream = co_await connect(std::move(url));
  stream.write(std::string(kMuch, 'x')).ignore();
}

}  // namespace

BEHAVIOUR("a thread that ends still delivers what its streams had accepted",
          Needs::threads | Needs::tcp | Needs::listen) {
  Listener listener = co_await listen("tcp://127.0.0.1:0");
  const std::string url = listener.url();
  LoopThreads threads(1, [url](unsigned, Future<void>) { return write_and_leave(url); });
  IOStream stream = co_await listener.accept();
  const std::string all = co_await stream.read_until_close();
  expect_equal(all.size(), kMuch);
  co_await threads.finished();
}

BEHAVIOUR("a thread that fails stops the others, and finished fails with its words", Needs::threads) {
  const RecordedLog log;
  Told told;
  LoopThreads threads(3, [&told](unsigned index, Future<void> stop) -> Future<void> {
    if (index == 1) throw Error(Errc::limit, "the second of them");
    return until_stopped(told, std::move(stop));
  });
  const Result<void> result = co_await as_result(threads.finished());
  expect(result.reason() == Errc::limit, "its reason");
  expect(result.failure().message().find("the second of them") != std::string::npos, result.failure().message());
  expect(log.mentions("loop thread 1 failed: the second of them"), log.text());
  expect_equal(told.ended.load(), 2u);
}

BEHAVIOUR("threads that are stopped before they have begun end at once", Needs::threads) {
  Told told;
  LoopThreads threads(4, [&told](unsigned, Future<void> stop) { return until_stopped(told, std::move(stop)); });
  threads.stop();
  co_await threads.finished();
  expect_equal(told.ended.load(), 4u);
}

BEHAVIOUR("destroying the threads cancels what they do, and waits for that", Needs::threads) {
  Told told;
  {
    LoopThreads threads(3, [&told](unsigned, Future<void> stop) { return until_stopped(told, std::move(stop)); });
    co_await until(told.begun, 3);
    const Future<void> finished = threads.finished();
    expect(!finished.done(), "they run");
  }
  expect_equal(told.destroyed.load(), 3u);
  expect_equal(told.ended.load(), 0u);
  for (int i = 0; i < 20; ++i) {
    const LoopThreads at_once(2, [&told](unsigned, Future<void> stop) { return until_stopped(told, std::move(stop)); });
  }
}
