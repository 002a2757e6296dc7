// A machine that has no thread or no memory left.  In a process of its own, because such limits do not come back.
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <new>
#include <semaphore>
#include <string>

#include "twinloop/detail/builtin.h"
#include "twinloop/detail/config.h"
#include "twinloop/executor.h"

using namespace twinloop;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__linux__)

namespace {

// Room for what the process has and for `more` bytes.
void limit_memory(rlim_t more) {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const rlim_t most = pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) + more;
  const rlimit limit{most, RLIM_INFINITY};
  ::setrlimit(RLIMIT_AS, &limit);
}

// So that there is room for what the heap has, but not for the stack of another thread: neither a new one, nor one that glibc
// has kept of a thread that ended.
void forbid_more_threads() {
  pthread_attr_t large;
  ::pthread_attr_init(&large);
  ::pthread_attr_setstacksize(&large, 64 << 20);
  ::pthread_setattr_default_np(&large);
  ::pthread_attr_destroy(&large);
  limit_memory(1 << 20);
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

// Two ends of a connection, nonblocking.
struct Sockets {
  Sockets() { ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends); }
  int ends[2];
};

void fill(int fd) {
  const std::string block(4096, 'f');
  while (::write(fd, block.data(), block.size()) > 0) {
  }
}

// None of this size is left afterwards, also of what the heap has.
void use_up_blocks_of(std::size_t size) {
  limit_memory(0);
  void* volatile block = nullptr;
  do block = std::malloc(size);
  while (block != nullptr);
}

std::string move_and_read(const std::string& bytes) {
  const Sockets from, to;
  if (::write(from.ends[0], bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) return "no room";
  std::string rest;
  detail::platform_move(from.ends[1], to.ends[0], bytes.size(), rest);
  std::string read(bytes.size(), '.');
  (void)::read(to.ends[1], read.data(), read.size());
  return read;
}

int move_without_memory() {
  const Sockets from, to;
  fill(from.ends[0]);
  fill(to.ends[0]);
  if (move_and_read("first") != "first") return 1;
  use_up_blocks_of(32 * 1024);
  try {
    std::string rest;
    detail::platform_move(from.ends[1], to.ends[0], 1 << 20, rest);
    return 2;
  } catch (const std::bad_alloc&) {
    limit_memory(1 << 20);
  }
  return move_and_read("then") == "then" ? 0 : 3;
}

}  // namespace

TEST_CASE("an executor that cannot start its first thread says so, and signals still come") {
  CHECK(status_of_child(&ask_for_the_first_thread) == 0);
}

TEST_CASE("an executor that cannot start another thread serves with those it has") {
  CHECK(status_of_child(&ask_for_a_second_thread) == 0);
}

TEST_CASE("what a pump had no memory for never comes out of the next one of that thread") {
  if (!TWINLOOP_POOLS) SKIP("a sanitizer ends the program where there is no memory");
  CHECK(status_of_child(&move_without_memory) == 0);
}

#endif
