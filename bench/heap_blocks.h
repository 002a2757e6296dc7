// A program that links heap_blocks.cpp counts what it asks operator new for.
#pragma once

#include <cstddef>

namespace bench {

std::size_t heap_blocks() noexcept;
// So far, in all threads.

}  // namespace bench
