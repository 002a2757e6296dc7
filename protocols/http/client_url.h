// The URLs of HTTP: where a request goes and what it asks for there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "twinloop/result.h"

namespace twinloop::detail {

struct HTTPUrl {
  bool secure = false;  // https
  std::string host;     // in lower case, without the brackets of an IPv6 address
  std::uint16_t port = 80;
  std::string target = "/";                                        // path and query, as they go on the wire
  std::optional<std::pair<std::string, std::string>> credentials;  // user name and password, decoded

  static Result<HTTPUrl> parse(std::string_view text);
  // Fails with invalid_url for what could not go on the wire as it is: a space, a control character.  A fragment is left out, bytes
  // beyond ASCII are escaped.

  Result<HTTPUrl> resolve(std::string_view reference) const;
  // What a Location header means here (RFC 3986 §5.2), spaces in it escaped.

  std::string authority() const;
  // For the Host header: "example.org", "[::1]:8080".
  std::string host_and_port() const;
  // With the port, always: for CONNECT, and to know one server from another.
  std::string to_string() const;
  // Without the credentials, so that it may be shown.
  bool has_origin_of(const HTTPUrl& other) const noexcept {
    return secure == other.secure && host == other.host && port == other.port;
  }
};

}  // namespace twinloop::detail
