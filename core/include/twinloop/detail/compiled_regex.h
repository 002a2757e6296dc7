// What a Regex points at: an engine that the platform brings.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

namespace twinloop::detail {

class CompiledRegex {
 public:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  explicit CompiledRegex(std::size_t longest_match) noexcept : longest_match_(longest_match) {}
  virtual ~CompiledRegex() = default;

  virtual std::size_t find_end(std::string_view text, std::size_t from) const noexcept = 0;
  // Where the first match that begins at `from` or behind it ends, or kNone.  What lies in front of `from` is context: `^` matches
  // at the beginning of the text only.

  std::size_t longest_match() const noexcept { return longest_match_; }
  // In bytes, or kNone where there is no such bound.

 private:
  std::size_t longest_match_;
};

std::size_t longest_match(std::string_view pattern) noexcept;
// How many bytes a match of the pattern can have at most, in either engine; kNone when there is no bound, or it is not easy to tell.

std::unique_ptr<const CompiledRegex> platform_compile_regex(std::string_view pattern);
// As Regex's constructor.

}  // namespace twinloop::detail
