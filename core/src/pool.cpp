#include "twinloop/detail/pool.h"

#include <algorithm>
#include <array>

#include "twinloop/detail/config.h"

namespace twinloop::detail {
namespace {

constexpr std::size_t kGranularity = 32;
constexpr std::size_t kLargest = 1024;
constexpr std::size_t kClasses = kLargest / kGranularity;
constexpr std::size_t kAlwaysKept = 64;
constexpr unsigned kPeakWindow = 4096;

struct FreeBlock {
  FreeBlock* next;
};

struct SizeClass {
  FreeBlock* free = nullptr;
  std::size_t cached = 0;
  std::size_t live = 0;
  std::size_t peak = 0;
};

struct Pool {
  std::array<SizeClass, kClasses> classes{};
  PoolStats stats;
  unsigned until_decay = kPeakWindow;
  bool retired = false;  // the thread is ending: hand everything to the heap
};

constinit thread_local Pool pool;

void release_all(Pool& p) noexcept {
  for (SizeClass& c : p.classes) {
    while (c.free != nullptr) ::operator delete(std::exchange(c.free, c.free->next));
    c.cached = 0;
  }
}

struct Retirement {
  ~Retirement() {
    pool.retired = true;
    release_all(pool);
  }
};

// A burst leaves memory in the lists; the peak is forgotten by halves, so that what it needed is given back.
void decay_peaks(Pool& p) noexcept {
  p.until_decay = kPeakWindow;
  for (SizeClass& c : p.classes) {
    c.peak = std::max(c.live, c.peak / 2);
    while (c.cached > std::max(kAlwaysKept, 2 * c.peak)) {
      ::operator delete(std::exchange(c.free, c.free->next));
      --c.cached;
    }
  }
}

}  // namespace

void* pool_allocate(std::size_t size) {
  Pool& p = pool;
  ++p.stats.allocations;
  ++p.stats.live;
  if (!TWINLOOP_POOLS || size > kLargest || size == 0) {
    ++p.stats.from_heap;
    return ::operator new(size);
  }
  SizeClass& c = p.classes[(size - 1) / kGranularity];
  c.peak = std::max(c.peak, ++c.live);
  if (--p.until_decay == 0) decay_peaks(p);
  if (c.free != nullptr) {
    --c.cached;
    return std::exchange(c.free, c.free->next);
  }
  ++p.stats.from_heap;
  static thread_local Retirement retirement;
  (void)retirement;
  return ::operator new((size + kGranularity - 1) / kGranularity * kGranularity);
}

void pool_free(void* memory, std::size_t size) noexcept {
  Pool& p = pool;
  --p.stats.live;
  if (!TWINLOOP_POOLS || size > kLargest || size == 0) return ::operator delete(memory);
  SizeClass& c = p.classes[(size - 1) / kGranularity];
  if (c.live > 0) --c.live;
  if (p.retired || c.cached >= std::max(kAlwaysKept, 2 * c.peak)) return ::operator delete(memory);
  ++c.cached;
  c.free = new (memory) FreeBlock{c.free};
}

PoolStats pool_stats() noexcept { return pool.stats; }

}  // namespace twinloop::detail
