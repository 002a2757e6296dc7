// Capabilities: what a program can do on a backend of this build.  IOLoop::available_backends() tells them; a behaviour of the tests
// names those that it needs.
#pragma once

namespace twinloop {

enum class Capabilities : unsigned {
  nothing = 0,
  tcp = 1,          // tcp://, unix: and what stands on them, other than WebSockets
  listen = 2,       // servers
  fds = 4,          // IOLoop::add_handler, native handles, programs
  threads = 8,      // executors, add_callback from elsewhere
  signals = 16,     // IOLoop::on_signal
  stop_token = 32,  // twinloop/stop.h
  http = 64,        // HTTPServer, web and WebSocket messages; a browser has fetch() and WebSockets of its own
};

constexpr Capabilities operator|(Capabilities a, Capabilities b) noexcept {
  return static_cast<Capabilities>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr Capabilities operator-(Capabilities a, Capabilities b) noexcept {
  return static_cast<Capabilities>(static_cast<unsigned>(a) & ~static_cast<unsigned>(b));
}
constexpr bool covers(Capabilities have, Capabilities need) noexcept {
  return (static_cast<unsigned>(have) & static_cast<unsigned>(need)) == static_cast<unsigned>(need);
}

}  // namespace twinloop
