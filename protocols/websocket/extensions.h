// permessage-deflate as it is agreed in the opening handshake (RFC 7692 §7, RFC 6455 §9.1).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "twinloop/websocket_connection.h"

namespace twinloop::detail {

struct Extension {
  std::string name;
  std::vector<std::pair<std::string, std::optional<std::string>>> parameters;
};

std::optional<std::vector<Extension>> parse_extensions(const RequestHead& head);
// All Sec-WebSocket-Extensions, in order; no value when one of them is not what the grammar allows.

// What both ends do.
struct DeflateAgreement {
  bool server_no_context_takeover = false;
  bool client_no_context_takeover = false;
  int server_max_window_bits = 15;
  int client_max_window_bits = 15;
};

std::string deflate_offer(const WebSocketCompression& wish);
// A client's Sec-WebSocket-Extensions.

std::optional<DeflateAgreement> accept_offer(const std::vector<Extension>& offers, const WebSocketCompression& wish,
                                             std::string& answer);
// A server's choice: the first offer that it understands in every word.  `answer` is then its Sec-WebSocket-Extensions.

std::optional<DeflateAgreement> accept_answer(const std::vector<Extension>& answer, const WebSocketCompression& wish);
// A client's view of what the server chose; no value when that is something that was not offered.

}  // namespace twinloop::detail
