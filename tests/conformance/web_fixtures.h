// What behaviours of web applications share: a client that says exactly what it is told to, and what it got back.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "twinloop/httputil.h"
#include "twinloop/net.h"
#include "twinloop/testing.h"
#include "twinloop/web.h"

namespace twinloop::testing {

struct WebReply {
  int status = 0;
  std::string reason;
  HTTPHeaders headers;
  std::string body;

  std::string_view header(std::string_view name) const { return headers.get(name); }
};

std::string request(std::string_view method, std::string_view target, std::string_view headers = {},
                    std::string_view body = {});
// With Host and, for a body, Content-Length; `headers` as "Name: value\r\n…".

Future<WebReply> read_reply(IOStream& stream, bool has_body = true);
// The next one; chunked, counted or up to the end.  `has_body` is false for the answer to a HEAD.
Future<WebReply> ask(IOStream& stream, std::string text);
// Sends it and reads the reply.
Future<WebReply> fetch(std::string url, std::string text);
// The same over a connection of its own.

std::string stream_url(std::string_view url);
// Where a client connects that speaks HTTP by hand: tcp:// for http://, tls:// for https://.

std::string gzipped(std::string_view text);
std::string inflated(const std::string& bytes);
// At most 256 KiB of text.

}  // namespace twinloop::testing
