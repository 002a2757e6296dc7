// Waiting for whichever of several futures comes first; the others are cancelled.
#pragma once

#include "twinloop/detail/combined.h"

namespace twinloop {

namespace detail {

struct FirstCompletion {
  static constexpr bool kOne = true;
  static constexpr bool kInTime = true;
  static Verdict verdict(bool failed, std::size_t, std::size_t) noexcept {
    return failed ? Verdict::fail : Verdict::succeed;
  }
};

struct FirstSuccess {
  static constexpr bool kOne = true;
  static constexpr bool kInTime = false;
  static Verdict verdict(bool failed, std::size_t left, std::size_t) noexcept {
    if (!failed) return Verdict::succeed;
    return left == 0 ? Verdict::fail : Verdict::wait;
  }
};

template <class Rule, class... Ts>
auto one_of(Quiet quiet, Future<Ts>... futures) {
  static_assert(sizeof...(Ts) > 0, "a race needs a future that can win it");
  return Combined<Rule, Several<Ts...>>::start(Several<Ts...>(std::move(futures)...), quiet);
}

template <class Rule, class T>
auto one_of(Quiet quiet, std::vector<Future<T>> futures) {
  using Race = Combined<Rule, Many<T>>;
  if (futures.empty()) {
    return Future<typename Race::Value>::failed(Failure(Errc::broken_promise, "a race in which nobody runs"));
  }
  return Race::start(Many<T>(std::move(futures)), quiet);
}

}  // namespace detail

template <class... Ts>
auto race(Future<Ts>... futures) {
  return detail::one_of<detail::FirstCompletion>(Quiet::none(), std::move(futures)...);
}
template <class... Ts>
auto race(const Quiet& quiet, Future<Ts>... futures) {
  return detail::one_of<detail::FirstCompletion>(quiet, std::move(futures)...);
}
template <class T>
auto race(std::vector<Future<T>> futures) {
  return detail::one_of<detail::FirstCompletion>(Quiet::none(), std::move(futures));
}
template <class T>
auto race(const Quiet& quiet, std::vector<Future<T>> futures) {
  return detail::one_of<detail::FirstCompletion>(quiet, std::move(futures));
}
// The first that completes decides, with its value or its failure; the others are cancelled before the result is there.  Futures
// given one by one yield a std::variant whose index() says which it was (Unit stands for a Future<void>); a vector yields
// Indexed<T>, or the bare index for Future<void>.
//
// Of those that are done already the first in order wins.  A failure of another that came too late is logged unless `quiet`
// covers it.  Dropping the race cancels all; what the winner had reserved (an item, bytes of a stream) stays where it was.
// A vector without futures fails with broken_promise.

template <class... Ts>
auto any(Future<Ts>... futures) {
  return detail::one_of<detail::FirstSuccess>(Quiet(), std::move(futures)...);
}
template <class T>
auto any(std::vector<Future<T>> futures) {
  return detail::one_of<detail::FirstSuccess>(Quiet(), std::move(futures));
}
// The same, but failures do not count while somebody can still succeed, and are not logged.  If all fail, it fails with the first
// failure in order, once the last is done.

}  // namespace twinloop
