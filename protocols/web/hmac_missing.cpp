// Signed values in a build without OpenSSL.
#include "protocols/web/crypto.h"
#include "twinloop/error.h"

namespace twinloop::detail {

std::string hmac_sha256(std::string_view, std::string_view) {
  throw Error(Errc::not_supported, "signed values and cookies: this build has no OpenSSL");
}

}  // namespace twinloop::detail
