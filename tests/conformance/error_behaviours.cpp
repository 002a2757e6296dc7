// A transport that breaks at its first call, at its second, and so on: whoever waits is told, once, and nothing is left behind.
#include <cstddef>
#include <string>

#include "fixtures.h"
#include "twinloop/detail/pool.h"
#include "twinloop/net.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr std::size_t kBlock = 100 * 1024;  // more than a pair holds, and than the high-water mark

// What waited, how it ended, and how often the close callback ran.
struct Told {
  int waiting = 0;
  int failed = 0;
  int callbacks = 0;
  std::string wrong;
};

// Awaits what may fail, but only as a stream fails whose connection is reset.
Future<void> note(Future<void> work, Told& told) {
  ++told.waiting;
  try {
    co_await std::move(work);
  } catch (const StreamClosedError& error) {
    ++told.failed;
    if (error.reason() != Errc::reset) told.wrong = error.what();
  } catch (const std::exception& error) {
    told.wrong = error.what();
  }
  --told.waiting;
}

Future<void> send_all(IOStream& stream) {
  co_await stream.write("a line\n");
  const std::string block = numbered(kBlock);
  co_await stream.write_borrowed(block);
  co_await stream.flush();
  co_await stream.shutdown_write();
}

Future<void> receive_all(IOStream& stream) {
  const std::string line = co_await stream.read_until("\n");
  expect_equal(line, "a line\n");
  std::string block(kBlock / 2, '\0');
  co_await stream.read_into(block);
  block += co_await stream.read_until_close();
  expect(block == numbered(kBlock), "what was sent");
}

Future<void> echo_until_end(IOStream stream) {
  for (;;) {
    std::string some;
    if (Result<std::string> read = co_await as_result(stream.read_some()); read.ok()) some = std::move(*read);
    if (some.empty()) co_return;
    const Result<void> written = co_await as_result(stream.write(std::move(some)));
    if (!written.ok()) co_return;
  }
}

// Whether the conversation came to its end in spite of the faults.
Future<bool> converse(Faults faults) {
  auto [a, b] = make_pair_transports();
  IOStream near(make_faulty_transport(std::move(a), faults));
  Told told;
  near.set_close_callback([&told] { ++told.callbacks; });
  Future<void> echo = echo_until_end(IOStream(std::move(b)));
  Future<void> receiving = note(receive_all(near), told);
  Future<void> sending = note(send_all(near), told);
  co_await std::move(receiving);
  co_await std::move(sending);
  co_await near.peer_ended();
  co_await std::move(echo);
  for (int i = 0; i < 3; ++i) co_await moment();
  expect_equal(told.wrong, "");
  expect_equal(told.waiting, 0);
  expect_equal(told.callbacks, 1);
  if (told.failed == 0) co_return true;
  expect(near.is_closed() && near.error() == Errc::reset, "the stream knows why");
  co_await expect_failure(near.write("late"), Errc::reset);
  co_await expect_failure(near.flush(), Errc::reset);
  co_await near.closed();
  co_return false;
}

// How often it failed until it did not.
Future<std::size_t> break_at_each_call(Faults& (Faults::*fail_at)(std::size_t)) {
  co_await moment();  // whoever runs this has set its time limit by then
  for (std::size_t call = 1;; ++call) {
    Faults faults = Faults().max_read(8 * 1024).max_write(8 * 1024).hold_input(1024);
    const std::size_t before = twinloop::detail::pool_stats().live;
    const bool whole = co_await converse((faults.*fail_at)(call));
    for (int i = 0; i < 3; ++i) co_await moment();
    const std::size_t after = twinloop::detail::pool_stats().live;
    expect(after <= before, "call " + std::to_string(call) + " left " + std::to_string(after - before));
    if (whole) co_return call - 1;
  }
}

}  // namespace

BEHAVIOUR("a stream whose transport fails at any read tells all who wait, once, and leaves nothing", Needs::nothing) {
  const std::size_t failures = co_await break_at_each_call(&Faults::fail_read_at);
  expect(failures > 10, std::to_string(failures));
}

BEHAVIOUR("a stream whose transport fails at any write tells all who wait, once, and leaves nothing", Needs::nothing) {
  const std::size_t failures = co_await break_at_each_call(&Faults::fail_write_at);
  expect(failures > 10, std::to_string(failures));
}
