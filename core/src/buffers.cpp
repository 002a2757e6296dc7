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
  ~ChunkCache() {
    while (count_ > 0) ::operator delete(chunks_[--count_]);
    most_ = 0;  // later releases go to the heap
  }

  Block* top() {  // the one to be filled next; it stays here
    if (count_ == 0) chunks_[count_++] = new (::operator new(InputBuffer::kChunk)) Block{kRoomOfChunk};
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

 private:
  static constexpr std::size_t kKept = 4;
  std::array<Block*, kKept> chunks_{};
  std::size_t count_ = 0;
  std::size_t most_ = kKept;
};

thread_local ChunkCache chunk_cache;

Block* allocate(std::size_t capacity) {
  if (capacity == kRoomOfChunk) return chunk_cache.take();
  return new (pool_allocate(sizeof(Block) + capacity)) Block{capacity};
}

void deallocate(Block* block) noexcept {
  if (block->capacity == kRoomOfChunk) return chunk_cache.give_back(block);
  pool_free(block, sizeof(Block) + block->capacity);
}

// The memory of small outputs passes from stream to stream, too.
class SpareStrings {
 public:
  ~SpareStrings() {
    delete std::exchange(spare_, nullptr);
    most_ = 0;
  }

  std::string take() {
    if (spare_ == nullptr || spare_->empty()) return {};
    std::string text = std::move(spare_->back());
    spare_->pop_back();
    return text;
  }
  void give_back(std::string&& text) {
    const bool useful = text.capacity() > std::string().capacity() && text.capacity() <= kLargest;
    if (!TWINLOOP_POOLS || !useful || most_ == 0) return;
    if (spare_ == nullptr) spare_ = new std::vector<std::string>;
    if (spare_->size() == most_) return;
    text.clear();
    spare_->push_back(std::move(text));
  }

 private:
  static constexpr std::size_t kLargest = 4 * 1024;
  std::vector<std::string>* spare_ = nullptr;
  std::size_t most_ = 64;
};

thread_local SpareStrings spare_strings;

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

OutputQueue::OutputQueue() : first_{spare_strings.take(), {}, {}} {}

OutputQueue::~OutputQueue() { spare_strings.give_back(std::move(first_.own)); }

OutputQueue::Piece OutputQueue::Rest::take() {
  Piece piece = std::move(pieces[taken++]);
  if (taken >= 32 && 2 * taken >= pieces.size()) {
    pieces.erase(pieces.begin(), pieces.begin() + static_cast<std::ptrdiff_t>(taken));
    taken = 0;
  }
  return piece;
}

void OutputQueue::add(Piece piece) {
  size_ += piece.bytes().size();
  if (size_ == piece.bytes().size()) {
    first_ = std::move(piece);
  } else {
    if (!rest_) rest_ = std::make_unique<Rest>();
    rest_->pieces.push_back(std::move(piece));
  }
}

void OutputQueue::append(std::string_view bytes) {
  if (bytes.empty()) return;
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
    first_ = Piece{std::string(first_.lent.substr(sent_)), {}, {}};
    sent_ = 0;
  }
  for (std::size_t at = rest_ ? rest_->taken : 0; rest_ && at < rest_->pieces.size(); ++at) {
    Piece& piece = rest_->pieces[at];
    if (piece.lent.data() == bytes.data()) piece = Piece{std::string(piece.lent), {}, {}};
  }
}

std::size_t OutputQueue::gather(std::span<ConstBytes> pieces) const noexcept {
  std::size_t count = 0;
  if (size_ > 0) pieces[count++] = as_bytes(first_.bytes().substr(sent_));
  for (std::size_t at = rest_ ? rest_->taken : 0; rest_ && at < rest_->pieces.size() && count < pieces.size(); ++at) {
    pieces[count++] = as_bytes(rest_->pieces[at].bytes());
  }
  return count;
}

void OutputQueue::consume(std::size_t count) noexcept {
  assert(count <= size_);
  size_ -= count;
  for (std::size_t left; count >= (left = first_.bytes().size() - sent_);) {
    count -= left;
    sent_ = 0;
    if (!rest_ || rest_->empty()) {
      first_.own.clear();
      first_.lent = {};
      first_.shared.reset();
      rest_.reset();
      return;
    }
    first_ = rest_->take();
  }
  sent_ += count;
}

}  // namespace twinloop::detail
