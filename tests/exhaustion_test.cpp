// A machine that has no thread left.  In a process of its own, because such limits do not come back.
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <fstream>
#include <semaphore>

#include "twinloop/executor.h"

using namespace twinloop;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__linux__)

namespace {

// So that there is room for what the heap has, but not for the stack of another thread: neither a new one, nor one that glibc
// has kept of a thread that ended.
void forbid_more_threads() {
  pthread_attr_t large;
  ::pthread_attr_init(&large);
  ::pthread_attr_setstacksize(&large, 64 << 20);
  ::pthread_setattr_default_np(&large);
  ::pthread_attr_destroy(&large);
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const rlim_t most = pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) + (1 << 20);
  const rlimit limit{most, most};
  ::setrlimit(RLIMIT_AS, &limit);
}

bool blocks_signals() {
  sigset_t blocked;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  return sigismember(&blocked, SIGTERM) == 1;
}

int status_of_child(int (*program)()) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(program());
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

int ask_for_the_first_thread() {
  ThreadPoolExecutor executor;
  forbid_more_threads();
  try {
    executor.execute([] {});
  } catch (const Error& error) {
    const bool named = error.code() == std::errc::resource_unavailable_try_again;
    return named && !blocks_signals() ? 0 : 1;
  }
  return 2;
}

int ask_for_a_second_thread() {
  ThreadPoolExecutor executor(2);
  std::binary_semaphore begun(0);
  std::binary_semaphore end(0);
  std::binary_semaphore done(0);
  executor.execute([&] {
    begun.release();
    end.acquire();
  });
  begun.acquire();
  forbid_more_threads();
  executor.execute([&] { done.release(); });
  end.release();
  done.acquire();
  return blocks_signals() ? 1 : 0;
}

}  // namespace

TEST_CASE("an executor that cannot start its first thread says so, and signals still come") {
  CHECK(status_of_child(&ask_for_the_first_thread) == 0);
}

TEST_CASE("an executor that cannot start another thread serves with those it has") {
  CHECK(status_of_child(&ask_for_a_second_thread) == 0);
}

#endif
