// The handshakes as coroutines: what twinloop/tls.h and scheme.h offer.
#include "twinloop/tls.h"

#include <array>

#include "protocols/tls/scheme.h"
#include "protocols/tls/tls_transport.h"
#include "twinloop/timing.h"

namespace twinloop {
namespace detail {
namespace {

constexpr char kHandshakeRecord = 22;  // the first byte of a client's first message (RFC 8446 §5.1)

Future<IOStream> shake_hands(std::unique_ptr<Transport> lower, TlsSetup setup, StreamOptions options) {
  const std::string where = setup.description;
  const Duration timeout = setup.state->handshake_timeout();
  auto transport = std::make_unique<TlsTransport>(std::move(lower), std::move(setup));
  Future<void> handshake = transport->handshake();
  const Result<void> done = co_await as_result(with_timeout(timeout, std::move(handshake)));
  if (!done.ok() && done.reason() == Errc::timeout) throw TimeoutError(Errc::timeout, where + ": the TLS handshake");
  if (!done.ok()) done.failure().raise();
  co_return IOStream(std::move(transport), options);
}

std::unique_ptr<Transport> take_transport(IOStream stream, TlsSetup& setup) {
  if (stream.is_closed()) throw_error(stream.error(), setup.description + ": the TLS handshake");
  return stream.detach(setup.initial_input);
}

TlsSetup client_setup(std::shared_ptr<TlsState> state, const std::string& host, std::uint16_t port,
                      std::string description) {
  TlsSetup setup(std::move(state));
  setup.host = setup.state->server_name().empty() ? host : setup.state->server_name();
  if (setup.host.ends_with('.')) setup.host.pop_back();
  setup.port = port;
  setup.description = std::move(description);
  return setup;
}

TlsSetup server_setup(std::shared_ptr<TlsState> state, const IOStream& lower) {
  TlsSetup setup(std::move(state));
  setup.description = "tls over " + lower.description();
  return setup;
}

// ---- STARTTLS

// What was decoded below and not passed on is as much in the clear as what the stream holds.
void take_held_input(Transport& lower, std::string& into) {
  std::array<std::byte, 4096> memory;
  while (lower.pending_input() > 0) {
    const IoResult result = lower.read(memory);
    if (result.status != IoStatus::ok) return;
    into.append(reinterpret_cast<const char*>(memory.data()), result.count);
  }
}

// A client speaks first: what its server has said before is plain text.  A server may have received a client's first message.
bool is_plaintext(TlsRole role, const std::string& input) noexcept {
  return !input.empty() && (role == TlsRole::client || input.front() != kHandshakeRecord);
}

Future<IOStream> upgrade(IOStream stream, TlsSetup setup, StreamOptions options) {
  if (stream.reading()) throw Error(Errc::busy, setup.description + ": TLS cannot start while a read is pending");
  co_await stream.flush();
  std::unique_ptr<Transport> lower = take_transport(std::move(stream), setup);
  take_held_input(*lower, setup.initial_input);
  if (is_plaintext(setup.state->role(), setup.initial_input)) {
    throw Error(Errc::plaintext_before_tls, setup.description + ": " + std::to_string(setup.initial_input.size()) +
                                                " bytes arrived before TLS began");
  }
  co_return co_await shake_hands(std::move(lower), std::move(setup), options);
}

}  // namespace

Future<IOStream> connect_tls(IOStream lower, const Url& url, const ConnectOptions& options) {
  std::shared_ptr<TlsState> state = options.tls ? options.tls : TlsClientContext().state();
  TlsSetup setup = client_setup(std::move(state), url.host, url.port, url.to_string());
  std::unique_ptr<Transport> transport = take_transport(std::move(lower), setup);
  co_return co_await shake_hands(std::move(transport), std::move(setup), options.stream);
}

Future<IOStream> accept_tls(IOStream lower, const Url&, const ListenOptions& options) {
  TlsSetup setup = server_setup(options.tls, lower);
  std::unique_ptr<Transport> transport = take_transport(std::move(lower), setup);
  co_return co_await shake_hands(std::move(transport), std::move(setup), options.stream);
}

void check_tls_listener(const Url& url, const ListenOptions& options) {
  if (options.tls) return;
  throw Error(Errc::bad_certificate,
              "listen " + url.to_string() + ": TLS needs ListenOptions::set_tls with a certificate");
}

}  // namespace detail

Future<IOStream> start_tls(IOStream stream, const TlsClientContext& context, const std::string& host,
                           const StreamOptions& options) {
  std::string where = "tls to " + host + " over " + stream.description();
  detail::TlsSetup setup = detail::client_setup(context.state(), host, 0, std::move(where));
  return detail::upgrade(std::move(stream), std::move(setup), options);
}

Future<IOStream> start_tls(IOStream stream, const TlsServerContext& context, const StreamOptions& options) {
  detail::TlsSetup setup = detail::server_setup(context.state(), stream);
  return detail::upgrade(std::move(stream), std::move(setup), options);
}

}  // namespace twinloop
