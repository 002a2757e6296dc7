// tls:// and wss://, in a build with OpenSSL.
#include "carriers.h"
#include "tests/tls_fixtures.h"
#include "ways.h"

namespace twinloop::testing {
namespace {

const TlsClientContext& client_context() {
  static const TlsClientContext context(tls_test::client_options());
  return context;
}

const TlsServerContext& server_context() {
  static const TlsServerContext context(tls_test::server_options());
  return context;
}

void set_certificates(ConnectOptions& connecting, ListenOptions& listening) {
  connecting.set_tls(client_context());
  listening.set_tls(server_context());
}

Future<Ends> shake_hands(Ends below, StreamOptions options) {
  Future<IOStream> accepting = start_tls(std::move(below.peer), server_context(), options);
  IOStream ours = co_await start_tls(std::move(below.ours), client_context(), "localhost", options);
  IOStream peer = co_await std::move(accepting);
  co_return Ends{std::move(ours), std::move(peer)};
}

}  // namespace

std::vector<Carrier> secure_carriers() {
  constexpr Needs kNetwork = Needs::tcp | Needs::listen;
  return {{"tls", kNetwork, "tls://127.0.0.1:0", true, &set_certificates},
          {"wss", kNetwork, "wss://127.0.0.1:0/", true, &set_certificates}};
}

std::vector<Way> secure_ways() {
  const Faults faults = Faults().max_read(700).max_write(900).would_block(30).hold_input(1000);
  const auto open = [faults](const StreamOptions& options) { return shake_hands(make_faulty_ends(faults), options); };
  return {{"tls on a faulty pair", Needs::http, open, Moves::parts}};  // a browser has TLS of its own, as it has HTTP
}

}  // namespace twinloop::testing
