#include "protocols/tls/tls_failure.h"

#include <algorithm>
#include <array>

namespace twinloop::detail {
namespace {

// What a peer that does not speak TLS makes OpenSSL say.
constexpr std::array kNotTls = {SSL_R_WRONG_VERSION_NUMBER, SSL_R_HTTP_REQUEST, SSL_R_HTTPS_PROXY_REQUEST,
                                SSL_R_UNKNOWN_PROTOCOL,     SSL_R_BAD_PACKET,   SSL_R_UNEXPECTED_MESSAGE};

// What a peer says of our certificate.
constexpr std::array kAboutCertificate = {SSL_AD_BAD_CERTIFICATE,     SSL_AD_UNSUPPORTED_CERTIFICATE,
                                          SSL_AD_CERTIFICATE_REVOKED, SSL_AD_CERTIFICATE_EXPIRED,
                                          SSL_AD_CERTIFICATE_UNKNOWN, SSL_AD_UNKNOWN_CA,
                                          SSL_AD_ACCESS_DENIED,       TLS13_AD_CERTIFICATE_REQUIRED};

template <class Array>
bool contains(const Array& all, int value) noexcept {
  return std::find(all.begin(), all.end(), value) != all.end();
}

TlsFailure told_by_peer(int alert) {
  const Errc reason = contains(kAboutCertificate, alert) ? Errc::bad_certificate : Errc::protocol;
  return {reason, std::string("the peer refused: ") + SSL_alert_desc_string_long(alert)};
}

}  // namespace

TlsFailure take_tls_failure(const SSL* ssl) {
  const unsigned long error = ERR_peek_error();
  const std::string words = take_openssl_words();
  if (ERR_GET_LIB(error) != ERR_LIB_SSL) return {Errc::protocol, words};
  const int reason = ERR_GET_REASON(error);
  if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    return {Errc::bad_certificate, words + ": " + X509_verify_cert_error_string(SSL_get_verify_result(ssl))};
  }
  if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) return {Errc::bad_certificate, words};
  if (reason > SSL_AD_REASON_OFFSET) return told_by_peer(reason - SSL_AD_REASON_OFFSET);
  if (contains(kNotTls, reason)) return {Errc::protocol, "the peer does not speak TLS (" + words + ")"};
  return {Errc::protocol, words};
}

}  // namespace twinloop::detail
