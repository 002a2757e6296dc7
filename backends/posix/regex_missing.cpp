// twinloop/regex.h in a build without RE2.
#include "twinloop/detail/compiled_regex.h"
#include "twinloop/error.h"

namespace twinloop::detail {

std::unique_ptr<const CompiledRegex> platform_compile_regex(std::string_view) {
  throw Error(Errc::not_supported, "read_until_regex: this build has no RE2; read_until takes a fixed delimiter");
}

}  // namespace twinloop::detail
