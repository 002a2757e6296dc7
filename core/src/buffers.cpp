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

constexpr std::size_t kChunk = InputBuffer::kChunk;
constexpr std::size_t kCopied = Pool::kLargest;

// Chunks pass from stream to stream: the one that was just emptied is the one the next read fills, still in the cache.
class ChunkCache {
 public:
  ~ChunkCache() {
    while (count_ > 0) ::operator delete(chunks_[--count_]);
    most_ = 0;  // later releases go to the heap
  }

  char* top() {  // the one to be filled next; it stays here
    if (count_ == 0) chunks_[count_++] = static_cast<char*>(::operator new(kChunk));
    return chunks_[count_ - 1];
  }
  char* take() {
    char* chunk = top();
    --count_;
    return chunk;
  }
  void give_back(char* chunk) noexcept {
    if (!TWINLOOP_POOLS || count_ >= most_) return ::operator delete(chunk);
    chunks_[count_++] = chunk;
  }

 private:
  static constexpr std::size_t kKept = 4;
  std::array<char*, kKept> chunks_{};
  std::size_t count_ = 0;
  std::size_t most_ = kKept;
};

thread_local ChunkCache chunk_cache;

char* allocate(std::size_t capacity) {
  return capacity == kChunk ? chunk_cache.take() : static_cast<char*>(pool_allocate(capacity));
}

void deallocate(char* data, std::size_t capacity) noexcept {
  if (capacity == kChunk) return chunk_cache.give_back(data);
  pool_free(data, capacity);
}

ConstBytes as_bytes(std::string_view text) noexcept { return std::as_bytes(std::span(text.data(), text.size())); }

}  // namespace

// ---- InputBuffer

InputBuffer::~InputBuffer() { release(); }

void InputBuffer::release() noexcept {
  if (data_ == nullptr) return;
  deallocate(data_, capacity_);
  adopt(nullptr, 0, 0, 0);
}

void InputBuffer::adopt(char* data, std::size_t capacity, std::size_t begin, std::size_t end) noexcept {
  data_ = data;
  capacity_ = capacity;
  begin_ = begin;
  end_ = end;
}

void InputBuffer::clear() noexcept { release(); }

void InputBuffer::consume(std::size_t count) noexcept {
  assert(count <= size());
  begin_ += count;
  if (begin_ == end_) release();
}

void InputBuffer::move_to(std::size_t capacity, std::size_t offset) {
  char* moved = allocate(capacity);
  const std::size_t count = size();
  if (count > 0) std::memcpy(moved + offset, data_ + begin_, count);
  release();
  adopt(moved, capacity, offset, offset + count);
}

std::span<char> InputBuffer::room(std::size_t at_least) {
  if (data_ == nullptr && at_least <= kChunk) return {chunk_cache.top(), kChunk};
  if (capacity_ - end_ < at_least) {
    const std::size_t count = size();
    if (count + at_least <= capacity_ && begin_ >= capacity_ / 2) {
      std::memmove(data_, data_ + begin_, count);
      begin_ = 0;
      end_ = count;
    } else {
      move_to(count == 0 ? std::max(kChunk, at_least) : std::max(kChunk, 2 * (count + at_least)), 0);
    }
  }
  return {data_ + end_, capacity_ - end_};
}

// What came into an empty buffer lies in the chunk that all share: much of it is kept where it is, little is copied out.
void InputBuffer::commit(std::size_t count) {
  if (data_ != nullptr) {
    end_ += count;
  } else if (count > kCopied) {
    adopt(chunk_cache.take(), kChunk, 0, count);
  } else if (count > 0) {
    char* copy = allocate(count);
    std::memcpy(copy, chunk_cache.top(), count);
    adopt(copy, count, 0, count);
  }
}

void InputBuffer::prepend(std::string_view bytes) {
  if (bytes.empty()) return;
  if (begin_ < bytes.size()) move_to(size() + bytes.size(), bytes.size());
  begin_ -= bytes.size();
  std::memcpy(data_ + begin_, bytes.data(), bytes.size());
}

void InputBuffer::shrink() {
  if (data_ != nullptr && capacity_ >= kChunk && size() < kChunk / 4) move_to(size(), 0);
}

// ---- OutputQueue

std::string OutputQueue::Rest::take() {
  std::string piece = std::move(pieces[taken++]);
  if (taken >= 32 && 2 * taken >= pieces.size()) {
    pieces.erase(pieces.begin(), pieces.begin() + static_cast<std::ptrdiff_t>(taken));
    taken = 0;
  }
  return piece;
}

OutputQueue::Rest& OutputQueue::rest() {
  if (!rest_) rest_ = std::make_unique<Rest>();
  return *rest_;
}

void OutputQueue::append(std::string_view bytes) {
  size_ += bytes.size();
  std::string& last = rest_ && !rest_->empty() ? rest_->pieces.back() : first_;
  if (last.size() + bytes.size() <= std::max(kPiece, last.capacity())) {
    last.append(bytes);
  } else {
    rest().pieces.emplace_back(bytes);
  }
}

void OutputQueue::append(std::string&& bytes) {
  if (bytes.size() < kJoinBelow) return append(std::string_view(bytes));
  size_ += bytes.size();
  if (size_ == bytes.size()) {
    first_ = std::move(bytes);
  } else {
    rest().pieces.push_back(std::move(bytes));
  }
}

std::size_t OutputQueue::gather(std::span<ConstBytes> pieces) const noexcept {
  std::size_t count = 0;
  if (sent_ < first_.size()) pieces[count++] = as_bytes(std::string_view(first_).substr(sent_));
  if (!rest_) return count;
  for (std::size_t at = rest_->taken; at < rest_->pieces.size() && count < pieces.size(); ++at) {
    pieces[count++] = as_bytes(rest_->pieces[at]);
  }
  return count;
}

void OutputQueue::consume(std::size_t count) noexcept {
  assert(count <= size_);
  size_ -= count;
  while (count > 0) {
    const std::size_t left = first_.size() - sent_;
    if (count < left) {
      sent_ += count;
      return;
    }
    count -= left;
    sent_ = 0;
    first_.clear();
    if (!rest_ || rest_->empty()) break;
    first_ = rest_->take();
  }
  if (size_ > 0) return;
  if (first_.capacity() > kKept || TWINLOOP_POOLS == 0) std::string().swap(first_);
  rest_.reset();
}

void OutputQueue::clear() noexcept {
  std::string().swap(first_);
  rest_.reset();
  sent_ = size_ = 0;
}

}  // namespace twinloop::detail
