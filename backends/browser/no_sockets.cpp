// A WebSocket of a browser's shows nothing of its socket.
#include "twinloop/detail/builtin.h"

namespace twinloop::detail {
namespace {

Failure no_socket() {
  return Failure(Errc::not_supported,
                 "socket options: a browser shows no socket; StreamOptions::idle_timeout needs none");
}

}  // namespace

bool platform_has_sockets() noexcept { return false; }
Result<> platform_set_socket_options(int, const SocketOptions&) { return no_socket(); }
Result<SocketOptions> platform_socket_options(int) { return no_socket(); }

std::size_t platform_move(int, int, std::size_t, std::string&) { return 0; }

}  // namespace twinloop::detail
