// From errno to the names by which this library calls its failures.
#pragma once

#include <system_error>

namespace twinloop::detail {

std::error_code from_errno(int error) noexcept;
// The Errc that fits, otherwise the system's own code.

}  // namespace twinloop::detail
