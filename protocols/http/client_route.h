// The way to a server: straight, through a proxy, or to where the caller says.
#pragma once

#include <string>

#include "protocols/http/client_request.h"
#include "twinloop/iostream.h"

namespace twinloop::detail {

struct HTTPRoute {
  std::string server;  // host and port, for the limit of each
  std::string key;     // equal for requests that may use the same connection
  HTTPProxyWish proxy_wish;

  std::string below;    // the stream's URL to connect to
  HTTPUrl url;          // with https: the TLS that comes above it
  bool tunnel = false;  // a proxy is asked for a way through by CONNECT
  std::string proxy_authorization;
  std::string proxy;  // for messages
  ConnectOptions options;
};

HTTPRoute route_of(const HTTPRequest& request, const HTTPHop& hop, const HTTPClientOptions& options);
// Throws Error(invalid_url) for a proxy that is none.

Future<IOStream> open_route(const HTTPRoute& route);
// Fails with the stream's own failures.  `route` outlives it.

}  // namespace twinloop::detail
