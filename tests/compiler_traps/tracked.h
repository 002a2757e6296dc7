// What the traps are caught with: an object that counts its living and knows where it was built.
#pragma once

#include <string>
#include <utility>

// A compiler that copies an object by its bytes, or destroys one twice, leaves the count wrong or an object in the wrong place.
class Tracked {
 public:
  Tracked() noexcept { ++living; }
  explicit Tracked(std::string t) noexcept : text(std::move(t)) { ++living; }
  Tracked(const Tracked& other) : text(other.text) { ++living; }
  Tracked(Tracked&& other) noexcept : text(std::move(other.text)) { ++living; }
  Tracked& operator=(const Tracked& other) { return text = other.text, *this; }
  Tracked& operator=(Tracked&& other) noexcept { return text = std::move(other.text), *this; }
  ~Tracked() {
    --living;
    if (self_ != this) moved_by_bytes = true;
  }

  std::string text = "a text that is too long for the small buffer of a string";

  static inline int living = 0;
  static inline bool moved_by_bytes = false;

 private:
  const Tracked* self_ = this;
};
