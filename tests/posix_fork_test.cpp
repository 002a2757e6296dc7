// Processes made by forking: their numbers, what comes of those that fail, and a port that they serve together.
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backends/posix/children.h"
#include "backends/posix/descriptor.h"
#include "backends/posix/signals.h"
#include "tests/posix_fixtures.h"
#include "twinloop/detail/pool.h"
#include "twinloop/process.h"
#include "twinloop/run_main.h"
#include "twinloop/tcpserver.h"
#include "twinloop/timing.h"

namespace {

using namespace twinloop;
using namespace twinloop::detail;
using namespace twinloop::testing;
using namespace std::chrono_literals;

bool wait_readable(int fd) {
  pollfd waiting{fd, POLLIN, 0};
  return ::poll(&waiting, 1, 20'000) == 1;
}

// What the processes report, a few bytes each, to the test.
struct Reports {
  Reports() { REQUIRE(make_pipe(reading, writing)); }

  void say(char what) const { say_bytes(&what, 1); }
  void say_pid() const {
    const pid_t pid = ::getpid();
    say_bytes(&pid, sizeof pid);
  }
  void say_bytes(const void* bytes, std::size_t count) const {
    [[maybe_unused]] const auto written = ::write(writing.get(), bytes, count);
  }

  pid_t next_pid() const {
    pid_t pid = -1;
    if (!wait_readable(reading.get()) || ::read(reading.get(), &pid, sizeof pid) != ssize_t{sizeof pid}) return -1;
    return pid;
  }
  char next() const {
    char what = 0;
    return wait_readable(reading.get()) && ::read(reading.get(), &what, 1) == 1 ? what : '\0';
  }
  std::string all() const {
    char bytes[256];
    const ssize_t count = ::read(reading.get(), bytes, sizeof bytes);
    std::string text(bytes, static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    std::sort(text.begin(), text.end());
    return text;
  }

  Descriptor reading;
  Descriptor writing;
};

constexpr int kLimit = 77;  // the status of a process that fails with Errc::limit

// A process that runs the function and ends with its result; gone with this object, and so are those that it has forked.
class Program {
 public:
  template <class F>
  explicit Program(F function) {
    std::fflush(nullptr);  // or the child would print it again
    pid_ = ::fork();
    if (pid_ == 0) ::_exit(run_alone(function));
    ::setpgid(pid_, pid_);
  }
  ~Program() {
    if (pid_ <= 0) return;
    ::kill(-pid_, SIGKILL);
    status();
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void signal(int number) const { REQUIRE(::kill(pid_, number) == 0); }
  void signal_all(int number) const { REQUIRE(::kill(-pid_, number) == 0); }
  int status() {
    int status = 0;
    ::waitpid(std::exchange(pid_, 0), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  template <class F>
  static int run_alone(F& function) {
    ::setpgid(0, 0);
    for (const int number : {SIGTERM, SIGINT}) ::signal(number, SIG_DFL);  // Catch2 reports them as failed tests
    try {
      return function();
    } catch (const Error& error) {
      return error.reason() == Errc::limit ? kLimit : 98;
    } catch (...) {
      return 97;
    }
  }

  pid_t pid_ = -1;
};

template <class F>
int status_of(F function) {
  return Program(function).status();
}

Future<void> fork_here(pid_t& pid) {
  pid = ::fork();
  if (pid == 0) IOLoop::after_fork();
  co_return;
}

Future<int> echo_a_word() {
  const std::vector<std::string> argv{"sh", "-c", "echo $((20 + 1))"};
  Subprocess echo(argv, SubprocessOptions().set_stdout(Stdio::stream()));
  const std::string word = co_await echo.stdout_stream().read_until("\n");
  co_return std::stoi(word);
}

}  // namespace

TEST_CASE("fork_processes makes that many, each with its task id, and the first one returns when all have ended") {
  const Reports reports;
  const int status = status_of([&reports] {
    const std::optional<int> task = fork_processes(3);
    if (!task) {
      reports.say('p');
      return task_id() ? 1 : 42;
    }
    if (task_id() != task) return 1;
    reports.say(static_cast<char>('0' + *task));
    return 0;
  });
  CHECK(status == 42);
  CHECK(reports.all() == "012p");
}

TEST_CASE("a process that fails or is killed is replaced by one with the same task id") {
  const Reports reports;
  Descriptor tickets_reading;
  Descriptor tickets_writing;
  REQUIRE(make_pipe(tickets_reading, tickets_writing));
  REQUIRE(::write(tickets_writing.get(), "fk", 2) == 2);  // one is to fail, one to be killed
  const int status = status_of([&] {
    const LogHandler former = set_log_handler([](LogLevel, std::string_view, const Location&) {});
    const std::optional<int> task = fork_processes(2);
    set_log_handler(former);
    if (!task) return 42;
    reports.say(static_cast<char>('0' + *task));
    char ticket = 0;
    if (*task == 1 && ::read(tickets_reading.get(), &ticket, 1) == 1) {
      if (ticket == 'k') ::raise(SIGKILL);
      return 3;
    }
    return 0;
  });
  CHECK(status == 42);
  CHECK(reports.all() == "0111");
}

TEST_CASE("after too many failures fork_processes gives up and ends the others") {
  const Reports reports;
  const int status = status_of([&reports] {
    set_log_handler([](LogLevel, std::string_view, const Location&) {});
    const std::optional<int> task = fork_processes(2, 3);
    if (!task) return 1;
    if (*task == 0) {
      ::pause();  // until it is told to end
      return 1;
    }
    reports.say('x');
    return 9;
  });
  CHECK(status == kLimit);
  CHECK(reports.all() == "xxxx");
}

TEST_CASE("a forked process has a loop of its own, and starts programs on it") {
  const std::string name = each_backend();
  const int status = status_of([&name] {
    if (!fork_processes(2)) return 42;
    IOLoop loop(make(name));
    return run(loop, echo_a_word()) == 21 ? 0 : 1;
  });
  CHECK(status == 42);
}

TEST_CASE("a child that a coroutine forks in its first run leaves the parent's loop alone, and makes its own") {
  const std::string name = each_backend();
  const int status = status_of([&name] {
    IOLoop loop(make(name));
    pid_t pid = -1;
    loop.spawn(&fork_here, std::ref(pid));
    if (pid == 0) {
      IOLoop own(make(name));
      ::_exit(run(own, echo_a_word()) == 21 ? 42 : 1);
    }
    int ended = 0;
    ::waitpid(pid, &ended, 0);
    return WIFEXITED(ended) ? WEXITSTATUS(ended) : 2;
  });
  CHECK(status == 42);
}

namespace {

// That of a child forked inside the loop's turn, which returned there.
int status_of_forked(pid_t pid, int status_of_child) {
  if (pid == 0) ::_exit(status_of_child);
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

Future<void> call_once_done(Future<void> signal, std::function<void()> function) {
  co_await std::move(signal);
  function();
}

Future<void> call_in_a_turn(std::function<void()> function) {
  co_await moment();
  function();
}

}  // namespace

TEST_CASE(
    "a child that a handler forks may return to the loop, which ends there and tells nobody of what else was found") {
  const std::string name = each_backend();
  const int status = status_of([&name] {
    IOLoop loop(make(name));
    std::vector<Descriptor> ends(2 * 40);
    pid_t pid = -1;
    int told_in_child = 0;
    for (std::size_t i = 0; i < ends.size(); i += 2) {
      if (!make_pipe(ends[i], ends[i + 1])) return 1;
      loop.add_handler(
          ends[i + 1].get(),
          [&](int, FdEvents) {
            told_in_child += pid == 0 ? 1 : 0;
            if (pid != -1) return;
            pid = ::fork();
            if (pid == 0) IOLoop::after_fork();
            loop.stop();
          },
          FdEvents::write);
    }
    loop.start();
    return status_of_forked(pid, told_in_child == 0 ? 42 : 3);
  });
  CHECK(status == 42);
}

TEST_CASE(
    "a child that a callback, a timer or a coroutine forks may return to the loop, where nothing else runs then") {
  const std::string name = each_backend();
  const int from = GENERATE(0, 1, 2);
  const Reports reports;
  const int status = status_of([&] {
    IOLoop loop(make(name));
    pid_t pid = -1;
    Promise<void> promise;
    const auto fork_and_stop = [&] {
      promise.set_value();  // somebody is ready then
      pid = ::fork();
      if (pid == 0) IOLoop::after_fork();
      loop.stop();
    };
    const auto say = [&] { reports.say(pid == 0 ? 'c' : 'p'); };
    if (from == 0) loop.add_callback(fork_and_stop);
    if (from == 1) loop.call_at(TimePoint{}, fork_and_stop);
    if (from == 2) loop.spawn(&call_in_a_turn, std::function<void()>(fork_and_stop));
    loop.spawn(&call_once_done, promise.get_future(), std::function<void()>(say));
    loop.add_callback(say);
    loop.call_at(TimePoint{}, say);
    loop.start();
    return status_of_forked(pid, 42);
  });
  CHECK(status == 42);
  CHECK(reports.all().find('c') == std::string::npos);
}

TEST_CASE("a process that does not end when it is told to is killed") {
  const Reports pids;
  const Reports readiness;
  const int status = status_of([&] {
    set_log_handler([](LogLevel, std::string_view, const Location&) {});
    const std::optional<int> task = fork_processes(2, 0, 20ms);
    if (!task) return 1;
    if (*task == 1) return wait_readable(readiness.reading.get()) ? 9 : 1;
    ::signal(SIGTERM, SIG_IGN);
    pids.say_pid();
    readiness.say('r');
    for (;;) ::pause();
  });
  CHECK(status == kLimit);
  CHECK(::kill(pids.next_pid(), 0) == -1);
}

// ---- told to end

namespace {

// Says so when its coroutine ends, however that is.
struct SaysTheEnd {
  const Reports& reports;
  int raised_before;  // 0: none
  ~SaysTheEnd() {
    if (raised_before != 0) ::raise(raised_before);
    reports.say('e');
  }
};

Future<void> work_until_told(const Reports& readiness, const Reports& ends, int raised_before) {
  const SaysTheEnd end{ends, raised_before};
  readiness.say('r');
  co_await sleep_until(kNever);
}

void wait_for(int count, const Reports& readiness) {
  for (int i = 0; i < count; ++i) REQUIRE(readiness.next() == 'r');
}

// So many processes that wait to be told.
auto workers(int count, const Reports& readiness, const Reports& ends, int raised_before = 0) {
  return [=, &readiness, &ends] {
    if (!fork_processes(count)) return 42;
    return run_main([&] { return work_until_told(readiness, ends, raised_before); });
  };
}

// One that does not end; it says when it is told.
const Reports* stubborn = nullptr;

[[noreturn]] void ignore_signals(const Reports& readiness) {
  stubborn = &readiness;
  ::signal(SIGTERM, [](int) { stubborn->say('t'); });
  readiness.say('r');
  for (;;) ::pause();
}

}  // namespace

TEST_CASE("SIGTERM or SIGINT to the original process ends its children in order, and then it goes on") {
  const int number = GENERATE(SIGTERM, SIGINT);
  const Reports readiness;
  const Reports ends;
  Program program(workers(3, readiness, ends));
  wait_for(3, readiness);
  program.signal(number);
  CHECK(program.status() == 42);
  CHECK(ends.all() == "eee");
}

TEST_CASE(
    "children of fork_processes that get the signal twice, as from a terminal or systemd, end in order all the same") {
  const Reports readiness;
  const Reports ends;
  Program program(workers(2, readiness, ends, SIGTERM));
  wait_for(2, readiness);
  program.signal_all(SIGTERM);
  CHECK(program.status() == 42);
  CHECK(ends.all() == "ee");
}

TEST_CASE("a child that does not end although the original process was told to is killed when its patience is over") {
  const Reports readiness;
  const Reports pids;
  Program program([&] {
    set_log_handler([](LogLevel, std::string_view, const Location&) {});
    if (!fork_processes(1, 100, 20ms)) return 42;
    pids.say_pid();
    ignore_signals(readiness);
  });
  wait_for(1, readiness);
  program.signal(SIGTERM);
  CHECK(program.status() == 42);
  CHECK(::kill(pids.next_pid(), 0) == -1);
}

TEST_CASE("the original process has no patience any more when it is told to end once more") {
  const Reports readiness;
  Program program([&] {
    set_log_handler([](LogLevel, std::string_view, const Location&) {});
    if (!fork_processes(1, 100, 24h)) return 42;
    ignore_signals(readiness);
  });
  wait_for(1, readiness);
  program.signal(SIGTERM);
  REQUIRE(readiness.next() == 't');
  program.signal(SIGTERM);
  CHECK(program.status() == 42);
}

TEST_CASE("a program's own handler of SIGTERM stays its own while it waits for its children") {
  const Reports readiness;
  const Reports release;
  Program program([&] {
    stubborn = &readiness;
    ::signal(SIGTERM, [](int) { stubborn->say('h'); });
    if (!fork_processes(1)) return 42;
    readiness.say('r');
    return wait_readable(release.reading.get()) ? 0 : 1;
  });
  wait_for(1, readiness);
  program.signal(SIGTERM);
  CHECK(readiness.next() == 'h');
  release.say('g');
  CHECK(program.status() == 42);
}

TEST_CASE("a forked child has the signals as they were before fork_processes") {
  const int status = status_of([] {
    if (!fork_processes(1, 0)) return 42;
    sigset_t mask;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    for (const int number : {SIGTERM, SIGINT, SIGCHLD}) {
      struct sigaction action{};
      ::sigaction(number, nullptr, &action);
      if (action.sa_handler != SIG_DFL || sigismember(&mask, number) != 0) return 1;
    }
    return 0;
  });
  CHECK(status == 42);
}

// ---- one port

namespace {

// A socket of this host's at any free port; without `listening` it only keeps the port for others that share it.
Descriptor open_port(bool listening, std::string& url) {
  Descriptor fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  REQUIRE(::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  REQUIRE(::bind(fd.get(), generic, length) == 0);
  REQUIRE(::getsockname(fd.get(), generic, &length) == 0);
  if (listening) REQUIRE(::listen(fd.get(), 128) == 0);
  url = "tcp://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  return fd;
}

// Says which process this is; "end" ends it in order, "die" does not.
Future<void> say_who(IOStream stream, Promise<void>& end) {
  co_await stream.write(std::to_string(::getpid()) + "\n");
  const std::optional<std::string> order = co_await stream.next_line();
  if (order == "die") ::_exit(3);
  if (order == "end") end.set_value();
}

Future<void> serve_until_told(std::string url, const Reports& pids) {
  Promise<void> end;
  Future<void> ended = end.get_future();
  TCPServer server([&end](IOStream stream) { return say_who(std::move(stream), end); });
  co_await server.listen(std::move(url), ListenOptions().set_reuse_port(true));
  pids.say_pid();
  co_await std::move(ended);
}

// So many processes that serve what `url` says.
auto family(int count, const std::string& backend, const std::string& url, const Reports& pids) {
  return [=, &pids] {
    const LogHandler former = set_log_handler([](LogLevel, std::string_view, const Location&) {});
    const std::optional<int> task = fork_processes(count);
    set_log_handler(former);
    if (!task) return 42;
    IOLoop loop(make(backend));
    run(loop, serve_until_told(url, pids));
    return 0;
  };
}

struct Client {
  IOStream stream;
  pid_t server;
};

Future<Client> ask_who(std::string url) {
  IOStream stream = co_await connect(std::move(url));
  const std::string pid = co_await stream.read_until("\n");
  co_return Client{std::move(stream), std::stoi(pid)};
}

Future<void> tell(Client& client, std::string order) {
  co_await client.stream.write(order + "\n");
  co_await client.stream.peer_ended();
}

// Cannot serve while this lives.
class Stopped {
 public:
  explicit Stopped(pid_t pid) noexcept : pid_(pid) { ::kill(pid_, SIGSTOP); }
  ~Stopped() { ::kill(pid_, SIGCONT); }
  Stopped(const Stopped&) = delete;
  Stopped& operator=(const Stopped&) = delete;

 private:
  pid_t pid_;
};

// The system decides whom a connection goes to, by its two ports.
Future<void> meet_both(std::string url) {
  std::map<pid_t, Client> met;
  for (int i = 0; i < 1000 && met.size() < 2; ++i) {
    Client client = co_await ask_who(url);
    const pid_t server = client.server;
    met.emplace(server, std::move(client));
  }
  CHECK(met.size() == 2);
  for (auto& [pid, client] : met) co_await tell(client, "end");
}

Future<Client> meet_one(std::string url, pid_t serving, pid_t other) {
  const Stopped stopped(other);
  Client client = co_await ask_who(std::move(url));
  CHECK(client.server == serving);
  co_return client;
}

Future<void> meet_each_alone(std::string url, pid_t first, pid_t second) {
  Client one = co_await meet_one(url, first, second);
  Client two = co_await meet_one(url, second, first);
  co_await tell(one, "end");
  co_await tell(two, "end");
}

Future<void> outlive_one(std::string url) {
  Client first = co_await ask_who(url);
  co_await tell(first, "die");
  Client second = co_await ask_who(url);  // it may come while nobody is there
  CHECK(second.server != first.server);
  co_await tell(second, "end");
}

}  // namespace

TEST_CASE("forked processes that listen on one port each serve a part of its connections") {
  const std::string name = each_backend();
  const Reports pids;
  std::string url;
  const Descriptor kept = open_port(false, url);
  Program program(family(2, name, url, pids));
  REQUIRE(pids.next_pid() > 0);
  REQUIRE(pids.next_pid() > 0);
  IOLoop loop(make(name));
  run(loop, meet_both(url));
  CHECK(program.status() == 42);
}

TEST_CASE("forked processes share a listener that was open before, and each of them serves") {
  const std::string name = each_backend();
  const Reports pids;
  std::string url;
  const Descriptor listener = open_port(true, url);
  Program program(family(2, name, "fd:" + std::to_string(listener.get()), pids));
  const pid_t first = pids.next_pid();
  const pid_t second = pids.next_pid();
  REQUIRE(first > 0);
  REQUIRE(second > 0);
  IOLoop loop(make(name));
  run(loop, meet_each_alone(url, first, second));
  CHECK(program.status() == 42);
}

TEST_CASE("a process that dies while it serves is replaced, and the listener loses nobody") {
  const std::string name = each_backend();
  const Reports pids;
  std::string url;
  const Descriptor listener = open_port(true, url);
  Program program(family(1, name, "fd:" + std::to_string(listener.get()), pids));
  IOLoop loop(make(name));
  run(loop, outlive_one(url));
  CHECK(program.status() == 42);
}

// ---- forking beside other threads

TEST_CASE("a forked child without a loop is ended by a signal that another thread's loop watches in the parent") {
  IOLoop watching(make(each_backend()));
  watching.on_signal(SIGUSR1, [] {});
  std::thread other([] {
    const pid_t child = ::fork();
    if (child == 0) {
      IOLoop::after_fork();
      ::raise(SIGUSR1);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1));
  });
  other.join();
  watching.on_signal(SIGUSR1, {});
}

namespace {

// That of a child forked while this lock is held, as if by another thread: nobody will unlock it in the child.
template <class F>
int status_of_child_beside(ProcessLock& lock, F function) {
  lock.lock();
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);  // not for ever
    IOLoop::after_fork();
    ::_exit(function());
  }
  lock.unlock();
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// How many blocks there are before the heap is asked for more.
std::size_t blocks_at_hand() {
  const std::size_t before = pool_stats().from_heap;
  std::vector<void*> blocks;
  while (pool_stats().from_heap == before && blocks.size() < 100 * Pool::kWindow) blocks.push_back(pool_allocate(64));
  for (void* const block : blocks) pool_free(block, 64);
  return blocks.size();
}

// More blocks than any list has, and then so many frees that what nobody needs is given back.
void use_the_pool() {
  std::vector<void*> blocks;
  for (std::size_t i = 0; i < 4 * Pool::kWindow; ++i) blocks.push_back(pool_allocate(64));
  for (void* const block : blocks) pool_free(block, 64);
  for (std::size_t i = 0; i < 16 * Pool::kWindow; ++i) pool_free(pool_allocate(64), 64);
}

}  // namespace

TEST_CASE("a child that was forked while another thread changed the list of signals can use signals") {
  const std::string name = each_backend();
  const int status = status_of_child_beside(SignalWatch::registry_lock(), [&name] {
    IOLoop loop(make(name));
    int told = 0;
    loop.on_signal(SIGUSR1, [&] {
      ++told;
      loop.stop();
    });
    ::raise(SIGUSR1);
    loop.start();
    return told == 1 ? 0 : 1;
  });
  CHECK(status == 0);
}

TEST_CASE("a child that was forked while another thread looked after programs that were left can start one") {
  const std::string name = each_backend();
  const int status = status_of_child_beside(Children::orphans_lock(), [&name] {
    IOLoop loop(make(name));
    return run(loop, echo_a_word()) == 21 ? 0 : 1;
  });
  CHECK(status == 0);
}

TEST_CASE(
    "a child that was forked while another thread held the free lists' lock allocates and frees, also what its parent "
    "allocated") {
  std::vector<void*> before;
  for (int i = 0; i < 1000; ++i) before.push_back(pool_allocate(64));
  const auto free_those = [&before] {
    for (void* const block : before) pool_free(block, 64);
  };
  const int status = status_of_child_beside(pool_lock(), [&] {
    free_those();
    use_the_pool();
    std::thread(&use_the_pool).join();  // the blocks of one that has ended are there for the next
    std::thread(&use_the_pool).join();
    return 0;
  });
  free_those();
  CHECK(status == 0);
}

TEST_CASE(
    "a child that was forked while another thread held the free lists' lock takes nothing from what that one changed") {
  if (!TWINLOOP_POOLS) SKIP("there are no free lists in this build");
  std::vector<void*> kept;  // of every chunk some, so that the rest of it is left to whoever comes when the thread ends
  std::thread([&kept] {
    std::vector<void*> freed;
    for (std::size_t i = 0; i < 4 * Pool::kWindow; ++i) (i % 8 == 0 ? kept : freed).push_back(pool_allocate(64));
    for (void* const block : freed) pool_free(block, 64);
  }).join();
  const auto windows_at_hand = [] { return static_cast<int>(blocks_at_hand() / Pool::kWindow); };
  ProcessLock nobodys;
  const int undisturbed = status_of_child_beside(nobodys, windows_at_hand);
  const int disturbed = status_of_child_beside(pool_lock(), windows_at_hand);
  CHECK(undisturbed >= disturbed + 2);
  for (void* const block : kept) pool_free(block, 64);
}
