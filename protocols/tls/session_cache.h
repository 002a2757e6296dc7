// A client's sessions, to be resumed.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "protocols/tls/openssl.h"
#include "twinloop/detail/object_lock.h"

namespace twinloop::detail {

class TlsSessionCache {
 public:
  explicit TlsSessionCache(std::size_t max) noexcept : max_(max) {}

  void put(const std::string& server, SslSessionPtr session);
  // The oldest makes room.

  SslSessionPtr take(const std::string& server);
  // The newest; null when there is none.  One of TLS 1.3 is given once only, so that nobody can tell by a ticket that two
  // connections are the same client's (RFC 8446 C.4).

  void clear() noexcept;

  ObjectLock& lock() noexcept { return lock_; }
  // For tests of forks.

 private:
  class Guard;
  using Sessions = std::vector<std::pair<std::string, SslSessionPtr>>;  // oldest first

  ObjectLock lock_;
  std::size_t max_;
  Sessions sessions_;
};

}  // namespace twinloop::detail
