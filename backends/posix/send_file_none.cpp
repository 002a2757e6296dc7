// A system that sends no files by itself, or not without waiting for the disk.
#include "backends/posix/send_file.h"

namespace twinloop::detail {

IoResult send_from_file(int, int, std::uint64_t, std::size_t) noexcept { return IoResult::not_supported(); }

}  // namespace twinloop::detail
