// PeriodicCallback: the grid of its beats, beats that take long, and what may happen inside one.  Tornado's ioloop_test.
#include <algorithm>
#include <memory>
#include <vector>

#include "fixtures.h"
#include "twinloop/periodic.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

// The times of some beats, and a future for when there are enough.
class Beats {
 public:
  explicit Beats(std::size_t number) : enough_(number) {}

  void note() {
    times.push_back(IOLoop::current().clock());
    if (times.size() == enough_) enough.promise.set_value();
  }

  std::vector<TimePoint> times;
  Signal enough;

 private:
  std::size_t enough_;
};

// How late a beat may be: real clocks promise nothing.
Duration tolerance() { return has_manual_clock() ? Duration(500us) : Duration(1h); }

void expect_time(TimePoint actual, TimePoint due, const Location& where = Location::current()) {
  expect(actual >= due, "a beat is not early", where);
  expect(actual - due <= tolerance(), "a beat is on time", where);
}

Future<void> beat_for(Duration time, int& running, int& most, Beats& beats) {
  beats.note();
  most = std::max(most, ++running);
  co_await sleep_for(time);
  --running;
}

Future<void> hold_for_ever(int& alive, Promise<void>& begun) {
  const Alive here(alive);
  begun.set_value();
  co_await sleep_until(kNever);
}

Errc reason_of_making(Duration period, double jitter) {
  try {
    const PeriodicCallback made([] {}, period, jitter);
  } catch (const Error& error) {
    return error.reason();
  }
  return Errc::end;
}

}  // namespace

BEHAVIOUR("a PeriodicCallback beats on a grid that begins one period after its start", Needs::nothing) {
  Beats beats(5);
  PeriodicCallback periodic([&] { beats.note(); }, 10ms);
  expect(!periodic.is_running(), "not before start()");
  const TimePoint begun = IOLoop::current().clock();
  periodic.start();
  periodic.start();  // harmless
  expect(periodic.is_running() && beats.times.empty(), "it runs, and has not beaten yet");
  co_await beats.enough.future;
  periodic.stop();
  expect(!periodic.is_running(), "it stopped");
  for (std::size_t i = 0; i < beats.times.size(); ++i) {
    expect_time(beats.times[i], begun + 10ms * static_cast<int>(i + 1));
  }
  co_await sleep_for(30ms);
  expect_equal(beats.times.size(), 5u);
}

BEHAVIOUR("beats that pass while the loop is kept are left out, and the grid stays", Needs::nothing) {
  Beats beats(3);
  PeriodicCallback periodic(
      [&] {
        beats.note();
        if (beats.times.size() == 1) keep_busy(25ms);
      },
      10ms);
  const TimePoint begun = IOLoop::current().clock();
  periodic.start();
  co_await beats.enough.future;
  periodic.stop();
  expect_time(beats.times[0], begun + 10ms);
  expect_time(beats.times[1], begun + 40ms);
  expect_time(beats.times[2], begun + 50ms);
}

BEHAVIOUR("beats of any length, up to a period and beyond, are followed by the next one on the grid", Needs::nothing) {
  if (!has_manual_clock()) co_return;  // where each beat takes exactly as long as it is said to
  const std::vector<int> durations = {9, 9, 10, 11, 20, 20, 35, 35, 0, 0, 0};
  const std::vector<int> expected = {10, 20, 30, 50, 70, 100, 130, 170, 210, 220, 230};
  Beats beats(durations.size());
  PeriodicCallback periodic(
      [&] {
        const int duration = durations[beats.times.size()];
        beats.note();
        keep_busy(duration * 1ms);
      },
      10ms);
  const TimePoint begun = IOLoop::current().clock();
  periodic.start();
  co_await beats.enough.future;
  periodic.stop();
  for (std::size_t i = 0; i < expected.size(); ++i) expect_time(beats.times[i], begun + expected[i] * 1ms);
}

BEHAVIOUR("a period beyond the end of time never beats", Needs::nothing) {
  int beats = 0;
  PeriodicCallback even([&beats] { ++beats; }, Duration::max());
  PeriodicCallback uneven([&beats] { ++beats; }, Duration::max(), 1);
  even.start();
  uneven.start();
  co_await sleep_for(5ms);
  expect_equal(beats, 0);
}

BEHAVIOUR("beats of a coroutine do not overlap: those that pass while it runs are left out", Needs::nothing) {
  Beats beats(3);
  int running = 0;
  int most = 0;
  PeriodicCallback periodic([&] { return beat_for(25ms, running, most, beats); }, 10ms);
  const TimePoint begun = IOLoop::current().clock();
  periodic.start();
  co_await beats.enough.future;
  expect_equal(most, 1);
  expect_time(beats.times[0], begun + 10ms);
  expect_time(beats.times[1], begun + 40ms);
  expect_time(beats.times[2], begun + 70ms);
}

BEHAVIOUR("with jitter each period is one between 90 and 110 per cent, and not always the same", Needs::nothing) {
  Beats beats(20);
  PeriodicCallback periodic([&] { beats.note(); }, 10ms, 0.2);
  TimePoint last = IOLoop::current().clock();
  periodic.start();
  co_await beats.enough.future;
  periodic.stop();
  bool different = false;
  const Duration first = beats.times[0] - last;
  for (const TimePoint time : beats.times) {
    const Duration period = time - last;
    // A beat that is late on a real clock shortens the period after it.
    if (has_manual_clock()) expect(period >= 8990us && period <= 11ms + tolerance(), std::to_string(period.count()));
    different = different || period != first;
    last = time;
  }
  expect(different, "periods differ");
  expect(beats.times.back() - beats.times.front() >= 19 * 9ms - 11ms, "none is too short");
}

BEHAVIOUR("a PeriodicCallback needs a positive period and a jitter from 0 to 1", Needs::nothing) {
  expect_equal(name(reason_of_making(1ns, 1)), name(Errc::end));
  expect_equal(name(reason_of_making(0ns, 0)), name(Errc::limit));
  expect_equal(name(reason_of_making(-1s, 0)), name(Errc::limit));
  expect_equal(name(reason_of_making(1s, -0.1)), name(Errc::limit));
  expect_equal(name(reason_of_making(1s, 1.1)), name(Errc::limit));
  co_return;
}

BEHAVIOUR("a PeriodicCallback may be stopped inside its beat", Needs::nothing) {
  int beats = 0;
  PeriodicCallback periodic([&] { ++beats, periodic.stop(); }, 1ms);
  periodic.start();
  co_await sleep_for(10ms);
  expect_equal(beats, 1);
  expect(!periodic.is_running(), "it stopped");
}

BEHAVIOUR("a PeriodicCallback may be started anew inside its beat: the grid begins there", Needs::nothing) {
  Beats beats(3);
  TimePoint anew{};
  PeriodicCallback periodic(
      [&] {
        if (beats.times.empty()) {
          keep_busy(5ms);
          anew = IOLoop::current().clock();
          periodic.stop();
          periodic.start();
        }
        beats.note();
      },
      10ms);
  periodic.start();
  co_await beats.enough.future;
  periodic.stop();
  expect_time(beats.times[1], anew + 10ms);
  expect_time(beats.times[2], anew + 20ms);
}

BEHAVIOUR("a PeriodicCallback may be destroyed inside its beat, function or coroutine", Needs::nothing) {
  std::unique_ptr<PeriodicCallback> periodic;
  int beats = 0;
  int alive = 0;
  periodic = std::make_unique<PeriodicCallback>([&, here = Alive(alive)] { ++beats, periodic.reset(); }, 1ms);
  periodic->start();
  co_await sleep_for(5ms);
  expect_equal(beats, 1);
  expect_equal(alive, 0);

  const auto destroy = [&]() -> Future<void> {
    ++beats;
    periodic.reset();
    co_await sleep_for(1ms);
    beats += 100;
  };
  periodic = std::make_unique<PeriodicCallback>(destroy, 1ms);
  periodic->start();
  co_await sleep_for(5ms);
  expect_equal(beats, 2);
}

BEHAVIOUR("destroying a PeriodicCallback cancels the coroutine under way, stopping it does not", Needs::nothing) {
  int alive = 0;
  Signal begun;
  auto periodic = std::make_unique<PeriodicCallback>([&] { return hold_for_ever(alive, begun.promise); }, 1ms);
  periodic->start();
  co_await begun.future;
  periodic->stop();
  expect_equal(alive, 1);
  periodic.reset();
  expect_equal(alive, 0);
}

BEHAVIOUR("what was stopped while its coroutine runs, and started again, goes on when that has ended", Needs::nothing) {
  Beats beats(2);
  int running = 0;
  int most = 0;
  PeriodicCallback periodic([&] { return beat_for(5ms, running, most, beats); }, 1ms);
  periodic.start();
  while (running == 0) co_await moment();
  periodic.stop();
  periodic.start();
  co_await beats.enough.future;
  expect_equal(most, 1);
  expect(beats.times[1] - beats.times[0] >= 5ms, "after the first had ended");
}

BEHAVIOUR("a coroutine keeps the captures of the lambda that it is", Needs::nothing) {
  Signal done;
  std::string text = "a capture that is too long to be stored inside of a string";
  std::string seen;
  PeriodicCallback periodic(
      [&seen, &done, text]() -> Future<void> {
        co_await sleep_for(1ms);
        seen = text;
        done.promise.set_value();
      },
      1ms);
  periodic.start();
  text.clear();
  co_await done.future;
  expect_equal(seen, "a capture that is too long to be stored inside of a string");
}

BEHAVIOUR("what a beat throws is logged with its name, and the beats go on", Needs::nothing) {
  const RecordedLog log;
  Beats functions(2);
  Beats coroutines(2);
  PeriodicCallback function(
      [&] {
        functions.note();
        throw Error(Errc::protocol, "a function");
      },
      1ms, 0, "refresh");
  PeriodicCallback coroutine(
      [&]() -> Future<void> {
        co_await sleep_for(1ms);
        coroutines.note();
        throw Error(Errc::protocol, "a coroutine");
      },
      1ms, 0, "renew");
  function.start();
  coroutine.start();
  co_await functions.enough.future;
  co_await coroutines.enough.future;
  function.stop();
  coroutine.stop();
  co_await moment();
  expect(log.count(LogLevel::error) >= 4, "each is logged");
  expect(log.mentions("refresh (periodic_behaviours.cpp:") && log.mentions("a function"), log.text());
  expect(log.mentions("renew (periodic_behaviours.cpp:") && log.mentions("a coroutine"), log.text());
}
