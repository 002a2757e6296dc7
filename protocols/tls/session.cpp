// What a connection agreed on, and who the peer is.
#include <openssl/pem.h>

#include <array>

#include "protocols/tls/openssl.h"
#include "twinloop/tls.h"

namespace twinloop {
namespace detail {
namespace {

std::string contents(BIO* memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

std::string text_of(const X509_NAME* name) {
  const BioPtr memory(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(memory.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  return contents(memory.get());
}

std::string_view bytes_of(const ASN1_STRING* text) noexcept {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}

std::string ipv4_text(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    if (!text.empty()) text += '.';
    text += std::to_string(static_cast<unsigned char>(byte));
  }
  return text;
}

// All eight groups, none left out: "0:0:0:0:0:0:0:1".
std::string ipv6_text(std::string_view bytes) {
  std::string text;
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
    std::array<char, 8> group{};
    const unsigned value = static_cast<unsigned char>(bytes[i]) * 256u + static_cast<unsigned char>(bytes[i + 1]);
    std::snprintf(group.data(), group.size(), "%x", value);
    text.append(text.empty() ? "" : ":").append(group.data());
  }
  return text;
}

std::vector<std::string> names_of(const X509* certificate) {
  std::vector<std::string> all;
  const NamesPtr names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) all.emplace_back(bytes_of(name->d.dNSName));
    if (name->type != GEN_IPADD) continue;
    const std::string_view address = bytes_of(name->d.iPAddress);
    all.push_back(address.size() == 4 ? ipv4_text(address) : ipv6_text(address));
  }
  return all;
}

std::string pem_of(X509* certificate) {
  const BioPtr memory(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(memory.get(), certificate);
  return contents(memory.get());
}

}  // namespace
}  // namespace detail

std::string_view TlsSession::version() const noexcept { return SSL_get_version(ssl_); }
std::string_view TlsSession::cipher() const noexcept { return SSL_get_cipher_name(ssl_); }
bool TlsSession::resumed() const noexcept { return SSL_session_reused(ssl_) == 1; }

std::string_view TlsSession::protocol() const noexcept {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_, &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

std::string_view TlsSession::server_name() const noexcept {
  const char* name = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
  return name != nullptr ? name : std::string_view();
}

std::optional<TlsCertificate> TlsSession::peer_certificate() const {
  const detail::CertificatePtr certificate(SSL_get1_peer_certificate(ssl_));
  if (!certificate) return {};
  TlsCertificate shown;
  shown.subject = detail::text_of(X509_get_subject_name(certificate.get()));
  shown.issuer = detail::text_of(X509_get_issuer_name(certificate.get()));
  shown.names = detail::names_of(certificate.get());
  shown.pem = detail::pem_of(certificate.get());
  return shown;
}

}  // namespace twinloop
