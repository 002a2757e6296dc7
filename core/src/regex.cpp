#include "twinloop/regex.h"

#include <algorithm>

#include "twinloop/detail/compiled_regex.h"

namespace twinloop {
namespace detail {
namespace {

constexpr std::size_t kNone = CompiledRegex::kNone;
constexpr std::size_t kLongest = 1024 * 1024;  // beyond it a bound is of no use
constexpr unsigned kDeepest = 64;

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_hex(char c) noexcept { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_one_of(char c, std::string_view set) noexcept { return set.find(c) != std::string_view::npos; }

// Adds up how long a match can be.  It need not understand everything, nor find mistakes: what it does not know has no bound.
class Measure {
 public:
  explicit Measure(std::string_view pattern) noexcept : rest_(pattern) {}

  std::size_t longest() noexcept {
    const std::size_t length = alternatives(0);
    return unknown_ || !rest_.empty() || length > kLongest ? kNone : length;
  }

 private:
  bool take(std::string_view text) noexcept {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }
  char next() noexcept {
    if (rest_.empty()) return give_up(), '\0';
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }
  std::size_t give_up() noexcept {
    unknown_ = true;
    rest_ = {};
    return 0;
  }

  std::size_t alternatives(unsigned depth) noexcept {
    std::size_t longest = sequence(depth);
    while (take("|")) longest = std::max(longest, sequence(depth));
    return longest;
  }

  std::size_t sequence(unsigned depth) noexcept {
    std::size_t length = 0;
    while (!rest_.empty() && !is_one_of(rest_.front(), "|)") && length <= kLongest) length += repeated(atom(depth));
    return length <= kLongest ? length : give_up();
  }

  std::size_t atom(unsigned depth) noexcept {
    switch (const char c = next()) {
      case '^':
      case '$':
        return 0;
      case '(':
        return group(depth);
      case '[':
        return character_class();
      case '\\':
        return escaped(next());
      default:
        return is_one_of(c, "*+?") ? give_up() : 1;
    }
  }

  std::size_t group(unsigned depth) noexcept {
    if (depth == kDeepest || (take("?") && !take(":"))) return give_up();
    const std::size_t length = alternatives(depth + 1);
    return take(")") ? length : give_up();
  }

  // A bracket in a class, and one in front of all, mean something else to each engine.
  std::size_t character_class() noexcept {
    take("^");
    if (take("]")) return give_up();
    while (!take("]")) {
      const char c = next();
      if (c == '[' || unknown_) return give_up();
      if (c == '\\') next();
    }
    return 1;
  }

  std::size_t escaped(char c) noexcept {
    if (is_one_of(c, "bB")) return 0;
    if (is_one_of(c, "dDwWsSnrtfv")) return 1;
    if (c != 'x') return is_letter(c) || is_digit(c) ? give_up() : 1;
    const char high = next();
    const char low = next();
    return is_hex(high) && is_hex(low) ? 1 : give_up();
  }

  std::size_t repeated(std::size_t once) noexcept {
    const std::size_t most = repetitions();
    take("?");  // lazy
    if (once == 0 || unknown_) return 0;
    return most > kLongest / once ? give_up() : most * once;
  }

  std::size_t repetitions() noexcept {
    if (take("*") || take("+")) return kNone;
    if (take("?") || !take("{")) return 1;
    std::size_t least = 0;
    if (!number(least)) return give_up();
    if (take("}")) return least;
    if (take(",}")) return kNone;
    std::size_t most = 0;
    return take(",") && number(most) && take("}") ? most : give_up();
  }

  bool number(std::size_t& value) noexcept {
    const std::string_view before = rest_;
    for (; !rest_.empty() && is_digit(rest_.front()) && value < kLongest; rest_.remove_prefix(1)) {
      value = value * 10 + static_cast<std::size_t>(rest_.front() - '0');
    }
    return rest_.size() < before.size();
  }

  std::string_view rest_;
  bool unknown_ = false;
};

}  // namespace

std::size_t longest_match(std::string_view pattern) noexcept { return Measure(pattern).longest(); }

}  // namespace detail

Regex::Regex(std::string_view pattern) : compiled_(detail::platform_compile_regex(pattern)) {}

}  // namespace twinloop
