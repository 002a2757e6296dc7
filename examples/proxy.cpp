// Joins what connects to one URL with another, whatever carries either of them: TLS in front of a server that has none, a TCP
// server for pages, which have WebSockets only, or the way back.
//
//   proxy --certificate cert.pem --key key.pem wss://0.0.0.0:443/redis tcp://127.0.0.1:6379
#include <string>

#include "command_line.h"
#include "twinloop/all.h"
#include "twinloop/net.h"
#include "twinloop/tls.h"

using namespace twinloop;

// The end of one side's input is passed on; the other direction goes on until it has its own.
Future<void> forward(IOStream& from, IOStream& to) {
  co_await pump(from, to);
  co_await to.shutdown_write();
}

// A failure in one direction ends the other one, too: both streams close with this frame.
Future<void> join(IOStream client, std::string target, ConnectOptions options) {
  IOStream server = co_await connect(target, options);
  Future<void> there = forward(client, server);
  Future<void> back = forward(server, client);
  co_await all_fail_fast(std::move(there), std::move(back));
}

bool is_secure(const std::string& url) { return url.starts_with("tls:") || url.starts_with("wss:"); }

Future<void> run_proxy(std::string url, std::string target, ListenOptions listening, ConnectOptions connecting) {
  Listener listener = co_await listen(url, listening);
  announce(listener.url());
  auto handle = [&](IOStream client) { return join(std::move(client), target, connecting); };
  co_await serve(std::move(listener), handle);
}

int main(int argc, char** argv) {
  CLI::App app("Joins what connects to URL with TARGET.", "proxy");
  std::string url, target, certificate, key, authority;
  app.add_option("URL", url, "Where to listen: tcp://127.0.0.1:0, tls://…, ws://…/path, wss://…/path")->required();
  app.add_option("TARGET", target, "What to connect to")->required();
  app.add_option("--key", key, "The key of the certificate, in PEM");
  app.add_option("--certificate", certificate, "What is shown on tls:// and wss://, in PEM")->needs("--key");
  app.add_option("--authority", authority,
                 "The only authority to trust about the target, in PEM; else the system's are");
  return run_command(app, argc, argv, [&] {
    ListenOptions listening;
    if (is_secure(url) && certificate.empty())
      throw Error(Errc::bad_certificate, url + ": give --certificate and --key");
    if (const Result<Url> parsed = Url::parse(target); !parsed.ok()) parsed.failure().raise();
    if (!certificate.empty()) {
      listening.set_tls(TlsServerContext(TlsOptions().identity(TlsIdentity::files(certificate, key))));
    }
    ConnectOptions connecting;
    if (!authority.empty()) {
      connecting.set_tls(TlsClientContext(TlsOptions().trust_system(false).add_authority_file(authority)));
    }
    return run_proxy(url, target, listening, connecting);
  });
}
