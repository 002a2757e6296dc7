// IOStream: how reads end, what they leave, and what views see.  RULES §5.
#include <random>
#include <string>

#include "fixtures.h"
#include "twinloop/net.h"
#include "twinloop/timing.h"
#include "ways.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

Future<void> write_and_return(IOStream stream, std::size_t bytes) {
  std::string text(bytes, 'x');
  co_await stream.write(std::move(text));
}

Future<void> note_failure(Future<std::string> read, std::string& order) {
  const Result<std::string> result = co_await as_result(std::move(read));
  order += result.ok() ? "data " : "read " + std::string(name(result.reason())) + " ";
}

// Lines of up to 99 bytes, the last one whole.
std::string random_lines(std::minstd_rand& random, std::size_t count) {
  std::string text;
  for (; count > 0; --count) {
    for (std::size_t length = random() % 99; length > 0; --length) text += static_cast<char>('a' + random() % 26);
    text += '\n';
  }
  return text;
}

Future<void> write_in_pieces(IOStream& stream, std::string text, std::minstd_rand random) {
  for (std::size_t at = 0; at < text.size();) {
    std::string piece = text.substr(at, 1 + random() % 700);
    at += piece.size();
    co_await stream.write(std::move(piece));
    if (random() % 2 == 0) co_await moment();
  }
}

Future<std::string> begin_any_read(IOStream& stream, std::minstd_rand& random, std::size_t most) {
  const auto kind = random() % 3;
  if (kind == 0) return stream.read_until("\n");
  return kind == 1 ? stream.read_some(1 + random() % most) : stream.read_bytes(1 + random() % most);
}

Future<void> read_then_drop(Future<std::string> read, Future<void>& victim) {
  co_await std::move(read);
  victim = Future<void>();
}

}  // namespace

STREAM_BEHAVIOUR("read_until ends behind the delimiter and leaves the rest for the next read", every_way) {
  Ends ends = co_await open_ends(way);
  co_await ends.ours.write("one\r\ntwo\r\nrest");
  const std::string one = co_await ends.peer.read_until("\r\n");
  expect_equal(one, "one\r\n");
  const std::string two = co_await ends.peer.read_until("\r\n");
  expect_equal(two, "two\r\n");
  const std::string rest = co_await ends.peer.read_bytes(4);
  expect_equal(rest, "rest");
}

STREAM_BEHAVIOUR("a delimiter is found when it arrives split at any point", every_way) {
  for (std::size_t split = 1; split < 4; ++split) {
    Ends ends = co_await open_ends(way);
    Future<std::string> read = ends.peer.read_until("\r\n\r\n");
    const std::string text = "head\r\n\r\n";
    co_await ends.ours.write(text.substr(0, 4 + split));
    co_await until_buffered(ends.peer, 4 + split);
    expect(!read.done(), "not before the whole delimiter is there");
    co_await ends.ours.write(text.substr(4 + split));
    const std::string head = co_await read;
    expect_equal(head, text);
  }
}

STREAM_BEHAVIOUR("read_until closes the stream when max_bytes pass without the delimiter", every_way) {
  Ends ends = co_await open_ends(way);
  co_await ends.ours.write("0123456789");
  co_await expect_failure(ends.peer.read_until("\n", 10), Errc::unsatisfiable_read);
  expect(ends.peer.is_closed(), "no later read could make sense of it");
  expect(reason_of(ends.peer.error()) == Errc::unsatisfiable_read, "and the stream knows why");
}

STREAM_BEHAVIOUR("a delimiter that ends exactly at max_bytes is found", every_way) {
  Ends ends = co_await open_ends(way);
  co_await ends.ours.write("012345678\nmore");
  const std::string line = co_await ends.peer.read_until("\n", 10);
  expect_equal(line, "012345678\n");
}

STREAM_BEHAVIOUR("a delimiter beyond max_bytes is an error even if it is already here", every_way) {
  Ends ends = co_await open_ends(way);
  co_await ends.ours.write("0123456789\n");
  co_await expect_failure(ends.peer.read_until("\n", 10), Errc::unsatisfiable_read);
}

STREAM_BEHAVIOUR("read_bytes gives exactly that many, read_some what there is", every_way) {
  Ends ends = co_await open_ends(way);
  co_await ends.ours.write("abcdefgh");
  const std::string three = co_await ends.peer.read_bytes(3);
  expect_equal(three, "abc");
  co_await ends.peer.peek(5);
  const std::string two = co_await ends.peer.read_some(2);
  expect_equal(two, "de");
  const std::string rest = co_await ends.peer.read_some();
  expect_equal(rest, "fgh");
  const std::string none = co_await ends.peer.read_bytes(0);
  expect_equal(none, "");
}

STREAM_BEHAVIOUR("read_into fills the caller's memory", every_way) {
  Ends ends = co_await open_ends(way);
  char memory[6] = {};
  Future<std::size_t> read = ends.peer.read_into(memory);
  co_await ends.ours.write("abc");
  co_await until_buffered(ends.peer, 3);
  expect(!read.done(), "it waits for the whole");
  co_await ends.ours.write("defg");
  const std::size_t count = co_await read;
  expect_equal(count, 6u);
  expect_equal(std::string(memory, 6), "abcdef");
  const std::string rest = co_await ends.peer.read_some();
  expect_equal(rest, "g");
}

STREAM_BEHAVIOUR("a read_into that is dropped half filled leaves the memory as it was and the bytes in the stream",
                 every_way) {
  Ends ends = co_await open_ends(way);
  std::string memory = "------";
  Future<std::size_t> read = ends.peer.read_into(memory);
  co_await ends.ours.write("abc");
  co_await until_buffered(ends.peer, 3);
  read = Future<std::size_t>();
  expect_equal(memory, "------");
  co_await ends.ours.write("def");
  const std::string all = co_await ends.peer.read_bytes(6);
  expect_equal(all, "abcdef");
}

STREAM_BEHAVIOUR("reads that are given up at any step, also when they are done, lose no byte", every_way) {
  Ends ends = co_await open_ends(way);
  std::minstd_rand random(7);
  const std::string sent = random_lines(random, 200);
  const Future<void> writing = write_in_pieces(ends.ours, sent, random);
  std::string received;
  unsigned given_up = 0;
  while (received.size() < sent.size()) {
    const std::size_t left = sent.size() - received.size();
    Future<std::string> read = begin_any_read(ends.peer, random, std::min<std::size_t>(left, 300));
    for (unsigned steps = random() % 4; steps > 0 && !read.done(); --steps) co_await moment();
    if (random() % 2 == 0) {
      ++given_up;
      continue;
    }
    const std::string part = co_await std::move(read);
    received += part;
  }
  expect(received == sent, "every byte, once and in order");
  expect(given_up > 10, std::to_string(given_up) + " were given up");
}

STREAM_BEHAVIOUR("next_line gives lines without their ends and nothing at a clean end", every_way) {
  Ends ends = co_await open_ends(way);
  co_await ends.ours.write("one\ntwo\r\n\nlast");
  co_await ends.ours.shutdown_write();
  std::string seen;
  while (std::optional<std::string> line = co_await ends.peer.next_line()) seen += *line + "|";
  expect_equal(seen, "one|two||last|");
}

STREAM_BEHAVIOUR("next_until fails with truncated when the end comes within a record", every_way) {
  Ends ends = co_await open_ends(way);
  co_await ends.ours.write("one;tw");
  co_await ends.ours.shutdown_write();
  const std::optional<std::string> one = co_await ends.peer.next_until(";");
  expect_equal(*one, "one");
  co_await expect_failure(ends.peer.next_until(";"), Errc::truncated);
  const std::string piece = co_await ends.peer.read_until_close();
  expect_equal(piece, "tw");
  const std::optional<std::string> none = co_await ends.peer.next_until(";");
  expect(!none, "behind the piece is a clean end");
}

STREAM_BEHAVIOUR("read_until_close gives everything and then nothing, never an error at an orderly end", every_way) {
  Ends ends = co_await open_ends(way);
  co_await ends.ours.write("all of it");
  ends.ours.close();
  const std::string all = co_await ends.peer.read_until_close();
  expect_equal(all, "all of it");
  const std::string none = co_await ends.peer.read_until_close();
  expect_equal(none, "");
}

STREAM_BEHAVIOUR("a second read while one is pending fails with busy and harms nothing", every_way) {
  Ends ends = co_await open_ends(way);
  Future<std::string> first = ends.peer.read_bytes(2);
  co_await expect_failure(ends.peer.read_bytes(1), Errc::busy);
  co_await ends.ours.write("ok");
  const std::string text = co_await first;
  expect_equal(text, "ok");
}

STREAM_BEHAVIOUR("a read that times out leaves its bytes for the next read", every_way) {
  Ends ends = co_await open_ends(way);
  co_await ends.ours.write("hal");
  co_await expect_failure(with_timeout(5ms, ends.peer.read_until("\n")), Errc::timeout);
  co_await ends.ours.write("f\n");
  const std::string line = co_await ends.peer.read_until("\n");
  expect_equal(line, "half\n");
}

STREAM_BEHAVIOUR("a read that is dropped after it completed leaves its bytes for the next read", every_way) {
  Ends ends = co_await open_ends(way);
  {
    Future<std::string> read = ends.peer.read_until("\n");
    co_await ends.ours.write("line\n");
    co_await settled(read);
  }
  const std::string line = co_await ends.peer.read_until("\n");
  expect_equal(line, "line\n");
}

// Of two sockets nobody knows that what was sent to both arrives in one turn.
BEHAVIOUR("a coroutine dropped between completion and resumption loses no bytes", Needs::nothing) {
  auto [first_near, first_far] = make_pair_streams();
  auto [second_near, second_far] = make_pair_streams();
  std::string order;
  Future<void> victim = note_failure(second_far.read_until("\n"), order);
  Future<void> dropper = read_then_drop(first_far.read_until("\n"), victim);
  first_near.write("go\n").ignore();  // both arrive in one turn, and the dropper is resumed first
  second_near.write("line\n").ignore();
  co_await dropper;
  expect(order.empty(), "the victim was dropped before it resumed");
  expect_equal(second_far.buffered(), 5u);
  const std::string line = co_await second_far.read_until("\n");
  expect_equal(line, "line\n");
}

STREAM_BEHAVIOUR("more input than max_buffer_size fails with overflow", every_way) {
  Ends ends = co_await open_ends(way, StreamOptions().max_buffer_size(1000));
  IOLoop::current().spawn(&write_and_return, std::move(ends.ours), std::size_t{2000});
  co_await expect_failure(ends.peer.read_until("\n"), Errc::overflow);
  expect(reason_of(ends.peer.error()) == Errc::overflow, "and the stream knows why");
}

STREAM_BEHAVIOUR("a stream can move while operations are pending", every_way) {
  Ends ends = co_await open_ends(way);
  Future<std::string> read = ends.peer.read_until("\n");
  IOStream moved = std::move(ends.peer);
  co_await ends.ours.write("found\n");
  const std::string line = co_await read;
  expect_equal(line, "found\n");
}

STREAM_BEHAVIOUR("peek gives the next bytes and takes none of them", every_way) {
  Ends ends = co_await open_ends(way);
  co_await ends.ours.write("abc");
  Future<std::string> four = ends.peer.peek(4);
  co_await until_buffered(ends.peer, 3);
  expect(!four.done(), "it waits for as many as were asked for");
  co_await ends.ours.write("def");
  const std::string first = co_await std::move(four);
  expect_equal(first, "abcd");
  const std::string whole = co_await ends.peer.read_bytes(6);
  expect_equal(whole, "abcdef");
  co_await ends.ours.write("gh");
  co_await ends.ours.shutdown_write();
  const std::string fewer = co_await ends.peer.peek(10);
  expect_equal(fewer, "gh");
  const std::string rest = co_await ends.peer.read_until_close();
  expect_equal(rest, "gh");
  const std::string nothing = co_await ends.peer.peek(1);
  expect_equal(nothing, "");
}

STREAM_BEHAVIOUR("a view stays valid while more arrives and after the stream is closed, until the next read", in_bulk) {
  Ends ends = co_await open_ends(way);
  co_await ends.ours.write("first\nsecond\n");
  const std::string_view first = co_await ends.peer.read_until_view("\n");
  expect_equal(first, "first\n");
  // What arrives now needs more room than the view's block has.
  const std::string much(200'000, 'x');
  Future<void> sent = ends.ours.write(much);
  co_await some_turns();
  expect_equal(first, "first\n");
  const std::string_view second = co_await ends.peer.read_until_view("\n");
  expect_equal(second, "second\n");
  const std::string_view some = co_await ends.peer.read_bytes_view(1000);
  ends.peer.close();
  expect_equal(some, std::string(1000, 'x'));
  sent.ignore();
}

STREAM_BEHAVIOUR("a view of a record that came in two pieces is contiguous", every_way) {
  Ends ends = co_await open_ends(way);
  co_await ends.ours.write("one ");
  Future<std::optional<std::string_view>> line = ends.peer.next_line_view();
  co_await until_buffered(ends.peer, 4);
  co_await ends.ours.write("line\r\nrest");
  const std::optional<std::string_view> whole = co_await std::move(line);
  expect_equal(whole.value_or("nothing"), "one line");
  ends.ours.close();
  const std::optional<std::string_view> last = co_await ends.peer.next_line_view();
  expect_equal(last.value_or("nothing"), "rest");
  const std::optional<std::string_view> end = co_await ends.peer.next_line_view();
  expect(!end.has_value(), "then the end");
}

STREAM_BEHAVIOUR("a view that is dropped untaken leaves its bytes for the next read", every_way) {
  Ends ends = co_await open_ends(way);
  co_await ends.ours.write("kept");
  Future<std::string_view> dropped = ends.peer.read_bytes_view(4);
  co_await settled(dropped);
  dropped = Future<std::string_view>();
  const std::string kept = co_await ends.peer.read_bytes(4);
  expect_equal(kept, "kept");
}

STREAM_BEHAVIOUR("views and copies in turn, in pieces of every size, give what was sent", in_bulk) {
  Ends ends = co_await open_ends(way);
  std::string sent;
  for (int i = 0; i < 40'000; ++i) sent += std::to_string(i) + "\n";
  ends.ours.write(sent).ignore();
  ends.ours.shutdown_write().ignore();
  std::string got;
  for (std::size_t size = 1; got.size() < sent.size(); size = size % 9'000 + 7) {
    const std::size_t count = std::min(size, sent.size() - got.size());
    if (size % 2 == 0) {
      const std::string_view bytes = co_await ends.peer.read_bytes_view(count);
      got += bytes;
    } else {
      const std::string bytes = co_await ends.peer.read_bytes(count);
      got += bytes;
    }
  }
  expect(got == sent, "the same bytes");
}

STREAM_BEHAVIOUR("a read of more bytes than come fails with end, and leaves what came", every_way) {
  Ends ends = co_await open_ends(way);
  Future<std::string> read = ends.peer.read_bytes(100);
  ends.ours.write("little").ignore();
  ends.ours.close();
  co_await expect_failure(std::move(read), Errc::end);
  const std::string little = co_await ends.peer.read_until_close();
  expect_equal(little, "little");
  co_await expect_failure(ends.peer.read_bytes(1), Errc::end);
}

STREAM_BEHAVIOUR("what lies below a stream at the peer's end, because the stream takes no more, is read piece by piece",
                 every_way) {
  Ends ends = co_await open_ends(way, StreamOptions().max_buffer_size(256));
  const std::string sent = numbered(1000);
  co_await ends.ours.write(sent);
  ends.ours.close();
  co_await some_turns();
  for (std::size_t at = 0; at < sent.size(); at += 250) {
    const std::string piece = co_await ends.peer.read_bytes(250);
    expect(piece == sent.substr(at, 250), "in order, from " + std::to_string(at));
    expect(ends.peer.buffered() <= 256, "no more than the limit");
  }
  co_await expect_failure(ends.peer.read_bytes(1), Errc::end);
}
