// The header of the PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt, §2): read strictly, all of it or nothing.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "twinloop/result.h"

namespace twinloop::detail {

inline constexpr std::size_t kMaxProxyLine = 107;    // version 1, its CRLF included
inline constexpr std::size_t kProxyPrefix = 16;      // version 2, before the addresses
inline constexpr std::size_t kMaxProxyRest = 4096;   // version 2, addresses and what follows them; more is refused
inline constexpr std::size_t kProxyRecognised = 12;  // so many bytes tell the version, and no header is shorter
inline constexpr std::string_view kProxyLine = "PROXY ";
inline constexpr std::string_view kProxySignature{"\r\n\r\n\0\r\nQUIT\n", 12};

// Who is connected to whom, as URLs: "tcp://192.0.2.1:4711", "unix:/run/app.sock".  Both are empty where the header names nobody
// (UNKNOWN, LOCAL, a family that is none of ours): then the connection's own addresses hold.
struct ProxyHeader {
  std::string source;
  std::string destination;
};

Result<ProxyHeader> parse_proxy_line(std::string_view line);
// Version 1, its CRLF included.

Result<std::size_t> proxy_rest(std::string_view prefix);
// Version 2: how many bytes follow these 16.

Result<ProxyHeader> parse_proxy_binary(std::string_view header);
// Version 2, all of it.  What follows the addresses (the TLVs) must be well formed and is passed over.

}  // namespace twinloop::detail
