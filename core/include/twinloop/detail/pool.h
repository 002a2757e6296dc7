// Size-class free lists for what is allocated all the time: coroutine frames, tasks, timers.  One set a thread, no locks.
//
// What is not in the lists is cut from chunks, which the heap gives and gets back whole: a block has no header, and takes as many
// bytes as it has.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "twinloop/detail/config.h"
#include "twinloop/detail/process_lock.h"

namespace twinloop::detail {

struct PoolStats {
  std::size_t allocations = 0;  // calls of pool_allocate on this thread
  std::size_t from_heap = 0;    // how often it had to ask operator new
  std::size_t live = 0;         // blocks: allocated on this thread, less those freed on it, of other threads', too
  std::size_t chunk_bytes = 0;  // of all threads' chunks
};
PoolStats pool_stats() noexcept;
// Counts the blocks that were freed since the last call one by one, as the fast paths count as little as they can, and from then on
// takes them for not needed in this window.

void pool_after_fork() noexcept;
// In a forked child.  Where another thread was changing what the threads share, that is left as it is, and never given back.

ProcessLock& pool_lock() noexcept;
// Guards it.

// What the inline paths below need of a thread's lists.
struct Pool {
  static constexpr std::size_t kGranularity = 8;
  static constexpr std::size_t kLargest = 1024;
  static constexpr std::size_t kWindow = 4096;

  struct Block {
    Block* next;
  };
  struct Chunk;
  struct Stock {
    Block* first = nullptr;
    std::size_t size = 0;  // blocks
  };
  struct SizeClass {
    Block* free = nullptr;  // what this window has used
    Stock stock;            // what it has not needed so far
    Chunk* open = nullptr;  // the one that is not cut up yet
  };

  static constexpr bool serves(std::size_t size) noexcept { return TWINLOOP_POOLS && size - 1 < kLargest; }
  static constexpr std::size_t class_of(std::size_t size) noexcept { return (size - 1) / kGranularity; }

  std::array<SizeClass, kLargest / kGranularity> classes{};
  std::size_t frees = 0;       // by the end of this window
  std::size_t frees_left = 0;  // of the window; then memory that nobody needs is given back
  std::size_t owned = 0;       // blocks: those in the lists, and those in use that came from here
  std::size_t from_heap = 0;
  bool retired = false;  // the thread is ending: it keeps nothing any more
};

extern constinit thread_local Pool pool;

inline void keep(Pool& p, void* memory, std::size_t size) noexcept {
  Pool::Block*& free = p.classes[Pool::class_of(size)].free;
  free = new (memory) Pool::Block{free};
}

void* allocate_slowly(std::size_t size);
void free_slowly(void* memory, std::size_t size) noexcept;

inline void* pool_allocate(std::size_t size) {
  if (!Pool::serves(size)) return allocate_slowly(size);
  Pool::Block*& free = pool.classes[Pool::class_of(size)].free;
  if (free == nullptr) return allocate_slowly(size);
  return std::exchange(free, free->next);
}
// Memory from this thread's free list of the size class, or from operator new.  Throws std::bad_alloc.  Aligned as an object of
// that size can need: to the largest power of two that divides the size, up to 16.

inline void pool_free(void* memory, std::size_t size) noexcept {
  Pool& p = pool;
  if (--p.frees_left == 0 || !Pool::serves(size)) return free_slowly(memory, size);
  keep(p, memory, size);
}
// `size` is the one it was allocated with.  Memory may be freed on another thread than the one that allocated it.

// Gives a class pooled allocation.
class Pooled {
 public:
  static void* operator new(std::size_t size) { return pool_allocate(size); }
  static void operator delete(void* memory, std::size_t size) noexcept { pool_free(memory, size); }
};

// The same for the elements of a container.
template <class T>
struct PoolAllocator {
  using value_type = T;
  PoolAllocator() noexcept = default;
  template <class U>
  PoolAllocator(const PoolAllocator<U>&) noexcept {}  // NOLINT(google-explicit-constructor)
  T* allocate(std::size_t count) { return static_cast<T*>(pool_allocate(count * sizeof(T))); }
  void deallocate(T* memory, std::size_t count) noexcept { pool_free(memory, count * sizeof(T)); }
  bool operator==(const PoolAllocator&) const noexcept = default;
};

}  // namespace twinloop::detail
