// What trusted proxies say about the client behind them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "twinloop/httputil.h"

namespace twinloop::detail {

bool is_ip_address(std::string_view text) noexcept;
// "192.0.2.1" or "2001:db8::1".

std::string host_of_address(std::string_view address);
// "127.0.0.1" of "tcp://127.0.0.1:80"; "unix" of a unix socket; empty where there is none.

std::string forwarded_ip(const HTTPHeaders& headers, std::string peer, const std::vector<std::string>& trusted);
// X-Real-Ip, else the last address in X-Forwarded-For that is not a trusted proxy's own; `peer` where neither is one.

std::string forwarded_protocol(const HTTPHeaders& headers, std::string otherwise);
// X-Scheme, else what the last proxy wrote into X-Forwarded-Proto, where that is "http" or "https".

}  // namespace twinloop::detail
