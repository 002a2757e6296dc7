// Tokens against forged requests.  The cookie and the form carry the same token, each under a mask of its own, so that compression
// of a page does not leak it.  Format 2 of Tornado's: "2|mask|masked token|time", all but the time in hexadecimal.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace twinloop::detail {

struct XsrfToken {
  std::string token;  // the bytes that count
  std::int64_t time = 0;
};

XsrfToken new_xsrf_token();
std::string mask_xsrf_token(const XsrfToken& token);
// Another text each time.
std::optional<XsrfToken> unmask_xsrf_token(std::string_view text);

}  // namespace twinloop::detail
