// The opening handshake's parts (RFC 6455 §4) that do no input or output.
#pragma once

#include <string>
#include <string_view>

#include "protocols/websocket/head.h"

namespace twinloop::detail {

inline constexpr std::string_view kStreamProtocol = "twinloop.stream";
// The subprotocol in which an empty message ends the sending side.

// The HTTP error that a request is answered with.
struct Refusal {
  std::string status;  // "403 Forbidden"; empty: there is nothing to refuse
  std::string why;
};

Refusal refusal_of(const RequestHead& head, const ListenOptions& options);
std::string refusal_answer(const Refusal& refusal);

bool is_own_origin(std::string_view origin, std::string_view host) noexcept;
// Whether a page from there is one of this host's.

std::string choose_protocol(const RequestHead& head, const ListenOptions& options);
// The first of ours that the client offers; "" when there is none.

std::string acceptance(const RequestHead& head, std::string_view protocol, std::string_view more_headers = {});
// `more_headers` is whole lines.

std::string make_websocket_key();

std::string upgrade_request(const Url& url, const ConnectOptions& options, std::string_view key);
// Throws Error(protocol) for a header or subprotocol that cannot be sent.

std::string complaint_about(const ResponseHead& head, std::string_view key, const ConnectOptions& options,
                            bool extensions_offered = false);
// What is wrong with the server's answer; "" when nothing is.

}  // namespace twinloop::detail
