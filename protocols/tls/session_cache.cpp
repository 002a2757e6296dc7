#include "protocols/tls/session_cache.h"

#include <algorithm>

namespace twinloop::detail {

void TlsSessionCache::put(const std::string& server, SslSessionPtr session) {
  if (max_ == 0) return;
  const std::lock_guard lock(mutex_);
  if (sessions_.size() == max_) sessions_.erase(sessions_.begin());
  sessions_.emplace_back(server, std::move(session));
}

SslSessionPtr TlsSessionCache::take(const std::string& server) {
  const std::lock_guard lock(mutex_);
  const auto found =
      std::find_if(sessions_.rbegin(), sessions_.rend(), [&](const auto& entry) { return entry.first == server; });
  if (found == sessions_.rend()) return nullptr;
  SSL_SESSION* session = found->second.get();
  if (SSL_SESSION_get_protocol_version(session) < TLS1_3_VERSION && SSL_SESSION_is_resumable(session) == 1) {
    SSL_SESSION_up_ref(session);
    return SslSessionPtr(session);
  }
  SslSessionPtr taken = std::move(found->second);
  sessions_.erase(std::next(found).base());
  return SSL_SESSION_is_resumable(taken.get()) == 1 ? std::move(taken) : nullptr;
}

void TlsSessionCache::clear() noexcept {
  const std::lock_guard lock(mutex_);
  sessions_.clear();
}

}  // namespace twinloop::detail
