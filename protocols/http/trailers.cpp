#include "protocols/http/trailers.h"

#include <algorithm>

namespace twinloop::detail {
namespace {

// Who receives a message has to know these before its body: they frame and route it, ask for it on conditions, prove who sends it, say
// what may be done with it and what its content is (RFC 9110 §6.5.1).
constexpr std::string_view kOnlyInHeads =
    "Transfer-Encoding, Content-Length, Trailer, Connection, Keep-Alive, Proxy-Connection, Upgrade, TE, Host, "
    "Max-Forwards, Expect, "
    "Cache-Control, Pragma, Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, If-Range, "
    "Authorization, "
    "WWW-Authenticate, Proxy-Authorization, Proxy-Authenticate, Cookie, Set-Cookie, Age, Date, Expires, Location, "
    "Retry-After, Vary, "
    "Warning, Content-Encoding, Content-Type, Content-Range";

bool is_listed(std::string_view list, std::string_view name) noexcept {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (equal_ignoring_case(trim_http_space(list.substr(0, comma)), name)) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

[[noreturn]] void refuse(std::string_view name, const char* why) {
  throw Error(Errc::protocol, std::string("the trailer '").append(name).append("': ").append(why));
}

}  // namespace

void Trailers::add(std::string_view name, std::string_view value) {
  if (is_listed(kOnlyInHeads, name))
    refuse(name, "whoever reads the message needs it before the body; send it as a header");
  if (!is_listed(announced_, name)) refuse(name, "the message's Trailer header does not announce it");
  fields_.add(name, value);
}

std::string Trailers::end_of_chunks() const {
  std::string text = "0\r\n";
  for (const auto& [name, value] : fields_) text.append(name).append(": ").append(value).append("\r\n");
  return text += "\r\n";
}

}  // namespace twinloop::detail
