// Regular expressions by the host's RegExp.
#include <array>

#include "backends/browser/glue.h"
#include "twinloop/detail/compiled_regex.h"
#include "twinloop/error.h"

namespace twinloop::detail {
namespace {

class BrowserRegex final : public CompiledRegex {
 public:
  explicit BrowserRegex(std::string_view pattern)
      : CompiledRegex(detail::longest_match(pattern)),
        pattern_(host::compile_pattern(pattern.data(), static_cast<int>(pattern.size()))) {
    if (pattern_ != 0) return;
    std::array<char, 256> problem{};
    host::problem(problem.data(), problem.size());
    throw Error(Errc::invalid_pattern, "'" + std::string(pattern) + "': " + problem.data());
  }
  ~BrowserRegex() override {
    if (pattern_ != 0) host::forget_pattern(pattern_);
  }

  std::size_t find_end(std::string_view text, std::size_t from) const noexcept override {
    const int end = host::match_pattern(pattern_, text.data(), static_cast<int>(from), static_cast<int>(text.size()));
    return end < 0 ? kNone : static_cast<std::size_t>(end);
  }

 private:
  int pattern_;
};

}  // namespace

std::unique_ptr<const CompiledRegex> platform_compile_regex(std::string_view pattern) {
  return std::make_unique<BrowserRegex>(pattern);
}

}  // namespace twinloop::detail
