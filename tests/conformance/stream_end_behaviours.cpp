// IOStream: how a stream ends, who is told, and what still arrives.  RULES §5.
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

Future<void> write_and_return(IOStream stream, std::size_t bytes) {
  std::string text(bytes, 'x');
  co_await stream.write(std::move(text));
}

Future<void> answer_at_end(IOStream stream) {
  const std::string request = co_await stream.read_until_close();
  std::string answer = "answer to " + request;
  co_await stream.write(std::move(answer));
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

}  // namespace

STREAM_BEHAVIOUR("a handler that writes 1 MB and returns delivers 1 MB", in_bulk) {
  Ends ends = co_await open_ends(way);
  IOLoop::current().spawn(&write_and_return, std::move(ends.ours), std::size_t{1'000'000});
  const std::string all = co_await ends.peer.read_until_close();
  expect_equal(all.size(), 1'000'000u);
}

STREAM_BEHAVIOUR("a client that half-closes gets its whole answer", every_way) {
  Ends ends = co_await open_ends(way);
  IOLoop::current().spawn(&answer_at_end, std::move(ends.peer));
  co_await ends.ours.write("question");
  co_await ends.ours.shutdown_write();
  const std::string answer = co_await ends.ours.read_until_close();
  expect_equal(answer, "answer to question");
}

STREAM_BEHAVIOUR("after the peer's end its bytes stay readable and writing goes on", every_way) {
  Ends ends = co_await open_ends(way);
  co_await ends.ours.write("last words");
  co_await ends.ours.shutdown_write();
  co_await ends.peer.peer_ended();
  expect(ends.peer.input_ended() && !ends.peer.is_closed(), "input_ended is not closed");
  co_await ends.peer.write("answer");
  const std::string answer = co_await ends.ours.read_bytes(6);
  expect_equal(answer, "answer");
  const std::string words = co_await ends.peer.read_bytes(10);
  expect_equal(words, "last words");
  co_await expect_failure(ends.peer.read_bytes(1), Errc::end);
}

STREAM_BEHAVIOUR("the peer's end is noticed while nobody reads", every_way) {
  Ends ends = co_await open_ends(way);
  bool called = false;
  ends.peer.set_close_callback([&] { called = true; });
  co_await ends.ours.write("unread");
  ends.ours.close();
  co_await ends.peer.peer_ended();
  const auto is_called = [&called] { return called; };
  co_await until(is_called);
  expect(reason_of(ends.peer.error()) == Errc::end, "with its reason");
}

STREAM_BEHAVIOUR("a closed stream goes on sending for its linger_timeout, and no longer", in_bulk) {
  for (const bool in_time : {true, false}) {
    const Duration time = in_time ? Duration(1h) : Duration(5ms);
    Ends ends = co_await open_ends(way, StreamOptions().linger_timeout(time));
    ends.ours.write(std::string(kMuch, 'x')).ignore();
    ends.ours.close();
    co_await sleep_for(10ms);
    const Result<std::string> all = co_await as_result(ends.peer.read_bytes(kMuch));
    expect(all.ok() == in_time, in_time ? "what was accepted arrives" : "nobody sends any more");
  }
}

STREAM_BEHAVIOUR("what a closed stream throws away of its peer's is bounded", in_whole_calls) {
  Ends ends = co_await open_ends(way, StreamOptions().linger_timeout(1h));
  ends.ours.write(std::string(kMuch, 'x')).ignore();  // which the peer does not take
  ends.ours.close();
  const Result<void> written = co_await as_result(ends.peer.write(std::string(16 * 1024 * 1024, 'o')));
  expect(!written.ok(), "it was let go before it had read all of that");
}

STREAM_BEHAVIOUR("close fails the read, then the writes, then tells the facts, then calls back", every_way) {
  Ends ends = co_await open_ends(way);
  std::string order;
  Future<void> read = note_failure(ends.ours.read_bytes(1), order);
  Future<void> write = note_write(ends.ours.write(std::string(kMuch, 'x')), order);
  Future<void> ended = note(ends.ours.peer_ended(), "ended ", order);
  Future<void> closed = note(ends.ours.closed(), "closed ", order);
  ends.ours.set_close_callback([&] { order += "callback"; });
  ends.ours.close();
  expect(order.empty(), "nothing runs inside close()");
  const auto is_over = [&order] { return order.ends_with("callback"); };
  co_await until(is_over);
  expect_equal(order, "read local write local ended closed callback");
}

STREAM_BEHAVIOUR("a close callback set after the close still runs, and only once", every_way) {
  Ends ends = co_await open_ends(way);
  ends.ours.close();
  int calls = 0;
  ends.ours.set_close_callback([&] { ++calls; });
  ends.ours.close();
  const auto is_called = [&calls] { return calls > 0; };
  co_await until(is_called);
  co_await some_turns();
  expect_equal(calls, 1);
}

STREAM_BEHAVIOUR("a half_open close callback waits until the stream is closed", every_way) {
  Ends ends = co_await open_ends(way);
  int calls = 0;
  ends.peer.set_close_callback([&] { ++calls; }, true);
  co_await ends.ours.shutdown_write();
  co_await ends.peer.peer_ended();
  co_await some_turns();
  expect_equal(calls, 0);
  ends.peer.close();
  const auto is_called = [&calls] { return calls > 0; };
  co_await until(is_called);
  co_await some_turns();
  expect_equal(calls, 1);
}

STREAM_BEHAVIOUR("destroying a stream under a waiting reader fails the read with local", every_way) {
  Ends ends = co_await open_ends(way);
  std::string order;
  Future<void> read = note_failure(ends.ours.read_bytes(1), order);
  ends.ours = IOStream();
  co_await std::move(read);
  expect_equal(order, "read local ");
}

STREAM_BEHAVIOUR("abort throws unsent bytes away and the peer sees a reset", with_resets) {
  Ends ends = co_await open_ends(way);
  ends.ours.write("never sent").ignore();
  ends.ours.abort();
  co_await expect_failure(ends.peer.read_bytes(1), Errc::reset);
}

STREAM_BEHAVIOUR("finish hands everything over, ends the sending side and waits for the peer's end", every_way) {
  Ends ends = co_await open_ends(way);
  IOLoop::current().spawn(&answer_at_end, std::move(ends.peer));
  co_await ends.ours.write("question");
  co_await ends.ours.finish();
  expect(ends.ours.is_closed(), "then it is closed");
}

STREAM_BEHAVIOUR("finish fails with timeout when the peer never ends", every_way) {
  Ends ends = co_await open_ends(way);
  co_await expect_failure(ends.ours.finish(5ms), Errc::timeout);
  expect(ends.ours.is_closed(), "and the stream is closed all the same");
}

STREAM_BEHAVIOUR("writing after shutdown_write fails, reading goes on", every_way) {
  Ends ends = co_await open_ends(way);
  co_await ends.ours.shutdown_write();
  co_await expect_failure(ends.ours.write("late"), Errc::local);
  co_await ends.peer.write("still here");
  const std::string text = co_await ends.ours.read_bytes(10);
  expect_equal(text, "still here");
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

STREAM_BEHAVIOUR("the peer's end fails the read that waits, and then the close callback runs", every_way) {
  Ends ends = co_await open_ends(way);
  std::string order;
  Future<void> read = note_failure(ends.peer.read_bytes(1), order);
  ends.peer.set_close_callback([&order] { order += "callback"; });
  ends.ours.close();
  const auto is_over = [&order] { return order.ends_with("callback"); };
  co_await until(is_over);
  expect_equal(order, "read end callback");
}

// Where a transport says would_block at random it may say so while the stream looks for what is left.
STREAM_BEHAVIOUR("what had arrived before the peer aborted is there to be read", in_whole_calls) {
  Ends ends = co_await open_ends(way);
  co_await ends.ours.write("before");
  co_await ends.ours.flush();
  ends.ours.abort();
  co_await ends.peer.peer_ended();
  const std::string before = co_await ends.peer.read_bytes(6);
  expect_equal(before, "before");
}
