// Sends back what it receives, over TLS: tls_echo --certificate cert.pem --key key.pem tls://127.0.0.1:4433
//
// Try it with `openssl s_client -connect 127.0.0.1:4433`.  A certificate for that:
//  openssl req -x509 -nodes -newkey rsa -subj /CN=me -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem
// SIGHUP reads certificate and key anew, for new connections.
#include <csignal>
#include <string>

#include "command_line.h"
#include "twinloop/log.h"
#include "twinloop/tls.h"

using namespace twinloop;

Future<void> echo(IOStream stream) {
  for (;;) co_await stream.write(co_await stream.read_some());
}

void reload(TlsServerContext& context) {
  try {
    context.reload();
  } catch (const Error& error) {
    log(LogLevel::error, std::string("the certificate stays as it was: ") + error.what());
  }
}

bool is_secure(const std::string& url) { return url.starts_with("tls:") || url.starts_with("wss:"); }

Future<void> serve_echo(std::string url, std::string certificate, std::string key) {
  if (!is_secure(url)) throw Error(Errc::invalid_url, url + ": write tls://host:port or wss://host:port/path");
  TlsServerContext context(TlsOptions().identity(TlsIdentity::files(certificate, key)));
  IOLoop::current().on_signal(SIGHUP, [&context] { reload(context); });
  Listener listener = co_await listen(url, ListenOptions().set_tls(context));
  announce(listener.url());
  co_await serve(std::move(listener), echo);
}

int main(int argc, char** argv) {
  CLI::App app("Sends back what it receives, over TLS.", "tls_echo");
  std::string url, certificate, key;
  app.add_option("URL", url, "Where to listen, as tls://127.0.0.1:0 or wss://127.0.0.1:0/echo")->required();
  app.add_option("--certificate", certificate, "The certificate and those above it, in PEM")->required();
  app.add_option("--key", key, "Its private key, in PEM")->required();
  return run_command(app, argc, argv, [&] { return serve_echo(url, certificate, key); });
}
