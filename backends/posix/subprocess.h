// Starting a program.
#pragma once

#include <string>
#include <vector>

#include "backends/posix/children.h"
#include "backends/posix/reactor.h"
#include "twinloop/process.h"

namespace twinloop::detail {

StartedProcess start_program(Reactor& reactor, Children& children, const std::vector<std::string>& argv,
                             const SubprocessOptions& options);
// Throws Error; nothing is left then.

}  // namespace twinloop::detail
