// tls:// and wss://, in a build with OpenSSL.
#include "carriers.h"
#include "tests/tls_fixtures.h"

namespace twinloop::testing {
namespace {

void set_certificates(ConnectOptions& connecting, ListenOptions& listening) {
  static const TlsClientContext client(tls_test::client_options());
  static const TlsServerContext server(tls_test::server_options());
  connecting.set_tls(client);
  listening.set_tls(server);
}

}  // namespace

std::vector<Carrier> secure_carriers() {
  constexpr Needs kNetwork = Needs::tcp | Needs::listen;
  return {{"tls", kNetwork, "tls://127.0.0.1:0", true, &set_certificates},
          {"wss", kNetwork, "wss://127.0.0.1:0/", true, &set_certificates}};
}

}  // namespace twinloop::testing
