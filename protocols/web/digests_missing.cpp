// A build without OpenSSL: no signed values, and ETags by the hash that WebSocket brings.
#include "protocols/web/crypto.h"
#include "protocols/websocket/sha1.h"
#include "twinloop/error.h"

namespace twinloop::detail {

std::string hmac_sha256(std::string_view, std::string_view) {
  throw Error(Errc::not_supported, "signed values and cookies: this build has no OpenSSL");
}

std::string sha1_hex(std::string_view text) {
  const auto digest = sha1(text);
  return to_hex({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

}  // namespace twinloop::detail
