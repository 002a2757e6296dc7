// Size-class free lists for what is allocated all the time: coroutine frames, tasks, timers.  One set a thread, no locks.
#pragma once

#include <cstddef>
#include <new>
#include <utility>

namespace twinloop::detail {

void* pool_allocate(std::size_t size);
// Memory from this thread's free list of the size class, or from operator new.  Throws std::bad_alloc.

void pool_free(void* memory, std::size_t size) noexcept;
// `size` is the one it was allocated with.  Memory may be freed on another thread than the one that allocated it.

struct PoolStats {
  std::size_t allocations = 0;  // calls of pool_allocate on this thread
  std::size_t from_heap = 0;    // those that had to ask operator new
  std::size_t live = 0;
};
PoolStats pool_stats() noexcept;

// Gives a class pooled allocation.
class Pooled {
 public:
  static void* operator new(std::size_t size) { return pool_allocate(size); }
  static void operator delete(void* memory, std::size_t size) noexcept { pool_free(memory, size); }
};

}  // namespace twinloop::detail
