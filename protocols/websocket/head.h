// Heads of HTTP/1.1 messages, as far as the WebSocket handshake needs them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "twinloop/websocket.h"

namespace twinloop::detail {

struct ResponseHead {
  int status = 0;
  std::string line;    // the first line, safe to print
  RequestHead fields;  // only its headers
};

// What arrived where a head was expected.
struct ReceivedHead {
  std::string text;
  std::error_code error;  // none: `text` is lines up to and including the empty one
};

Future<ReceivedHead> read_head(IOStream& stream, std::size_t max_bytes, bool (*is_first_line)(std::string_view line));
// Line by line, so that a peer that speaks something else is found out at its first line and not by a timeout.  Never fails:
// `error` is protocol for a first line that is none and for a bare "\n", unsatisfiable_read for a head that is too long (a
// single line that is too long also closes the stream), or the stream's reason; `text` is then what there is.

bool is_request_line(std::string_view line) noexcept;
bool is_status_line(std::string_view line) noexcept;
// Without the line end.

bool parse_request_head(std::string_view text, RequestHead& head);
bool parse_response_head(std::string_view text, ResponseHead& head);
// `text` is the whole head with its empty line.  False when it is malformed.

std::string excerpt(std::string_view text);
// The beginning of what a peer said, its first line, made safe to print.

bool is_token(std::string_view text) noexcept;
bool is_field_text(std::string_view text) noexcept;
// May stand as a header's name; as its value.

bool same_ignoring_case(std::string_view a, std::string_view b) noexcept;
std::vector<std::string_view> split_list(std::string_view text);
// Of a comma-separated header's value, without the spaces around each and what is empty.
bool has_token(const RequestHead& head, std::string_view header, std::string_view token);
// Whether a comma-separated header contains the token.

}  // namespace twinloop::detail
