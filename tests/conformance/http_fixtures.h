// A server and clients that speak HTTP by hand.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fixtures.h"
#include "protocols/http/parser.h"
#include "twinloop/httpserver.h"

namespace twinloop::testing {

struct Reply {
  int status = 0;
  HTTPHeaders headers;
  std::string body;
};

class RawClient {
 public:
  explicit RawClient(IOStream stream)
      : stream_(std::move(stream)),
        parser_(std::make_unique<twinloop::detail::HTTP1Parser>(twinloop::detail::MessageKind::response,
                                                                twinloop::detail::ParserLimits())) {}

  IOStream& stream() noexcept { return stream_; }
  Future<void> send(std::string_view bytes) { return stream_.write(bytes); }

  Future<Reply> reply(bool to_head = false);
  // The next response, interim ones too.  Fails when there is none, or when it is cut off.

  Future<Reply> ask(std::string request);
  // Sends it and gives its response.

  Future<std::string> rest();
  // All that comes until the server ends.

 private:
  IOStream stream_;
  std::unique_ptr<twinloop::detail::HTTP1Parser> parser_;
  std::string received_;
};

// Where a table of carriers is worth its while: in the process, and by the system's sockets.
inline constexpr const char* kPair = "pair:http";
inline constexpr const char* kTcp = "http://127.0.0.1:0";

class Site {
 public:
  explicit Site(HTTPHandler handler, HTTPServerOptions options = {})
      : server_(std::move(handler), std::move(options)) {}

  HTTPServer& server() noexcept { return server_; }
  Future<RawClient> open(std::string url = kPair);
  // Listens there the first time, and connects.

 private:
  HTTPServer server_;
  std::string carrier_;
};

std::string get(std::string_view target, std::string_view headers = {});
std::string post(std::string_view target, std::string_view body, std::string_view headers = {});
std::string post_chunked(std::string_view target, std::string_view chunks, std::string_view headers = {});
// Requests of HTTP/1.1; `headers` are whole lines.

Future<void> until(const HTTPServer& server, bool (*condition)(const HTTPServerStats& stats));
// Lets the loop turn until the server's counts are so; the behaviour's own limit ends it.

inline bool nobody_is_served(const HTTPServerStats& stats) { return stats.active == 0; }
inline bool somebody_is_served(const HTTPServerStats& stats) { return stats.active > 0; }
inline bool nobody_is_connected(const HTTPServerStats& stats) { return stats.connections.open == 0; }

}  // namespace twinloop::testing
