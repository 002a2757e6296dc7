// Names to addresses.  Numbers are read at once; names go to getaddrinfo, which blocks, in the loop's executor.  Dropping the
// future abandons the question.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backends/posix/socket.h"
#include "twinloop/future.h"

namespace twinloop {
class IOLoop;
}

namespace twinloop::detail {

struct Resolution {
  std::vector<Address> addresses;  // in the order in which to try them
  std::string problem;             // why there is none
};

// What an empty host means.
enum class EmptyHost { loopback, every_address };

Future<Resolution> resolve(IOLoop& loop, const std::string& host, std::uint16_t port, EmptyHost empty);
// Fails only when the loop closes.  No address is a Resolution with its problem.

Resolution parse_addresses(const std::vector<std::string>& hosts, std::uint16_t port);
// Those that are addresses already; the problem says which is none.

}  // namespace twinloop::detail
