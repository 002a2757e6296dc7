#include "buffers.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <new>
#include <utility>

#include "twinloop/detail/pool.h"

namespace twinloop::detail {
namespace {

using Block = InputBuffer::Block;

constexpr std::size_t kRoomOfChunk = InputBuffer::kChunk - sizeof(Block);
constexpr std::size_t kCopied = Pool::kLargest - sizeof(Block);

// Chunks pass from stream to stream: the one that was just emptied is the one the next read fills, still in the cache.
class ChunkCache {
 public:
  Block* top() {  // the one to be filled next; it stays here
    if (count_ == 0) chunks_[count_++] = make();
    return chunks_[count_ - 1];
  }
  Block* take() {
    Block* const chunk = top();
    --count_;
    return new (chunk) Block{kRoomOfChunk};
  }
  void give_back(Block* chunk) noexcept {
    if (!TWINLOOP_POOLS || count_ >= most_) return ::operator delete(chunk);
    chunks_[count_++] = chunk;
  }
  void retire() noexcept {
    while (count_ > 0) ::operator delete(chunks_[--count_]);
    most_ = 0;  // later releases go to the heap
  }

 private:
  static Block* make();

  static constexpr std::size_t kKept = 4;
  std::array<Block*, kKept> chunks_{};
  std::size_t count_ = 0;
  std::size_t most_ = kKept;
};

constinit thread_local ChunkCache chunk_cache;  // nothing to construct or destroy, so to reach it is cheap

Block* ChunkCache::make() {
  struct Retirement {
    ~Retirement() { chunk_cache.retire(); }
  };
  static thread_local Retirement retirement;
  (void)retirement;
  return new (::operator new(InputBuffer::kChunk)) Block{kRoomOfChunk};
}

Block* allocate(std::size_t capacity) {
  if (capacity == kRoomOfChunk) return chunk_cache.take();
  return new (pool_allocate(sizeof(Block) + capacity)) Block{capacity};
}

void deallocate(Block* block) noexcept {
  if (block->capacity == kRoomOfChunk) return chunk_cache.give_back(block);
  pool_free(block, sizeof(Block) + block->capacity);
}

ConstBytes as_bytes(std::string_view text) noexcept { return std::as_bytes(std::span(text.data(), text.size())); }

}  // namespace

// ---- InputBuffer

InputBuffer::~InputBuffer() {
  unpin();
  clear();
}

void InputBuffer::clear() noexcept {
  if (block_ == nullptr) return;
  if (block_->pinned || block_->held != nullptr) {
    block_->begin = block_->end;
  } else {
    deallocate(std::exchange(block_, nullptr));
  }
}

void InputBuffer::consume(std::size_t count) noexcept {
  assert(count <= size());
  if (count == size()) return clear();
  block_->begin += count;
}

void InputBuffer::pin(std::size_t count) noexcept {
  assert(count <= size());
  if (count == 0) return;
  block_->begin += count;
  block_->pinned = true;
}

void InputBuffer::unpin() noexcept {
  if (block_ == nullptr) return;
  if (Block* held = std::exchange(block_->held, nullptr)) deallocate(held);
  block_->pinned = false;
  if (empty()) clear();
}

// Pinned bytes stay behind in their block.
void InputBuffer::move_to(std::size_t capacity) {
  Block* const moved = allocate(capacity);
  const std::string_view bytes = view();
  if (!bytes.empty()) std::memcpy(moved->bytes(), bytes.data(), bytes.size());
  moved->end = bytes.size();
  if (block_->pinned) {
    moved->held = block_;
  } else {
    moved->held = block_->held;
    deallocate(block_);
  }
  block_ = moved;
}

std::span<char> InputBuffer::room(std::size_t at_least) {
  if (block_ == nullptr && at_least <= kRoomOfChunk) return {chunk_cache.top()->bytes(), kRoomOfChunk};
  if (block_ == nullptr) {
    block_ = allocate(at_least);
  } else if (block_->capacity - block_->end < at_least) {
    const std::size_t count = size();
    if (!block_->pinned && count + at_least <= block_->capacity && block_->begin >= block_->capacity / 2) {
      std::memmove(block_->bytes(), block_->bytes() + block_->begin, count);
      block_->begin = 0;
      block_->end = count;
    } else {
      move_to(std::max(kRoomOfChunk, 2 * (count + at_least)));
    }
  }
  return {block_->bytes() + block_->end, block_->capacity - block_->end};
}

// What came into an empty buffer lies in the chunk that all share: much of it is kept where it is, little is copied out.
void InputBuffer::commit(std::size_t count) {
  if (count == 0) return;
  if (block_ == nullptr && count > kCopied) {
    block_ = chunk_cache.take();
  } else if (block_ == nullptr) {
    block_ = allocate(count);
    std::memcpy(block_->bytes(), chunk_cache.top()->bytes(), count);
  }
  block_->end += count;
}

void InputBuffer::shrink() {
  if (block_ == nullptr || block_->pinned || block_->held != nullptr) return;
  if (block_->capacity >= kRoomOfChunk && size() < kRoomOfChunk / 4) move_to(size());
}

// ---- OutputQueue

OutputQueue::Piece OutputQueue::Rest::take() {
  Piece piece = std::move(pieces[taken++]);
  if (taken >= 32 && 2 * taken >= pieces.size()) {
    pieces.erase(pieces.begin(), pieces.begin() + static_cast<std::ptrdiff_t>(taken));
    taken = 0;
  }
  return piece;
}

void OutputQueue::add(Piece piece) {
  const bool first = only_inside();
  size_ += piece.bytes().size();
  if (first) {
    first_ = std::move(piece);
  } else {
    if (!rest_) rest_ = std::make_unique<Rest>();
    rest_->pieces.push_back(std::move(piece));
  }
}

void OutputQueue::append(std::string_view bytes) {
  if (bytes.empty()) return;
  if (only_inside()) {
    if (bytes.size() > kInside - inside_size_) return add(Piece{std::string(bytes), {}, {}});
    std::memcpy(inside_ + inside_size_, bytes.data(), bytes.size());
    inside_size_ += bytes.size();
    size_ += bytes.size();
    return;
  }
  Piece& end = last();
  if (end.lent.data() != nullptr || end.own.size() + bytes.size() > std::max(kPiece, end.own.capacity())) {
    return add(Piece{std::string(bytes), {}, {}});
  }
  end.own.append(bytes);
  size_ += bytes.size();
}

void OutputQueue::append(std::string&& bytes) {
  if (bytes.size() < kJoinBelow) return append(std::string_view(bytes));
  add(Piece{std::move(bytes), {}, {}});
}

void OutputQueue::append(std::shared_ptr<const std::string> bytes) {
  if (bytes->size() < kShareFrom) return append(std::string_view(*bytes));
  const std::string_view view = *bytes;
  add(Piece{{}, view, std::move(bytes)});
}

void OutputQueue::lend(std::string_view bytes) {
  if (!bytes.empty()) add(Piece{{}, bytes, {}});
}

void OutputQueue::copy_lent(std::string_view bytes) {
  if (first_.lent.data() == bytes.data()) {
    const bool in_front = inside_size_ == 0;
    first_ = Piece{std::string(first_.lent.substr(in_front ? sent_ : 0)), {}, {}};
    if (in_front) sent_ = 0;
  }
  for (std::size_t at = rest_ ? rest_->taken : 0; rest_ && at < rest_->pieces.size(); ++at) {
    Piece& piece = rest_->pieces[at];
    if (piece.lent.data() == bytes.data()) piece = Piece{std::string(piece.lent), {}, {}};
  }
}

std::size_t OutputQueue::gather(std::span<ConstBytes> pieces) const noexcept {
  if (size_ == 0) return 0;
  std::size_t count = 0;
  if (inside_size_ > 0) pieces[count++] = as_bytes(std::string_view(inside_, inside_size_).substr(sent_));
  if (only_inside()) return count;
  if (count < pieces.size()) pieces[count++] = as_bytes(first_.bytes().substr(inside_size_ > 0 ? 0 : sent_));
  for (std::size_t at = rest_ ? rest_->taken : 0; rest_ && at < rest_->pieces.size() && count < pieces.size(); ++at) {
    pieces[count++] = as_bytes(rest_->pieces[at].bytes());
  }
  return count;
}

void OutputQueue::consume(std::size_t count) noexcept {
  assert(count <= size_);
  size_ -= count;
  sent_ += count;
  if (inside_size_ > 0) {
    if (sent_ < inside_size_) return;
    sent_ -= std::exchange(inside_size_, 0);
  }
  while (sent_ > 0 && sent_ >= first_.bytes().size()) {
    sent_ -= first_.bytes().size();
    first_ = rest_ ? rest_->take() : Piece();
    if (rest_ && rest_->empty()) rest_.reset();
  }
}

}  // namespace twinloop::detail
