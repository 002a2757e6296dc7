// What Tornado's iostream_test says of every stream and no other file here says by name.
#include <array>
#include <random>
#include <string>
#include <vector>

#include "fixtures.h"
#include "twinloop/net.h"
#include "twinloop/timing.h"
#include "ways.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

Future<void> produce(IOStream& stream, char letter, int count, int& done) {
  for (int i = 0; i < count; ++i) {
    co_await stream.write(std::string(5000, letter));
    ++done;
  }
}

}  // namespace

STREAM_BEHAVIOUR("a read of nothing completes at once with nothing, between others and on a closed stream", every_way) {
  Ends ends = co_await open_ends(way);
  co_await ends.ours.write("ab");
  const std::string a = co_await ends.peer.read_bytes(1);
  const std::string nothing = co_await ends.peer.read_bytes(0);
  const std::string none = co_await ends.peer.read_some(0);
  const std::size_t zero = co_await ends.peer.read_into({});
  const std::string b = co_await ends.peer.read_bytes(1);
  expect_equal(a + nothing + none + b, "ab");
  expect_equal(zero, 0u);
  ends.peer.close();
  const std::string late = co_await ends.peer.read_bytes(0);
  expect(late.empty(), "also then");
}

STREAM_BEHAVIOUR("a write of nothing completes, and nothing arrives", every_way) {
  Ends ends = co_await open_ends(way);
  co_await ends.ours.write("");
  co_await ends.ours.write(std::string());
  co_await ends.ours.write_borrowed("");
  co_await ends.ours.flush();
  expect(!ends.ours.writing(), "nothing is unsent");
  co_await ends.ours.write("x");
  const std::string x = co_await ends.peer.read_some();
  expect_equal(x, "x");
}

STREAM_BEHAVIOUR("read_some gives at most what is asked for, and the rest stays", every_way) {
  Ends ends = co_await open_ends(way);
  co_await ends.ours.write("1234567");
  co_await ends.peer.peek(7);
  const std::string some = co_await ends.peer.read_some(5);
  expect_equal(some, "12345");
  const std::string rest = co_await ends.peer.read_some(5);
  expect_equal(rest, "67");
}

STREAM_BEHAVIOUR("read_some_into fills less than the memory and leaves its tail alone", every_way) {
  Ends ends = co_await open_ends(way);
  co_await ends.ours.write("abc");
  co_await ends.peer.peek(3);
  std::array<char, 6> memory{'-', '-', '-', '-', '-', '-'};
  const std::size_t count = co_await ends.peer.read_some_into(memory);
  expect_equal(count, 3u);
  expect_equal(std::string_view(memory.data(), memory.size()), "abc---");
}

STREAM_BEHAVIOUR("reading() says whether a read is pending", every_way) {
  Ends ends = co_await open_ends(way);
  std::array<char, 3> memory;
  expect(!ends.peer.reading(), "before");
  Future<std::size_t> read = ends.peer.read_into(memory);
  expect(ends.peer.reading(), "while it waits");
  co_await ends.ours.write("abc");
  co_await std::move(read);
  expect(!ends.peer.reading(), "afterwards");
}

// Every byte could begin the delimiter.  Where it comes in thousands of pieces a search that began anew at each would not end
// within the time that a behaviour has.
STREAM_BEHAVIOUR("a delimiter behind 8 MiB is found, whatever comes before it", in_bulk) {
  const std::string text = std::string(8 * 1024 * 1024, '\r') + "\r\n";
  Ends ends = co_await open_ends(way);
  Future<void> writing = ends.ours.write(text);
  const std::string line = co_await ends.peer.read_until("\r\n");
  expect(line == text, "all of it");
  co_await std::move(writing);
}

STREAM_BEHAVIOUR("a delimiter that comes in the second piece, together with the end, is found", every_way) {
  Ends ends = co_await open_ends(way);
  Future<std::string> read = ends.peer.read_until("\n");
  co_await ends.ours.write(std::string(100, 'x'));
  co_await until_buffered(ends.peer, 100);
  expect(!read.done(), "not yet");
  ends.ours.write("y\n").ignore();
  ends.ours.close();
  const std::string line = co_await std::move(read);
  expect_equal(line, std::string(100, 'x') + "y\n");
}

STREAM_BEHAVIOUR("an end without the delimiter is an end, whatever max_bytes says", every_way) {
  Ends ends = co_await open_ends(way);
  Future<std::string> read = ends.peer.read_until("\n", 100);
  ends.ours.write("no line").ignore();
  ends.ours.close();
  co_await expect_failure(std::move(read), Errc::end);
}

STREAM_BEHAVIOUR("small reads get a large transfer through a small buffer without an overflow", in_bulk) {
  Ends ends = co_await open_ends(way, StreamOptions().max_buffer_size(10 * 1024));
  const std::string sent = numbered(100 * 1024);
  Future<void> writing = ends.ours.write(sent);
  std::string received;
  while (received.size() < sent.size()) received += co_await ends.peer.read_bytes(1024);
  expect(received == sent, "all of it, in order");
  co_await std::move(writing);
}

STREAM_BEHAVIOUR("small lines get a large transfer through a small buffer without an overflow", in_bulk) {
  Ends ends = co_await open_ends(way, StreamOptions().max_buffer_size(10 * 1024));
  std::string sent;
  for (int i = 0; i < 100; ++i) sent += std::string(1023, 'l') + "\n";
  Future<void> writing = ends.ours.write(sent);
  for (int i = 0; i < 100; ++i) {
    const std::string line = co_await ends.peer.read_until("\n", 2048);
    expect_equal(line.size(), 1024u);
  }
  co_await std::move(writing);
}

STREAM_BEHAVIOUR("what nobody reads yet is not read ahead beyond max_buffer_size", in_bulk) {
  constexpr std::size_t kLimit = 4 * 1024;
  Ends ends = co_await open_ends(way, StreamOptions().max_buffer_size(kLimit));
  const std::string sent = numbered(100 * 1024);
  Future<void> writing = ends.ours.write(sent);
  for (int i = 0; i < 100; ++i) {
    if (i % 10 == 0) co_await some_turns();
    expect(!ends.peer.is_closed() && ends.peer.buffered() <= kLimit, "holds " + std::to_string(ends.peer.buffered()));
    const std::string kib = co_await ends.peer.read_bytes(1024);
    expect(kib == sent.substr(static_cast<std::size_t>(i) * 1024, 1024), "in order");
  }
  co_await std::move(writing);
}

STREAM_BEHAVIOUR("a writer of 4 MB and a reader with a limit of 2 MB get on", in_bulk) {
  Ends ends = co_await open_ends(way, StreamOptions().max_buffer_size(2 * 1024 * 1024));
  Future<void> writing = ends.ours.write(std::string(4 * 1024 * 1024, 'x'));
  for (int i = 0; i < 4; ++i) co_await ends.peer.read_bytes(1024 * 1024);
  co_await std::move(writing);
  expect_equal(ends.peer.buffered(), 0u);
}

STREAM_BEHAVIOUR("a megabyte comes through whatever reads are mixed", in_bulk) {
  Ends ends = co_await open_ends(way);
  const std::string sent = numbered(1'000'000);
  Future<void> writing = ends.ours.write(sent);
  std::minstd_rand random(7);
  std::string received;
  std::array<char, 5000> memory;
  while (received.size() < sent.size()) {
    const std::size_t most = 1 + random() % std::min(memory.size(), sent.size() - received.size());
    switch (random() % 4) {
      case 0:
        received += co_await ends.peer.read_bytes(most);
        break;
      case 1:
        received += co_await ends.peer.read_some(most);
        break;
      case 2:
        co_await ends.peer.read_into(std::span(memory).first(most));
        received.append(memory.data(), most);
        break;
      default: {
        const std::size_t count = co_await ends.peer.read_some_into(std::span(memory).first(most));
        received.append(memory.data(), count);
      }
    }
  }
  expect(received == sent, "all of it, in order");
  co_await std::move(writing);
}

STREAM_BEHAVIOUR("of ten producers on one stream each write is told of, and none is cut by another", in_bulk) {
  constexpr int kWrites = 20;
  Ends ends = co_await open_ends(way);
  int done = 0;
  std::vector<Future<void>> producers;
  for (char letter = 'a'; letter < 'k'; ++letter) producers.push_back(produce(ends.ours, letter, kWrites, done));
  for (int i = 0; i < 10 * kWrites; ++i) {
    const std::string piece = co_await ends.peer.read_bytes(5000);
    expect(piece == std::string(5000, piece.front()), "one write's bytes are together");
  }
  for (Future<void>& producer : producers) co_await std::move(producer);
  expect_equal(done, 10 * kWrites);
}

STREAM_BEHAVIOUR("the close callback does not run while reads succeed, and runs at the peer's end", every_way) {
  Ends ends = co_await open_ends(way);
  int told = 0;
  ends.peer.set_close_callback([&told] { ++told; });
  co_await ends.ours.write("ab");
  const std::string ab = co_await ends.peer.read_bytes(2);
  co_await some_turns();
  expect_equal(told, 0);
  ends.ours.close();
  const auto is_told = [&told] { return told > 0; };
  co_await until(is_told);
  co_await some_turns();
  expect_equal(told, 1);
}

STREAM_BEHAVIOUR("a byte too many in front of the peer's end does not hide it", every_way) {
  Ends ends = co_await open_ends(way);
  int told = 0;
  ends.peer.set_close_callback([&told] { ++told; });
  co_await ends.ours.write("request\nX");
  const std::string request = co_await ends.peer.read_until("\n");
  ends.ours.close();
  const auto is_told = [&told] { return told > 0; };
  co_await until(is_told);
  const std::string rest = co_await ends.peer.read_until_close();
  expect_equal(rest, "X");
}

STREAM_BEHAVIOUR("read_until_close_view and next_until_view borrow what their twins copy", every_way) {
  Ends ends = co_await open_ends(way);
  co_await ends.ours.write("a;b;rest");
  co_await ends.ours.shutdown_write();
  const std::optional<std::string_view> a = co_await ends.peer.next_until_view(";");
  expect_equal(a.value_or("?"), "a");
  const std::optional<std::string_view> b = co_await ends.peer.next_until_view(";");
  expect_equal(b.value_or("?"), "b");
  const std::string_view rest = co_await ends.peer.read_until_close_view();
  expect_equal(rest, "rest");
  const std::optional<std::string_view> none = co_await ends.peer.next_until_view(";");
  expect(!none.has_value(), "no more");
}
