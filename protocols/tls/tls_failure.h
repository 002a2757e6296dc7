// Why OpenSSL gave a connection up, in the words of this library.
#pragma once

#include <string>

#include "protocols/tls/openssl.h"
#include "twinloop/error.h"

namespace twinloop::detail {

struct TlsFailure {
  Errc reason;  // bad_certificate or protocol
  std::string words;
};

TlsFailure take_tls_failure(const SSL* ssl);
// Of the call that just failed.  Empties this thread's error queue.

}  // namespace twinloop::detail
