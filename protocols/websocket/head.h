// Heads of HTTP/1.1 messages, as far as the WebSocket handshake needs them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "twinloop/websocket.h"

namespace twinloop::detail {

struct ResponseHead {
  int status = 0;
  std::string line;    // the first line, for messages
  RequestHead fields;  // only its headers
};

Result<RequestHead> parse_request_head(std::string_view text);
Result<ResponseHead> parse_response_head(std::string_view text);
// `text` is the whole head with its empty line.  Fail with `protocol`.

std::string excerpt(std::string_view text);
// The beginning of what a peer said, made safe to print.

bool same_ignoring_case(std::string_view a, std::string_view b) noexcept;
bool has_token(const RequestHead& head, std::string_view header, std::string_view token) noexcept;
// Whether a comma-separated header contains the token.

std::vector<std::string_view> split_list(std::string_view text);

}  // namespace twinloop::detail
