#include "protocols/tls/session_cache.h"

#include <algorithm>
#include <memory>

namespace twinloop::detail {

// A child that was forked in the middle of a change leaves what there is as it lies, and begins anew.
class TlsSessionCache::Guard {
 public:
  explicit Guard(TlsSessionCache& cache) noexcept : cache_(cache) {
    if (cache.lock_.lock()) std::construct_at(&cache.sessions_);
  }
  ~Guard() { cache_.lock_.unlock(); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  TlsSessionCache& cache_;
};

void TlsSessionCache::put(const std::string& server, SslSessionPtr session) {
  if (max_ == 0) return;
  const Guard guard(*this);
  if (sessions_.size() == max_) sessions_.erase(sessions_.begin());
  sessions_.emplace_back(server, std::move(session));
}

SslSessionPtr TlsSessionCache::take(const std::string& server) {
  const Guard guard(*this);
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
  const Guard guard(*this);
  sessions_.clear();
}

}  // namespace twinloop::detail
