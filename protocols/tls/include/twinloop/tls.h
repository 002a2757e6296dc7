// TLS on any stream: whom to trust, how to prove oneself, what was agreed.  `connect("tls://example.org:443")` and `wss://` need
// none of this: they trust whom the system trusts and check that the certificate is for that host.
//
//   TlsServerContext context(TlsOptions().identity(TlsIdentity::files("chain.pem", "key.pem")));
//   Listener listener = co_await listen("tls://:443", ListenOptions().set_tls(context));
//
// The end of a TLS stream is its close_notify.  A connection that ends without one is `truncated`, because whoever sits in between
// can end a connection, but not say goodbye in the peer's name.  shutdown_write() says it and leaves the connection open: reading
// goes on, and the peer may go on writing.
//
// A handshake that fails says why, in OpenSSL's words: `bad_certificate` where a certificate was not accepted by either end,
// `protocol` where the other end speaks no TLS or none that suits, `truncated` or `reset` where it left, `timeout`.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "twinloop/iostream.h"
#include "twinloop/net.h"

struct ssl_st;

namespace twinloop {

namespace detail {
class TlsState;

struct PemSource {
  std::string text;  // PEM, or the path of a file with it
  bool is_file = false;
};
}  // namespace detail

enum class TlsVersion : std::uint8_t { tls1_2, tls1_3 };

// What is asked of the peer: nothing; a certificate that may be missing but not bad (servers only); a good certificate.
enum class TlsVerify : std::uint8_t { none, optional, required };

// Who one end is: a certificate, those between it and its authority, and the private key.
class TlsIdentity {
 public:
  static TlsIdentity pem(std::string certificates, std::string private_key, std::string password = {});
  // The end's own certificate comes first.
  static TlsIdentity files(std::string certificates, std::string private_key, std::string password = {});
  // Read when a context is made, and again by its reload().  Both may be the same file.

 private:
  friend class detail::TlsState;
  detail::PemSource certificates_;
  detail::PemSource key_;
  std::string password_;
};

class TlsOptions {
 public:
  TlsOptions& identity(TlsIdentity who) { return identity_ = std::move(who), *this; }
  // What this end shows.  Servers need one; clients show it where the server asks.

  TlsOptions& add_identity(std::string host, TlsIdentity who) {
    return hosts_.emplace_back(std::move(host), std::move(who)), *this;
  }
  // Servers: what is shown to a client that asks for this host, "example.org" or "*.example.org".  The others see identity().

  TlsOptions& trust_system(bool trust) { return trust_system_ = trust, *this; }
  // Whether the system's authorities count.  For clients they do; for servers they do not, because then anybody with a public
  // certificate would be a good client.
  TlsOptions& add_authority(std::string pem) { return authorities_.push_back({std::move(pem), false}), *this; }
  TlsOptions& add_authority_file(std::string path) { return authorities_.push_back({std::move(path), true}), *this; }
  // Certificates of more authorities; with trust_system(false) the only ones.

  TlsOptions& verify(TlsVerify what) { return verify_ = what, *this; }
  // Of clients `required`; of servers `none`.  A client that verifies nothing may be talking to anybody.
  TlsOptions& verify_host(bool check) { return verify_host_ = check, *this; }
  // Clients: whether the certificate must be for the host that was connected to, name or address.
  TlsOptions& server_name(std::string host) { return server_name_ = std::move(host), *this; }
  // Clients: the name to ask for and to verify, where it is not the host of the URL.

  TlsOptions& add_protocol(std::string name) { return protocols_.push_back(std::move(name)), *this; }
  // ALPN, most wanted first: "http/1.1".  A server takes the first of its own that the client offers, and refuses a client
  // that offers others only.

  TlsOptions& minimum_version(TlsVersion version) { return minimum_version_ = version, *this; }
  // TLS 1.2.
  TlsOptions& handshake_timeout(Duration time) { return handshake_timeout_ = time, *this; }
  // 10 s.
  TlsOptions& allow_truncated_end(bool allow) { return allow_truncated_end_ = allow, *this; }
  // Takes a connection's end without close_notify for an end.  Only where the protocol inside knows by itself whether it has
  // everything; an end within a record is `truncated` all the same.
  TlsOptions& max_sessions(std::size_t count) { return max_sessions_ = count, *this; }
  // Clients: sessions kept to be resumed, 0 for none.  256.
  TlsOptions& key_log_file(std::string path) { return key_log_ = std::move(path), *this; }
  // Appends the secrets of each connection, for programs that look into captured traffic.  The environment variable
  // SSLKEYLOGFILE does the same where this is not set.

 private:
  friend class detail::TlsState;
  std::optional<TlsIdentity> identity_;
  std::vector<std::pair<std::string, TlsIdentity>> hosts_;
  std::vector<detail::PemSource> authorities_;
  std::optional<bool> trust_system_;
  std::optional<TlsVerify> verify_;
  std::string server_name_;
  std::vector<std::string> protocols_;
  std::string key_log_;
  std::size_t max_sessions_ = 256;
  Duration handshake_timeout_ = std::chrono::seconds(10);
  TlsVersion minimum_version_ = TlsVersion::tls1_2;
  bool verify_host_ = true;
  bool allow_truncated_end_ = false;
};

// What connections are made with.  Making one reads files and is slow, so make it once; copies are the same context.  It may be
// used by several threads.
class TlsContext {
 public:
  void reload();
  // Reads the files of its identities and authorities anew.  Connections keep what they have.  Throws as the constructor does, and
  // then nothing has changed.

  void replace_identity(TlsIdentity identity);
  // The same, with another identity().

  const std::shared_ptr<detail::TlsState>& state() const noexcept { return state_; }

 protected:
  explicit TlsContext(std::shared_ptr<detail::TlsState> state) noexcept : state_(std::move(state)) {}

 private:
  std::shared_ptr<detail::TlsState> state_;
};

class TlsClientContext : public TlsContext {
 public:
  TlsClientContext();
  // The context of this process for clients without wishes.
  explicit TlsClientContext(const TlsOptions& options);
  // Throws Error(bad_certificate) for certificates and keys that cannot be used, and says which.
};

class TlsServerContext : public TlsContext {
 public:
  explicit TlsServerContext(const TlsOptions& options);
  // Throws Error(bad_certificate), also without an identity.
};

Future<IOStream> start_tls(IOStream stream, const TlsClientContext& context, const std::string& host,
                           const StreamOptions& options = {});
Future<IOStream> start_tls(IOStream stream, const TlsServerContext& context, const StreamOptions& options = {});
// Begins TLS on a live stream (STARTTLS), after handing over what it had accepted.  Fails with `plaintext_before_tls` when
// anything is there unread: an attacker in between could have put it there, and the program would take it for the peer's.  (At the
// server's end a client's first TLS message may be there already.)  Fails with `busy` while a read is pending.  The stream's
// close callback does not pass to the new one.

// A peer's certificate.
struct TlsCertificate {
  std::string subject;             // "CN=example.org,O=Example"
  std::string issuer;              // the same of who signed it
  std::vector<std::string> names;  // the hosts that it is for, and addresses: "example.org", "127.0.0.1"
  std::string pem;
};

// What was agreed: IOStream::tls().
class TlsSession {
 public:
  explicit TlsSession(ssl_st* ssl) noexcept : ssl_(ssl) {}

  std::string_view version() const noexcept;
  // "TLSv1.3".
  std::string_view cipher() const noexcept;
  // "TLS_AES_256_GCM_SHA384".
  std::string_view protocol() const noexcept;
  // By ALPN; empty when none was agreed.
  std::string_view server_name() const noexcept;
  // The host that the client asked for; empty when it asked for none.
  bool resumed() const noexcept;
  std::optional<TlsCertificate> peer_certificate() const;
  // None where the peer showed none.

 private:
  ssl_st* ssl_;
};

// ---- the options of connect and listen

inline ConnectOptions& ConnectOptions::set_tls(const TlsClientContext& context) { return tls = context.state(), *this; }
inline ListenOptions& ListenOptions::set_tls(const TlsServerContext& context) { return tls = context.state(), *this; }

}  // namespace twinloop
