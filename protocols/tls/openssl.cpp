#include "protocols/tls/openssl.h"

#include <system_error>

#include "twinloop/error.h"

namespace twinloop::detail {

std::string words_of(unsigned long error) {
  if (ERR_SYSTEM_ERROR(error)) return std::generic_category().message(ERR_GET_REASON(error));
  const char* words = ERR_reason_error_string(error);
  return words != nullptr ? words : "error " + std::to_string(error);
}

std::string take_openssl_words() {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  return error != 0 ? words_of(error) : "OpenSSL does not say why";
}

void throw_openssl(std::string_view what) {
  std::string text(what);
  throw Error(Errc::bad_certificate, text.append(": ").append(take_openssl_words()));
}

}  // namespace twinloop::detail
