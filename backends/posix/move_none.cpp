// A system that moves no bytes between descriptors: they are copied.
#include "twinloop/detail/builtin.h"

namespace twinloop::detail {

std::size_t platform_move(int, int, std::size_t, std::string&) { return 0; }

}  // namespace twinloop::detail
