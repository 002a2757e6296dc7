// Regular expressions by RE2: linear in what is searched, whatever the pattern.
#include <re2/re2.h>

#include "twinloop/detail/compiled_regex.h"
#include "twinloop/error.h"

namespace twinloop::detail {
namespace {

RE2::Options of_bytes() {
  RE2::Options options;
  options.set_encoding(RE2::Options::EncodingLatin1);
  options.set_log_errors(false);
  return options;
}

class Re2Regex final : public CompiledRegex {
 public:
  explicit Re2Regex(std::string_view pattern)
      : CompiledRegex(detail::longest_match(pattern)),
        regex_(re2::StringPiece(pattern.data(), pattern.size()), of_bytes()) {
    if (!regex_.ok()) throw Error(Errc::invalid_pattern, "'" + std::string(pattern) + "': " + regex_.error());
  }

  std::size_t find_end(std::string_view text, std::size_t from) const noexcept override {
    const re2::StringPiece bytes(text.data(), text.size());
    re2::StringPiece match;
    if (!regex_.Match(bytes, from, text.size(), RE2::UNANCHORED, &match, 1)) return kNone;
    return static_cast<std::size_t>(match.data() + match.size() - text.data());
  }

 private:
  RE2 regex_;
};

}  // namespace

std::unique_ptr<const CompiledRegex> platform_compile_regex(std::string_view pattern) {
  return std::make_unique<Re2Regex>(pattern);
}

}  // namespace twinloop::detail
