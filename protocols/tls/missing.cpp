// twinloop/tls.h in a build without OpenSSL.  The schemes tls:// and wss:// say so by themselves (backends/builtin.cpp).
#include "twinloop/tls.h"

namespace twinloop {
namespace {

[[noreturn]] void refuse() { throw Error(Errc::not_supported, "tls: this build has no OpenSSL"); }

}  // namespace

// NOLINTBEGIN(performance-unnecessary-value-param): the declarations take what the real ones keep.

TlsIdentity TlsIdentity::pem(std::string, std::string, std::string) { return {}; }
TlsIdentity TlsIdentity::files(std::string, std::string, std::string) { return {}; }

void TlsContext::reload() { refuse(); }
void TlsContext::replace_identity(TlsIdentity) { refuse(); }

TlsClientContext::TlsClientContext() : TlsContext(nullptr) { refuse(); }
TlsClientContext::TlsClientContext(const TlsOptions&) : TlsContext(nullptr) { refuse(); }
TlsServerContext::TlsServerContext(const TlsOptions&) : TlsContext(nullptr) { refuse(); }

Future<IOStream> start_tls(IOStream, const TlsClientContext&, const std::string&, const StreamOptions&) { refuse(); }
Future<IOStream> start_tls(IOStream, const TlsServerContext&, const StreamOptions&) { refuse(); }

// NOLINTEND(performance-unnecessary-value-param)

// There is never a session.
std::string_view TlsSession::version() const noexcept {
  (void)ssl_;  // clang would find it unused
  return {};
}
std::string_view TlsSession::cipher() const noexcept { return {}; }
std::string_view TlsSession::protocol() const noexcept { return {}; }
std::string_view TlsSession::server_name() const noexcept { return {}; }
bool TlsSession::resumed() const noexcept { return false; }
std::optional<TlsCertificate> TlsSession::peer_certificate() const { return {}; }

}  // namespace twinloop
