// What is known of a handler's class when it is registered: which hooks and verbs it overrides.  A class whose override cannot be
// named from here, because it is private, has one.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include "twinloop/request_handler.h"

namespace twinloop::detail {

inline constexpr std::size_t kVerbCount = 7;  // GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS

struct HandlerTraits {
  unsigned verbs = 0;  // those it answers, a bit each in that order
  bool wants_finish = false;
  bool wants_close = false;  // an interest in the client's FIN
  bool wants_drain = false;
  bool streams_body = false;
};

// Whether &H::name is still the base's.
#define TWINLOOP_INHERITS(H, name) \
  requires { requires std::same_as<decltype(&H::name), decltype(&RequestHandler::name)>; }

template <class H>
constexpr HandlerTraits handler_traits() noexcept {
  HandlerTraits traits;
  const bool gets = !TWINLOOP_INHERITS(H, get);
  const bool verbs[kVerbCount] = {gets,
                                  gets || !TWINLOOP_INHERITS(H, head),
                                  !TWINLOOP_INHERITS(H, post),
                                  !TWINLOOP_INHERITS(H, put),
                                  !TWINLOOP_INHERITS(H, patch),
                                  !TWINLOOP_INHERITS(H, del),
                                  !TWINLOOP_INHERITS(H, options)};
  for (std::size_t i = 0; i < kVerbCount; ++i) traits.verbs |= verbs[i] ? 1U << i : 0U;
  traits.wants_finish = !TWINLOOP_INHERITS(H, on_finish);
  traits.wants_close = !TWINLOOP_INHERITS(H, on_connection_close);
  traits.wants_drain = !TWINLOOP_INHERITS(H, on_drain);
  if constexpr (requires { H::kStreamRequestBody; }) traits.streams_body = H::kStreamRequestBody;
  return traits;
}

#undef TWINLOOP_INHERITS

struct RouteEntry {
  HandlerTraits traits;
  std::function<std::unique_ptr<RequestHandler>()> make;
  std::string name;
  bool cancel_on_close = false;
};

// A route whose requests are answered by an H of copies of these arguments.
template <class H, class... Args>
RouteEntry make_route(Args... args) {
  static_assert(std::is_constructible_v<H, const std::unwrap_reference_t<Args>&...>,
                "a handler is made for each request from copies of the arguments given to add()");
  RouteEntry entry;
  entry.traits = handler_traits<H>();
  entry.make = [args = std::make_tuple(std::move(args)...)]() -> std::unique_ptr<RequestHandler> {
    return std::apply([](auto&... each) { return std::make_unique<H>(each...); }, args);
  };
  return entry;
}

}  // namespace twinloop::detail
