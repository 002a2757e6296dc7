#include "bench/echo/tls_end.h"

#include <openssl/ssl.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace bench {
namespace {

SSL_CTX* make_context(const SSL_METHOD* method) {
  SSL_CTX* context = SSL_CTX_new(method);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1);  // a record's header and body by one system call
  return context;
}

SSL_CTX* server_context() {
  static SSL_CTX* const context = make_context(TLS_server_method());
  return context;
}

SSL_CTX* client_context() {
  static SSL_CTX* const context = make_context(TLS_client_method());
  return context;
}

SSL* make_end(SSL_CTX* context, int fd) {
  SSL* ssl = SSL_new(context);
  SSL_set_fd(ssl, fd);
  return ssl;
}

}  // namespace

bool TlsEnd::use_certificate(const char* certificate, const char* key) {
  return SSL_CTX_use_certificate_chain_file(server_context(), certificate) == 1 &&
         SSL_CTX_use_PrivateKey_file(server_context(), key, SSL_FILETYPE_PEM) == 1;
}

TlsEnd TlsEnd::connect(int fd) {
  TlsEnd end(make_end(client_context(), fd));
  if (SSL_connect(end.ssl_) == 1) return end;
  std::fprintf(stderr, "load: a server failed the TLS handshake\n");
  std::exit(2);
}

TlsEnd TlsEnd::accept(int fd) {
  TlsEnd end(make_end(server_context(), fd));
  SSL_set_accept_state(end.ssl_);
  return end;
}

TlsEnd::TlsEnd(TlsEnd&& other) noexcept : ssl_(std::exchange(other.ssl_, nullptr)) {}
TlsEnd::~TlsEnd() { SSL_free(ssl_); }

ssize_t TlsEnd::receive(char* into, std::size_t size) { return outcome(SSL_read(ssl_, into, static_cast<int>(size))); }

ssize_t TlsEnd::send(const char* bytes, std::size_t size) {
  return outcome(SSL_write(ssl_, bytes, static_cast<int>(size)));
}

ssize_t TlsEnd::outcome(int result) const noexcept {
  if (result > 0) return result;
  const int reason = SSL_get_error(ssl_, result);
  if (reason == SSL_ERROR_ZERO_RETURN) return 0;
  errno = reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
  return -1;
}

bool TlsEnd::holds_input() const noexcept { return SSL_has_pending(ssl_) == 1; }

}  // namespace bench
