// There are no processes in a browser.
#include "twinloop/process.h"

namespace twinloop {

std::optional<int> fork_processes(int, int, Duration) {
  throw Error(Errc::not_supported, "fork_processes: a browser has no processes; a native program does");
}

std::optional<int> task_id() noexcept { return std::nullopt; }

}  // namespace twinloop
