// Whose turn it is to make a request, and the connections that nobody uses.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "protocols/http/parser.h"
#include "twinloop/httpclient.h"

namespace twinloop::detail {

// A connection that speaks HTTP.
struct HTTPConnection {
  HTTPConnection(IOStream s, std::string r, const ParserLimits& limits)
      : stream(std::move(s)), route(std::move(r)), parser(MessageKind::response, limits) {}

  IOStream stream;
  std::string route;  // where it leads and how: who asks for the same may use it
  HTTP1Parser parser;
};

class HTTPPool;

// The right to have one request under way to a server.  It is given back when this is destroyed.
class HTTPTurn {
 public:
  HTTPTurn() noexcept = default;
  HTTPTurn(std::shared_ptr<HTTPPool> from, std::string server) noexcept
      : pool_(std::move(from)), server_(std::move(server)) {}
  HTTPTurn(HTTPTurn&&) noexcept = default;
  HTTPTurn& operator=(HTTPTurn&& other) noexcept {
    HTTPTurn moved(std::move(other));
    std::swap(pool_, moved.pool_);
    std::swap(server_, moved.server_);
    return *this;
  }
  ~HTTPTurn();

 private:
  std::shared_ptr<HTTPPool> pool_;
  std::string server_;
};

class HTTPPool : public std::enable_shared_from_this<HTTPPool> {
 public:
  explicit HTTPPool(const HTTPClientOptions& options) : options_(options) {}

  static Future<HTTPTurn> turn(std::shared_ptr<HTTPPool> self, std::string server);
  // First come, first served, as far as the server's own limit allows.  Fails with `limit` when the line is full, with `local` after
  // close().

  std::unique_ptr<HTTPConnection> take(std::string_view route);
  // The one that was used last; nullptr when there is none that is good.
  void keep(std::unique_ptr<HTTPConnection> connection);
  // For the next.  It is closed when there are too many, after a while, and when the server ends it.

  void close() noexcept;
  void count_connection() noexcept { ++stats_.connections; }
  HTTPClientStats stats() const noexcept;

 private:
  friend class HTTPTurn;
  class Place;

  bool has_room(const std::string& server) const noexcept;
  void begin(const std::string& server);
  void end(const std::string& server) noexcept;
  void call_next() noexcept;
  void drop_ended() noexcept;

  const HTTPClientOptions options_;
  HTTPClientStats stats_;
  std::map<std::string, std::size_t, std::less<>> active_;  // by server
  std::list<Place*> line_;
  std::list<std::unique_ptr<HTTPConnection>> idle_;  // the one used last at the end
  bool closed_ = false;
};

}  // namespace twinloop::detail
