// What tests of network code need: a loop whose clock jumps instead of waiting, a transport that misbehaves on purpose, and
// behaviours written as coroutines, so that the same test runs natively on every backend, in Node and in a browser.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "twinloop/backend.h"
#include "twinloop/future.h"
#include "twinloop/transport.h"

namespace twinloop::testing {

// ---- a clock under control

// A turn with work in it takes 10 µs; when there is none, time jumps to the next deadline: a test of an hour's timeout takes
// microseconds and always the same turns.  It has no network but `pair:`.
class ManualBackend final : public Backend {
 public:
  std::string_view name() const noexcept override { return "manual"; }
  TimePoint now() const noexcept override { return now_; }
  void wait(TimePoint deadline) override;
  // Throws Error(not_supported) when nothing can ever happen again, instead of sleeping for ever.
  void wake() noexcept override { woken_ = true; }
  Network& network() override;
  void attach(IOLoop& loop) override { loop_ = &loop; }

  void advance(Duration by) noexcept { now_ += by; }

 private:
  TimePoint now_{std::chrono::hours(1)};
  IOLoop* loop_ = nullptr;
  bool woken_ = false;
};

// ---- a transport that misbehaves

class Faults {
 public:
  Faults& seed(std::uint32_t value) { return seed_ = value, *this; }
  Faults& max_read(std::size_t bytes) { return max_read_ = bytes, *this; }
  Faults& max_write(std::size_t bytes) { return max_write_ = bytes, *this; }
  // No call moves more than this.
  Faults& would_block(unsigned percent) { return would_block_ = percent, *this; }
  // This share of calls says would_block although they could go on; the listener is told again soon.
  Faults& hold_input(std::size_t bytes) { return hold_input_ = bytes, *this; }
  // Reads up to this much ahead and holds it, as a filter holds decoded bytes.
  Faults& fail_read_at(std::size_t call) { return fail_read_ = call, *this; }
  Faults& fail_write_at(std::size_t call) { return fail_write_ = call, *this; }
  // The n-th call (from 1) fails with reset, and so do all after it.

 private:
  friend class FaultyTransport;
  std::uint32_t seed_ = 1;
  std::size_t max_read_ = static_cast<std::size_t>(-1);
  std::size_t max_write_ = static_cast<std::size_t>(-1);
  unsigned would_block_ = 0;
  std::size_t hold_input_ = 0;
  std::size_t fail_read_ = 0;
  std::size_t fail_write_ = 0;
};

std::unique_ptr<Transport> make_faulty_transport(std::unique_ptr<Transport> below, const Faults& faults);

// ---- behaviours

enum class Needs : unsigned {
  nothing = 0,
  tcp = 1,
  listen = 2,
  fds = 4,
  threads = 8,
  signals = 16,
  stop_token = 32,
  http = 64
};
constexpr Needs operator|(Needs a, Needs b) noexcept {
  return static_cast<Needs>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr Needs operator-(Needs a, Needs b) noexcept {
  return static_cast<Needs>(static_cast<unsigned>(a) & ~static_cast<unsigned>(b));
}
constexpr bool covers(Needs have, Needs need) noexcept {
  return (static_cast<unsigned>(have) & static_cast<unsigned>(need)) == static_cast<unsigned>(need);
}

std::string words(Needs needs, std::string_view between);
// "tcp, threads"

struct Behaviour {
  std::string name;  // a sentence
  Needs needs;
  std::function<Future<void>()> run;
};

const std::vector<Behaviour>& behaviours();

struct Registration {
  Registration(std::string name, Needs needs, std::function<Future<void>()> run);
  // BEHAVIOUR makes one; a table of cases makes one for each itself.
};

class ExpectationFailed : public Error {
 public:
  ExpectationFailed(std::string_view what, const Location& where);
};

void expect(bool condition, std::string_view what, const Location& where = Location::current());
// Throws ExpectationFailed with file and line when the condition is false.

template <class A, class B>
void expect_equal(const A& actual, const B& expected, const Location& where = Location::current());

template <class T>
Future<void> expect_failure(Future<T> work, Errc reason, Location where = Location::current());
// Awaits the work and expects it to fail with that reason.

#define TWINLOOP_JOIN2(a, b) a##b
#define TWINLOOP_JOIN(a, b) TWINLOOP_JOIN2(a, b)
// BEHAVIOUR("a sentence", Needs::tcp) { co_await …; expect(…); }
#define BEHAVIOUR(sentence, needs)                                                       \
  static ::twinloop::Future<void> TWINLOOP_JOIN(behaviour_, __LINE__)();                 \
  static const ::twinloop::testing::Registration TWINLOOP_JOIN(registration_, __LINE__)( \
      sentence, needs, &TWINLOOP_JOIN(behaviour_, __LINE__));                            \
  static ::twinloop::Future<void> TWINLOOP_JOIN(behaviour_, __LINE__)()

Future<int> run_behaviours(Needs have, std::string_view filter, void (*print)(std::string_view line));
// Runs all whose needs are met, one after the other on the current loop, each within 60 s, and prints TAP; the rest is printed as
// skipped, with the need that is missing.  Gives 0 when all passed.

// ---- cancellation everywhere

Future<std::size_t> cancel_everywhere(std::function<Future<void>()> program, std::function<void()> check = {});
// Runs the program again and again: dropped right after it started, after the first step that the loop took then (a callback, a
// timer, a handler, or a coroutine up to its next co_await), after the second, and so on until it completes by itself.  Gives how
// often it was cancelled.
//
// After each run nothing may be left: no coroutine frame or pending operation, no timer, no descriptor's handler, no spawned
// task; what closes in the background has a second for it.  Then `check` is called, to look at what the program used: that no
// lock is held, no item vanished.  Throws ExpectationFailed with the place at which the cancelled program had just arrived.

// ---- bodies of the templates

namespace detail {
std::string shown(std::string_view text);
inline std::string shown(long long value) { return std::to_string(value); }
template <class T>
std::string show(const T& value) {
  if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    return shown(std::string_view(value));
  } else {
    return shown(static_cast<long long>(value));
  }
}
}  // namespace detail

template <class A, class B>
void expect_equal(const A& actual, const B& expected, const Location& where) {
  if (actual == expected) return;
  throw ExpectationFailed("got " + detail::show(actual) + ", expected " + detail::show(expected), where);
}

template <class T>
Future<void> expect_failure(Future<T> work, Errc reason, Location where) {
  const Result<T> result = co_await as_result(std::move(work));
  if (result.ok()) throw ExpectationFailed("it succeeded, expected " + std::string(name(reason)), where);
  if (result.reason() == reason) co_return;
  throw ExpectationFailed("it failed with " + std::string(name(result.reason())) + " (" + result.failure().message() +
                              "), expected " + std::string(name(reason)),
                          where);
}

}  // namespace twinloop::testing
