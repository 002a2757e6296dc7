// The Date header of answers, made once a second.
#pragma once

#include <string_view>

#include "twinloop/backend.h"

namespace twinloop::detail {

std::string_view date_line(TimePoint now);
// "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"; `now` is the loop's time.  Valid until the thread's next call.

}  // namespace twinloop::detail
