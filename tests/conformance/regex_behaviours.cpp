// read_until_regex, natively with RE2 and in a browser with the host's RegExp: in what both understand they agree.
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

// Each byte has arrived before the next leaves, until the read has what it wants.
Future<void> send_bytes(Ends& ends, const Future<std::string>& read, std::string_view bytes) {
  for (std::size_t sent = 1; sent <= bytes.size() && !read.done(); ++sent) {
    co_await ends.ours.write(bytes.substr(sent - 1, 1));
    const auto arrived = [&] { return read.done() || ends.peer.buffered() >= sent; };
    co_await until(arrived);
  }
}

struct Case {
  const char* pattern;
  std::string_view text;
  std::size_t end;
};

// What both engines find, and where it ends.
const Case kCases[] = {
    {"\r?\n\r?\n", "GET /\r\nHost: a\r\n\r\nbody", 18},
    {"\n", "\n", 1},
    {"a{2,3}b", "aab aaab", 3},
    {"(?:one|three) ", "two three four", 10},
    {"[^a-z]", "abc-def", 4},
    {"\\d+;", "size 1234;5", 10},
    {"a+?b", "caab", 4},
    {"\\bend\\b ", "bend ends end .", 14},
    {"^ab", "abc", 2},
    {"\\x41[\\x42\\]]\\.", "xA].", 4},
    {"x|", "abc", 0},
    {"a.*b", "-a..b..b\n", 8},
    {"\\xff\\x80", "\xe9\xff\x80", 3},
    {"\\w\\W", "--a-", 4},
};

}  // namespace

// In what comes piece by piece a shorter match may be complete first.
STREAM_BEHAVIOUR("read_until_regex ends behind the first match and leaves the rest for the next read", in_whole_calls) {
  for (const Case& what : kCases) {
    Ends ends = co_await open_ends(way);
    const Regex pattern(what.pattern);
    co_await ends.ours.write(what.text);
    const std::string found = co_await ends.peer.read_until_regex(pattern, 1000);
    expect_equal(found, what.text.substr(0, what.end));
    const std::string rest = co_await ends.peer.read_bytes(what.text.size() - what.end);
    expect_equal(rest, what.text.substr(what.end));
  }
}

STREAM_BEHAVIOUR("a match is found when it arrives split at any point", every_way) {
  const Regex pattern("\r?\n\r?\n");
  const std::string text = "head\r\n\r\nbody";
  for (std::size_t split = 1; split < 8; ++split) {
    Ends ends = co_await open_ends(way);
    Future<std::string> read = ends.peer.read_until_regex(pattern);
    co_await ends.ours.write(text.substr(0, split));
    co_await until_buffered(ends.peer, split);
    expect(!read.done(), "not before the whole match is there");
    co_await ends.ours.write(text.substr(split));
    const std::string head = co_await std::move(read);
    expect_equal(head, "head\r\n\r\n");
  }
}

STREAM_BEHAVIOUR("a match that arrives byte by byte is found with its last byte, bounded or not", every_way) {
  for (const char* pattern : {"a[0-9]{4}b", "a[0-9]*b", "\\ba\\d\\d\\d\\db"}) {
    Ends ends = co_await open_ends(way);
    const Regex regex(pattern);
    Future<std::string> read = ends.peer.read_until_regex(regex);
    co_await send_bytes(ends, read, "ba123b aa1b -- a1234");
    if (std::string_view(pattern) != "a[0-9]*b") {
      expect(!read.done(), "not yet");
      co_await ends.ours.write("b");
    }
    const std::string found = co_await std::move(read);
    expect_equal(found, pattern == std::string_view("a[0-9]*b") ? "ba123b" : "ba123b aa1b -- a1234b");
  }
}

STREAM_BEHAVIOUR("what a pattern may not be followed by is decided when the next byte is there", every_way) {
  Ends ends = co_await open_ends(way);
  const Regex pattern("foo\\B");
  Future<std::string> read = ends.peer.read_until_regex(pattern);
  co_await ends.ours.write("foo");
  co_await until_buffered(ends.peer, 3);
  expect(!read.done(), "at the end of the bytes is a word's end");
  co_await ends.ours.write("ball");
  const std::string found = co_await std::move(read);
  expect_equal(found, "foo");
}

STREAM_BEHAVIOUR("a match in the last of many pieces that came at once is found", in_whole_calls) {
  Ends ends = co_await open_ends(way);
  const Regex pattern("x[^x]*y");
  const std::string much = std::string(300'000, '-') + "x" + std::string(200'000, '-') + "y";
  Future<void> sending = ends.ours.write(much);
  const std::string found = co_await ends.peer.read_until_regex(pattern);
  expect(found == much, "all of it");
  co_await std::move(sending);
}

STREAM_BEHAVIOUR("read_until_regex closes the stream when max_bytes pass without a match", every_way) {
  Ends ends = co_await open_ends(way);
  const Regex pattern("\r?\n");
  Future<std::string> read = ends.peer.read_until_regex(pattern, 10);
  co_await ends.ours.write("012345678");
  co_await until_buffered(ends.peer, 9);
  expect(!read.done(), "one byte is left");
  co_await ends.ours.write("9");
  co_await expect_failure(std::move(read), Errc::unsatisfiable_read);
  expect(reason_of(ends.peer.error()) == Errc::unsatisfiable_read, "the stream knows why");
}

STREAM_BEHAVIOUR("a match that ends exactly at max_bytes is found, one beyond it is an error even if it is here",
                 every_way) {
  const Regex pattern("\r?\n");
  Ends exact = co_await open_ends(way);
  co_await exact.ours.write("012345678\nmore");
  const std::string line = co_await exact.peer.read_until_regex(pattern, 10);
  expect_equal(line, "012345678\n");
  Ends beyond = co_await open_ends(way);
  co_await beyond.ours.write("0123456789\nmore");
  co_await beyond.peer.peek(15);
  co_await expect_failure(beyond.peer.read_until_regex(pattern, 10), Errc::unsatisfiable_read);
}

STREAM_BEHAVIOUR("a match in front of the peer's end is found, none fails with end and leaves the bytes", every_way) {
  const Regex pattern("b+;");
  Ends ends = co_await open_ends(way);
  Future<std::string> read = ends.peer.read_until_regex(pattern);
  co_await ends.ours.write("abb;tail");
  co_await ends.ours.shutdown_write();
  const std::string found = co_await std::move(read);
  expect_equal(found, "abb;");
  co_await expect_failure(ends.peer.read_until_regex(pattern), Errc::end);
  const std::string tail = co_await ends.peer.read_until_close();
  expect_equal(tail, "tail");
}

STREAM_BEHAVIOUR("what was received before a close is searched, and then comes the reason", every_way) {
  const Regex pattern("\n");
  Ends ends = co_await open_ends(way);
  co_await ends.ours.write("one\ntwo");
  const std::string seen = co_await ends.peer.peek(7);
  ends.peer.close();
  const std::string found = co_await ends.peer.read_until_regex(pattern);
  expect_equal(found, "one\n");
  co_await expect_failure(ends.peer.read_until_regex(pattern), Errc::local);
}

STREAM_BEHAVIOUR("a read_until_regex that times out or is dropped leaves its bytes for the next read", every_way) {
  const Regex pattern("[;,]");
  Ends ends = co_await open_ends(way);
  co_await ends.ours.write("half");
  co_await expect_failure(with_timeout(1ms, ends.peer.read_until_regex(pattern)), Errc::timeout);
  {
    Future<std::string> found = ends.peer.read_until_regex(pattern);
    co_await ends.ours.write(" and half;rest");
    co_await settled(found);
  }
  const std::string all = co_await ends.peer.read_until_regex(pattern);
  expect_equal(all, "half and half;");
  const std::string rest = co_await ends.peer.read_bytes(4);
  expect_equal(rest, "rest");
}

STREAM_BEHAVIOUR("a read_until_regex keeps its pattern, whatever becomes of the Regex", every_way) {
  Ends ends = co_await open_ends(way);
  Future<std::string> read;
  {
    const Regex pattern("a|b");
    read = ends.peer.read_until_regex(pattern);
  }
  co_await ends.ours.write("--b");
  const std::string found = co_await std::move(read);
  expect_equal(found, "--b");
}

STREAM_BEHAVIOUR("read_until_regex_view borrows what read_until_regex copies", every_way) {
  const Regex pattern("\r?\n");
  Ends ends = co_await open_ends(way);
  co_await ends.ours.write("one\r\ntwo\n");
  const std::string_view one = co_await ends.peer.read_until_regex_view(pattern);
  expect_equal(one, "one\r\n");
  const std::string_view two = co_await ends.peer.read_until_regex_view(pattern);
  expect_equal(two, "two\n");
}

STREAM_BEHAVIOUR("a second read beside a read_until_regex fails with busy and harms nothing", every_way) {
  const Regex pattern("a");
  const Regex other("b");
  Ends ends = co_await open_ends(way);
  Future<std::string> read = ends.peer.read_until_regex(pattern);
  co_await expect_failure(ends.peer.read_until_regex(other), Errc::busy);
  co_await ends.ours.write("ba");
  const std::string found = co_await std::move(read);
  expect_equal(found, "ba");
}

BEHAVIOUR("a pattern that is none is invalid_pattern and the message shows it", Needs::nothing) {
  std::string message;
  try {
    const Regex pattern("a(b");
  } catch (const Error& error) {
    expect(error.reason() == Errc::invalid_pattern, name(error.reason()));
    message = error.what();
  }
  expect(message.find("a(b") != std::string::npos, message);
  co_return;
}
