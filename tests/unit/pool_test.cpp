// The free lists under frames and operations: what they keep, what they give back, and blocks that change threads.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cstddef>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

#include "twinloop/detail/pool.h"

using namespace twinloop::detail;

namespace {

constexpr std::size_t kSize = 200;
constexpr std::size_t kBurst = 5'000;  // a megabyte

std::vector<void*> allocate_many(std::size_t size, std::size_t count) {
  std::vector<void*> blocks(count);
  for (void*& block : blocks) block = pool_allocate(size);
  return blocks;
}

void free_all(const std::vector<void*>& blocks, std::size_t size) {
  for (void* block : blocks) pool_free(block, size);
}

// Long enough for several windows: what nobody needs meanwhile is unneeded.
void work_on_with_little() {
  for (std::size_t i = 0; i < 20 * Pool::kWindow; ++i) pool_free(pool_allocate(kSize), kSize);
}

}  // namespace

TEST_CASE("a block is aligned to the largest power of two that divides its size, up to 16") {
  for (std::size_t size = Pool::kGranularity; size <= Pool::kLargest; size += Pool::kGranularity) {
    const std::vector<void*> blocks = allocate_many(size, 100);
    const std::size_t alignment = size % 16 == 0 ? 16 : 8;
    for (void* block : blocks) CHECK(reinterpret_cast<std::uintptr_t>(block) % alignment == 0);
    free_all(blocks, size);
  }
}

TEST_CASE("memory that a burst left in the free lists goes back to the heap") {
  if (!TWINLOOP_POOLS) return;
  const std::size_t before = pool_stats().chunk_bytes;
  const std::vector<void*> burst = allocate_many(kSize, kBurst);
  const std::size_t most = pool_stats().chunk_bytes;
  free_all(burst, kSize);
  work_on_with_little();
  CHECK(pool_stats().chunk_bytes <= before + 64 * 1024);
  CHECK(pool_stats().chunk_bytes <= most - kBurst * kSize / 2);
}

TEST_CASE("giving memory back leaves the rest of a list in the order of its chunks") {
  if (!TWINLOOP_POOLS) return;
  const std::vector<void*> blocks = allocate_many(kSize, kBurst);
  const auto neighbours = [](const std::vector<void*>& all) {
    std::size_t count = 0;
    for (std::size_t i = 1; i < all.size(); ++i) {
      const auto distance = static_cast<std::byte*>(all[i]) - static_cast<std::byte*>(all[i - 1]);
      if (distance < 16 * 1024 && distance > -16 * 1024) ++count;
    }
    return count;
  };
  std::vector<void*> kept;  // one of each chunk at least
  std::vector<void*> freed;
  for (std::size_t i = 0; i < blocks.size(); ++i) (i % 10 == 0 ? kept : freed).push_back(blocks[i]);
  std::shuffle(freed.begin(), freed.end(), std::mt19937(1));
  free_all(freed, kSize);
  work_on_with_little();

  const std::vector<void*> again = allocate_many(kSize, freed.size() / 2);
  CHECK(neighbours(again) > again.size() * 9 / 10);
  free_all(again, kSize);
  free_all(kept, kSize);
}

TEST_CASE("blocks that are still in use keep their chunk, and their neighbours are used again") {
  if (!TWINLOOP_POOLS) return;
  std::vector<void*> blocks = allocate_many(kSize, kBurst);
  std::vector<void*> kept;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (i % 10 == 0)
      kept.push_back(blocks[i]);
    else
      pool_free(blocks[i], kSize);
  }
  for (void* block : kept) *static_cast<std::size_t*>(block) = reinterpret_cast<std::size_t>(block);
  work_on_with_little();
  for (void* block : kept) CHECK(*static_cast<std::size_t*>(block) == reinterpret_cast<std::size_t>(block));
  const std::size_t before = pool_stats().chunk_bytes;
  free_all(allocate_many(kSize, kBurst / 2), kSize);
  CHECK(pool_stats().chunk_bytes == before);
  free_all(kept, kSize);
}

TEST_CASE("blocks may be freed on another thread, and what a thread leaves serves the others") {
  if (!TWINLOOP_POOLS) return;
  const std::size_t before = pool_stats().chunk_bytes;
  for (int round = 0; round < 20; ++round) {
    std::vector<void*> blocks;
    std::thread([&blocks] { blocks = allocate_many(kSize, kBurst); }).join();
    std::thread([&blocks] { free_all(blocks, kSize); }).join();
  }
  CHECK(pool_stats().chunk_bytes <=
        before + 64 * 1024);  // the last thread gave all of its own back, and those of the first
}

TEST_CASE("what is counted as in use is right for all threads together when blocks are freed on another") {
  const auto live = [] { return static_cast<std::ptrdiff_t>(pool_stats().live); };
  const std::ptrdiff_t before = live();
  const std::vector<void*> blocks = allocate_many(kSize, 100);
  CHECK(live() == before + 100);
  std::ptrdiff_t elsewhere = 0;
  std::thread([&] {
    elsewhere = live();
    free_all(blocks, kSize);
    elsewhere = live() - elsewhere;
  }).join();
  CHECK(elsewhere == -100);
  CHECK(live() == before + 100);
  const std::vector<void*> others = allocate_many(kSize, 300);  // some of them are those that the thread left
  CHECK(live() == before + 400);
  free_all(others, kSize);
  CHECK(live() == before + 100);
}

TEST_CASE("a thread leaves nothing behind that only frees, and a large block first") {
  if (!TWINLOOP_POOLS) return;
  const std::size_t before = pool_stats().chunk_bytes;
  for (int round = 0; round < 20; ++round) {
    void* large = pool_allocate(2 * Pool::kLargest);
    std::vector<void*> blocks;
    std::thread([&blocks] { blocks = allocate_many(kSize, Pool::kWindow / 2); }).join();
    std::thread([&blocks, large] {
      pool_free(large, 2 * Pool::kLargest);
      free_all(blocks, kSize);
    }).join();
  }
  CHECK(pool_stats().chunk_bytes <= before + 64 * 1024);
}
