// A build without OpenSSL: nobody asks for TLS.
#include <cstdlib>

#include "bench/echo/tls_end.h"

namespace bench {

bool TlsEnd::use_certificate(const char*, const char*) { return false; }
TlsEnd TlsEnd::connect(int) { std::abort(); }
TlsEnd TlsEnd::accept(int) { std::abort(); }
TlsEnd::TlsEnd(TlsEnd&& other) noexcept : ssl_(other.ssl_) {}
TlsEnd::~TlsEnd() = default;
ssize_t TlsEnd::receive(char*, std::size_t) { return 0; }
ssize_t TlsEnd::send(const char*, std::size_t) { return 0; }
ssize_t TlsEnd::outcome(int) const noexcept { return 0; }
bool TlsEnd::holds_input() const noexcept { return false; }

}  // namespace bench
