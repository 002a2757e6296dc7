#include "twinloop/detail/pool.h"

#include <algorithm>

namespace twinloop::detail {
namespace {

constexpr std::size_t kAlwaysKept = 64;  // blocks of a class

void release(Pool::SizeClass& c, std::size_t count) noexcept {
  c.cached -= count;
  for (; count > 0; --count) ::operator delete(std::exchange(c.free, c.free->next));
}

struct Retirement {
  ~Retirement() {
    pool.retired = true;
    pool.frees_left = 1;
    for (Pool::SizeClass& c : pool.classes) release(c, c.cached);
  }
};

// A burst leaves memory in the lists.  Of what nobody needed for a whole window half is given back.
void give_back_unneeded(Pool& p) noexcept {
  for (Pool::SizeClass& c : p.classes) {
    const std::size_t spare = c.least > kAlwaysKept ? c.least - kAlwaysKept : 0;
    release(c, (spare + 1) / 2);
    c.least = c.cached;
  }
}

}  // namespace

constinit thread_local Pool pool;

void* allocate_from_heap(std::size_t size) {
  ++pool.from_heap;
  if (!Pool::serves(size)) return ::operator new(size);
  static thread_local Retirement retirement;
  (void)retirement;
  return ::operator new((Pool::class_of(size) + 1) * Pool::kGranularity);
}

void free_slowly(void* memory, std::size_t size) noexcept {
  Pool& p = pool;
  if (Pool::serves(size)) p.frees_left = p.retired ? 1 : Pool::kWindow;
  if (!Pool::serves(size) || p.retired) return ::operator delete(memory);
  keep(p, memory, size);
  give_back_unneeded(p);
}

PoolStats pool_stats() noexcept { return {pool.allocations, pool.from_heap, pool.allocations - pool.frees}; }

}  // namespace twinloop::detail
