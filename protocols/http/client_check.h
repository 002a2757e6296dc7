// What a client says about its requests: whether they make sense, and what is wrong with them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "twinloop/detail/http_engine.h"

namespace twinloop::detail {

void check_request(const HTTPRequest& request);
// Throws Error(protocol) where it cannot be sent, or should not.

std::optional<std::uint64_t> announced_length(const HTTPRequest& request) noexcept;
// The caller's Content-Length, where it is a number.

std::string shown_url(std::string_view url);
// Fit for a message: without user name and password, on one line.

std::string describe(std::string_view method, std::string_view url);
// "GET http://example.org/", with which every message begins.

Failure in_context(const Failure& failure, std::string_view context);
// The same reason, the message being `context` and what the failure says.

std::string time_is_up(HTTPProgress::Step step, Duration limit, std::string_view setting);
// "in the request queue, after 20 s (set_connect_timeout)".

}  // namespace twinloop::detail
