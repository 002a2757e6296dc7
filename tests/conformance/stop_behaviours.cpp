// with_stop: where the standard library has std::stop_token.
#include <thread>

#include "twinloop/stop.h"
#include "work.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;
using namespace work;

BEHAVIOUR("a stop request cancels the work", Needs::stop_token) {
  int alive = 0;
  std::stop_source source;
  Future<int> stoppable = with_stop(source.get_token(), never(alive));
  expect_equal(alive, 1);
  source.request_stop();
  co_await expect_failure(std::move(stoppable), Errc::cancelled);
  expect_equal(alive, 0);
}

BEHAVIOUR("a stop request from another thread cancels the work", Needs::threads | Needs::stop_token) {
  int alive = 0;
  std::stop_source source;
  Future<int> stoppable = with_stop(source.get_token(), never(alive));
  std::jthread thread([&source] { source.request_stop(); });
  co_await expect_failure(std::move(stoppable), Errc::cancelled);
  expect_equal(alive, 0);
}

BEHAVIOUR("a stop that was requested before cancels at once, but a result that exists wins", Needs::stop_token) {
  int alive = 0;
  std::stop_source source;
  source.request_stop();
  co_await expect_failure(with_stop(source.get_token(), never(alive)), Errc::cancelled);
  const int value = co_await with_stop(source.get_token(), Future<int>::ready(4));
  expect_equal(value, 4);
}

BEHAVIOUR("work that ends before the stop request keeps its result and forgets the token", Needs::stop_token) {
  std::stop_source source;
  const int value = co_await with_stop(source.get_token(), later(1ms, 5));
  source.request_stop();
  expect_equal(value, 5);
  co_await expect_failure(with_stop(source.get_token(), failing_later(1ms, Errc::refused)), Errc::cancelled);
}

namespace {

Future<void> use_stop() {
  std::stop_source source;
  const int value = co_await with_stop(source.get_token(), later(1ms, 1));
  Future<int> stopped = with_stop(source.get_token(), later(1h, value));
  source.request_stop();
  co_await expect_failure(std::move(stopped), Errc::cancelled);
}

}  // namespace

BEHAVIOUR("a program with stop tokens can be cancelled at every step and leaves nothing behind", Needs::stop_token) {
  co_await cancel_everywhere(&use_stop);
}
