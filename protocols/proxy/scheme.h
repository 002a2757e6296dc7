// The PROXY protocol in the table of schemes: what backends/builtin.cpp names.
#pragma once

#include "twinloop/iostream.h"
#include "twinloop/net.h"

namespace twinloop::detail {

Future<IOStream> accept_proxied(IOStream lower, const Url& url, const ListenOptions& options);
// Reads the header and nothing behind it, and gives the stream of what follows.  Fails with `protocol` when there is none, with
// `truncated` when the connection ends within it.  `url` and `options` must outlive the future.

}  // namespace twinloop::detail
