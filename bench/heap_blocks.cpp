#include "bench/heap_blocks.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<std::size_t> blocks{0};
}

void* operator new(std::size_t size) {
  blocks.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size != 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

std::size_t bench::heap_blocks() noexcept { return blocks.load(std::memory_order_relaxed); }
