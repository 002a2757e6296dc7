// Where a queue keeps its items: which of them goes next.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace twinloop::detail {

// An item and how many were put before it: what a getter gives back finds its old place.
template <class T>
struct Numbered {
  T item;
  std::uint64_t number;
};

struct Older {
  template <class T>
  bool operator()(const Numbered<T>& a, const Numbered<T>& b) const noexcept {
    return a.number < b.number;
  }
};

struct Newer {
  template <class T>
  bool operator()(const Numbered<T>& a, const Numbered<T>& b) const noexcept {
    return a.number > b.number;
  }
};

template <class Compare>
struct LesserThenOlder {
  template <class T>
  bool operator()(const Numbered<T>& a, const Numbered<T>& b) const {
    if (compare(a.item, b.item)) return true;
    return !compare(b.item, a.item) && a.number < b.number;
  }
  [[no_unique_address]] Compare compare;
};

// pop() gives the one that is before all others.
template <class T, class Before>
class HeapItems {
 public:
  bool empty() const noexcept { return heap_.empty(); }
  std::size_t size() const noexcept { return heap_.size(); }

  void push(Numbered<T>&& item) {
    heap_.push_back(std::move(item));
    std::push_heap(heap_.begin(), heap_.end(), after);
  }
  void put_back(Numbered<T>&& item) { push(std::move(item)); }

  Numbered<T> pop() {
    std::pop_heap(heap_.begin(), heap_.end(), after);
    Numbered<T> item = std::move(heap_.back());
    heap_.pop_back();
    return item;
  }

 private:
  static bool after(const Numbered<T>& a, const Numbered<T>& b) { return Before{}(b, a); }
  std::vector<Numbered<T>> heap_;
};

// A deque that asks for memory only when it holds more than ever before.
template <class T>
class Ring {
 public:
  Ring() noexcept = default;
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring() {
    while (!empty()) pop();
    std::allocator<T>().deallocate(slots_, capacity_);
  }

  bool empty() const noexcept { return size_ == 0; }
  std::size_t size() const noexcept { return size_; }

  void push(T&& item) {
    if (size_ == capacity_) grow();
    std::construct_at(&slot(size_), std::move(item));
    ++size_;
  }

  T pop() noexcept {
    T item = std::move(slot(0));
    std::destroy_at(&slot(0));
    first_ = (first_ + 1) & (capacity_ - 1);
    --size_;
    return item;
  }

 private:
  static constexpr std::size_t kFirstCapacity = 8;  // a power of two, as all that follow

  T& slot(std::size_t index) noexcept { return slots_[(first_ + index) & (capacity_ - 1)]; }

  void grow() {
    const std::size_t capacity = capacity_ == 0 ? kFirstCapacity : 2 * capacity_;
    T* slots = std::allocator<T>().allocate(capacity);
    for (std::size_t i = 0; i < size_; ++i) {
      std::construct_at(slots + i, std::move(slot(i)));
      std::destroy_at(&slot(i));
    }
    std::allocator<T>().deallocate(std::exchange(slots_, slots), std::exchange(capacity_, capacity));
    first_ = 0;
  }

  T* slots_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

// First in, first out.  What comes back is older than all that is in the ring, because it had left before.
template <class T>
class FifoItems {
 public:
  bool empty() const noexcept { return ring_.empty() && returned_.empty(); }
  std::size_t size() const noexcept { return ring_.size() + returned_.size(); }
  void push(Numbered<T>&& item) { ring_.push(std::move(item)); }
  void put_back(Numbered<T>&& item) { returned_.push(std::move(item)); }
  Numbered<T> pop() { return returned_.empty() ? ring_.pop() : returned_.pop(); }

 private:
  Ring<Numbered<T>> ring_;
  HeapItems<T, Older> returned_;
};

}  // namespace twinloop::detail
