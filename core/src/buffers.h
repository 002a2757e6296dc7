// The two buffers of a stream: bytes received and not read, bytes accepted and not sent.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twinloop/transport.h"

namespace twinloop::detail {

// Contiguous bytes, taken from the front, filled at the back.  Holds no memory while empty, and little while it holds little: many
// streams are filled in one turn before the first of them is read.
//
// Bytes may be taken by pinning them: they stay where they are, readable, until unpin().
class InputBuffer {
 public:
  InputBuffer() noexcept = default;
  ~InputBuffer();
  InputBuffer(const InputBuffer&) = delete;
  InputBuffer& operator=(const InputBuffer&) = delete;

  std::size_t size() const noexcept { return block_ == nullptr ? 0 : block_->end - block_->begin; }
  bool empty() const noexcept { return size() == 0; }
  std::string_view view() const noexcept {
    return block_ == nullptr ? std::string_view() : std::string_view(block_->bytes() + block_->begin, size());
  }

  std::span<char> room(std::size_t at_least);
  // Free memory behind the bytes, `at_least` that much; valid until the next call of any stream.
  void commit(std::size_t count);
  // Makes bytes of its front.

  void consume(std::size_t count) noexcept;
  void pin(std::size_t count) noexcept;
  // As consume(), but view()'s first `count` bytes stay valid.  One pin at a time.
  void unpin() noexcept;
  void clear() noexcept;
  // Takes all; what is pinned stays.
  void shrink();
  // Gives back what a burst left: a small remainder does not pin a whole chunk.

  static constexpr std::size_t kChunk = 64 * 1024;
  // Of memory; a little of it is the block's own.

  struct Block {
    std::size_t capacity;  // of bytes
    std::size_t begin = 0;
    std::size_t end = 0;
    Block* held = nullptr;  // an earlier block with pinned bytes in it
    bool pinned = false;    // the pinned bytes are in this one
    char* bytes() noexcept { return reinterpret_cast<char*>(this + 1); }
  };

 private:
  void move_to(std::size_t capacity);

  Block* block_ = nullptr;
};

// Pieces in order: small writes are joined, large strings kept as they are and sent from where they lie, and so is memory that
// somebody lends or that several queues share.  What is joined first lies in the queue itself: mostly that is all there is.
class OutputQueue {
 public:
  OutputQueue() noexcept {}  // NOLINT(modernize-use-equals-default): that would clear inside_
  OutputQueue(const OutputQueue&) = delete;
  OutputQueue& operator=(const OutputQueue&) = delete;
  ~OutputQueue() = default;

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  bool in_one_piece() const noexcept { return only_inside() || (inside_size_ == 0 && !rest_); }
  void append(std::string_view bytes);
  void append(std::string&& bytes);
  void append(std::shared_ptr<const std::string> bytes);
  void lend(std::string_view bytes);
  // The memory must live until the bytes are consumed or copied.
  void copy_lent(std::string_view bytes);
  // What is left of what was lent so is copied: the memory goes away.
  void consume(std::size_t count) noexcept;
  std::size_t gather(std::span<ConstBytes> pieces) const noexcept;
  // Fills `pieces` from the front; gives how many.

 private:
  static constexpr std::size_t kInside = 896;
  static constexpr std::size_t kJoinBelow = 4 * 1024;
  static constexpr std::size_t kPiece = 16 * 1024;
  static constexpr std::size_t kShareFrom = 1024;  // below, copying costs less than a piece of its own

  struct Piece {
    std::string own;
    std::string_view lent;                      // instead, when it is not null
    std::shared_ptr<const std::string> shared;  // what keeps it, where it is not the lender's
    std::string_view bytes() const noexcept { return lent.data() != nullptr ? lent : std::string_view(own); }
  };

  // The pieces behind the first, taken from the front.
  struct Rest {
    std::vector<Piece> pieces;
    std::size_t taken = 0;
    bool empty() const noexcept { return taken == pieces.size(); }
    Piece take();
  };

  bool only_inside() const noexcept { return size_ == inside_size_ - (inside_size_ > 0 ? sent_ : 0); }
  Piece& last() noexcept { return rest_ && !rest_->empty() ? rest_->pieces.back() : first_; }
  void add(Piece piece);

  std::size_t size_ = 0;
  std::size_t sent_ = 0;         // of what is in front: inside_, or else first_
  std::size_t inside_size_ = 0;  // of inside_, which stands before first_
  Piece first_;
  std::unique_ptr<Rest> rest_;  // null while there is nothing behind first_
  char inside_[kInside];
};

}  // namespace twinloop::detail
