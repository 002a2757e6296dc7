// ws:// in the table of schemes: what backends/builtin.cpp names.
#pragma once

#include "twinloop/iostream.h"
#include "twinloop/net.h"

namespace twinloop::detail {

Future<IOStream> connect_websocket(IOStream lower, const Url& url, const ConnectOptions& options);
// As the public one.

Future<IOStream> accept_websocket(IOStream lower, const Url& url, const ListenOptions& options);
// Reads the request, too.  Where `url` has a path other than "/" the request's must be the same, query aside; else it is
// answered with 404.  `url` and `options` must outlive the future.

}  // namespace twinloop::detail
