// TLS in a child that was forked while another thread held one of its locks: nobody will unlock it there.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <memory>
#include <string>

#include "protocols/tls/context.h"
#include "tls_fixtures.h"
#include "twinloop/ioloop.h"

using namespace twinloop;
using namespace twinloop::detail;
using namespace twinloop::tls_test;

namespace {

template <class F>
int status_of_child_beside(ObjectLock& lock, F function) {
  lock.lock();
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);  // not for ever
    IOLoop::after_fork();
    ::_exit(function() ? 0 : 1);
  }
  lock.unlock();
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

SslSessionPtr make_session() {
  SslSessionPtr session(SSL_SESSION_new());
  SSL_SESSION_set_protocol_version(session.get(), TLS1_2_VERSION);
  constexpr unsigned char kId = 'x';
  SSL_SESSION_set1_id(session.get(), &kId, 1);
  return session;
}

}  // namespace

TEST_CASE("a lock that was held at a fork is taken over in the child, once, and says so") {
  ObjectLock lock;
  const int status = status_of_child_beside(lock, [&lock] {
    const bool left_behind = lock.lock();
    lock.unlock();
    const bool again = lock.lock();
    lock.unlock();
    return left_behind && !again;
  });
  CHECK(status == 0);
  CHECK_FALSE(lock.lock());
  lock.unlock();
}

TEST_CASE(
    "tls: a child that was forked while another thread used a context makes connections with it, and reloads it") {
  TlsState state(TlsRole::server, server_options());
  const auto material = state.material();
  for (ObjectLock* lock : {&state.lock(), &state.reload_lock()}) {
    const int status = status_of_child_beside(*lock, [&] {
      if (state.material() != material) return false;
      state.reload();
      state.replace_identity(localhost().identity());
      return state.material() != nullptr && state.material() != material;
    });
    CHECK(status == 0);
  }
}

TEST_CASE("tls: a child that was forked while another thread used a cache of sessions begins an empty one") {
  TlsSessionCache cache(2);
  cache.put("before", make_session());
  const int status = status_of_child_beside(cache.lock(), [&cache] {
    const bool anew = cache.take("before") == nullptr;
    cache.put("after", make_session());
    return anew && cache.take("after") != nullptr;
  });
  CHECK(status == 0);
  CHECK(cache.take("before") != nullptr);
}
