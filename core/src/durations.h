// Times that come from users may be as long as they like: sums stop at the end of time instead of running over it.  And those that
// programs have at their end.
#pragma once

#include <cassert>

#include "twinloop/backend.h"

namespace twinloop {

inline TimePoint later(TimePoint from, Duration by) noexcept {
  assert(from >= TimePoint{});
  return by > kNever - from ? kNever : from + by;
}

inline Duration to_duration(double nanoseconds) noexcept {
  constexpr double kBeyond = 9223372036854775808.0;  // 2^63, the first that does not fit
  return nanoseconds >= kBeyond ? Duration::max() : Duration(static_cast<Duration::rep>(nanoseconds));
}

namespace detail {

// What IOLoop::wind_down is given for what closed streams had accepted: at an end in order, and where somebody waits for it.
inline constexpr Duration kDelivery = std::chrono::seconds(5);
inline constexpr Duration kDeliveryInHaste = std::chrono::seconds(1);

}  // namespace detail
}  // namespace twinloop
