// Certificates, made where the test runs: none in the tree could expire.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

#include "protocols/tls/openssl.h"
#include "twinloop/tls.h"

namespace twinloop::tls_test {

using detail::BioPtr;
using detail::CertificatePtr;
using detail::KeyPtr;

// What a certificate is to say.
class Wish {
 public:
  explicit Wish(std::string common_name) : name(std::move(common_name)) {}
  Wish& hosts(std::string list) { return names = std::move(list), *this; }
  // "DNS:localhost,IP:127.0.0.1".
  Wish& valid(long from_day, long to_day) { return from = from_day, to = to_day, *this; }
  // Days from now.

  std::string name;
  std::string names;
  long from = -1;
  long to = 30;
};

struct Issued {
  std::string certificate;
  std::string key;
  TlsIdentity identity() const { return TlsIdentity::pem(certificate, key); }
};

template <class Write>
std::string pem(Write write) {
  const BioPtr memory(BIO_new(BIO_s_mem()));
  if (write(memory.get()) != 1) throw std::runtime_error("OpenSSL writes no PEM");
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

inline std::string pem_of(EVP_PKEY* key) {
  return pem([&](BIO* bio) { return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr); });
}

inline std::string encrypted_pem_of(EVP_PKEY* key, std::string password) {
  return pem([&](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, key, EVP_aes_256_cbc(), nullptr, 0, nullptr, password.data());
  });
}

inline std::string pem_of(X509* certificate) {
  return pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

class Authority {
 public:
  explicit Authority(const std::string& name) : key_(EVP_EC_gen("P-256")) {
    certificate_ = make(Wish(name), key_.get(), "critical,CA:TRUE");
  }

  std::string certificate() const { return pem_of(certificate_.get()); }

  Issued issue(const Wish& wish) const {
    const KeyPtr key(EVP_EC_gen("P-256"));
    return {pem_of(make(wish, key.get(), "CA:FALSE").get()), pem_of(key.get())};
  }

 private:
  CertificatePtr make(const Wish& wish, EVP_PKEY* key, const char* constraints) const {
    static std::atomic<long> serial = 1;
    CertificatePtr certificate(X509_new());
    X509* x = certificate.get();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
    X509_gmtime_adj(X509_getm_notBefore(x), wish.from * 86'400);
    X509_gmtime_adj(X509_getm_notAfter(x), wish.to * 86'400);
    X509_set_pubkey(x, key);
    const auto* name = reinterpret_cast<const unsigned char*>(wish.name.c_str());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8, name, -1, -1, 0);
    X509* issuer = certificate_ ? certificate_.get() : x;
    X509_set_issuer_name(x, X509_get_subject_name(issuer));
    extend(x, issuer, NID_basic_constraints, constraints);
    extend(x, issuer, NID_subject_key_identifier, "hash");
    if (!wish.names.empty()) extend(x, issuer, NID_subject_alt_name, wish.names.c_str());
    if (X509_sign(x, key_.get(), EVP_sha256()) == 0) throw std::runtime_error("OpenSSL signs nothing");
    return certificate;
  }

  static void extend(X509* certificate, X509* issuer, int kind, const char* value) {
    X509V3_CTX context{};
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value);
    if (extension == nullptr) throw std::runtime_error(value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }

  KeyPtr key_;
  CertificatePtr certificate_;
};

inline const Authority& authority() {
  static const Authority one("Test authority");
  return one;
}

inline const Authority& other_authority() {
  static const Authority one("Somebody else");
  return one;
}

inline const Issued& localhost() {
  static const Issued one = authority().issue(Wish("localhost").hosts("DNS:localhost,IP:127.0.0.1,IP:::1"));
  return one;
}

inline TlsOptions server_options() { return TlsOptions().identity(localhost().identity()); }
inline TlsOptions client_options() { return TlsOptions().trust_system(false).add_authority(authority().certificate()); }

// A folder that goes with the test.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "twinloop-tls-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string path(const std::string& name) const { return (path_ / name).string(); }
  std::string put(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
    return path(name);
  }
  std::string get(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(path(name)).rdbuf();
    return text.str();
  }

 private:
  std::filesystem::path path_;
};

}  // namespace twinloop::tls_test
