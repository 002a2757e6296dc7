// tls:// in the table of schemes: what backends/builtin.cpp names.
#pragma once

#include "twinloop/iostream.h"
#include "twinloop/net.h"

namespace twinloop::detail {

Future<IOStream> connect_tls(IOStream lower, const Url& url, const ConnectOptions& options);
Future<IOStream> accept_tls(IOStream lower, const Url& url, const ListenOptions& options);
// `url` and `options` must outlive the future.

void check_tls_listener(const Url& url, const ListenOptions& options);
// Throws Error(bad_certificate) where they name no context.

}  // namespace twinloop::detail
