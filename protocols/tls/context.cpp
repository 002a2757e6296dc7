#include "protocols/tls/context.h"

#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <climits>
#include <mutex>
#include <optional>

#include "twinloop/detail/builtin.h"

namespace twinloop {
namespace detail {
namespace {

// Two records of the peer's: what one read of the connection brings at most.
constexpr std::size_t kReadBuffer = 2 * (SSL3_RT_MAX_PLAIN_LENGTH + 256 + SSL3_RT_HEADER_LENGTH);

std::string name_of(const PemSource& source) { return source.is_file ? source.text : "(PEM in memory)"; }

BioPtr open(const PemSource& source, const char* what) {
  ERR_clear_error();
  BioPtr bio(source.is_file ? BIO_new_file(source.text.c_str(), "r")
                            : BIO_new_mem_buf(source.text.data(), static_cast<int>(source.text.size())));
  if (!bio) throw_openssl(what + name_of(source));
  return bio;
}

// An encrypted key without a password fails; OpenSSL would otherwise ask at the terminal.
int give_password(char* into, int size, int, void* password) {
  const auto& text = *static_cast<const std::string*>(password);
  if (text.empty() || text.size() > static_cast<std::size_t>(size)) return -1;
  std::copy(text.begin(), text.end(), into);
  return static_cast<int>(text.size());
}

std::vector<CertificatePtr> load_certificates(const PemSource& source) {
  const BioPtr bio = open(source, "the certificate ");
  std::vector<CertificatePtr> all;
  std::string no_password;
  while (X509* certificate = PEM_read_bio_X509_AUX(bio.get(), nullptr, &give_password, &no_password)) {
    all.emplace_back(certificate);
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (all.empty() || !at_end) throw_openssl("the certificate " + name_of(source));
  ERR_clear_error();
  return all;
}

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_host(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

bool is_for(std::string_view pattern, std::string_view host) noexcept {
  if (!pattern.starts_with("*.")) return same_host(pattern, host);
  const std::size_t dot = host.find('.');
  return dot != std::string_view::npos && dot > 0 && same_host(pattern.substr(1), host.substr(dot));
}

// ---- what OpenSSL calls

int use_host_identity(SSL* ssl, const LoadedIdentity& identity) {
  STACK_OF(X509)* chain = sk_X509_new_null();
  for (const CertificatePtr& certificate : identity.chain) sk_X509_push(chain, certificate.get());
  const int used = SSL_use_cert_and_key(ssl, identity.certificate.get(), identity.key.get(), chain, 1);
  sk_X509_free(chain);
  return used == 1 ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

int on_server_name(SSL* ssl, int*, void* material) {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
  for (const auto& [host, identity] : static_cast<const TlsMaterial*>(material)->hosts) {
    if (is_for(host, name)) return use_host_identity(ssl, identity);
  }
  return SSL_TLSEXT_ERR_OK;
}

int on_protocols(SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
                 unsigned offered_size, void* material) {
  const std::string& ours = static_cast<const TlsMaterial*>(material)->protocols;
  unsigned char* found = nullptr;
  const int result = SSL_select_next_proto(&found, size, reinterpret_cast<const unsigned char*>(ours.data()),
                                           static_cast<unsigned>(ours.size()), offered, offered_size);
  *chosen = found;
  return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

int on_new_session(SSL* ssl, SSL_SESSION* session) {
  const auto* slot = static_cast<const TlsSessionSlot*>(SSL_get_app_data(ssl));
  if (slot == nullptr || slot->cache == nullptr) return 0;
  slot->cache->put(slot->server, SslSessionPtr(session));
  return 1;
}

void on_key_log(const SSL* ssl, const char* line) {
  const void* material = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
  static_cast<const TlsMaterial*>(material)->key_log->write(line);
}

// So that clients can resume, after a reload, what they began before.
void keep_ticket_keys(SSL_CTX* from, SSL_CTX* to) {
  std::array<unsigned char, 256> keys;
  const long size = SSL_CTX_get_tlsext_ticket_keys(from, nullptr, 0);
  if (size <= 0 || static_cast<std::size_t>(size) > keys.size()) return;
  if (SSL_CTX_get_tlsext_ticket_keys(from, keys.data(), size) == 1) {
    SSL_CTX_set_tlsext_ticket_keys(to, keys.data(), size);
  }
  OPENSSL_cleanse(keys.data(), keys.size());
}

}  // namespace

TlsState::TlsState(TlsRole role, const TlsOptions& options)
    : role_(role), options_(options), sessions_(options.max_sessions_) {
  if (options_.identity_) identity_ = std::make_unique<const TlsIdentity>(*std::exchange(options_.identity_, {}));
  if (role == TlsRole::server && !identity_) {
    throw Error(Errc::bad_certificate, "a TLS server needs a certificate: TlsOptions::identity");
  }
  open_key_log();
  material_ = std::make_unique<const std::shared_ptr<const TlsMaterial>>(load(identity_.get()));
}

std::shared_ptr<const TlsMaterial> TlsState::material() const {
  const std::lock_guard guard(lock_);
  return *material_;
}

void TlsState::reload() {
  const std::lock_guard guard(reloading_);
  adopt(load(identity_.get()));
}

void TlsState::replace_identity(TlsIdentity identity) {
  const std::lock_guard guard(reloading_);
  auto next = std::make_unique<const TlsIdentity>(std::move(identity));
  adopt(load(next.get()));
  identity_.swap(next);
}

// A client's sessions were begun by who it was before, and a server's tickets hold certificates that may not be good any more.
void TlsState::adopt(std::shared_ptr<TlsMaterial> material) {
  if (verify() == TlsVerify::none) keep_ticket_keys((*material_)->context.get(), material->context.get());
  sessions_.clear();
  auto next = std::make_unique<const std::shared_ptr<const TlsMaterial>>(std::move(material));
  const std::lock_guard guard(lock_);
  material_.swap(next);
}

void TlsState::open_key_log() {
  std::string path = options_.key_log_;
  if (const char* named = platform_environment("SSLKEYLOGFILE"); path.empty() && named != nullptr) path = named;
  if (!path.empty()) key_log_ = std::make_unique<KeyLog>(path);
}

TlsVerify TlsState::verify() const noexcept {
  return options_.verify_.value_or(role_ == TlsRole::client ? TlsVerify::required : TlsVerify::none);
}

// ---- from options to OpenSSL's context

std::shared_ptr<TlsMaterial> TlsState::load(const TlsIdentity* own) const {
  ERR_clear_error();
  auto material = std::make_shared<TlsMaterial>();
  material->context.reset(SSL_CTX_new(role_ == TlsRole::client ? TLS_client_method() : TLS_server_method()));
  SSL_CTX* context = material->context.get();
  if (context == nullptr) throw_openssl("a TLS context");
  SSL_CTX_set_app_data(context, material.get());
  set_rules(context);
  set_trust(context);
  if (own != nullptr) set_identity(context, *own);
  set_protocols(*material);
  set_sessions(context);
  for (const auto& [host, identity] : options_.hosts_) material->hosts.emplace_back(host, load(identity));
  if (!material->hosts.empty()) {
    SSL_CTX_set_tlsext_servername_callback(context, &on_server_name);
    SSL_CTX_set_tlsext_servername_arg(context, material.get());
  }
  material->key_log = key_log_.get();
  if (key_log_) SSL_CTX_set_keylog_callback(context, &on_key_log);
  return material;
}

void TlsState::set_rules(SSL_CTX* context) const {
  const bool newest = options_.minimum_version_ == TlsVersion::tls1_3;
  SSL_CTX_set_min_proto_version(context, newest ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_read_buffer_len(context, kReadBuffer);
  SSL_CTX_set_dh_auto(context, 1);
}

void TlsState::set_trust(SSL_CTX* context) const {
  const TlsVerify asked = verify();
  const bool system = options_.trust_system_.value_or(role_ == TlsRole::client);
  if (role_ == TlsRole::server && asked != TlsVerify::none && !system && options_.authorities_.empty()) {
    throw Error(Errc::bad_certificate, "a TLS server that asks for certificates needs TlsOptions::add_authority");
  }
  const int mode = asked == TlsVerify::none       ? SSL_VERIFY_NONE
                   : asked == TlsVerify::optional ? SSL_VERIFY_PEER
                                                  : SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_CTX_set_verify(context, mode, nullptr);
  if (system && asked != TlsVerify::none) SSL_CTX_set_default_verify_paths(context);
  for (const PemSource& source : options_.authorities_) {
    for (const CertificatePtr& certificate : load_certificates(source)) {
      if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate.get()) != 1) {
        throw_openssl("the authority " + name_of(source));
      }
      if (role_ == TlsRole::server) SSL_CTX_add_client_CA(context, certificate.get());
    }
  }
}

LoadedIdentity TlsState::load(const TlsIdentity& identity) {
  LoadedIdentity loaded;
  loaded.chain = load_certificates(identity.certificates_);
  loaded.certificate = std::move(loaded.chain.front());
  loaded.chain.erase(loaded.chain.begin());
  const BioPtr bio = open(identity.key_, "the private key ");
  std::string password = identity.password_;
  loaded.key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, &give_password, &password));
  if (!loaded.key) throw_openssl("the private key " + name_of(identity.key_));
  if (X509_check_private_key(loaded.certificate.get(), loaded.key.get()) != 1) {
    throw_openssl("the private key " + name_of(identity.key_) + " and the certificate " +
                  name_of(identity.certificates_));
  }
  return loaded;
}

void TlsState::set_identity(SSL_CTX* context, const TlsIdentity& identity) {
  const LoadedIdentity loaded = load(identity);
  bool used = SSL_CTX_use_certificate(context, loaded.certificate.get()) == 1 &&
              SSL_CTX_use_PrivateKey(context, loaded.key.get()) == 1;
  for (const CertificatePtr& certificate : loaded.chain) {
    used = used && SSL_CTX_add1_chain_cert(context, certificate.get()) == 1;
  }
  if (!used) throw_openssl("the certificate " + name_of(identity.certificates_));
}

void TlsState::set_protocols(TlsMaterial& material) const {
  for (const std::string& protocol : options_.protocols_) {
    if (protocol.empty() || protocol.size() > UCHAR_MAX) {
      throw Error(Errc::limit, "the ALPN protocol '" + protocol + "' must have 1 to 255 bytes");
    }
    material.protocols += static_cast<char>(protocol.size());
    material.protocols += protocol;
  }
  if (material.protocols.empty()) return;
  if (role_ == TlsRole::server) return SSL_CTX_set_alpn_select_cb(material.context.get(), &on_protocols, &material);
  const auto* bytes = reinterpret_cast<const unsigned char*>(material.protocols.data());
  SSL_CTX_set_alpn_protos(material.context.get(), bytes, static_cast<unsigned>(material.protocols.size()));
}

// A server keeps nothing: what it must remember is in its tickets.
void TlsState::set_sessions(SSL_CTX* context) const {
  constexpr std::string_view kName = "twinloop";
  SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>(kName.data()), kName.size());
  if (role_ == TlsRole::server) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    return;
  }
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, &on_new_session);
}

}  // namespace detail

TlsIdentity TlsIdentity::pem(std::string certificates, std::string private_key, std::string password) {
  TlsIdentity identity;
  identity.certificates_ = {std::move(certificates), false};
  identity.key_ = {std::move(private_key), false};
  identity.password_ = std::move(password);
  return identity;
}

TlsIdentity TlsIdentity::files(std::string certificates, std::string private_key, std::string password) {
  TlsIdentity identity;
  identity.certificates_ = {std::move(certificates), true};
  identity.key_ = {std::move(private_key), true};
  identity.password_ = std::move(password);
  return identity;
}

void TlsContext::reload() { state_->reload(); }
void TlsContext::replace_identity(TlsIdentity identity) { state_->replace_identity(std::move(identity)); }

TlsClientContext::TlsClientContext(const TlsOptions& options)
    : TlsContext(std::make_shared<detail::TlsState>(detail::TlsRole::client, options)) {}

namespace {

std::shared_ptr<detail::TlsState> usual_client() {
  static const auto shared = std::make_shared<detail::TlsState>(detail::TlsRole::client, TlsOptions());
  return shared;
}

}  // namespace

TlsClientContext::TlsClientContext() : TlsContext(usual_client()) {}

TlsServerContext::TlsServerContext(const TlsOptions& options)
    : TlsContext(std::make_shared<detail::TlsState>(detail::TlsRole::server, options)) {}

}  // namespace twinloop
