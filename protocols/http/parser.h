// HTTP1Parser: the messages of HTTP/1.1 (RFC 9112) out of a stream's bytes, for servers and clients.  llhttp does the syntax; what
// must not be ambiguous between two parsers (request smuggling) is refused here besides.
//
// It is fed what arrived and tells one thing at a time, so that a body flows no faster than somebody takes it:
//
//   HTTP1Parser::Step step = parser.next(bytes);   // bytes.remove_prefix(step.consumed) …
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "twinloop/httputil.h"

namespace twinloop::detail {

enum class MessageKind : unsigned char { request, response };

struct MessageHead {
  std::string method;  // of a request
  std::string target;
  int status = 0;  // of a response
  std::string reason;
  int minor_version = 1;
  HTTPHeaders headers;
  std::optional<std::uint64_t> content_length;
  bool chunked = false;
  bool keep_alive = true;  // what version and Connection header say
  bool upgrade = false;    // Connection: upgrade with an Upgrade header, CONNECT, or status 101
};

struct ParserLimits {
  std::size_t max_header_size = 64 * 1024;  // start line and headers, and trailers, each
  std::size_t max_header_count = 100;
};

class HTTP1Parser {
 public:
  HTTP1Parser(MessageKind kind, const ParserLimits& limits);
  ~HTTP1Parser();
  HTTP1Parser(const HTTP1Parser&) = delete;
  HTTP1Parser& operator=(const HTTP1Parser&) = delete;

  enum class Event : unsigned char {
    more,     // all input was taken; feed more
    headers,  // head() is complete
    body,     // `body` is a piece of it, where it lay in the input
    end,      // the message is complete, trailers() too; next() begins another
    error     // status() and why() say what is wrong; nothing can follow
  };
  struct Step {
    Event event = Event::more;
    std::size_t consumed = 0;
    std::string_view body;
  };

  Step next(std::string_view input);
  Step finish();
  // The peer ended: `end` where the message may end so (a response without a length), else `error`; `more` between messages.

  void expect_no_body() noexcept;
  // The response to come answers HEAD, or CONNECT.  Before its headers.

  MessageHead& head() noexcept;
  HTTPHeaders& trailers() noexcept;
  bool in_message() const noexcept;
  // Something of a message has come, and not its end.

  int status() const noexcept;
  // Of the answer that a malformed request deserves: 400, 405 (a method that is none), 413, 414, 431, 501, 505.
  std::string_view why() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace twinloop::detail
