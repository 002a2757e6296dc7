// The Date header of answers, made once a second.
#pragma once

#include <chrono>
#include <string_view>

#include "twinloop/backend.h"

namespace twinloop::detail {

using WallClock = std::chrono::system_clock::time_point (*)();

std::string_view date_line(TimePoint now, WallClock wall_clock = &std::chrono::system_clock::now);
// "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"; `now` is the loop's time.  Valid until the thread's next call.  The wall's
// clock is asked when the second that it told then is over.

}  // namespace twinloop::detail
