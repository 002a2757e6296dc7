// What futures and coroutines cost, beside a plain function call and Asio's awaitable: `./dev bench coro`.
#include "bench/coro_peers.h"
#include "bench/coro_programs.h"
#include "bench/harness.h"
#include "bench/heap_blocks.h"
#include "twinloop/ioloop.h"
#include "twinloop/testing.h"

namespace {

using namespace bench;
using namespace twinloop;

struct Row {
  const char* name;
  CoroPrograms::Program ours;
  CoroPeer::Measure CoroPeer::* peers;
};

const Row kRows[] = {
    {"await of a ready future", coro_programs.ready_future, &CoroPeer::ready_future},
    {"await of a coroutine that completes at once", coro_programs.finished_coroutine, &CoroPeer::finished_coroutine},
    {"hop through the ready queue", coro_programs.hop, &CoroPeer::hop},
    {"await of a promise fulfilled from the ready queue", coro_programs.pending_promise, &CoroPeer::pending_promise},
    {"await of a coroutine that hops", coro_programs.child_that_hops, &CoroPeer::child_that_hops},
    {"spawn and finish", coro_programs.spawn, &CoroPeer::spawn},
    {"with_timeout that does not fire", coro_programs.timeout, &CoroPeer::timeout},
    {"queue hand-over between two coroutines", coro_programs.queue, &CoroPeer::queue},
};

[[gnu::noinline]] int function() {
  asm volatile("");
  return 1;
}

double call_function(std::size_t count) {
  const CpuTime time;
  for (std::size_t i = 0; i < count; ++i) keep(function());
  return time.nanoseconds();
}

CoroPeer plain_call() {
  return {.name = "plain call", .ready_future = &call_function, .finished_coroutine = &call_function};
}

double on_a_loop(CoroPrograms::Program program, std::size_t count) {
  IOLoop loop(std::make_unique<testing::ManualBackend>());
  const CpuTime time;
  loop.run_sync(program, count);
  return time.nanoseconds();
}

// Time, and what was asked of the heap, without what a loop and a first use cost.
template <class Measure>
std::vector<double> costs(Measure measure, std::size_t count) {
  const auto blocks_of = [&measure](std::size_t times) {
    const std::size_t before = heap_blocks();
    measure(times);
    return static_cast<double>(heap_blocks() - before);
  };
  constexpr std::size_t kFew = 200;
  blocks_of(kFew);
  const double fixed = blocks_of(kFew);
  const std::size_t before = heap_blocks();
  const double total = measure(count);
  return {each(total, count), static_cast<double>(heap_blocks() - before) - fixed};
}

}  // namespace

int main(int argc, char** argv) {
  Suite suite("coro", argc, argv);
  std::vector<CoroPeer> peers = coro_asio();
  peers.insert(peers.begin(), plain_call());
  for (const CoroPeer& peer : peers) suite.peer(peer.name, peer.version);

  const std::size_t count = suite.count(50'000, 1'000);
  for (const Row& row : kRows) {
    std::vector<Contestant> contestants{
        {"twinloop",
         [&row, count] { return costs([&row](std::size_t times) { return on_a_loop(row.ours, times); }, count); }}};
    for (const CoroPeer& peer : peers) {
      if (const auto measure = peer.*row.peers) {
        contestants.push_back({peer.name, [measure, count] { return costs(measure, count); }});
      }
    }
    suite.add({{row.name, "ns"}, {"  heap blocks in " + with_separators(count) + " of them", "blocks"}},
              std::move(contestants));
  }
  return suite.run();
}
