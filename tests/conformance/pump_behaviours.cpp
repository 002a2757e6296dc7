// pump between sockets, where the system may move the bytes by itself.
#include <algorithm>
#include <cstdint>
#include <string>

#include "carriers.h"
#include "fixtures.h"
#include "twinloop/net.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kNetwork = Needs::tcp | Needs::listen;
constexpr std::size_t kMuch = 2 * 1024 * 1024;
constexpr std::size_t kPipe = 1024 * 1024;     // what the system moves at once, and the sink may then refuse
constexpr std::size_t kPiece = 2 * 64 * 1024;  // what is read at once, and what lies behind it

// source -> from, pumped to -> sink
struct Line {
  Ends in;
  Ends out;
};

Future<Line> open_line(const Carrier& carrier) {
  Ends in = co_await open_ends(carrier, {});
  Ends out = co_await open_ends(carrier, {});
  co_return Line{std::move(in), std::move(out)};
}

Future<void> send(IOStream& stream, const std::string& bytes) {
  co_await stream.write_borrowed(bytes);
  co_await stream.shutdown_write();
}

Future<void> note_bytes_of(IOStream& stream, std::string& got, Duration pause) {
  for (;;) {
    Result<std::string> some = co_await as_result(stream.read_some(256 * 1024));
    if (!some.ok()) co_return;
    got += *some;
    if (pause > Duration::zero()) co_await sleep_for(pause);
  }
}

Future<void> pump_whole(const Carrier& carrier, Duration pause) {
  Line line = co_await open_line(carrier);
  const std::string bytes = numbered(kMuch);
  std::string got;
  Future<void> sending = send(line.in.peer, bytes);
  Future<void> receiving = note_bytes_of(line.out.peer, got, pause);
  const std::uint64_t moved = co_await pump(line.in.ours, line.out.ours);
  co_await line.out.ours.shutdown_write();
  co_await std::move(receiving);
  co_await std::move(sending);
  expect_equal(moved, std::uint64_t{bytes.size()});
  expect(got == bytes, "the same bytes");
  expect(!line.in.ours.is_closed() && !line.out.ours.is_closed(), "both are open");
}

}  // namespace

BEHAVIOUR("a pump between sockets moves megabytes as they are, to a peer that is quick", kNetwork) {
  for (const Carrier& carrier : carriers()) {
    if (is_plain(carrier)) co_await pump_whole(carrier, Duration::zero());
  }
}

BEHAVIOUR("a pump between sockets waits for a peer that is slow, and holds little of what it moves", kNetwork) {
  for (const Carrier& carrier : carriers()) {
    if (is_plain(carrier)) co_await pump_whole(carrier, 1ms);
  }
}

BEHAVIOUR("a pump whose sink is stuck makes a quick source wait, and holds no more than its bound", kNetwork) {
  for (const Carrier& carrier : carriers()) {
    Line line = co_await open_line(carrier);
    const std::string bytes = numbered(8 * kMuch);
    Future<void> sending = send(line.in.peer, bytes);
    Future<std::uint64_t> pumping = pump(line.in.ours, line.out.ours);
    std::size_t most = 0;
    for (int i = 0; i < 200; ++i) {
      most = std::max(most, line.in.ours.buffered() + line.out.ours.unsent());
      if (i % 10 == 0) co_await sleep_for(1ms);
      co_await moment();
    }
    const std::size_t bound = is_plain(carrier) ? kPipe + kPiece : kPiece;
    expect(most > 0 && most <= bound, std::string(carrier.name) + " held " + std::to_string(most));
    expect(!pumping.done() && !sending.done(), "both wait");
  }
}

BEHAVIOUR("a pump between sockets that is dropped again and again loses no byte", kNetwork) {
  for (const Carrier& carrier : carriers()) {
    if (!is_plain(carrier)) continue;
    Line line = co_await open_line(carrier);
    const std::string bytes = numbered(kMuch);
    std::string got;
    Future<void> sending = send(line.in.peer, bytes);
    Future<void> receiving = note_bytes_of(line.out.peer, got, Duration::zero());
    bool ended = false;
    for (int turns = 1; !ended; turns = turns % 7 + 1) {
      Future<std::uint64_t> pumping = pump(line.in.ours, line.out.ours);
      for (int i = 0; i < turns && !pumping.done(); ++i) co_await moment();
      ended = pumping.done();
    }
    co_await line.out.ours.shutdown_write();
    co_await std::move(receiving);
    expect(got == bytes, "every byte once");
  }
}

BEHAVIOUR("a pump to a peer that has gone fails, and no signal ends the program", kNetwork) {
  for (const Carrier& carrier : carriers()) {
    if (!is_plain(carrier)) continue;
    Line line = co_await open_line(carrier);
    const std::string bytes = numbered(4 * kMuch);
    Future<void> sending = send(line.in.peer, bytes);
    Future<std::uint64_t> pumping = pump(line.in.ours, line.out.ours);
    const std::string first = co_await line.out.peer.read_bytes(200'000);
    line.out.peer.abort();
    const Result<std::uint64_t> result = co_await as_result(std::move(pumping));
    expect(result.reason() == Errc::reset, result.ok() ? "it went on" : result.failure().message());
    expect(!line.in.ours.is_closed(), "the other end is open");
  }
}
