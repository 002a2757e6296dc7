// read_until_regex, natively with RE2 and in a browser with the host's RegExp: in what both understand they agree.
#include <string>
#include <vector>

#include "fixtures.h"
#include "twinloop/net.h"
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

Future<void> send(IOStream& stream, std::string bytes) {
  co_await stream.write(std::move(bytes));
  co_await stream.flush();
  for (int i = 0; i < 2; ++i) co_await sleep_for(0s);
}

// In pieces of `size` bytes, each of which has arrived before the next leaves.
Future<void> send_in_pieces(IOStream& stream, std::string bytes, std::size_t size) {
  for (std::size_t at = 0; at < bytes.size(); at += size) co_await send(stream, bytes.substr(at, size));
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

Future<void> expect_found(Case what, std::size_t piece) {
  Ends ends = make_ends();
  const Regex pattern(what.pattern);
  Future<std::string> read = ends.far.read_until_regex(pattern, 1000);
  co_await send_in_pieces(ends.near, std::string(what.text), piece);
  expect(read.done(), std::string(what.pattern) + " is found");
  const std::string found = co_await std::move(read);
  expect_equal(found, what.text.substr(0, what.end));
  const std::string rest = co_await ends.far.read_bytes(what.text.size() - what.end);
  expect_equal(rest, what.text.substr(what.end));
}

}  // namespace

BEHAVIOUR("read_until_regex ends behind the first match and leaves the rest for the next read", Needs::nothing) {
  for (const Case& what : kCases) co_await expect_found(what, what.text.size());
}

BEHAVIOUR("a match is found when it arrives split at any point", Needs::nothing) {
  const Regex pattern("\r?\n\r?\n");
  const std::string text = "head\r\n\r\nbody";
  for (std::size_t split = 1; split < 8; ++split) {
    Ends ends = make_ends();
    Future<std::string> read = ends.far.read_until_regex(pattern);
    co_await send(ends.near, text.substr(0, split));
    expect(!read.done(), "not before the whole match is there");
    co_await send(ends.near, text.substr(split));
    const std::string head = co_await std::move(read);
    expect_equal(head, "head\r\n\r\n");
  }
}

BEHAVIOUR("a match that arrives byte by byte is found with its last byte, bounded or not", Needs::nothing) {
  for (const char* pattern : {"a[0-9]{4}b", "a[0-9]*b", "\\ba\\d\\d\\d\\db"}) {
    Ends ends = make_ends();
    const Regex regex(pattern);
    Future<std::string> read = ends.far.read_until_regex(regex);
    co_await send_in_pieces(ends.near, "ba123b aa1b -- a1234", 1);
    if (std::string_view(pattern) != "a[0-9]*b") {
      expect(!read.done(), "not yet");
      co_await send(ends.near, "b");
    }
    const std::string found = co_await std::move(read);
    expect_equal(found, pattern == std::string_view("a[0-9]*b") ? "ba123b" : "ba123b aa1b -- a1234b");
  }
}

BEHAVIOUR("what a pattern may not be followed by is decided when the next byte is there", Needs::nothing) {
  Ends ends = make_ends();
  const Regex pattern("foo\\B");
  Future<std::string> read = ends.far.read_until_regex(pattern);
  co_await send(ends.near, "foo");
  expect(!read.done(), "at the end of the bytes is a word's end");
  co_await send(ends.near, "ball");
  const std::string found = co_await std::move(read);
  expect_equal(found, "foo");
}

BEHAVIOUR("a match in the last of many pieces that came at once is found", Needs::nothing) {
  Ends ends = make_ends();
  const Regex pattern("x[^x]*y");
  const std::string much = std::string(300'000, '-') + "x" + std::string(200'000, '-') + "y";
  Future<void> sending = ends.near.write(much);
  const std::string found = co_await ends.far.read_until_regex(pattern);
  expect(found == much, "all of it");
  co_await std::move(sending);
}

BEHAVIOUR("read_until_regex closes the stream when max_bytes pass without a match", Needs::nothing) {
  Ends ends = make_ends();
  const Regex pattern("\r?\n");
  Future<std::string> read = ends.far.read_until_regex(pattern, 10);
  co_await send(ends.near, "012345678");
  expect(!read.done(), "one byte is left");
  co_await send(ends.near, "9");
  co_await expect_failure(std::move(read), Errc::unsatisfiable_read);
  expect(reason_of(ends.far.error()) == Errc::unsatisfiable_read, "the stream knows why");
}

BEHAVIOUR("a match that ends exactly at max_bytes is found, one beyond it is an error even if it is here",
          Needs::nothing) {
  const Regex pattern("\r?\n");
  Ends exact = make_ends();
  co_await exact.near.write("012345678\nmore");
  const std::string line = co_await exact.far.read_until_regex(pattern, 10);
  expect_equal(line, "012345678\n");
  Ends beyond = make_ends();
  co_await send(beyond.near, "0123456789\nmore");
  co_await expect_failure(beyond.far.read_until_regex(pattern, 10), Errc::unsatisfiable_read);
}

BEHAVIOUR("a match in front of the peer's end is found, none fails with end and leaves the bytes", Needs::nothing) {
  const Regex pattern("b+;");
  Ends ends = make_ends();
  Future<std::string> read = ends.far.read_until_regex(pattern);
  co_await ends.near.write("abb;tail");
  co_await ends.near.shutdown_write();
  const std::string found = co_await std::move(read);
  expect_equal(found, "abb;");
  co_await expect_failure(ends.far.read_until_regex(pattern), Errc::end);
  const std::string tail = co_await ends.far.read_until_close();
  expect_equal(tail, "tail");
}

BEHAVIOUR("what was received before a close is searched, and then comes the reason", Needs::nothing) {
  const Regex pattern("\n");
  Ends ends = make_ends();
  co_await send(ends.near, "one\ntwo");
  const std::string seen = co_await ends.far.peek(7);
  ends.far.close();
  const std::string found = co_await ends.far.read_until_regex(pattern);
  expect_equal(found, "one\n");
  co_await expect_failure(ends.far.read_until_regex(pattern), Errc::local);
}

BEHAVIOUR("a read_until_regex that times out or is dropped leaves its bytes for the next read", Needs::nothing) {
  const Regex pattern("[;,]");
  Ends ends = make_ends();
  co_await send(ends.near, "half");
  co_await expect_failure(with_timeout(1ms, ends.far.read_until_regex(pattern)), Errc::timeout);
  {
    Future<std::string> found = ends.far.read_until_regex(pattern);
    co_await send(ends.near, " and half;rest");
    expect(found.done(), "it is there, and nobody takes it");
  }
  const std::string all = co_await ends.far.read_until_regex(pattern);
  expect_equal(all, "half and half;");
  const std::string rest = co_await ends.far.read_bytes(4);
  expect_equal(rest, "rest");
}

BEHAVIOUR("a read_until_regex keeps its pattern, whatever becomes of the Regex", Needs::nothing) {
  Ends ends = make_ends();
  Future<std::string> read;
  {
    const Regex pattern("a|b");
    read = ends.far.read_until_regex(pattern);
  }
  co_await send(ends.near, "--b");
  const std::string found = co_await std::move(read);
  expect_equal(found, "--b");
}

BEHAVIOUR("read_until_regex_view borrows what read_until_regex copies", Needs::nothing) {
  const Regex pattern("\r?\n");
  Ends ends = make_ends();
  co_await send(ends.near, "one\r\ntwo\n");
  const std::string_view one = co_await ends.far.read_until_regex_view(pattern);
  expect_equal(one, "one\r\n");
  const std::string_view two = co_await ends.far.read_until_regex_view(pattern);
  expect_equal(two, "two\n");
}

BEHAVIOUR("a second read beside a read_until_regex fails with busy and harms nothing", Needs::nothing) {
  const Regex pattern("a");
  const Regex other("b");
  Ends ends = make_ends();
  Future<std::string> read = ends.far.read_until_regex(pattern);
  co_await expect_failure(ends.far.read_until_regex(other), Errc::busy);
  co_await send(ends.near, "ba");
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
