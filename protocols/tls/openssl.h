// OpenSSL's objects with their owners, and its errors in words.
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>

namespace twinloop::detail {

template <auto kFree>
struct Freed {
  template <class T>
  void operator()(T* object) const noexcept {
    kFree(object);
  }
};

using BioPtr = std::unique_ptr<BIO, Freed<&BIO_free_all>>;
using SslPtr = std::unique_ptr<SSL, Freed<&SSL_free>>;
using SslContextPtr = std::unique_ptr<SSL_CTX, Freed<&SSL_CTX_free>>;
using SslSessionPtr = std::unique_ptr<SSL_SESSION, Freed<&SSL_SESSION_free>>;
using CertificatePtr = std::unique_ptr<X509, Freed<&X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<&EVP_PKEY_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, Freed<&GENERAL_NAMES_free>>;

std::string words_of(unsigned long error);
// One error of OpenSSL's queue as a person reads it: "wrong version number".

std::string take_openssl_words();
// The first error of this thread's queue, which is the cause of the others; empties the queue.

[[noreturn]] void throw_openssl(std::string_view what);
// Error(bad_certificate) with what was tried and OpenSSL's words.

}  // namespace twinloop::detail
