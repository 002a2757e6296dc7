// What a TlsContext points at: its options, what OpenSSL has made of them, and a client's sessions.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "protocols/tls/key_log.h"
#include "protocols/tls/openssl.h"
#include "protocols/tls/session_cache.h"
#include "twinloop/detail/object_lock.h"
#include "twinloop/tls.h"

namespace twinloop::detail {

enum class TlsRole : std::uint8_t { client, server };

struct LoadedIdentity {
  CertificatePtr certificate;
  KeyPtr key;
  std::vector<CertificatePtr> chain;
};

// What the options were when they were loaded.  Each connection holds the one that it began with.
struct TlsMaterial {
  SslContextPtr context;
  std::vector<std::pair<std::string, LoadedIdentity>> hosts;
  std::string protocols;  // as ALPN writes them: each behind its length
  KeyLog* key_log = nullptr;
};

// Where a client's connection puts the sessions it is given.
struct TlsSessionSlot {
  TlsSessionCache* cache = nullptr;
  std::string server;
};

class TlsState {
 public:
  TlsState(TlsRole role, const TlsOptions& options);

  TlsRole role() const noexcept { return role_; }
  std::shared_ptr<const TlsMaterial> material() const;
  TlsSessionCache& sessions() noexcept { return sessions_; }

  void reload();
  void replace_identity(TlsIdentity identity);

  const std::string& server_name() const noexcept { return options_.server_name_; }
  bool verifies_host() const noexcept { return options_.verify_host_ && verify() != TlsVerify::none; }
  bool allows_truncated_end() const noexcept { return options_.allow_truncated_end_; }
  Duration handshake_timeout() const noexcept { return options_.handshake_timeout_; }

  ObjectLock& lock() noexcept { return lock_; }
  ObjectLock& reload_lock() noexcept { return reloading_; }
  // For tests of forks.

 private:
  TlsVerify verify() const noexcept;
  std::shared_ptr<TlsMaterial> load(const TlsIdentity* own) const;
  void set_rules(SSL_CTX* context) const;
  void set_trust(SSL_CTX* context) const;
  static void set_identity(SSL_CTX* context, const TlsIdentity& identity);
  void set_protocols(TlsMaterial& material) const;
  void set_sessions(SSL_CTX* context) const;
  void open_key_log();
  static LoadedIdentity load(const TlsIdentity& identity);
  void adopt(std::shared_ptr<TlsMaterial> material);

  TlsRole role_;
  TlsOptions options_;
  TlsSessionCache sessions_;
  std::unique_ptr<KeyLog> key_log_;
  ObjectLock reloading_;     // held while identity_ and material_ are made anew
  mutable ObjectLock lock_;  // guards material_

  // Each changes by one pointer, so that a fork finds the former or the new, whatever another thread was doing.
  std::unique_ptr<const TlsIdentity> identity_;  // null: none
  std::unique_ptr<const std::shared_ptr<const TlsMaterial>> material_;
};

}  // namespace twinloop::detail
