#include "twinloop/detail/pool.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <vector>

namespace twinloop::detail {
namespace {

constexpr std::size_t kAlwaysKept = 64;  // blocks of a class
constexpr std::size_t kRefill = 16;      // blocks that a free list is given at once
constexpr std::size_t kAll = static_cast<std::size_t>(-1);
constexpr std::size_t kChunk = sizeof(void*) == 8 ? 16 * 1024 : 4 * 1024;
constexpr std::size_t kClasses = Pool::kLargest / Pool::kGranularity;

}  // namespace

struct alignas(16) Pool::Chunk {
  void* cut_one(std::size_t block_size) noexcept { return reinterpret_cast<std::byte*>(this + 1) + block_size * cut++; }

  bool holds(const Block* block) const noexcept {
    const auto* const address = reinterpret_cast<const std::byte*>(block);
    const auto* const begin = reinterpret_cast<const std::byte*>(this);
    return !std::less<>()(address, begin) && std::less<>()(address, begin + kChunk);
  }

  // Its own free blocks are a ring, so that one pointer finds both ends.
  void gather(Block* block) noexcept {
    block->next = last != nullptr ? std::exchange(last->next, block) : block;
    if (last == nullptr) last = block;
    ++gathered;
  }
  void hand_over(Stock& stock) noexcept {
    stock.size += std::exchange(gathered, 0);
    Block* const end = std::exchange(last, nullptr);
    if (end != nullptr) stock.first = std::exchange(end->next, stock.first);
  }

  Block* last = nullptr;       // these two only within Shelf::give_back
  std::uint32_t gathered = 0;  // blocks
  std::uint32_t cut = 0;       // blocks
};

namespace {

using Block = Pool::Block;
using Chunk = Pool::Chunk;
using SizeClass = Pool::SizeClass;
using Stock = Pool::Stock;

constexpr std::size_t block_size(std::size_t size_class) noexcept { return (size_class + 1) * Pool::kGranularity; }
constexpr std::size_t blocks_of_chunk(std::size_t size_class) noexcept {
  return (kChunk - sizeof(Chunk)) / block_size(size_class);
}

constinit ProcessLock shelf_lock;

// What the threads share: all chunks, and the free blocks of threads that have ended.  A chunk's blocks may lie in the lists of
// several threads, so whether all of them are free is asked under a lock, and seldom.
class Shelf {
 public:
  explicit Shelf(std::size_t chunks = 0) noexcept : count_(chunks) {}

  Chunk* make_chunk(std::size_t size_class) {
    auto* const chunk = new (::operator new(kChunk)) Chunk;
    const std::lock_guard lock(shelf_lock);
    std::vector<Chunk*>& chunks = chunks_[size_class];
    chunks.insert(std::upper_bound(chunks.begin(), chunks.end(), chunk, std::less<>()), chunk);
    count_.fetch_add(1, std::memory_order_relaxed);
    return chunk;
  }
  std::size_t count() const noexcept { return count_.load(std::memory_order_relaxed); }

  // Gives chunks that lie in the lists with all their blocks back to the heap, `most` blocks together, and says how many blocks
  // that was.  The rest goes into stock, in the order of the chunks: to take a block from a list in random order is a miss of the
  // cache.
  std::size_t give_back(std::size_t size_class, SizeClass& c, std::size_t most) noexcept {
    const std::size_t all = blocks_of_chunk(size_class);
    const std::lock_guard lock(shelf_lock);
    std::vector<Chunk*>& chunks = chunks_[size_class];
    Stock others;  // of no chunk that is known
    gather(chunks, std::exchange(c.free, nullptr), others);
    gather(chunks, std::exchange(c.stock, {}).first, others);
    c.stock = others;
    std::size_t given = 0;
    const auto goes = [&](Chunk* chunk) {
      if (chunk->gathered < all || most - given < all) return chunk->hand_over(c.stock), false;
      given += all;
      ::operator delete(chunk);
      return true;
    };
    count_.fetch_sub(std::erase_if(chunks, goes), std::memory_order_relaxed);
    return given;
  }

  // For blocks whose thread has ended: the next thread that is short of such takes them.
  void put(std::size_t size_class, Block* blocks) noexcept {
    const std::lock_guard lock(shelf_lock);
    while (blocks != nullptr) {
      Block* const block = std::exchange(blocks, blocks->next);
      block->next = std::exchange(orphans_[size_class], block);
    }
    has_orphans_.store(true, std::memory_order_relaxed);
  }
  Stock take(std::size_t size_class) noexcept {
    if (!has_orphans_.load(std::memory_order_relaxed)) return {};
    const std::lock_guard lock(shelf_lock);
    Stock orphans{std::exchange(orphans_[size_class], nullptr)};
    for (const Block* block = orphans.first; block != nullptr; block = block->next) ++orphans.size;
    return orphans;
  }

 private:
  static void gather(const std::vector<Chunk*>& chunks, Block* blocks, Stock& of_no_known_chunk) noexcept {
    Chunk* chunk = nullptr;
    while (blocks != nullptr) {
      Block* const block = std::exchange(blocks, blocks->next);
      if (chunk == nullptr || !chunk->holds(block)) chunk = chunk_of(chunks, block);
      if (chunk != nullptr) {
        chunk->gather(block);
      } else {
        of_no_known_chunk.first = new (block) Block{of_no_known_chunk.first};
        ++of_no_known_chunk.size;
      }
    }
  }

  static Chunk* chunk_of(const std::vector<Chunk*>& chunks, Block* block) noexcept {
    const auto begins_behind = [](const void* address, const void* chunk) { return std::less<>()(address, chunk); };
    const auto behind = std::upper_bound(chunks.begin(), chunks.end(), block, begins_behind);
    if (behind == chunks.begin()) return nullptr;
    Chunk* const chunk = *std::prev(behind);
    return chunk->holds(block) ? chunk : nullptr;
  }

  std::array<std::vector<Chunk*>, kClasses> chunks_;  // of a size class, by address
  std::array<Block*, kClasses> orphans_{};
  std::atomic<bool> has_orphans_ = false;
  std::atomic<std::size_t> count_ = 0;
};

// Never destroyed: the last block may be freed after all that is static has been.
constinit std::atomic<Shelf*> known_shelf = nullptr;

Shelf& shelf() {
  Shelf* known = known_shelf.load(std::memory_order_acquire);
  if (known != nullptr) return *known;
  auto made = std::make_unique<Shelf>();
  if (known_shelf.compare_exchange_strong(known, made.get(), std::memory_order_acq_rel)) return *made.release();
  return *known;  // another thread's
}

Block* cut_one(std::size_t size_class, SizeClass& c) noexcept {
  auto* const block = new (c.open->cut_one(block_size(size_class))) Block{nullptr};
  if (c.open->cut == blocks_of_chunk(size_class)) c.open = nullptr;
  ++pool.owned;
  return block;
}

Block* take_one(Stock& stock) noexcept {
  --stock.size;
  Block* const block = stock.first;
  stock.first = std::exchange(block->next, nullptr);
  return block;
}

// For a free list that is empty: from what this thread has in stock, else from what ended threads left, else from a chunk.
void refill(std::size_t size_class, SizeClass& c) {
  if (c.stock.first == nullptr && c.open == nullptr) {
    c.stock = shelf().take(size_class);
    pool.owned += c.stock.size;
  }
  if (c.stock.first == nullptr && c.open == nullptr) {
    ++pool.from_heap;
    c.open = shelf().make_chunk(size_class);
  }
  Block** end = &c.free;
  for (std::size_t i = 0; i < kRefill && (c.stock.first != nullptr || c.open != nullptr); ++i) {
    *end = c.stock.first != nullptr ? take_one(c.stock) : cut_one(size_class, c);
    end = &(*end)->next;
  }
}

void stow_away(SizeClass& c) noexcept {
  Block** end = &c.free;
  for (; *end != nullptr; end = &(*end)->next) ++c.stock.size;
  *end = c.stock.first;
  c.stock.first = std::exchange(c.free, nullptr);
}

void retire(std::size_t size_class, SizeClass& c) noexcept {
  while (c.open != nullptr) c.free = new (cut_one(size_class, c)) Block{c.free};
  if (c.free == nullptr && c.stock.first == nullptr) return;
  pool.owned -= shelf().give_back(size_class, c, kAll);
  pool.owned -= c.stock.size;
  shelf().put(size_class, std::exchange(c.stock, {}).first);
}

// The next free but so many is for free_slowly.
void begin_window(Pool& p, std::size_t frees) noexcept { p.frees += frees - std::exchange(p.frees_left, frees); }

struct Retirement {
  ~Retirement() {
    pool.retired = true;
    begin_window(pool, 1);
    for (std::size_t i = 0; i < kClasses; ++i) retire(i, pool.classes[i]);
  }
};

// Called before a thread keeps anything.
void see_to_the_end() {
  static thread_local Retirement retirement;
  (void)retirement;
}

// A burst leaves memory in the lists.  Of what nobody needed for a whole window half is given back.  To look for whole chunks takes
// a walk over the lists, so the longer they are the longer is the next window.
void give_back_unneeded(Pool& p) noexcept {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < kClasses; ++i) {
    SizeClass& c = p.classes[i];
    if (c.stock.size > kAlwaysKept) {
      p.owned -= shelf().give_back(i, c, (c.stock.size - kAlwaysKept + 1) / 2);
    } else {
      stow_away(c);
    }
    kept += c.stock.size;
  }
  begin_window(p, std::max(Pool::kWindow, kept));
}

}  // namespace

constinit thread_local Pool pool{.frees = 1, .frees_left = 1};  // so the first free comes to free_slowly

void* allocate_slowly(std::size_t size) {
  Pool& p = pool;
  if (!Pool::serves(size)) {
    ++p.from_heap;
    void* const block = ::operator new(size);
    ++p.owned;
    return block;
  }
  see_to_the_end();
  const std::size_t size_class = Pool::class_of(size);
  SizeClass& c = p.classes[size_class];
  refill(size_class, c);
  Block* const block = std::exchange(c.free, c.free->next);
  if (p.retired) retire(size_class, c);
  return block;
}

void free_slowly(void* memory, std::size_t size) noexcept {
  Pool& p = pool;
  if (TWINLOOP_POOLS && !p.retired) see_to_the_end();
  if (!Pool::serves(size)) {
    ::operator delete(memory);
    --p.owned;
  } else if (p.retired) {
    shelf().put(Pool::class_of(size), new (memory) Block{nullptr});
    --p.owned;
  } else {
    keep(p, memory, size);
  }
  if (!TWINLOOP_POOLS || p.frees_left > 0) return;
  if (p.retired) return begin_window(p, 1);
  give_back_unneeded(p);
}

void pool_after_fork() noexcept {
  Shelf* const known = known_shelf.load(std::memory_order_relaxed);
  const bool left_behind = shelf_lock.forget_holder();
  if (left_behind && known != nullptr) known_shelf.store(new Shelf(known->count()), std::memory_order_relaxed);
}

ProcessLock& pool_lock() noexcept { return shelf_lock; }

PoolStats pool_stats() noexcept {
  std::size_t live = pool.owned;
  for (SizeClass& c : pool.classes) {
    stow_away(c);
    live -= c.stock.size;
  }
  return {live + pool.frees - pool.frees_left, pool.from_heap, live, shelf().count() * kChunk};
}

}  // namespace twinloop::detail
