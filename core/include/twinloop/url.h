// The address of a stream: `tcp://host:port`, `ws://host:port/path`, `pair:name`, `stdio:`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "twinloop/result.h"

namespace twinloop {

struct Url {
  std::string scheme;      // "tcp", in lower case
  std::string host;        // without the brackets of an IPv6 address; may be empty to listen on every address
  std::uint16_t port = 0;  // 0: the scheme's default for connect, any free one for listen
  std::string path;        // with query, "/chat?room=1"; what follows the colon for `pair:` and `stdio:`

  static Result<Url> parse(std::string_view text);
  // Fails with invalid_url; the message shows the text and what is wrong with it.

  std::string to_string() const;
  std::string authority() const;
  // "host:port", with brackets where the host is an IPv6 address; "host" alone while the port is 0.
};

}  // namespace twinloop
