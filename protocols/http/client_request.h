// What a request says on the wire, and whether it may be said.
#pragma once

#include <string>
#include <string_view>

#include "protocols/http/client_url.h"
#include "twinloop/httpclient.h"

namespace twinloop::detail {

// One of the requests that redirects make of one.
struct HTTPHop {
  HTTPUrl url;
  std::string method;
  bool with_body = true;
  bool at_home = true;  // the origin that the caller named: credentials, Cookie, Host and connect_to are for it
};

// What a proxy wants that passes requests on.
struct HTTPProxyWish {
  bool whole_url = false;
  std::string authorization;  // Proxy-Authorization; "" for none
};

HTTPHop first_hop(const HTTPRequest& request);
// Throws Error(invalid_url).

Result<HTTPHop> next_hop(const HTTPHop& hop, int status, std::string_view location);
// Where a redirect leads, and with which method (RFC 9110 §15.4).

bool is_redirect(int status) noexcept;

std::string request_head(const HTTPRequest& request, const HTTPHop& hop, const HTTPClientOptions& options,
                         const HTTPProxyWish& proxy);
// Request line, headers and the empty line.  Throws Error(protocol) for a header that cannot be sent.

bool is_chunked(const HTTPRequest& request, const HTTPHop& hop) noexcept;
bool is_repeatable(const HTTPRequest& request, const HTTPHop& hop) noexcept;
// Whether it does no harm to send it twice (RFC 9110 §9.2.2), and whether we can.

std::string basic_authorization(std::string_view user, std::string_view password);
// "Basic …" (RFC 7617).

}  // namespace twinloop::detail
