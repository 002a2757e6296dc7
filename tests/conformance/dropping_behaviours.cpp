// Every operation that a program can wait for, completed and dropped in one batch: what it would have given is there for the next
// one, or is let go of, and nothing else of it stays.  (Reads, queues, locks and shared results: cancellation_behaviours.cpp.)
#include <array>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fixtures.h"
#include "twinloop/all.h"
#include "twinloop/detail/pool.h"
#include "twinloop/executor.h"
#include "twinloop/generator.h"
#include "twinloop/iostream.h"
#include "twinloop/locks.h"
#include "twinloop/net.h"
#include "twinloop/queues.h"
#include "twinloop/race.h"
#include "twinloop/remote.h"
#include "twinloop/retry.h"
#include "twinloop/shared_future.h"
#include "twinloop/shield.h"
#include "twinloop/task_group.h"
#include "twinloop/timing.h"
#include "twinloop/wait_iterator.h"
#include "work.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;
using namespace work;

namespace {

// Frames, operations and timers; what was there when this was made must be all that is there in the end.
class Remains {
 public:
  void expect_none(Location where = Location::current()) const {
    // What an earlier behaviour left to the loop may go meanwhile.
    expect(twinloop::detail::pool_stats().live <= pooled_, "blocks of memory stayed", where);
    expect(IOLoop::current().stats().pending_timers <= timers_, "a timer stayed", where);
  }

 private:
  std::size_t pooled_ = twinloop::detail::pool_stats().live;
  std::size_t timers_ = IOLoop::current().stats().pending_timers;
};

Future<void> expect_text(IOStream& stream, std::string expected, Location where = Location::current()) {
  const std::string text = co_await stream.read_bytes(expected.size());
  expect_equal(text, expected, where);
}

Generator<int> count() {
  for (int i = 1;; ++i) {
    co_await moment();
    co_yield i;
  }
}

}  // namespace

BEHAVIOUR("a view that is dropped when it is done leaves its bytes for the next read", Needs::nothing) {
  auto [near, far] = make_pair_streams();
  near.write("a line\nand more").ignore();
  co_await complete_and_drop(far.peek(3));
  co_await complete_and_drop(far.read_bytes_view(3));
  co_await complete_and_drop(far.read_some_view());
  co_await complete_and_drop(far.read_until_view("\n"));
  co_await complete_and_drop(far.next_until_view(" "));
  co_await complete_and_drop(far.next_line_view());
  co_await expect_text(far, "a line\nand more");
  near.write("the rest").ignore();
  near.close();
  co_await complete_and_drop(far.read_until_close_view());
  co_await expect_text(far, "the rest");
}

BEHAVIOUR("whatever of the sending side is dropped when it is done has been done", Needs::nothing) {
  auto [near, far] = make_pair_streams();
  const std::string much(200'000, 'x');
  Future<void> accepted = near.write(much);  // waits for room: more than the high-water mark
  expect(!accepted.done(), "it waits");
  Future<std::string> received = far.read_bytes(much.size());
  co_await complete_and_drop(std::move(accepted));
  expect_equal(co_await std::move(received), much);

  const std::string lent = "lent, ";
  co_await complete_and_drop(near.write_borrowed(lent));
  near.write("flushed").ignore();
  co_await complete_and_drop(near.flush());
  co_await complete_and_drop(near.shutdown_write());
  co_await complete_and_drop(far.peer_ended());
  co_await expect_text(far, "lent, flushed");
  far.close();
  co_await complete_and_drop(near.finish());
  co_await complete_and_drop(near.closed());
}

BEHAVIOUR("a put that is dropped when it is done is in, and so is what it waited for", Needs::nothing) {
  Queue<int> queue(1);
  Channel<int> channel(1);
  queue.put(1).ignore();
  channel.put(1).ignore();
  Future<void> second = queue.put(2);
  Future<void> next = channel.put(2);
  expect_equal(*queue.try_get(), 1);
  expect_equal(*channel.try_next(), 1);
  co_await complete_and_drop(std::move(second));
  co_await complete_and_drop(std::move(next));
  expect_equal(*queue.try_get(), 2);
  expect_equal(*channel.try_next(), 2);
}

BEHAVIOUR("an accept that is dropped when it is done leaves the connection for the next", Needs::nothing) {
  Listener listener = co_await listen("pair:accepted-and-dropped");
  Future<IOStream> waiting = listener.accept();
  IOStream client = co_await connect("pair:accepted-and-dropped");
  co_await complete_and_drop(std::move(waiting));
  client.write("hello").ignore();
  IOStream server = co_await listener.accept();
  co_await expect_text(server, "hello");
}

BEHAVIOUR("a connection that is dropped when it is made is over for its peer", Needs::nothing) {
  Listener listener = co_await listen("pair:made-and-dropped");
  co_await complete_and_drop(connect("pair:made-and-dropped"));
  IOStream server = co_await listener.accept();
  const std::string nothing = co_await server.read_until_close();
  expect_equal(nothing, "");
}

BEHAVIOUR("whatever else is dropped when it is done leaves nothing behind", Needs::nothing) {
  co_await moment();  // whoever runs this has set its time limit by then
  const Remains before;
  {
    co_await complete_and_drop(sleep_for(1ms));
    co_await complete_and_drop(moment());
    co_await complete_and_drop(with_timeout(1h, sleep_for(1ms)));
    Event event;
    Future<void> set = event.wait(1h);
    event.set();
    co_await complete_and_drop(std::move(set));
    Queue<int> queue;
    queue.put(1).ignore();
    Future<void> joined = queue.join(1h);
    queue.task_done();
    co_await complete_and_drop(std::move(joined));
    TaskGroup group;
    group.spawn(&turns, 2);
    co_await complete_and_drop(group.join());
    co_await complete_and_drop(all_fail_fast(later(1ms, 1), later(1ms, 2)));
    co_await complete_and_drop(any(later(1ms, 1), later(1h, 2)));
    co_await complete_and_drop(race(later(1ms, 1), sleep_for(1h)));
    co_await complete_and_drop(shield(later(1ms, 1)));
    co_await complete_and_drop(retry(Retry(), &later, Duration(1ms), 1));
    co_await complete_and_drop(SharedFuture<int>(later(1ms, 1)).get_future());
  }
  before.expect_none();
}

BEHAVIOUR("what iterators give is there for the next next() when one is dropped that is done", Needs::nothing) {
  std::vector<Future<int>> futures;
  futures.push_back(later(1ms, 1));
  futures.push_back(later(1h, 2));
  WaitIterator<int> iterator(std::move(futures));
  co_await complete_and_drop(iterator.next());
  auto item = co_await iterator.next();
  expect_equal(*item->result, 1);
  Generator<int> numbers = count();
  co_await complete_and_drop(numbers.next());
  expect_equal(*co_await numbers.next(), 1);
}

BEHAVIOUR("what another thread gave is let go of when its future is dropped that is done", Needs::threads) {
  co_await moment();  // whoever runs this has set its time limit by then
  const Remains before;
  const auto token = std::make_shared<int>(1);
  const auto give = [](std::shared_ptr<int> what) { return what; };
  co_await complete_and_drop(IOLoop::current().run_in_executor(give, token));
  co_await complete_and_drop(IOLoop::current().remote().submit(give, token));
  RemotePromise<std::shared_ptr<int>> promise;
  Future<std::shared_ptr<int>> given = promise.get_future();
  std::thread giver([promise = std::move(promise), token]() mutable { promise.set_value(std::move(token)); });
  giver.join();
  co_await complete_and_drop(std::move(given));
  while (token.use_count() > 1) co_await moment();  // the executor's thread still has its copy for a moment
  before.expect_none();
}
