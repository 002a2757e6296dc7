// What Tornado's iostream_test says of every stream and no other file here says by name.
#include <array>
#include <random>
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

Future<void> turns(int count) {
  for (int i = 0; i < count; ++i) co_await sleep_for(0s);
}

Future<void> send(IOStream& stream, std::string bytes) {
  co_await stream.write(std::move(bytes));
  co_await stream.flush();
  co_await turns(2);
}

Future<void> produce(IOStream& stream, char letter, int count, int& done) {
  for (int i = 0; i < count; ++i) {
    co_await stream.write(std::string(5000, letter));
    ++done;
  }
}

}  // namespace

BEHAVIOUR("a read of nothing completes at once with nothing, between others and on a closed stream", Needs::nothing) {
  Ends ends = make_ends();
  co_await send(ends.near, "ab");
  const std::string a = co_await ends.far.read_bytes(1);
  const std::string nothing = co_await ends.far.read_bytes(0);
  const std::string none = co_await ends.far.read_some(0);
  const std::size_t zero = co_await ends.far.read_into({});
  const std::string b = co_await ends.far.read_bytes(1);
  expect_equal(a + nothing + none + b, "ab");
  expect_equal(zero, 0u);
  ends.far.close();
  const std::string late = co_await ends.far.read_bytes(0);
  expect(late.empty(), "also then");
}

BEHAVIOUR("a write of nothing completes, and nothing arrives", Needs::nothing) {
  Ends ends = make_ends();
  co_await ends.near.write("");
  co_await ends.near.write(std::string());
  co_await ends.near.write_borrowed("");
  co_await ends.near.flush();
  co_await turns(2);
  expect(!ends.near.writing() && ends.far.buffered() == 0, "nothing");
}

BEHAVIOUR("read_some gives at most what is asked for, and the rest stays", Needs::nothing) {
  Ends ends = make_ends();
  co_await send(ends.near, "1234567");
  const std::string some = co_await ends.far.read_some(5);
  expect_equal(some, "12345");
  const std::string rest = co_await ends.far.read_some(5);
  expect_equal(rest, "67");
}

BEHAVIOUR("read_some_into fills less than the memory and leaves its tail alone", Needs::nothing) {
  Ends ends = make_ends();
  co_await send(ends.near, "abc");
  std::array<char, 6> memory{'-', '-', '-', '-', '-', '-'};
  const std::size_t count = co_await ends.far.read_some_into(memory);
  expect_equal(count, 3u);
  expect_equal(std::string_view(memory.data(), memory.size()), "abc---");
}

BEHAVIOUR("reading() says whether a read is pending", Needs::nothing) {
  Ends ends = make_ends();
  std::array<char, 3> memory;
  expect(!ends.far.reading(), "before");
  Future<std::size_t> read = ends.far.read_into(memory);
  expect(ends.far.reading(), "while it waits");
  co_await ends.near.write("abc");
  co_await std::move(read);
  expect(!ends.far.reading(), "afterwards");
}

// A pair gives 64 KiB at a time: a search that began anew at each piece would look at 4 GiB, and be cut off.
BEHAVIOUR("a delimiter behind 24 MiB is found, each byte being looked at once", Needs::nothing) {
  constexpr std::size_t kFar = 24 * 1024 * 1024;
  Ends ends = make_ends();
  Future<void> writing = ends.near.write(std::string(kFar, 'x') + "\r\n");
  Future<std::string> reading = ends.far.read_until("\r\n");
  const std::string line = co_await with_timeout(30s, std::move(reading));
  expect_equal(line.size(), kFar + 2);
  co_await std::move(writing);
}

BEHAVIOUR("a delimiter that comes in the second piece, together with the end, is found", Needs::nothing) {
  Ends ends = make_ends();
  Future<std::string> read = ends.far.read_until("\n");
  co_await send(ends.near, std::string(100, 'x'));
  expect(!read.done(), "not yet");
  ends.near.write("y\n").ignore();
  ends.near.close();
  const std::string line = co_await std::move(read);
  expect_equal(line, std::string(100, 'x') + "y\n");
}

BEHAVIOUR("an end without the delimiter is an end, whatever max_bytes says", Needs::nothing) {
  Ends ends = make_ends();
  Future<std::string> read = ends.far.read_until("\n", 100);
  ends.near.write("no line").ignore();
  ends.near.close();
  co_await expect_failure(std::move(read), Errc::end);
}

BEHAVIOUR("small reads get a large transfer through a small buffer without an overflow", Needs::nothing) {
  Ends ends = make_ends(StreamOptions().max_buffer_size(10 * 1024));
  const std::string sent = numbered(100 * 1024);
  Future<void> writing = ends.near.write(sent);
  std::string received;
  while (received.size() < sent.size()) received += co_await ends.far.read_bytes(1024);
  expect(received == sent, "all of it, in order");
  co_await std::move(writing);
}

BEHAVIOUR("small lines get a large transfer through a small buffer without an overflow", Needs::nothing) {
  Ends ends = make_ends(StreamOptions().max_buffer_size(10 * 1024));
  std::string sent;
  for (int i = 0; i < 100; ++i) sent += std::string(1023, 'l') + "\n";
  Future<void> writing = ends.near.write(sent);
  for (int i = 0; i < 100; ++i) {
    const std::string line = co_await ends.far.read_until("\n", 2048);
    expect_equal(line.size(), 1024u);
  }
  co_await std::move(writing);
}

BEHAVIOUR("what nobody reads yet is not read ahead beyond max_buffer_size", Needs::nothing) {
  auto [near, raw] = make_pair_transports();
  IOStream writer(std::move(near));
  IOStream reader(make_faulty_transport(std::move(raw), Faults().hold_input(1000)),
                  StreamOptions().max_buffer_size(4 * 1024));
  Future<void> writing = writer.write(std::string(100 * 1024, 'x'));
  co_await turns(20);
  expect(!reader.is_closed() && reader.buffered() <= 4 * 1024, "it waits: " + std::to_string(reader.buffered()));
  for (int i = 0; i < 100; ++i) co_await reader.read_bytes(1024);
  co_await std::move(writing);
}

BEHAVIOUR("a writer of 10 MB and a reader with a limit of 5 MB get on", Needs::nothing) {
  Ends ends = make_ends(StreamOptions().max_buffer_size(5 * 1024 * 1024));
  Future<void> writing = ends.near.write(std::string(10 * 1024 * 1024, 'x'));
  for (int i = 0; i < 10; ++i) co_await ends.far.read_bytes(1024 * 1024);
  co_await std::move(writing);
  expect_equal(ends.far.buffered(), 0u);
}

BEHAVIOUR("a megabyte comes through whatever reads are mixed", Needs::nothing) {
  Ends ends = make_ends();
  const std::string sent = numbered(1'000'000);
  Future<void> writing = ends.near.write(sent);
  std::minstd_rand random(7);
  std::string received;
  std::array<char, 5000> memory;
  while (received.size() < sent.size()) {
    const std::size_t most = 1 + random() % std::min(memory.size(), sent.size() - received.size());
    switch (random() % 4) {
      case 0:
        received += co_await ends.far.read_bytes(most);
        break;
      case 1:
        received += co_await ends.far.read_some(most);
        break;
      case 2:
        co_await ends.far.read_into(std::span(memory).first(most));
        received.append(memory.data(), most);
        break;
      default: {
        const std::size_t count = co_await ends.far.read_some_into(std::span(memory).first(most));
        received.append(memory.data(), count);
      }
    }
  }
  expect(received == sent, "all of it, in order");
  co_await std::move(writing);
}

BEHAVIOUR("of ten producers on one stream each write is told of, and none is cut by another", Needs::nothing) {
  constexpr int kWrites = 100;
  Ends ends = make_ends();
  int done = 0;
  std::vector<Future<void>> producers;
  for (char letter = 'a'; letter < 'k'; ++letter) producers.push_back(produce(ends.near, letter, kWrites, done));
  for (int i = 0; i < 10 * kWrites; ++i) {
    const std::string piece = co_await ends.far.read_bytes(5000);
    expect(piece == std::string(5000, piece.front()), "one write's bytes are together");
  }
  for (Future<void>& producer : producers) co_await std::move(producer);
  expect_equal(done, 10 * kWrites);
}

BEHAVIOUR("the close callback does not run while reads succeed, and runs at the peer's end", Needs::nothing) {
  Ends ends = make_ends();
  int told = 0;
  ends.far.set_close_callback([&told] { ++told; });
  co_await send(ends.near, "ab");
  const std::string ab = co_await ends.far.read_bytes(2);
  co_await turns(2);
  expect_equal(told, 0);
  ends.near.close();
  co_await turns(3);
  expect_equal(told, 1);
}

BEHAVIOUR("a byte too many in front of the peer's end does not hide it", Needs::nothing) {
  Ends ends = make_ends();
  int told = 0;
  ends.far.set_close_callback([&told] { ++told; });
  co_await ends.near.write("request\nX");
  const std::string request = co_await ends.far.read_until("\n");
  ends.near.close();
  co_await turns(3);
  expect_equal(told, 1);
  const std::string rest = co_await ends.far.read_until_close();
  expect_equal(rest, "X");
}

BEHAVIOUR("read_until_close_view and next_until_view borrow what their twins copy", Needs::nothing) {
  Ends ends = make_ends();
  co_await ends.near.write("a;b;rest");
  co_await ends.near.shutdown_write();
  const std::optional<std::string_view> a = co_await ends.far.next_until_view(";");
  expect_equal(a.value_or("?"), "a");
  const std::optional<std::string_view> b = co_await ends.far.next_until_view(";");
  expect_equal(b.value_or("?"), "b");
  const std::string_view rest = co_await ends.far.read_until_close_view();
  expect_equal(rest, "rest");
  const std::optional<std::string_view> none = co_await ends.far.next_until_view(";");
  expect(!none.has_value(), "no more");
}
