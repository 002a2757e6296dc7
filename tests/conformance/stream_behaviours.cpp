// IOStream: how reads end, how writes leave, how a stream ends.  RULES §3 and §5.  On the in-process pair, so they run everywhere.
#include <string>

#include "twinloop/net.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

struct Ends {
  IOStream near;
  IOStream far;
};

Ends make_ends(const StreamOptions& options = {}) {
  auto [near, far] = make_pair_streams(options);
  return {std::move(near), std::move(far)};
}

// Both ends on transports that read and write in crumbs, hold input and say would_block at random.
Ends make_faulty_ends(std::uint32_t seed) {
  auto [a, b] = make_pair_transports();
  const Faults faults = Faults().max_read(3).max_write(7).would_block(30).hold_input(50);
  return {IOStream(make_faulty_transport(std::move(a), Faults(faults).seed(seed))),
          IOStream(make_faulty_transport(std::move(b), Faults(faults).seed(seed + 1)))};
}

Future<void> write_and_return(IOStream stream, std::size_t bytes) {
  std::string text(bytes, 'x');
  co_await stream.write(std::move(text));
}

Future<void> answer_at_end(IOStream stream) {
  const std::string request = co_await stream.read_until_close();
  std::string answer = "answer to " + request;
  co_await stream.write(std::move(answer));
}

Future<void> echo_lines(IOStream stream) {
  while (true) {
    std::optional<std::string> line = co_await stream.next_line();
    if (!line) co_return;
    *line += "\n";
    co_await stream.write(std::move(*line));
  }
}

// Whether the other's bytes had not been read yet when this reader was resumed.
Future<void> read_before(Future<std::string>& own, const Future<std::string>& other, bool& before) {
  co_await settled(own);
  before = before || !other.done();
}

Future<void> note_failure(Future<std::string> read, std::string& order) {
  const Result<std::string> result = co_await as_result(std::move(read));
  order += result.ok() ? "data " : "read " + std::string(name(result.reason())) + " ";
}

Future<void> note_write(Future<void> write, std::string& order) {
  const Result<void> result = co_await as_result(std::move(write));
  order += result.ok() ? "written " : "write " + std::string(name(result.reason())) + " ";
}

Future<void> note(Future<void> fact, std::string text, std::string& order) {
  co_await std::move(fact);
  order += text;
}

Future<void> read_then_drop(Future<std::string> read, Future<void>& victim) {
  co_await std::move(read);
  victim = Future<void>();
}

Future<void> turns(int count) {
  for (int i = 0; i < count; ++i) co_await sleep_for(0s);
}

}  // namespace

// ---- reading

BEHAVIOUR("read_until ends behind the delimiter and leaves the rest for the next read", Needs::nothing) {
  Ends ends = make_ends();
  co_await ends.near.write("one\r\ntwo\r\nrest");
  const std::string one = co_await ends.far.read_until("\r\n");
  expect_equal(one, "one\r\n");
  const std::string two = co_await ends.far.read_until("\r\n");
  expect_equal(two, "two\r\n");
  const std::string rest = co_await ends.far.read_bytes(4);
  expect_equal(rest, "rest");
}

BEHAVIOUR("a delimiter is found when it arrives split at any point", Needs::nothing) {
  for (std::size_t split = 1; split < 4; ++split) {
    Ends ends = make_ends();
    Future<std::string> read = ends.far.read_until("\r\n\r\n");
    const std::string text = "head\r\n\r\n";
    co_await ends.near.write(text.substr(0, 4 + split));
    co_await ends.near.flush();
    co_await turns(2);
    expect(!read.done(), "not before the whole delimiter is there");
    co_await ends.near.write(text.substr(4 + split));
    const std::string head = co_await read;
    expect_equal(head, text);
  }
}

BEHAVIOUR("read_until closes the stream when max_bytes pass without the delimiter", Needs::nothing) {
  Ends ends = make_ends();
  co_await ends.near.write("0123456789");
  co_await expect_failure(ends.far.read_until("\n", 10), Errc::unsatisfiable_read);
  expect(ends.far.is_closed(), "no later read could make sense of it");
  expect(reason_of(ends.far.error()) == Errc::unsatisfiable_read, "and the stream knows why");
}

BEHAVIOUR("a delimiter that ends exactly at max_bytes is found", Needs::nothing) {
  Ends ends = make_ends();
  co_await ends.near.write("012345678\nmore");
  const std::string line = co_await ends.far.read_until("\n", 10);
  expect_equal(line, "012345678\n");
}

BEHAVIOUR("a delimiter beyond max_bytes is an error even if it is already here", Needs::nothing) {
  Ends ends = make_ends();
  co_await ends.near.write("0123456789\n");
  co_await expect_failure(ends.far.read_until("\n", 10), Errc::unsatisfiable_read);
}

BEHAVIOUR("read_bytes gives exactly that many, read_some what there is", Needs::nothing) {
  Ends ends = make_ends();
  co_await ends.near.write("abcdefgh");
  const std::string three = co_await ends.far.read_bytes(3);
  expect_equal(three, "abc");
  const std::string two = co_await ends.far.read_some(2);
  expect_equal(two, "de");
  const std::string rest = co_await ends.far.read_some();
  expect_equal(rest, "fgh");
  const std::string none = co_await ends.far.read_bytes(0);
  expect_equal(none, "");
}

BEHAVIOUR("read_into fills the caller's memory", Needs::nothing) {
  Ends ends = make_ends();
  char memory[6] = {};
  Future<std::size_t> read = ends.far.read_into(memory);
  co_await ends.near.write("abc");
  co_await turns(2);
  expect(!read.done(), "it waits for the whole");
  co_await ends.near.write("defg");
  const std::size_t count = co_await read;
  expect_equal(count, 6u);
  expect_equal(std::string(memory, 6), "abcdef");
  const std::string rest = co_await ends.far.read_some();
  expect_equal(rest, "g");
}

BEHAVIOUR("next_line gives lines without their ends and nothing at a clean end", Needs::nothing) {
  Ends ends = make_ends();
  co_await ends.near.write("one\ntwo\r\n\nlast");
  co_await ends.near.shutdown_write();
  std::string seen;
  while (std::optional<std::string> line = co_await ends.far.next_line()) seen += *line + "|";
  expect_equal(seen, "one|two||last|");
}

BEHAVIOUR("next_until fails with truncated when the end comes within a record", Needs::nothing) {
  Ends ends = make_ends();
  co_await ends.near.write("one;tw");
  co_await ends.near.shutdown_write();
  const std::optional<std::string> one = co_await ends.far.next_until(";");
  expect_equal(*one, "one");
  co_await expect_failure(ends.far.next_until(";"), Errc::truncated);
  const std::string piece = co_await ends.far.read_until_close();
  expect_equal(piece, "tw");
  const std::optional<std::string> none = co_await ends.far.next_until(";");
  expect(!none, "behind the piece is a clean end");
}

BEHAVIOUR("read_until_close gives everything and then nothing, never an error at an orderly end", Needs::nothing) {
  Ends ends = make_ends();
  co_await ends.near.write("all of it");
  ends.near.close();
  const std::string all = co_await ends.far.read_until_close();
  expect_equal(all, "all of it");
  const std::string none = co_await ends.far.read_until_close();
  expect_equal(none, "");
}

BEHAVIOUR("a second read while one is pending fails with busy and harms nothing", Needs::nothing) {
  Ends ends = make_ends();
  Future<std::string> first = ends.far.read_bytes(2);
  co_await expect_failure(ends.far.read_bytes(1), Errc::busy);
  co_await ends.near.write("ok");
  const std::string text = co_await first;
  expect_equal(text, "ok");
}

BEHAVIOUR("a read that times out leaves its bytes for the next read", Needs::nothing) {
  Ends ends = make_ends();
  co_await ends.near.write("hal");
  co_await expect_failure(with_timeout(5ms, ends.far.read_until("\n")), Errc::timeout);
  co_await ends.near.write("f\n");
  const std::string line = co_await ends.far.read_until("\n");
  expect_equal(line, "half\n");
}

BEHAVIOUR("a read that is dropped after it completed leaves its bytes for the next read", Needs::nothing) {
  Ends ends = make_ends();
  {
    Future<std::string> read = ends.far.read_until("\n");
    co_await ends.near.write("line\n");
    co_await turns(2);
    expect(read.done(), "the bytes are there");
  }
  const std::string line = co_await ends.far.read_until("\n");
  expect_equal(line, "line\n");
}

BEHAVIOUR("a coroutine dropped between completion and resumption loses no bytes", Needs::nothing) {
  Ends first = make_ends();
  Ends second = make_ends();
  std::string order;
  Future<void> victim = note_failure(second.far.read_until("\n"), order);
  Future<void> dropper = read_then_drop(first.far.read_until("\n"), victim);
  first.near.write("go\n").ignore();  // both arrive in one turn, and the dropper is resumed first
  second.near.write("line\n").ignore();
  co_await dropper;
  expect(order.empty(), "the victim was dropped before it resumed");
  expect_equal(second.far.buffered(), 5u);
  const std::string line = co_await second.far.read_until("\n");
  expect_equal(line, "line\n");
}

BEHAVIOUR("streams work over transports that move crumbs and block at random", Needs::nothing) {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    Ends ends = make_faulty_ends(seed);
    Future<void> echo = echo_lines(std::move(ends.far));
    for (int i = 0; i < 20; ++i) {
      const std::string line = "line " + std::to_string(i) + std::string(static_cast<std::size_t>(i), '.') + "\n";
      co_await ends.near.write(line);
      const std::string back = co_await ends.near.read_until("\n");
      expect_equal(back, line);
    }
    co_await ends.near.finish();
    co_await echo;
  }
}

// ---- writing

BEHAVIOUR("write completes on acceptance, flush on hand-over", Needs::nothing) {
  Ends ends = make_ends();
  Future<void> write = ends.near.write("accepted");
  expect(write.done(), "little is unsent: accepted at once");
  expect_equal(ends.near.unsent(), 8u);
  co_await write;
  co_await ends.near.flush();
  expect_equal(ends.near.unsent(), 0u);
}

BEHAVIOUR("a long write that waits behind nothing is handed down at once, behind a short one it waits for its turn",
          Needs::nothing) {
  Ends ends = make_ends();
  const std::string text(8 * 1024, 'x');
  const std::string_view view = text;
  ends.near.write(view).ignore();
  expect_equal(ends.near.unsent(), 0u);
  ends.near.write("short").ignore();
  ends.near.write(view).ignore();
  expect_equal(ends.near.unsent(), 5 + text.size());
  const std::string got = co_await ends.far.read_bytes(2 * text.size() + 5);
  expect(got == text + "short" + text, "in order");
}

BEHAVIOUR("of a long write a full transport takes what it can, and the rest follows", Needs::nothing) {
  Ends ends = make_ends();
  std::string text(100 * 1024, 'x');
  for (std::size_t i = 0; i < text.size(); i += 100) text[i] = static_cast<char>('a' + i / 100 % 26);
  ends.near.write(std::string_view(text)).ignore();
  const std::size_t unsent = ends.near.unsent();
  expect(unsent > 0 && unsent < text.size(), "a part is handed down");
  const std::string got = co_await ends.far.read_bytes(text.size());
  expect(got == text, "as they were written");
}

BEHAVIOUR("writes of one turn arrive in order, small and large, copied and taken over", Needs::nothing) {
  Ends ends = make_ends();
  std::string expected;
  for (int i = 0; i < 50; ++i) {
    std::string piece(static_cast<std::size_t>(i * i * 7 % 9000), static_cast<char>('a' + i % 26));
    expected += piece;
    if (i % 2 == 0) {
      ends.near.write(std::string_view(piece)).ignore();
    } else {
      ends.near.write(std::move(piece)).ignore();
    }
  }
  const std::string all = co_await ends.far.read_bytes(expected.size());
  expect(all == expected, "every byte in its place");
}

BEHAVIOUR("a slow peer makes the producer wait, not the memory grow", Needs::nothing) {
  Ends ends = make_ends();
  int written = 0;
  Future<void> pending;
  for (; written < 100; ++written) {
    std::string chunk(16 * 1024, 'x');
    pending = ends.near.write(std::move(chunk));
    if (!pending.done()) break;
  }
  expect(written < 100, "the high-water mark stopped it");
  expect(ends.near.unsent() <= 64 * 1024 + 16 * 1024, "one write beyond the mark at most");
  const std::string drained = co_await ends.far.read_bytes(static_cast<std::size_t>(written + 1) * 16 * 1024);
  co_await pending;
}

BEHAVIOUR("a write beyond max_write_buffer_size fails with limit and the stream stays usable", Needs::nothing) {
  Ends ends = make_ends(StreamOptions().max_write_buffer_size(100));
  co_await expect_failure(ends.near.write(std::string(101, 'x')), Errc::limit);
  co_await ends.near.write("fits");
  const std::string text = co_await ends.far.read_bytes(4);
  expect_equal(text, "fits");
  expect_equal(ends.near.try_write(std::string(101, 'x')), 100u);
  co_await ends.far.read_bytes(100);
}

BEHAVIOUR("more input than max_buffer_size fails with overflow", Needs::nothing) {
  Ends ends = make_ends(StreamOptions().max_buffer_size(1000));
  IOLoop::current().spawn(&write_and_return, std::move(ends.near), std::size_t{2000});
  co_await expect_failure(ends.far.read_until("\n"), Errc::overflow);
  expect(reason_of(ends.far.error()) == Errc::overflow, "and the stream knows why");
}

// ---- ending

BEHAVIOUR("a handler that writes 1 MB and returns delivers 1 MB", Needs::nothing) {
  Ends ends = make_ends();
  IOLoop::current().spawn(&write_and_return, std::move(ends.near), std::size_t{1'000'000});
  const std::string all = co_await ends.far.read_until_close();
  expect_equal(all.size(), 1'000'000u);
}

BEHAVIOUR("a client that half-closes gets its whole answer", Needs::nothing) {
  Ends ends = make_ends();
  IOLoop::current().spawn(&answer_at_end, std::move(ends.far));
  co_await ends.near.write("question");
  co_await ends.near.shutdown_write();
  const std::string answer = co_await ends.near.read_until_close();
  expect_equal(answer, "answer to question");
}

BEHAVIOUR("after the peer's end its bytes stay readable and writing goes on", Needs::nothing) {
  Ends ends = make_ends();
  co_await ends.near.write("last words");
  co_await ends.near.shutdown_write();
  co_await ends.far.peer_ended();
  expect(ends.far.input_ended() && !ends.far.is_closed(), "input_ended is not closed");
  co_await ends.far.write("answer");
  const std::string answer = co_await ends.near.read_bytes(6);
  expect_equal(answer, "answer");
  const std::string words = co_await ends.far.read_bytes(10);
  expect_equal(words, "last words");
  co_await expect_failure(ends.far.read_bytes(1), Errc::end);
}

BEHAVIOUR("the peer's end is noticed while nobody reads", Needs::nothing) {
  Ends ends = make_ends();
  bool called = false;
  ends.far.set_close_callback([&] { called = true; });
  co_await ends.near.write("unread");
  ends.near.close();
  co_await with_timeout(1s, ends.far.peer_ended());
  co_await turns(2);
  expect(called, "the close callback ran");
  expect(reason_of(ends.far.error()) == Errc::end, "with its reason");
}

BEHAVIOUR("a closed stream goes on sending for its linger_timeout, and no longer", Needs::nothing) {
  constexpr std::size_t kMuch = 1024 * 1024;
  for (const bool in_time : {true, false}) {
    Ends ends = make_ends(StreamOptions().linger_timeout(in_time ? Duration(1h) : Duration(10ms)));
    ends.near.write(std::string(kMuch, 'x')).ignore();
    ends.near.close();
    co_await sleep_for(30ms);
    const Result<std::string> all = co_await as_result(ends.far.read_bytes(kMuch));
    expect(all.ok() == in_time, in_time ? "what was accepted arrives" : "nobody sends any more");
  }
}

BEHAVIOUR("what a closed stream throws away of its peer's is bounded", Needs::nothing) {
  Ends ends = make_ends(StreamOptions().linger_timeout(1h));
  ends.near.write(std::string(1024 * 1024, 'x')).ignore();  // which the peer does not take
  ends.near.close();
  const Result<void> written = co_await as_result(ends.far.write(std::string(16 * 1024 * 1024, 'o')));
  expect(!written.ok(), "it was let go before it had read all of that");
}

BEHAVIOUR("close fails the read, then the writes, then tells the facts, then calls back", Needs::nothing) {
  Ends ends = make_ends();
  std::string order;
  Future<void> read = note_failure(ends.near.read_bytes(1), order);
  Future<void> write = note_write(ends.near.write(std::string(300'000, 'x')), order);
  Future<void> ended = note(ends.near.peer_ended(), "ended ", order);
  Future<void> closed = note(ends.near.closed(), "closed ", order);
  ends.near.set_close_callback([&] { order += "callback"; });
  ends.near.close();
  expect(order.empty(), "nothing runs inside close()");
  co_await turns(3);
  expect_equal(order, "read local write local ended closed callback");
}

BEHAVIOUR("a close callback set after the close still runs, and only once", Needs::nothing) {
  Ends ends = make_ends();
  ends.near.close();
  int calls = 0;
  ends.near.set_close_callback([&] { ++calls; });
  ends.near.close();
  co_await turns(3);
  expect_equal(calls, 1);
}

BEHAVIOUR("a half_open close callback waits until the stream is closed", Needs::nothing) {
  Ends ends = make_ends();
  int calls = 0;
  ends.far.set_close_callback([&] { ++calls; }, true);
  co_await ends.near.shutdown_write();
  co_await ends.far.peer_ended();
  co_await turns(2);
  expect_equal(calls, 0);
  ends.far.close();
  co_await turns(2);
  expect_equal(calls, 1);
}

BEHAVIOUR("destroying a stream under a waiting reader fails the read with local", Needs::nothing) {
  Ends ends = make_ends();
  std::string order;
  Future<void> read = note_failure(ends.near.read_bytes(1), order);
  ends.near = IOStream();
  co_await turns(2);
  expect_equal(order, "read local ");
}

BEHAVIOUR("abort throws unsent bytes away and the peer sees a reset", Needs::nothing) {
  Ends ends = make_ends();
  ends.near.write("never sent").ignore();
  ends.near.abort();
  co_await expect_failure(ends.far.read_bytes(1), Errc::reset);
}

BEHAVIOUR("finish hands everything over, ends the sending side and waits for the peer's end", Needs::nothing) {
  Ends ends = make_ends();
  IOLoop::current().spawn(&answer_at_end, std::move(ends.far));
  co_await ends.near.write("question");
  co_await ends.near.finish();
  expect(ends.near.is_closed(), "then it is closed");
}

BEHAVIOUR("finish fails with timeout when the peer never ends", Needs::nothing) {
  Ends ends = make_ends();
  co_await expect_failure(ends.near.finish(5ms), Errc::timeout);
  expect(ends.near.is_closed(), "and the stream is closed all the same");
}

BEHAVIOUR("writing after shutdown_write fails, reading goes on", Needs::nothing) {
  Ends ends = make_ends();
  co_await ends.near.shutdown_write();
  co_await expect_failure(ends.near.write("late"), Errc::local);
  co_await ends.far.write("still here");
  const std::string text = co_await ends.near.read_bytes(10);
  expect_equal(text, "still here");
}

BEHAVIOUR("a stream can move while operations are pending", Needs::nothing) {
  Ends ends = make_ends();
  Future<std::string> read = ends.far.read_until("\n");
  IOStream moved = std::move(ends.far);
  co_await ends.near.write("found\n");
  const std::string line = co_await read;
  expect_equal(line, "found\n");
}

BEHAVIOUR("a failing transport ends the stream with its reason and keeps what came before", Needs::nothing) {
  auto [a, b] = make_pair_transports();
  IOStream near(std::move(a));
  IOStream far(make_faulty_transport(std::move(b), Faults().fail_read_at(3)));
  co_await near.write("before");
  co_await expect_failure(far.read_bytes(100), Errc::reset);
  const std::string before = co_await far.read_bytes(6);
  expect_equal(before, "before");
}

BEHAVIOUR("a pipelining client does not starve the others", Needs::nothing) {
  Ends greedy = make_ends();
  Ends modest = make_ends();
  IOLoop::current().spawn(&echo_lines, std::move(greedy.far));
  IOLoop::current().spawn(&echo_lines, std::move(modest.far));
  std::string lines;
  for (int i = 0; i < 10'000; ++i) lines += "x\n";
  greedy.near.write(std::move(lines)).ignore();
  co_await modest.near.write("me too\n");
  const std::string mine = co_await modest.near.read_until("\n");
  expect_equal(mine, "me too\n");
  expect(greedy.near.buffered() < 20'000, "the modest one is served before the greedy one is done");
}

// ---- reads that leave the bytes where they are, writes that take them from where they lie

// Both become readable in the same turn.
BEHAVIOUR("what a socket's event wakes runs before the next socket's event", Needs::tcp | Needs::listen) {
  Listener listener = co_await listen("tcp://127.0.0.1:0");
  Ends a, b;
  for (Ends* each : {&a, &b}) {
    each->near = co_await connect(listener.url());
    each->far = co_await listener.accept();
  }
  Future<std::string> first = a.near.read_bytes(1), second = b.near.read_bytes(1);
  bool alone = false;
  Future<void> one = read_before(first, second, alone), other = read_before(second, first, alone);
  a.far.write("a").ignore();
  b.far.write("b").ignore();
  co_await std::move(one);
  co_await std::move(other);
  expect(alone, "the first reader ran before the second socket was read");
}

BEHAVIOUR("peek gives the next bytes and takes none of them", Needs::nothing) {
  auto [a, b] = make_pair_streams();
  co_await a.write("abc");
  Future<std::string> four = b.peek(4);
  co_await moment();
  expect(!four.done(), "it waits for as many as were asked for");
  co_await a.write("def");
  const std::string first = co_await std::move(four);
  expect_equal(first, "abcd");
  const std::string whole = co_await b.read_bytes(6);
  expect_equal(whole, "abcdef");
  co_await a.write("gh");
  co_await a.shutdown_write();
  const std::string fewer = co_await b.peek(10);
  expect_equal(fewer, "gh");
  const std::string rest = co_await b.read_until_close();
  expect_equal(rest, "gh");
  const std::string nothing = co_await b.peek(1);
  expect_equal(nothing, "");
}

BEHAVIOUR("a view stays valid while more arrives and after the stream is closed, until the next read", Needs::nothing) {
  auto [a, b] = make_pair_streams();
  co_await a.write("first\nsecond\n");
  const std::string_view first = co_await b.read_until_view("\n");
  expect_equal(first, "first\n");
  // What arrives now needs more room than the view's block has.
  const std::string much(200'000, 'x');
  Future<void> sent = a.write(much);
  co_await moment();
  expect_equal(first, "first\n");
  const std::string_view second = co_await b.read_until_view("\n");
  expect_equal(second, "second\n");
  const std::string_view some = co_await b.read_bytes_view(1000);
  b.close();
  expect_equal(some, std::string(1000, 'x'));
  sent.ignore();
}

BEHAVIOUR("a view of a record that came in two pieces is contiguous", Needs::nothing) {
  auto [a, b] = make_pair_streams();
  co_await a.write("one ");
  Future<std::optional<std::string_view>> line = b.next_line_view();
  co_await moment();
  co_await a.write("line\r\nrest");
  const std::optional<std::string_view> whole = co_await std::move(line);
  expect_equal(whole.value_or("nothing"), "one line");
  a.close();
  const std::optional<std::string_view> last = co_await b.next_line_view();
  expect_equal(last.value_or("nothing"), "rest");
  const std::optional<std::string_view> end = co_await b.next_line_view();
  expect(!end.has_value(), "then the end");
}

BEHAVIOUR("a view that is dropped untaken leaves its bytes for the next read", Needs::nothing) {
  auto [a, b] = make_pair_streams();
  co_await a.write("kept");
  Future<std::string_view> dropped = b.read_bytes_view(4);
  while (!dropped.done()) co_await moment();
  dropped = Future<std::string_view>();
  const std::string kept = co_await b.read_bytes(4);
  expect_equal(kept, "kept");
}

BEHAVIOUR("views and copies in turn, in pieces of every size, give what was sent", Needs::nothing) {
  auto [a, b] = make_pair_streams();
  std::string sent;
  for (int i = 0; i < 40'000; ++i) sent += std::to_string(i) + "\n";
  a.write(sent).ignore();
  a.shutdown_write().ignore();
  std::string got;
  for (std::size_t size = 1; got.size() < sent.size(); size = size % 9'000 + 7) {
    const std::size_t count = std::min(size, sent.size() - got.size());
    if (size % 2 == 0) {
      const std::string_view bytes = co_await b.read_bytes_view(count);
      got += bytes;
    } else {
      const std::string bytes = co_await b.read_bytes(count);
      got += bytes;
    }
  }
  expect(got == sent, "the same bytes");
}

BEHAVIOUR("pieces are written one behind the other", Needs::nothing) {
  auto [a, b] = make_pair_streams();
  const std::string_view pieces[] = {"a", "", "bc", "def"};
  co_await a.write(pieces);
  const std::string all = co_await b.read_bytes(6);
  expect_equal(all, "abcdef");
}

BEHAVIOUR("try_write takes what makes nobody wait", Needs::nothing) {
  auto [a, b] = make_pair_streams(StreamOptions().high_water_mark(1000));
  const std::string much(200'000, 'x');
  std::size_t taken = 0;
  for (std::size_t count = 1; count > 0; taken += count) count = a.try_write(much);
  co_await moment();
  expect(taken >= 1000 && taken <= 1000 + 64 * 1024, std::to_string(taken));
  const std::string got = co_await b.read_bytes(taken);
  expect_equal(got.size(), taken);
  while (a.unsent() > 0) co_await moment();
  expect_equal(a.try_write("more"), 4u);
  a.close();
  expect_equal(a.try_write("late"), 0u);
}

BEHAVIOUR("lent memory is used until the write is done, and copied when that is dropped", Needs::nothing) {
  auto [a, b] = make_pair_streams();
  std::string lent(300'000, 'l');
  co_await a.write("before ");
  Future<void> written = a.write_borrowed(lent);
  a.write(" behind").ignore();
  co_await moment();
  expect(!written.done(), "a pair holds 64 KiB");
  const std::string first = co_await b.read_bytes(7 + 100'000);
  written = Future<void>();
  lent.assign(lent.size(), '?');
  const std::string rest = co_await b.read_bytes(200'000 + 7);
  expect(first == "before " + std::string(100'000, 'l'), "what was handed over before");
  expect(rest == std::string(200'000, 'l') + " behind", "what was copied then, and what came behind it");
  std::string small = "small";
  co_await a.write_borrowed(small);
  small = "?????";
  const std::string five = co_await b.read_bytes(5);
  expect_equal(five, "small");
}

BEHAVIOUR("a close copies lent memory before it says that the write failed, and delivers it", Needs::nothing) {
  auto [a, b] = make_pair_streams();
  std::string lent(300'000, 'l');
  Future<void> written = a.write_borrowed(lent);
  co_await moment();
  a.close();
  co_await expect_failure(std::move(written), Errc::local);
  lent.assign(lent.size(), '?');
  const std::string all = co_await b.read_until_close();
  expect(all == std::string(300'000, 'l'), "as it was lent");
}

BEHAVIOUR("a pump moves all there is and closes nothing", Needs::nothing) {
  auto [source, from] = make_pair_streams();
  auto [to, sink] = make_pair_streams();
  const std::string much(1'000'000, 'p');
  source.write(much).ignore();
  source.shutdown_write().ignore();
  Future<std::uint64_t> pumping = pump(from, to);
  const std::string got = co_await sink.read_bytes(much.size());
  const std::uint64_t moved = co_await std::move(pumping);
  expect_equal(moved, std::uint64_t{1'000'000});
  expect(got == much, "the same bytes");
  expect(!to.is_closed() && !from.is_closed(), "both are open");
}

BEHAVIOUR("a pump that is dropped loses no byte", Needs::nothing) {
  auto [source, from] = make_pair_streams();
  auto [to, sink] = make_pair_streams();
  std::string numbers;
  for (int i = 0; i < 50'000; ++i) numbers += std::to_string(i) + " ";
  source.write(numbers).ignore();
  source.shutdown_write().ignore();
  for (int turns = 1; turns < 30; ++turns) {
    Future<std::uint64_t> pumping = pump(from, to);
    for (int i = 0; i < turns && !pumping.done(); ++i) co_await moment();
  }
  Future<std::uint64_t> last = pump(from, to);
  const std::string got = co_await sink.read_bytes(numbers.size());
  expect(got == numbers, "every byte once");
  co_await std::move(last);
}
