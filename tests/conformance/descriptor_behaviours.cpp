// Handlers of descriptors, on every backend that has descriptors.  RULES §4; Tornado's ioloop_test.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fixtures.h"
#include "twinloop/ioloop.h"
#include "twinloop/log.h"
#include "twinloop/net.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"
#include "twinloop/trace.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kFds = Needs::fds;

// What a handler was told, and a future for the coroutine that waits for it.
struct Told {
  std::string events;  // 'r', 'w', 'e' for each call
  Promise<void> promise;
  Future<void> first = promise.get_future();

  void note(FdEvents told) {
    if (any_of(told, FdEvents::read)) events += 'r';
    if (any_of(told, FdEvents::write)) events += 'w';
    if (any_of(told, FdEvents::error)) events += 'e';
    promise.set_value();
  }
};

// Two connected descriptors that are closed at the end, their handlers first.
class Pair {
 public:
  enum class Kind { sockets, pipe };

  explicit Pair(Kind kind = Kind::sockets) {
    const int failed = kind == Kind::pipe ? ::pipe(fds_.data()) : ::socketpair(AF_UNIX, SOCK_STREAM, 0, fds_.data());
    expect(failed == 0, "a pair of descriptors");
    for (const int fd : fds_) ::fcntl(fd, F_SETFL, O_NONBLOCK);
  }
  ~Pair() {
    for (std::size_t end : {0u, 1u}) close(end);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  int operator[](std::size_t end) const { return fds_[end]; }
  void write(std::size_t end, char byte = 'x') { expect(::write(fds_[end], &byte, 1) == 1, "a byte is written"); }
  bool read(std::size_t end) {
    char byte;
    return ::read(fds_[end], &byte, 1) == 1;
  }
  void close(std::size_t end) {
    if (fds_[end] == -1) return;
    if (IOLoop* loop = IOLoop::current_or_null()) loop->remove_handler(fds_[end]);
    close_behind_the_loop(end);
  }
  void close_behind_the_loop(std::size_t end) { ::close(give_away(end)); }
  int give_away(std::size_t end) { return std::exchange(fds_[end], -1); }

 private:
  std::array<int, 2> fds_{-1, -1};
};

Future<void> some_turns() {
  for (int i = 0; i < 40; ++i) {  // more than the turns that may leave a poll out
    Promise<void> promise;
    Future<void> next = promise.get_future();
    IOLoop::current().add_callback([&promise] { promise.set_value(); });
    co_await std::move(next);
  }
}

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

std::string url_of(int fd) { return "fd:" + std::to_string(fd); }

Errc reason_of_adding(int fd) {
  try {
    IOLoop::current().add_handler(fd, [](int, FdEvents) {}, FdEvents::read);
  } catch (const Error& error) {
    return error.reason();
  }
  return Errc::end;
}

Future<bool> is_alive_after(Future<void> woken, std::weak_ptr<int> watched) {
  co_await std::move(woken);
  co_return !watched.expired();
}

Future<void> remove_after(Future<void> woken, int fd) {
  co_await std::move(woken);
  IOLoop::current().remove_handler(fd);
}

int errors_logged = 0;
void count_errors(LogLevel level, std::string_view, const Location&) {
  errors_logged += level == LogLevel::error ? 1 : 0;
}

}  // namespace

BEHAVIOUR("a handler is told of what it asked for, and only that", kFds) {
  IOLoop& loop = IOLoop::current();
  Pair pair;
  Told told;
  loop.add_handler(pair[0], [&](int, FdEvents events) { told.note(events); }, FdEvents::read);
  co_await some_turns();
  expect_equal(told.events, "");  // writable all the time, but nobody asked
  pair.write(1);
  co_await told.first;
  expect_equal(told.events.substr(0, 1), "r");
  expect(told.events.find('w') == std::string::npos, "no write event for who asked to read");
}

BEHAVIOUR("a handler is given its descriptor", kFds) {
  Pair pair;
  Promise<void> promise;
  Future<void> called = promise.get_future();
  int given = -1;
  IOLoop::current().add_handler(
      pair[0],
      [&](int fd, FdEvents) {
        given = fd;
        IOLoop::current().remove_handler(fd);
        promise.set_value();
      },
      FdEvents::write);
  co_await called;
  expect_equal(given, pair[0]);
}

BEHAVIOUR("a handler that removes itself keeps what it holds until the coroutines that it woke have run", kFds) {
  Pair pair;
  Promise<void> promise;
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = held;
  Future<bool> alive = is_alive_after(promise.get_future(), watched);
  IOLoop::current().add_handler(
      pair[0],
      [&promise, held = std::move(held)](int fd, FdEvents) {
        IOLoop::current().remove_handler(fd);
        promise.set_value();
      },
      FdEvents::write);
  expect(co_await std::move(alive), "what the handler holds is there");
  co_await some_turns();
  expect(watched.expired(), "and goes with it");
}

BEHAVIOUR("a handler keeps what it holds for all the coroutines that it woke, also when one of them removes it", kFds) {
  Pair pair;
  Promise<void> first, second;
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = held;
  Future<void> removed = remove_after(first.get_future(), pair[0]);
  Future<bool> alive = is_alive_after(second.get_future(), watched);
  IOLoop::current().add_handler(
      pair[0],
      [&first, &second, held = std::move(held)](int, FdEvents) {
        first.set_value();
        second.set_value();
      },
      FdEvents::write);
  co_await std::move(removed);
  expect(co_await std::move(alive), "what the handler holds is there");
  co_await some_turns();
  expect(watched.expired(), "and goes with it");
}

BEHAVIOUR("a handler that removes itself keeps what it holds for coroutines that have to wait for the next turn",
          kFds) {
  constexpr std::size_t kMore = Scheduler::kResumptionsPerTurn + 500;
  Pair pair;
  std::vector<Promise<void>> promises(kMore);
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = held;
  std::vector<Future<bool>> alive;
  for (Promise<void>& promise : promises) alive.push_back(is_alive_after(promise.get_future(), watched));
  IOLoop::current().add_handler(
      pair[0],
      [&promises, held = std::move(held)](int fd, FdEvents) {
        IOLoop::current().remove_handler(fd);
        for (Promise<void>& promise : promises) promise.set_value();
      },
      FdEvents::write);
  for (Future<bool>& each : alive) expect(co_await std::move(each), "what the handler holds is there");
  co_await some_turns();
  expect(watched.expired(), "and goes with it");
}

BEHAVIOUR("those who watch a loop are told of handlers by name, and of what its streams are told", kFds) {
  IOLoop& loop = IOLoop::current();
  Pair handled, streamed;
  Told told;
  IOStream stream = co_await connect(url_of(::dup(streamed[0])));
  Future<std::string> received = stream.read_bytes(1);
  co_await some_turns();  // until nothing is left to do but wait

  std::vector<Step> slow;
  const LoopTrace trace(loop);
  loop.set_blocking_log_threshold(15ms, [&slow](const Step& step) { slow.push_back(step); });
  loop.add_handler(
      handled[0],
      [&](int fd, FdEvents events) {
        loop.remove_handler(fd);
        keep_busy(20ms);
        told.note(events);
      },
      FdEvents::write, "my handler");
  co_await told.first;
  streamed.write(1);
  expect_equal(co_await std::move(received), "x");
  loop.set_blocking_log_threshold(0ns);

  const std::string json = trace.json();
  expect(json.find(R"("name":"my handler (descriptor_behaviours.cpp:)") != std::string::npos, json);
  expect(json.find(R"("name":"I/O")") != std::string::npos, json);
  bool named = false;
  for (const Step& step : slow) {
    named = named || (step.kind == StepKind::handler && std::string_view(step.origin.label()) == "my handler");
  }
  expect(named, "who kept the loop");
}

BEHAVIOUR("a handler is called again as long as its descriptor is ready", kFds) {
  IOLoop& loop = IOLoop::current();
  Pair pair;
  Promise<void> promise;
  Future<void> enough = promise.get_future();
  int calls = 0;
  pair.write(1);
  loop.add_handler(
      pair[0],
      [&](int, FdEvents) {
        if (++calls == 5) promise.set_value();
      },
      FdEvents::read);
  co_await enough;
  expect(pair.read(0), "the byte was there all the time");
  const int then = calls;
  co_await some_turns();
  expect_equal(calls, then);
}

BEHAVIOUR("update_handler changes what a handler is told of", kFds) {
  IOLoop& loop = IOLoop::current();
  Pair pair;
  Told told;
  loop.add_handler(
      pair[0], [&](int fd, FdEvents events) { told.note(events), loop.update_handler(fd, FdEvents::none); },
      FdEvents::read);
  loop.update_handler(pair[0], FdEvents::write);
  co_await told.first;
  expect_equal(told.events, "w");
  pair.write(1);
  co_await some_turns();
  expect_equal(told.events, "w");  // none: not even what is ready
  Told again;
  loop.remove_handler(pair[0]);
  loop.add_handler(
      pair[0], [&](int fd, FdEvents events) { again.note(events), loop.remove_handler(fd); },
      FdEvents::read | FdEvents::write);
  co_await again.first;
  expect_equal(again.events, "rw");
}

BEHAVIOUR("the same descriptor twice is busy, also when a stream has it", kFds) {
  IOLoop& loop = IOLoop::current();
  Pair handled, streamed;
  loop.add_handler(handled[0], [](int, FdEvents) {}, FdEvents::read);
  expect(reason_of_adding(handled[0]) == Errc::busy, "a second handler is refused");
  loop.remove_handler(handled[0]);
  expect(reason_of_adding(handled[0]) == Errc::end, "after remove_handler it can have one again");

  const int fd = streamed.give_away(0);
  IOStream stream = co_await connect(url_of(fd));
  expect(reason_of_adding(fd) == Errc::busy, "a handler beside a stream is refused");
  co_await expect_failure(connect(url_of(fd)), Errc::busy);
  expect(is_open(fd), "a second stream that is refused leaves it open");
  loop.remove_handler(fd);  // nor is that one's to remove
  streamed.write(1);
  expect_equal(co_await stream.read_bytes(1), "x");
}

BEHAVIOUR("a descriptor that has a handler is busy for a stream, and the handler is called as before", kFds) {
  Pair pair;
  Told told;
  IOLoop::current().add_handler(pair[0], [&](int, FdEvents events) { told.note(events); }, FdEvents::read);
  co_await expect_failure(connect(url_of(pair[0])), Errc::busy);
  expect(is_open(pair[0]), "a stream that is refused leaves it open");
  pair.write(1);
  co_await told.first;
  expect_equal(told.events.substr(0, 1), "r");
}

BEHAVIOUR("remove_handler without a handler is harmless, update_handler is an error", kFds) {
  Pair pair;
  IOLoop& loop = IOLoop::current();
  loop.remove_handler(pair[0]);
  loop.remove_handler(-1);
  loop.remove_handler(1'000'000);
  Errc reason = Errc::end;
  try {
    loop.update_handler(pair[0], FdEvents::read);
  } catch (const Error& error) {
    reason = error.reason();
  }
  expect(reason == Errc::bad_descriptor, "update_handler names bad_descriptor");
  co_return;
}

BEHAVIOUR("what is not open, and a regular file, cannot have a handler", kFds) {
  Pair pair;
  const int closed = pair[0];
  pair.close(0);
  expect(reason_of_adding(closed) == Errc::bad_descriptor, "a closed descriptor");
  expect(reason_of_adding(-1) == Errc::bad_descriptor, "-1");
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), &std::fclose);
  expect(reason_of_adding(::fileno(file.get())) == Errc::bad_descriptor, "a regular file");
  co_return;
}

BEHAVIOUR("of two descriptors ready together, one whose handler is removed by the other's is not told", kFds) {
  IOLoop& loop = IOLoop::current();
  Pair first;
  Pair second;
  int calls = 0;
  first.write(1);
  second.write(1);
  const auto handler = [&](Pair& own, Pair& other) {
    return [&](int, FdEvents) {
      ++calls;
      own.read(0);
      loop.remove_handler(other[0]);
    };
  };
  loop.add_handler(first[0], handler(first, second), FdEvents::read);
  loop.add_handler(second[0], handler(second, first), FdEvents::read);
  co_await some_turns();
  expect_equal(calls, 1);
}

BEHAVIOUR("a descriptor's number that is used again within a batch gets no old event", kFds) {
  IOLoop& loop = IOLoop::current();
  auto first = std::make_unique<Pair>();
  auto second = std::make_unique<Pair>();
  std::unique_ptr<Pair> fresh;
  int stale = 0;
  int calls = 0;
  first->write(1);
  second->write(1);
  const auto replace = [&](std::unique_ptr<Pair>& own, std::unique_ptr<Pair>& other) {
    return [&](int, FdEvents) {
      ++calls;
      const int number = (*other)[0];
      loop.remove_handler((*own)[0]);
      other.reset();
      fresh = std::make_unique<Pair>();
      for (const std::size_t end : {0u, 1u}) {
        if ((*fresh)[end] == number) loop.add_handler(number, [&](int, FdEvents) { ++stale; }, FdEvents::read);
      }
    };
  };
  loop.add_handler((*first)[0], replace(first, second), FdEvents::read);
  loop.add_handler((*second)[0], replace(second, first), FdEvents::read);
  co_await some_turns();
  expect_equal(calls, 1);
  expect_equal(stale, 0);
}

BEHAVIOUR("a handler may remove, replace and close itself", kFds) {
  IOLoop& loop = IOLoop::current();
  Pair pair;
  int calls = 0;
  Promise<void> promise;
  Future<void> done = promise.get_future();
  pair.write(1);
  loop.add_handler(
      pair[0],
      [&](int fd, FdEvents) {
        ++calls;
        loop.remove_handler(fd);
        loop.add_handler(
            fd,
            [&](int, FdEvents) {
              ++calls;
              pair.close(0);
              promise.set_value();
            },
            FdEvents::read);
      },
      FdEvents::read);
  co_await done;
  co_await some_turns();
  expect_equal(calls, 2);
}

BEHAVIOUR("the peer's end makes a descriptor readable, of a socket and of a pipe", kFds) {
  for (const auto kind : {Pair::Kind::sockets, Pair::Kind::pipe}) {
    Pair pair(kind);
    Told told;
    IOLoop::current().add_handler(pair[0], [&](int, FdEvents events) { told.note(events); }, FdEvents::read);
    pair.close(1);
    co_await told.first;
    expect_equal(told.events.substr(0, 1), "r");
  }
}

BEHAVIOUR("a pipe without a reader makes its writing end writable: the write says why", kFds) {
  Pair pair(Pair::Kind::pipe);
  Told told;
  pair.close(0);
  IOLoop::current().add_handler(pair[1], [&](int, FdEvents events) { told.note(events); }, FdEvents::write);
  co_await told.first;
  expect_equal(told.events.substr(0, 1), "w");
}

BEHAVIOUR("a descriptor that is closed behind the loop's back stops nobody else, and its number can be used again",
          kFds) {
  IOLoop& loop = IOLoop::current();
  Pair gone;
  Pair alive;
  const int number = gone[0];
  loop.add_handler(number, [&](int fd, FdEvents) { loop.remove_handler(fd); }, FdEvents::read);
  co_await some_turns();
  gone.close_behind_the_loop(0);
  Told told;
  loop.add_handler(alive[0], [&](int, FdEvents events) { told.note(events); }, FdEvents::read);
  alive.write(1);
  co_await told.first;
  loop.remove_handler(number);
  const int copy = ::fcntl(alive[0], F_DUPFD, number);
  expect_equal(copy, number);
  Told again;
  loop.add_handler(copy, [&](int, FdEvents events) { again.note(events); }, FdEvents::read);
  co_await again.first;
  loop.remove_handler(copy);
  ::close(copy);
}

BEHAVIOUR("a handler that throws is logged and called again", kFds) {
  Pair pair;
  int calls = 0;
  Promise<void> promise;
  Future<void> twice = promise.get_future();
  const LogHandler former = set_log_handler(&count_errors);
  errors_logged = 0;
  pair.write(1);
  IOLoop::current().add_handler(
      pair[0],
      [&](int fd, FdEvents) {
        if (++calls == 2) {
          IOLoop::current().remove_handler(fd);
          promise.set_value();
        }
        throw Error(Errc::protocol, "a handler");
      },
      FdEvents::read);
  co_await twice;
  set_log_handler(former);
  expect_equal(calls, 2);
  expect(errors_logged >= 1, "what it threw is in the log");
}

BEHAVIOUR("a coroutine that a handler woke runs before the next handler", kFds) {
  IOLoop& loop = IOLoop::current();
  Pair first;
  Pair second;
  Promise<void> promise;
  Future<void> woken = promise.get_future();
  std::string order;
  const auto handler = [&](char name) {
    return [&, name](int fd, FdEvents) {
      order += name;
      loop.remove_handler(fd);
      promise.set_value();
    };
  };
  loop.add_handler(first[0], handler('h'), FdEvents::write);
  loop.add_handler(second[0], handler('h'), FdEvents::write);
  co_await woken;
  order += 'c';
  co_await some_turns();
  expect_equal(order, "hch");
}

BEHAVIOUR("a hundred descriptors each reach their own handler", kFds) {
  IOLoop& loop = IOLoop::current();
  std::vector<std::unique_ptr<Pair>> pairs;
  std::vector<int> calls(100, 0);
  int left = 100;
  Promise<void> promise;
  Future<void> all = promise.get_future();
  for (std::size_t i = 0; i < calls.size(); ++i) {
    pairs.push_back(std::make_unique<Pair>());
    loop.add_handler((*pairs[i])[0],
                     [&, i](int, FdEvents) {
                       ++calls[i];
                       pairs[i]->read(0);
                       if (--left == 0) promise.set_value();
                     },
                     FdEvents::read);
  }
  for (auto& pair : pairs) pair->write(1);
  co_await all;
  for (const int count : calls) expect_equal(count, 1);
}

BEHAVIOUR("a descriptor beyond FD_SETSIZE is a clear error on select and served elsewhere", kFds) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit former = limit;
  limit.rlim_cur = std::max<rlim_t>(limit.rlim_cur, std::min<rlim_t>(limit.rlim_max, 4096));
  ::setrlimit(RLIMIT_NOFILE, &limit);
  Pair pair;
  const int high = ::fcntl(pair[0], F_DUPFD, 2000);
  expect(high >= 2000, "a high descriptor");
  const bool select = IOLoop::current().backend_name() == "select";
  expect(reason_of_adding(high) == (select ? Errc::descriptors_exhausted : Errc::end),
         "the number decides on select only");
  IOLoop::current().remove_handler(high);
  ::close(high);
  ::setrlimit(RLIMIT_NOFILE, &former);
  co_return;
}

BEHAVIOUR("a timer is on time while descriptors are busy", kFds) {
  IOLoop& loop = IOLoop::current();
  Pair pair;
  long calls = 0;
  pair.write(1);
  loop.add_handler(pair[0], [&](int, FdEvents) { ++calls; }, FdEvents::read);
  while (calls < 3) co_await moment();  // nobody reads the byte: the handler is called in every turn
  co_await sleep_for(5ms);
  expect_equal(loop.stats().descriptors >= 1, true);
}
