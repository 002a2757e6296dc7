// Regex: a regular expression over bytes, for IOStream::read_until_regex.  Compiled once, copied cheaply, used for any number of
// reads.
//
// Natively it is RE2, whose time is linear in what is searched whatever the pattern; in a browser it is the host's RegExp, which a
// pattern such as `(a+)+b` can keep busy for very long: there do not take patterns from strangers.  What both understand alike:
// literals, `\r \n \t \xHH`, classes, `\d \w \b`, groups, `|`, `? * + {n,m}` and their lazy forms.  They differ in `.` (neither
// matches \n; RegExp's does not match \r either), in `\s`, and in what only one has: RegExp's look-around and back references,
// RE2's `(?i)` and `[[:alpha:]]`.  A byte is a character from 0 to 255.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

namespace twinloop {

namespace detail {
class CompiledRegex;
}

class Regex {
 public:
  explicit Regex(std::string_view pattern);
  // Throws Error: invalid_pattern, with what is wrong with it, or not_supported in a build without a regular expression library.

  const std::shared_ptr<const detail::CompiledRegex>& compiled() const noexcept { return compiled_; }
  // For streams.

 private:
  std::shared_ptr<const detail::CompiledRegex> compiled_;
};

}  // namespace twinloop
