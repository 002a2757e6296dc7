// Listening sockets that a supervisor has opened and hands to this program: systemd's socket activation (sd_listen_fds(3)).  The
// program needs no rights for the port, and no connection is refused while it restarts.
//
//   for (const InheritedListener& inherited : systemd_listeners()) co_await server.listen(inherited.url);
#pragma once

#include <string>
#include <vector>

namespace twinloop {

struct InheritedListener {
  std::string url;   // "fd:3", for listen() and TCPServer::listen()
  std::string name;  // FileDescriptorName= of its unit; systemd's own choice without one
};

std::vector<InheritedListener> systemd_listeners();
// Those that LISTEN_FDS and LISTEN_FDNAMES tell of, in their order; none where LISTEN_PID is not this process, and in a browser.
//
// They are taken out of the environment and made close-on-exec, so that programs started from here find none, and neither does a
// second call.  setenv and getenv in other threads do not go together with it: call it first.  Throws Error(bad_descriptor) where
// the environment makes no sense or a descriptor is not open.

}  // namespace twinloop
