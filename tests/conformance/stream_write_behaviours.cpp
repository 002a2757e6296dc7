// IOStream: what a write accepts, when it leaves and who waits; whose turn it is; pumps.  RULES §5.
#include <algorithm>
#include <string>

#include "fixtures.h"
#include "twinloop/net.h"
#include "twinloop/timing.h"
#include "ways.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr std::size_t kMuch = 4 * 1024 * 1024;  // more than any way holds

Future<void> echo_lines(IOStream stream, int* count) {
  for (;;) {
    std::optional<std::string> line = co_await stream.next_line();
    if (!line) co_return;
    ++*count;
    *line += "\n";
    co_await stream.write(std::move(*line));
  }
}

// Whether the other's bytes had not been read yet when this reader was resumed.
Future<void> read_before(Future<std::string>& own, const Future<std::string>& other, bool& before) {
  co_await settled(own);
  before = before || !other.done();
}

constexpr std::size_t kPiece = 10 * 1024;

Future<void> write_for_ever(IOStream& stream, std::size_t& accepted, std::size_t& most_unsent) {
  for (;;) {
    co_await stream.write(std::string(kPiece, 'x'));
    accepted += kPiece;
    most_unsent = std::max(most_unsent, stream.unsent());
  }
}

}  // namespace

BEHAVIOUR("streams work over transports that move crumbs and block at random", Needs::nothing) {
  int lines = 0;
  const Faults faults = Faults().max_read(3).max_write(7).would_block(30).hold_input(50);
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    Ends ends = make_faulty_ends(faults, {}, seed);
    Future<void> echo = echo_lines(std::move(ends.peer), &lines);
    for (int i = 0; i < 20; ++i) {
      const std::string line = "line " + std::to_string(i) + std::string(static_cast<std::size_t>(i), '.') + "\n";
      co_await ends.ours.write(line);
      const std::string back = co_await ends.ours.read_until("\n");
      expect_equal(back, line);
    }
    co_await ends.ours.finish();
    co_await echo;
  }
}

STREAM_BEHAVIOUR("write completes on acceptance, flush on hand-over", every_way) {
  Ends ends = co_await open_ends(way);
  for (int i = 0; i < 200; ++i) {
    Future<void> write = ends.ours.write("accepted");
    expect(write.done(), "little is unsent: accepted at once");
    expect_equal(ends.ours.unsent(), 8u);
    co_await write;
    co_await ends.ours.flush();
    expect_equal(ends.ours.unsent(), 0u);
    co_await ends.peer.read_bytes(8);
  }
}

STREAM_BEHAVIOUR(
    "a long write that waits behind nothing is handed down at once, behind a short one it waits for its turn",
    in_whole_calls) {
  Ends ends = co_await open_ends(way);
  const std::string text(8 * 1024, 'x');
  const std::string_view view = text;
  ends.ours.write(view).ignore();
  expect_equal(ends.ours.unsent(), 0u);
  ends.ours.write("short").ignore();
  ends.ours.write(view).ignore();
  expect_equal(ends.ours.unsent(), 5 + text.size());
  const std::string got = co_await ends.peer.read_bytes(2 * text.size() + 5);
  expect(got == text + "short" + text, "in order");
}

STREAM_BEHAVIOUR("of a long write a full transport takes what it can, and the rest follows", in_whole_calls) {
  Ends ends = co_await open_ends(way);
  const std::string text = numbered(kMuch);
  ends.ours.write(std::string_view(text)).ignore();
  const std::size_t unsent = ends.ours.unsent();
  expect(unsent > 0 && unsent < text.size(), "a part is handed down");
  const std::string got = co_await ends.peer.read_bytes(text.size());
  expect(got == text, "as they were written");
}

STREAM_BEHAVIOUR("writes of one turn arrive in order, small and large, copied and taken over", in_bulk) {
  Ends ends = co_await open_ends(way);
  std::string expected;
  for (int i = 0; i < 50; ++i) {
    std::string piece(static_cast<std::size_t>(i * i * 7 % 9000), static_cast<char>('a' + i % 26));
    expected += piece;
    if (i % 2 == 0) {
      ends.ours.write(std::string_view(piece)).ignore();
    } else {
      ends.ours.write(std::move(piece)).ignore();
    }
  }
  const std::string all = co_await ends.peer.read_bytes(expected.size());
  expect(all == expected, "every byte in its place");
}

STREAM_BEHAVIOUR("a slow peer makes the producer wait, not the memory grow", in_bulk) {
  Ends ends = co_await open_ends(way);
  int written = 0;
  Future<void> pending;
  for (; written < 1000; ++written) {
    std::string chunk(16 * 1024, 'x');
    pending = ends.ours.write(std::move(chunk));
    if (!pending.done()) break;
  }
  expect(written < 1000, "the high-water mark stopped it");
  expect(ends.ours.unsent() <= 64 * 1024 + 16 * 1024, "one write beyond the mark at most");
  const std::string drained = co_await ends.peer.read_bytes(static_cast<std::size_t>(written + 1) * 16 * 1024);
  co_await pending;
}

STREAM_BEHAVIOUR("a peer that takes a byte a second makes neither end hold more than its limits", every_way) {
  constexpr std::size_t kMark = 16 * 1024;
  constexpr std::size_t kLimit = 32 * 1024;
  const Duration second = has_manual_clock() ? Duration(1s) : Duration(200us);  // elsewhere seconds are short
  Ends ends = co_await open_ends(way, StreamOptions().high_water_mark(kMark).max_buffer_size(kLimit));
  std::size_t accepted = 0;
  std::size_t most_unsent = 0;
  Future<void> writing = write_for_ever(ends.ours, accepted, most_unsent);
  for (int i = 0; i < 50; ++i) {
    const std::string byte = co_await ends.peer.read_bytes(1);
    expect_equal(byte, "x");
    co_await sleep_for(second);
    expect(ends.peer.buffered() <= kLimit, "the reader holds " + std::to_string(ends.peer.buffered()) + " bytes");
  }
  expect(!writing.done() && !ends.peer.is_closed(), "the producer waits");
  expect(most_unsent <= kMark + kPiece, "the producer held " + std::to_string(most_unsent) + " bytes");
  expect(accepted <= 1024 * 1024, std::to_string(accepted) + " bytes are on their way");
}

STREAM_BEHAVIOUR("a write beyond max_write_buffer_size fails with limit and the stream stays usable", every_way) {
  Ends ends = co_await open_ends(way, StreamOptions().max_write_buffer_size(100));
  co_await expect_failure(ends.ours.write(std::string(101, 'x')), Errc::limit);
  co_await ends.ours.write("fits");
  const std::string text = co_await ends.peer.read_bytes(4);
  expect_equal(text, "fits");
  expect_equal(ends.ours.try_write(std::string(101, 'x')), 100u);
  co_await ends.peer.read_bytes(100);
}

STREAM_BEHAVIOUR("pieces are written one behind the other", every_way) {
  Ends ends = co_await open_ends(way);
  const std::string_view pieces[] = {"a", "", "bc", "def"};
  co_await ends.ours.write(pieces);
  const std::string all = co_await ends.peer.read_bytes(6);
  expect_equal(all, "abcdef");
}

STREAM_BEHAVIOUR("try_write takes what makes nobody wait", every_way) {
  Ends ends = co_await open_ends(way, StreamOptions().high_water_mark(1000));
  const std::string much(200'000, 'x');
  std::size_t taken = 0;
  for (std::size_t count = 1; count > 0; taken += count) count = ends.ours.try_write(much);
  co_await some_turns();
  expect(taken >= 1000 && taken <= 1000 + 64 * 1024, std::to_string(taken));
  const std::string got = co_await ends.peer.read_bytes(taken);
  expect_equal(got.size(), taken);
  const auto all_has_left = [&ends] { return ends.ours.unsent() == 0; };
  co_await until(all_has_left);
  expect_equal(ends.ours.try_write("more"), 4u);
  ends.ours.close();
  expect_equal(ends.ours.try_write("late"), 0u);
}

STREAM_BEHAVIOUR("lent memory is used until the write is done, and copied when that is dropped", in_bulk) {
  Ends ends = co_await open_ends(way);
  std::string lent(kMuch, 'l');
  co_await ends.ours.write("before ");
  Future<void> written = ends.ours.write_borrowed(lent);
  ends.ours.write(" behind").ignore();
  co_await some_turns();
  expect(!written.done(), "so much is more than the way holds");
  const std::string first = co_await ends.peer.read_bytes(7 + 100'000);
  written = Future<void>();
  lent.assign(lent.size(), '?');
  const std::string rest = co_await ends.peer.read_bytes(kMuch - 100'000 + 7);
  expect(first == "before " + std::string(100'000, 'l'), "what was handed over before");
  expect(rest == std::string(kMuch - 100'000, 'l') + " behind", "what was copied then, and what came behind it");
  std::string small = "small";
  co_await ends.ours.write_borrowed(small);
  small = "?????";
  const std::string five = co_await ends.peer.read_bytes(5);
  expect_equal(five, "small");
}

STREAM_BEHAVIOUR("a close copies lent memory before it says that the write failed, and delivers it", in_bulk) {
  Ends ends = co_await open_ends(way);
  std::string lent(kMuch, 'l');
  Future<void> written = ends.ours.write_borrowed(lent);
  co_await some_turns();
  ends.ours.close();
  co_await expect_failure(std::move(written), Errc::local);
  lent.assign(lent.size(), '?');
  const std::string all = co_await ends.peer.read_until_close();
  expect(all == std::string(kMuch, 'l'), "as it was lent");
}

STREAM_BEHAVIOUR("a pipelining client does not starve the others", every_way) {
  constexpr int kLines = 10'000;
  Ends greedy = co_await open_ends(way);
  Ends modest = co_await open_ends(way);
  int served = 0;
  int served_too = 0;
  IOLoop::current().spawn(&echo_lines, std::move(greedy.peer), &served);
  IOLoop::current().spawn(&echo_lines, std::move(modest.peer), &served_too);
  std::string lines;
  for (int i = 0; i < kLines; ++i) lines += "x\n";
  greedy.ours.write(std::move(lines)).ignore();
  co_await modest.ours.write("me too\n");
  const std::string mine = co_await modest.ours.read_until("\n");
  expect_equal(mine, "me too\n");
  expect(served < kLines, "the modest one is served before the greedy one is done");
}

BEHAVIOUR("what a socket's event wakes runs before the next socket's event", Needs::tcp | Needs::listen) {
  Listener listener = co_await listen("tcp://127.0.0.1:0");
  Ends a, b;
  for (Ends* each : {&a, &b}) {
    each->ours = co_await connect(listener.url());
    each->peer = co_await listener.accept();
  }
  Future<std::string> first = a.ours.read_bytes(1), second = b.ours.read_bytes(1);
  bool alone = false;
  Future<void> one = read_before(first, second, alone), other = read_before(second, first, alone);
  a.peer.write("a").ignore();
  b.peer.write("b").ignore();
  co_await std::move(one);
  co_await std::move(other);
  expect(alone, "the first reader ran before the second socket was read");
}

STREAM_BEHAVIOUR("a pump moves all there is and closes nothing", in_bulk) {
  Ends in = co_await open_ends(way);
  Ends out = co_await open_ends(way);
  const std::string much(1'000'000, 'p');
  in.peer.write(much).ignore();
  in.peer.shutdown_write().ignore();
  Future<std::uint64_t> pumping = pump(in.ours, out.ours);
  const std::string got = co_await out.peer.read_bytes(much.size());
  const std::uint64_t moved = co_await std::move(pumping);
  expect_equal(moved, std::uint64_t{1'000'000});
  expect(got == much, "the same bytes");
  expect(!out.ours.is_closed() && !in.ours.is_closed(), "both are open");
}

STREAM_BEHAVIOUR("a pump that is dropped loses no byte", in_bulk) {
  Ends in = co_await open_ends(way);
  Ends out = co_await open_ends(way);
  std::string numbers;
  for (int i = 0; i < 50'000; ++i) numbers += std::to_string(i) + " ";
  in.peer.write(numbers).ignore();
  in.peer.shutdown_write().ignore();
  for (int turns = 1; turns < 30; ++turns) {
    Future<std::uint64_t> pumping = pump(in.ours, out.ours);
    for (int i = 0; i < turns && !pumping.done(); ++i) co_await moment();
  }
  Future<std::uint64_t> last = pump(in.ours, out.ours);
  const std::string got = co_await out.peer.read_bytes(numbers.size());
  expect(got == numbers, "every byte once");
  co_await std::move(last);
}
