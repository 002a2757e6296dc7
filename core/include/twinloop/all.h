// Waiting for several futures together.
#pragma once

#include "twinloop/detail/combined.h"

namespace twinloop {

namespace detail {

struct WaitForAll {
  static constexpr bool kOne = false;
  static constexpr bool kInTime = false;
  static Verdict verdict(bool, std::size_t left, std::size_t failures) noexcept {
    if (left > 0) return Verdict::wait;
    return failures == 0 ? Verdict::succeed : Verdict::fail;
  }
};

struct FailFast : WaitForAll {
  static Verdict verdict(bool failed, std::size_t left, std::size_t) noexcept {
    if (failed) return Verdict::fail;
    return left == 0 ? Verdict::succeed : Verdict::wait;
  }
};

template <class Rule, class Children>
auto all_of(Children children, const Quiet& quiet) {
  using All = typename Children::All;
  if (children.size() > 0) return Combined<Rule, Children>::start(std::move(children), quiet);
  if constexpr (std::is_void_v<All>) {
    return Future<void>::ready();
  } else {
    return Future<All>::ready(All());
  }
}

}  // namespace detail

template <class... Ts>
auto all(Future<Ts>... futures) {
  return detail::all_of<detail::WaitForAll>(detail::Several<Ts...>(std::move(futures)...), Quiet::none());
}
template <class... Ts>
auto all(const Quiet& quiet, Future<Ts>... futures) {
  return detail::all_of<detail::WaitForAll>(detail::Several<Ts...>(std::move(futures)...), quiet);
}
template <class T>
auto all(std::vector<Future<T>> futures) {
  return detail::all_of<detail::WaitForAll>(detail::Many<T>(std::move(futures)), Quiet::none());
}
template <class T>
auto all(const Quiet& quiet, std::vector<Future<T>> futures) {
  return detail::all_of<detail::WaitForAll>(detail::Many<T>(std::move(futures)), quiet);
}
// Waits until every one is done, then gives their values in the order of the arguments: a std::tuple for futures given one by one
// (with Unit for a Future<void>), a std::vector for a vector; Future<void> when all of them are.  None at all is legal.
//
// If some failed it fails with the first failure in that order, still after the last one is done; the other failures are logged
// unless `quiet` covers them or they are ordinary ends of connections.  Dropping it cancels what is under way.

template <class... Ts>
auto all_fail_fast(Future<Ts>... futures) {
  return detail::all_of<detail::FailFast>(detail::Several<Ts...>(std::move(futures)...), Quiet::none());
}
template <class... Ts>
auto all_fail_fast(const Quiet& quiet, Future<Ts>... futures) {
  return detail::all_of<detail::FailFast>(detail::Several<Ts...>(std::move(futures)...), quiet);
}
template <class T>
auto all_fail_fast(std::vector<Future<T>> futures) {
  return detail::all_of<detail::FailFast>(detail::Many<T>(std::move(futures)), Quiet::none());
}
template <class T>
auto all_fail_fast(const Quiet& quiet, std::vector<Future<T>> futures) {
  return detail::all_of<detail::FailFast>(detail::Many<T>(std::move(futures)), quiet);
}
// The same, but the first failure ends it: the others are cancelled before it is reported.  Of several that failed in the same
// instant the first in order is reported and the rest logged.

}  // namespace twinloop
