// What coroutines may cost: the bytes of their frames and the blocks they ask the heap for.
#include <catch2/catch_test_macros.hpp>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bench/coro_programs.h"
#include "bench/heap_blocks.h"
#include "twinloop/ioloop.h"
#include "twinloop/iostream.h"
#include "twinloop/net.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"
#include "twinloop/transport.h"

using namespace twinloop;

namespace {

struct ManualLoop : IOLoop {
  ManualLoop() : IOLoop(std::make_unique<testing::ManualBackend>()) {}
};

}  // namespace

TEST_CASE("what is done again and again asks nothing of the heap") {
  struct Named {
    const char* name;
    bench::CoroPrograms::Program run;
  };
  const bench::CoroPrograms& programs = bench::coro_programs;
  for (const Named& program : {Named{"ready future", programs.ready_future},
                               {"finished coroutine", programs.finished_coroutine},
                               {"hop", programs.hop},
                               {"pending promise", programs.pending_promise},
                               {"child that hops", programs.child_that_hops},
                               {"spawn", programs.spawn},
                               {"timeout", programs.timeout},
                               {"queue", programs.queue}}) {
    INFO(program.name);
    ManualLoop loop;
    const auto blocks = [&](std::size_t count) {
      const std::size_t before = bench::heap_blocks();
      loop.run_sync(program.run, count);
      return bench::heap_blocks() - before;
    };
    blocks(1000);
    const std::size_t of_few = blocks(200);
    CHECK(blocks(5000) == of_few);
    if (TWINLOOP_POOLS) CHECK(of_few <= 1);  // a queue's first items
  }
}

namespace {

// Blocks that a thousand lines asked for, without the first ones.  A line is short enough to stand in its std::string.
Future<std::size_t> blocks_of_reading() {
  auto [near, far] = make_pair_streams();
  std::size_t before = 0;
  for (int i = 0; i < 1100; ++i) {
    if (i == 100) before = bench::heap_blocks();
    co_await near.write("a line\n");
    const std::string line = co_await far.read_until("\n");
    CHECK(line == "a line\n");
  }
  co_return bench::heap_blocks() - before;
}

}  // namespace

TEST_CASE("writing to a pair: stream and reading from it until a delimiter asks nothing of the heap") {
  ManualLoop loop;
  const std::size_t blocks = loop.run_sync(&blocks_of_reading);
  if (TWINLOOP_POOLS) CHECK(blocks == 0);
}

TEST_CASE("a pair: holds its 64 KiB each way, however much goes through it without its ever being empty") {
  ManualLoop loop;
  auto [near, far] = make_pair_transports();
  std::vector<std::byte> memory(10'000);
  const auto pass = [&](int times) {
    for (int i = 0; i < times; ++i) {
      const ConstBytes piece(memory);
      (void)near->write(std::span(&piece, 1));
      (void)far->read(Bytes(memory).first(5'000));
    }
  };
  pass(1'000);
  const std::size_t before = bench::heap_blocks();
  pass(10'000);
  CHECK(bench::heap_blocks() == before);
}

#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__) && defined(__x86_64__)

namespace {

// The largest block that the start of a coroutine takes from the free lists is its frame.  `start(i)` is for the i-th time.
template <class Start>
std::size_t frame_bytes(Start start) {
  start(0) = {};  // now its blocks are in the lists
  const auto before = detail::pool.classes;
  const auto future = start(1);
  for (std::size_t i = before.size(); i-- > 0;) {
    if (detail::pool.classes[i].free != before[i].free) return (i + 1) * detail::Pool::kGranularity;
  }
  FAIL("the start took no block from the free lists");
  return 0;
}

Future<void> wait_for_one(Future<void> other) { co_await std::move(other); }

Future<std::string> read_one(IOStream stream) { co_return co_await stream.read_until("\n"); }

Future<void> echo(IOStream stream) {
  for (;;) {
    std::string line = co_await stream.read_until("\n");
    co_await stream.write(std::move(line));
  }
}

Future<void> echo_in_time(IOStream stream) {
  for (;;) {
    std::string line = co_await with_timeout(std::chrono::hours(1), stream.read_until("\n"));
    co_await stream.write(std::move(line));
  }
}

template <class Coroutine>
std::size_t frame_bytes_of_reader(Coroutine coroutine) {
  std::pair<IOStream, IOStream> streams[] = {make_pair_streams(), make_pair_streams()};
  return frame_bytes([&](int i) { return coroutine(std::move(streams[i].first)); });
}

}  // namespace

TEST_CASE("the frames of typical coroutines stay small") {  // gcc 12 -O2, as measured
  ManualLoop loop;
  Promise<void> promises[2];
  CHECK(frame_bytes([&](int i) { return wait_for_one(promises[i].get_future()); }) <= 160);
  CHECK(frame_bytes_of_reader(&read_one) <= 224);
  CHECK(frame_bytes_of_reader(&echo) <= 288);
  CHECK(frame_bytes_of_reader(&echo_in_time) <= 352);
}

#endif
