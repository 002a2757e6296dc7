// An intrusive doubly linked list.  A node removes itself in O(1) without knowing its list, and when it is destroyed.
#pragma once

#include <cassert>

namespace twinloop::detail {

class ListNode {
 public:
  ListNode() noexcept = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  ~ListNode() { unlink(); }

  bool linked() const noexcept { return next_ != nullptr; }

  void unlink() noexcept {
    if (next_ == nullptr) return;
    prev_->next_ = next_;
    next_->prev_ = prev_;
    prev_ = next_ = nullptr;
  }

 private:
  template <class T>
  friend class List;
  ListNode* prev_ = nullptr;
  ListNode* next_ = nullptr;
};

template <class T>
class List {
 public:
  List() noexcept { head_.prev_ = head_.next_ = &head_; }
  ~List() {
    clear();
    head_.prev_ = head_.next_ = nullptr;
  }
  List(const List&) = delete;
  List& operator=(const List&) = delete;

  bool empty() const noexcept { return head_.next_ == &head_; }
  T& front() noexcept { return *static_cast<T*>(head_.next_); }
  T& back() noexcept { return *static_cast<T*>(head_.prev_); }

  void push_back(T& item) noexcept { insert_before(head_, item); }
  void push_front(T& item) noexcept { insert_before(*head_.next_, item); }

  T* pop_front() noexcept { return empty() ? nullptr : &take_front(); }

  // Of a list that is not empty.
  T& take_front() noexcept {
    ListNode& node = *head_.next_;
    head_.next_ = node.next_;
    node.next_->prev_ = &head_;
    node.prev_ = node.next_ = nullptr;
    return static_cast<T&>(node);
  }

  // Moves everything in `other` behind what is here, in order.
  void append(List& other) noexcept {
    if (other.empty()) return;
    ListNode* first = other.head_.next_;
    ListNode* last = other.head_.prev_;
    other.head_.prev_ = other.head_.next_ = &other.head_;
    first->prev_ = head_.prev_;
    head_.prev_->next_ = first;
    last->next_ = &head_;
    head_.prev_ = last;
  }

  void clear() noexcept {
    while (pop_front() != nullptr) {
    }
  }

  // Calls f(item) for each; f may remove the item it is given and no other.
  template <class F>
  void for_each(F f) {
    for (ListNode* node = head_.next_; node != &head_;) {
      ListNode* following = node->next_;
      f(*static_cast<T*>(node));
      node = following;
    }
  }

 private:
  // In this order gcc cannot make one vector store of two: plain ones are faster.
  static void insert_before(ListNode& where, ListNode& node) noexcept {
    assert(!node.linked());
    ListNode& before = *where.prev_;
    node.next_ = &where;
    before.next_ = &node;
    node.prev_ = &before;
    where.prev_ = &node;
  }

  ListNode head_;
};

}  // namespace twinloop::detail
