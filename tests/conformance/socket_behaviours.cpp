// Sockets as the system has them: unix:, descriptors that somebody else opened, addresses, a name with several of them.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "fixtures.h"
#include "twinloop/locks.h"
#include "twinloop/tcpserver.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kSockets = Needs::tcp | Needs::listen | Needs::fds;

// A folder for the files of sockets, gone with it.
class Folder {
 public:
  Folder() {
    char name[] = "/tmp/twinloop-sockets-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~Folder() {
    for (const char* file : {"/socket", "/other"}) ::unlink((path_ + file).c_str());
    ::rmdir(path_.c_str());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string path() const { return path_ + "/socket"; }
  std::string url() const { return "unix:" + path(); }
  std::string other() const { return path_ + "/other"; }

 private:
  std::string path_;
};

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

unsigned mode_of(const std::string& path) {
  struct stat file{};
  ::stat(path.c_str(), &file);
  return file.st_mode & 0777;
}

// A server that died without removing its file.
void leave_a_socket(const Folder& folder, const std::string& as) { ::rename(folder.path().c_str(), as.c_str()); }

Future<void> echo(IOStream stream) {
  for (;;) co_await stream.write(co_await stream.read_some());
}

Future<void> expect_echo(std::string url) {
  IOStream client = co_await connect(url);
  co_await client.write("over and back\n");
  const std::string line = co_await client.read_until("\n");
  expect_equal(line, "over and back\n");
}

}  // namespace

BEHAVIOUR("a unix: socket carries bytes, and its file is its owner's and goes with the listener", kSockets) {
  const Folder folder;
  {
    TCPServer server(echo);
    const std::string url = co_await server.listen(folder.url());
    expect_equal(url, folder.url());
    expect_equal(mode_of(folder.path()), 0600u);
    co_await expect_echo(url);
    IOStream client = co_await connect(url);
    expect_equal(client.description(), url);
    expect_equal(client.peer_address(), url);
    expect_equal(client.local_address(), "unix:");
  }
  expect(!exists(folder.path()), "the file is gone");
  const Result<IOStream> late = co_await as_result(connect(folder.url()));
  expect(late.reason() == Errc::not_found, late.failure().message());
}

BEHAVIOUR("a unix: socket may be for everybody", kSockets) {
  const Folder folder;
  const Listener listener = co_await listen(folder.url(), ListenOptions().set_unix_mode(0666));
  expect_equal(mode_of(folder.path()), 0666u);
}

BEHAVIOUR("a unix: socket that a dead server left is replaced, one that somebody listens on is in_use", kSockets) {
  const Folder folder;
  {
    Listener dead = co_await listen(folder.url());
    leave_a_socket(folder, folder.other());
  }
  ::rename(folder.other().c_str(), folder.path().c_str());
  const Result<IOStream> nobody = co_await as_result(connect(folder.url()));
  expect(nobody.reason() == Errc::refused, "a file without a server");

  TCPServer server(echo);
  co_await server.listen(folder.url());
  const Result<Listener> second = co_await as_result(listen(folder.url()));
  expect(second.reason() == Errc::in_use, "somebody listens");
  co_await expect_echo(folder.url());
}

BEHAVIOUR("a file that is no socket is not touched by a unix: listener", kSockets) {
  const Folder folder;
  std::ofstream(folder.path()) << "precious";
  const Result<Listener> listener = co_await as_result(listen(folder.url()));
  expect(listener.reason() == Errc::in_use, "the name is taken");
  std::string content;
  std::ifstream(folder.path()) >> content;
  expect_equal(content, "precious");
}

BEHAVIOUR("a unix: listener leaves the file of the one that took its place", kSockets) {
  const Folder folder;
  Listener first = co_await listen(folder.url());
  leave_a_socket(folder, folder.other());
  Listener second = co_await listen(folder.url());
  first.close();
  expect(exists(folder.path()), "it is the second one's");
  second.close();
  expect(!exists(folder.path()), "which removes it");
}

BEHAVIOUR("an abstract unix: name carries bytes and leaves no file", kSockets) {
  const Folder folder;
  const std::string url = "unix:@twinloop" + folder.path();
  TCPServer server(echo);
  co_await server.listen(url);
  co_await expect_echo(url);
  IOStream client = co_await connect(url);
  expect_equal(client.peer_address(), url);
}

BEHAVIOUR("a unix: path that is too long or missing is invalid_url", kSockets) {
  const Result<Listener> long_one = co_await as_result(listen("unix:/" + std::string(200, 'x')));
  expect(long_one.reason() == Errc::invalid_url, "too long");
  const Result<IOStream> none = co_await as_result(connect("unix:"));
  expect(none.reason() == Errc::invalid_url, "missing");
}

BEHAVIOUR("connecting to a unix: socket whose backlog is full waits for room", kSockets) {
  const Folder folder;
  ListenOptions narrow;
  narrow.backlog = 0;
  Listener listener = co_await listen(folder.url(), narrow);
  std::vector<Future<IOStream>> connecting;
  for (int i = 0; i < 60; ++i) connecting.push_back(connect(folder.url()));
  std::vector<IOStream> accepted;
  for (int i = 0; i < 60; ++i) accepted.push_back(co_await listener.accept());
  for (Future<IOStream>& each : connecting) {
    const IOStream client = co_await std::move(each);
    expect(!client.is_closed(), "connected");
  }
}

BEHAVIOUR("a stream knows both ends' addresses and its descriptor, through a WebSocket too", kSockets) {
  for (const char* url : {"tcp://127.0.0.1:0", "ws://127.0.0.1:0/"}) {
    Listener listener = co_await listen(url);
    Future<IOStream> accepting = listener.accept();
    IOStream client = co_await connect(listener.url());
    IOStream server = co_await std::move(accepting);
    expect_equal(client.local_address(), server.peer_address());
    expect_equal(client.peer_address(), server.local_address());
    expect(client.local_address().starts_with("tcp://127.0.0.1:"), client.local_address());
    expect(client.native_handle() >= 0, "a descriptor");
    client.close();
    expect_equal(client.local_address(), "");
    expect_equal(client.native_handle(), -1);
  }
}

BEHAVIOUR("descriptors that somebody else opened are adopted by fd:", kSockets) {
  const int listening = ::socket(AF_INET, SOCK_STREAM, 0);
  ::listen(listening, 16);
  Listener listener = co_await listen("fd:" + std::to_string(listening));
  expect(listener.url().starts_with("tcp://0.0.0.0:"), listener.url());
  expect((::fcntl(listening, F_GETFD) & FD_CLOEXEC) != 0, "no program that is started inherits it");
  const std::string url = "tcp://127.0.0.1" + listener.url().substr(listener.url().rfind(':'));
  Future<void> serving = serve(std::move(listener), echo);
  co_await expect_echo(url);

  int ends[2];
  ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  IOStream near = co_await connect("fd:" + std::to_string(ends[0]));
  IOStream far = co_await connect("fd:" + std::to_string(ends[1]));
  co_await near.write("adopted\n");
  const std::string line = co_await far.read_until("\n");
  expect_equal(line, "adopted\n");
}

namespace {

struct PipeEnds {
  PipeEnds() { [[maybe_unused]] const int made = ::pipe(fds); }
  Future<IOStream> reader() const { return connect("fd:" + std::to_string(fds[0])); }
  Future<IOStream> writer() const { return connect("fd:" + std::to_string(fds[1])); }
  int fds[2];
};

}  // namespace

BEHAVIOUR("the ends of a pipe that somebody else opened are adopted by fd:, and what is written arrives before the end",
          kSockets) {
  const PipeEnds pipe;
  IOStream reader = co_await pipe.reader();
  IOStream writer = co_await pipe.writer();
  expect((::fcntl(pipe.fds[0], F_GETFD) & FD_CLOEXEC) != 0, "no program that is started inherits it");
  const std::string bytes(300'000, 'x');  // more than a pipe holds
  Future<void> writing = writer.write(bytes);
  const std::string first = co_await reader.read_bytes(bytes.size());
  co_await std::move(writing);
  co_await writer.write("\nthe end");
  writer.close();
  const std::string rest = co_await reader.read_until_close();
  expect(first == bytes, "all of it");
  expect_equal(rest, "\nthe end");
}

BEHAVIOUR("one end of a pipe is adopted while the other stays its owner's", kSockets) {
  const PipeEnds reading;
  IOStream reader = co_await reading.reader();
  expect(::write(reading.fds[1], "a line\n", 7) == 7, "written by its owner");
  const std::string line = co_await reader.read_until("\n");
  expect_equal(line, "a line\n");
  ::close(reading.fds[1]);
  co_await reader.peer_ended();
  expect(reader.error() == Errc::end, "an end is noticed while nobody reads");

  const PipeEnds writing;
  IOStream writer = co_await writing.writer();
  co_await writer.write("told\n");
  co_await writer.shutdown_write();
  char told[16];
  expect(::read(writing.fds[0], told, sizeof told) == 5, "read by its owner");
  expect(::read(writing.fds[0], told, sizeof told) == 0, "and then the end");
  ::close(writing.fds[0]);
}

BEHAVIOUR("an adopted pipe whose reader goes is reset, and a wrong direction is not supported", kSockets) {
  const PipeEnds pipe;
  IOStream writer = co_await pipe.writer();
  ::close(pipe.fds[0]);
  writer.write("nobody is there").ignore();  // select does not notice it unasked
  co_await writer.closed();
  expect(writer.error() == Errc::reset, "its reader has gone");

  const PipeEnds other;
  IOStream reader = co_await other.reader();
  reader.write("not this way").ignore();
  co_await reader.closed();
  expect(reader.error() == Errc::not_supported, "a reading end writes nothing");
  ::close(other.fds[1]);
}

namespace {

std::string both(int reading, int writing) { return "fd:" + std::to_string(reading) + "," + std::to_string(writing); }

// The two ends of a connection of two pipes.
struct PipeStreams {
  PipeStreams(IOStream one, IOStream other) noexcept : near(std::move(one)), far(std::move(other)) {}
  IOStream near;
  IOStream far;
};

Future<PipeStreams> open_pipe_streams() {
  const PipeEnds there;
  const PipeEnds back;
  IOStream near = co_await connect(both(back.fds[0], there.fds[1]));
  IOStream far = co_await connect(both(there.fds[0], back.fds[1]));
  co_return PipeStreams(std::move(near), std::move(far));
}

}  // namespace

BEHAVIOUR("two pipes are one stream by fd:, and bytes go both ways at once", kSockets) {
  PipeStreams ends = co_await open_pipe_streams();
  const std::string bytes = numbered(300'000);  // more than a pipe holds
  Future<void> there = ends.near.write(std::string_view(bytes));
  Future<void> back = ends.far.write(std::string_view(bytes));
  Future<std::string> received = ends.near.read_bytes(bytes.size());
  const std::string above = co_await ends.far.read_bytes(bytes.size());
  const std::string below = co_await std::move(received);
  co_await std::move(there);
  co_await std::move(back);
  expect(above == bytes && below == bytes, "the same bytes");
}

BEHAVIOUR("a stream of two pipes ends one side and goes on with the other", kSockets) {
  PipeStreams ends = co_await open_pipe_streams();
  co_await ends.near.write("question");
  co_await ends.near.shutdown_write();
  const std::string question = co_await ends.far.read_until_close();
  expect_equal(question, "question");
  expect(!ends.far.is_closed(), "only its input has ended");
  co_await ends.far.write("answer");
  ends.far.close();
  const std::string answer = co_await ends.near.read_until_close();
  expect_equal(answer, "answer");
}

BEHAVIOUR("a stream of two pipes that is closed lets go of both, with all that was accepted", kSockets) {
  PipeStreams ends = co_await open_pipe_streams();
  const std::string bytes = numbered(300'000);
  ends.near.write(std::string_view(bytes)).ignore();
  ends.near.close();
  const std::string received = co_await ends.far.read_until_close();
  expect(received == bytes, "all of it, and then the end");
  ends.far.write("nobody is there").ignore();
  co_await ends.far.closed();
  expect(ends.far.error() == Errc::reset, "its reader has gone");
}

BEHAVIOUR("a stream of two pipes whose reader goes is reset, and what had come before stays readable", kSockets) {
  const PipeEnds there;
  const PipeEnds back;
  IOStream near = co_await connect(both(back.fds[0], there.fds[1]));
  expect(::write(back.fds[1], "last words", 10) == 10, "written by its owner");
  ::close(there.fds[0]);
  near.write("nobody is there").ignore();
  co_await near.closed();
  expect(near.error() == Errc::reset, "its reader has gone");
  const std::string words = co_await near.read_bytes(10);
  expect_equal(words, "last words");
  ::close(back.fds[1]);
}

BEHAVIOUR("fd: refuses two descriptors that are not a pipe to read from and one to write to", kSockets) {
  for (const char* url : {"fd:,", "fd:3,", "fd:,4", "fd:3,4,5", "fd:3,x"}) {
    const Result<IOStream> none = co_await as_result(connect(url));
    expect(none.reason() == Errc::invalid_url, url);
  }
  const PipeEnds pipe;
  int sockets[2];
  ::socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
  const std::string wrong[] = {both(pipe.fds[1], pipe.fds[0]), both(pipe.fds[0], pipe.fds[0]),
                               both(pipe.fds[0], sockets[0]), both(sockets[0], sockets[1]),
                               both(pipe.fds[0], 1'000'000)};
  for (const std::string& url : wrong) {
    const Result<IOStream> none = co_await as_result(connect(url));
    expect(none.reason() == Errc::bad_descriptor, url);
  }
  const Result<Listener> listened = co_await as_result(listen(both(pipe.fds[0], pipe.fds[1])));
  expect(listened.reason() == Errc::invalid_url, "nobody listens at two pipes");
  for (const int fd : {pipe.fds[0], pipe.fds[1], sockets[0], sockets[1]}) {
    expect(::close(fd) == 0, "what is refused stays its owner's");
  }
}

BEHAVIOUR("fd: refuses what is no descriptor, no stream socket, or of the other kind", kSockets) {
  for (const char* url : {"fd:", "fd:x", "fd:-1", "fd:7x"}) {
    const Result<IOStream> none = co_await as_result(connect(url));
    expect(none.reason() == Errc::invalid_url, url);
  }
  const Result<IOStream> closed = co_await as_result(connect("fd:1000000"));
  expect(closed.reason() == Errc::bad_descriptor, "not open");
  const PipeEnds pipe;
  const Result<Listener> listened = co_await as_result(listen("fd:" + std::to_string(pipe.fds[0])));
  expect(listened.reason() == Errc::bad_descriptor, "nobody listens at a pipe");
  ::close(pipe.fds[0]);  // a refused one stays its owner's
  ::close(pipe.fds[1]);
  const int datagrams = ::socket(AF_INET, SOCK_DGRAM, 0);
  const Result<IOStream> no_stream = co_await as_result(connect("fd:" + std::to_string(datagrams)));
  expect(no_stream.reason() == Errc::bad_descriptor, "datagrams");
  ::close(datagrams);
  const int listening = ::socket(AF_INET, SOCK_STREAM, 0);
  ::listen(listening, 1);
  const Result<IOStream> stream = co_await as_result(connect("fd:" + std::to_string(listening)));
  expect(stream.reason() == Errc::bad_descriptor, "a listening one");
}

BEHAVIOUR("listeners that share a port get connections in turn", kSockets) {
  const ListenOptions sharing = ListenOptions().set_reuse_port(true);
  TCPServer server(echo);
  const std::string url = co_await server.listen("tcp://127.0.0.1:0", sharing);
  co_await server.listen(url, sharing);
  const Result<Listener> selfish = co_await as_result(listen(url));
  expect(selfish.reason() == Errc::in_use, "who does not share gets nothing");
  for (int i = 0; i < 20; ++i) co_await expect_echo(url);
}

// ---- names with several addresses

namespace {

ConnectOptions with_host(std::vector<std::string> addresses) {
  return ConnectOptions().set_resolver(std::make_shared<OverrideResolver>(
      std::map<std::string, std::vector<std::string>, std::less<>>{{"example.test", std::move(addresses)}}));
}

std::string port_of(const std::string& url) { return url.substr(url.rfind(':')); }

std::size_t open_descriptors() {
  namespace fs = std::filesystem;
  return static_cast<std::size_t>(std::distance(fs::directory_iterator("/dev/fd"), fs::directory_iterator()));
}

Future<void> until_open(const TCPServer& server, std::size_t count) {
  while (server.stats().open != count) co_await sleep_for(1ms);
}

// Takes connections from nobody, and its backlog is full: who connects waits.
class Stuck {
 public:
  explicit Stuck(const std::string& url) : url_(url) {}
  Future<void> fill() {
    ListenOptions narrow;
    narrow.backlog = 0;
    listener_ = co_await listen(url_, narrow);
    for (int in_vain = 0; in_vain < 2;) {  // twice: the listener may take one of its own meanwhile
      Future<IOStream> connecting = connect(listener_.url());
      Result<IOStream> connected = co_await as_result(with_timeout(50ms, std::move(connecting)));
      if (connected.ok()) {
        filling_.push_back(std::move(*connected));
        in_vain = 0;
      } else {
        ++in_vain;
      }
    }
  }
  std::string url() const { return listener_.url(); }

 private:
  std::string url_;
  Listener listener_;
  std::vector<IOStream> filling_;
};

class NoAddress final : public Resolver {
 public:
  Future<std::vector<std::string>> resolve(std::string host) override {
    return Future<std::vector<std::string>>::failed(Failure(Errc::unresolved, "never heard of " + host));
  }
};

}  // namespace

BEHAVIOUR("a resolver of the program's own says where a host is, and the others are asked of the system", kSockets) {
  TCPServer server(echo);
  const std::string url = co_await server.listen("tcp://127.0.0.1:0");
  const ConnectOptions options = with_host({"127.0.0.1"});
  const IOStream there = co_await connect("tcp://example.test" + port_of(url), options);
  expect_equal(there.peer_address(), url);
  const IOStream local = co_await connect("tcp://localhost" + port_of(url), options);
  expect(!local.is_closed(), "by its usual name");
  const IOStream number = co_await connect(url, ConnectOptions().set_resolver(std::make_shared<NoAddress>()));
  expect_equal(number.peer_address(), url);
}

BEHAVIOUR("a resolver that knows no address makes connecting unresolved, in its own words", kSockets) {
  const ConnectOptions options = ConnectOptions().set_resolver(std::make_shared<NoAddress>());
  const Result<IOStream> stream = co_await as_result(connect("tcp://example.test:80", options));
  expect(stream.reason() == Errc::unresolved, "no address");
  expect(stream.failure().message().find("never heard of example.test") != std::string::npos,
         stream.failure().message());
  const ConnectOptions no_number = with_host({"nowhere"});
  const Result<IOStream> nonsense = co_await as_result(connect("tcp://example.test:80", no_number));
  expect(nonsense.reason() == Errc::unresolved, "not an address");
}

BEHAVIOUR("of several addresses that refuse, the next is tried at once, and all are named if none is left", kSockets) {
  TCPServer server(echo);
  const std::string url = co_await server.listen("tcp://127.0.0.3:0");
  const std::string name = "tcp://example.test" + port_of(url);
  const ConnectOptions two_dead = with_host({"127.0.0.1", "127.0.0.2", "127.0.0.3"});
  const IOStream stream = co_await connect(name, two_dead);
  expect_equal(stream.peer_address(), url);
  const ConnectOptions all_dead = with_host({"127.0.0.1", "127.0.0.2"});
  const Result<IOStream> none = co_await as_result(connect(name, all_dead));
  expect(none.reason() == Errc::refused, "refused by all");
  for (const char* address : {"127.0.0.1", "127.0.0.2"}) {
    expect(none.failure().message().find(address) != std::string::npos, none.failure().message());
  }
}

BEHAVIOUR("an address that does not answer is overtaken by the next, and is given up then", kSockets) {
  TCPServer server(echo);
  const std::string url = co_await server.listen("tcp://127.0.0.3:0");
  Stuck stuck("tcp://127.0.0.2" + port_of(url));
  co_await stuck.fill();
  const std::string name = "tcp://example.test" + port_of(url);
  const ConnectOptions both = with_host({"127.0.0.2", "127.0.0.3"}).set_timeout(10s);  // not when the first gives up
  const TimePoint begun = IOLoop::current().clock();
  const std::size_t open = open_descriptors();
  const IOStream stream = co_await connect(name, both);
  expect_equal(stream.peer_address(), url);
  expect(IOLoop::current().clock() - begun >= 200ms, "the first one had its head start");
  co_await until_open(server, 1);
  expect_equal(open_descriptors(), open + 2);  // both ends of the winner
}

namespace {

class NeverAnswers final : public Resolver {
 public:
  explicit NeverAnswers(bool& dropped) : dropped_(dropped) {}
  Future<std::vector<std::string>> resolve(std::string) override { return wait_for_ever(dropped_); }

 private:
  struct Note {
    ~Note() { dropped = true; }
    bool& dropped;
  };
  static Future<std::vector<std::string>> wait_for_ever(bool& dropped) {
    const Note note{dropped};
    Event never;
    co_await never.wait();
    co_return std::vector<std::string>();
  }
  bool& dropped_;
};

}  // namespace

BEHAVIOUR("a resolver that never answers is given up at connect's deadline", kSockets) {
  bool dropped = false;
  const ConnectOptions options =
      ConnectOptions().set_resolver(std::make_shared<NeverAnswers>(dropped)).set_timeout(2ms);
  const Result<IOStream> late = co_await as_result(connect("tcp://example.test:80", options));
  expect(late.reason() == Errc::timeout, late.failure().message());
  expect(dropped, "the question, too");
}

BEHAVIOUR("of several addresses the first that answers is the only one that is tried", kSockets) {
  TCPServer first(echo);
  TCPServer second(echo);
  const std::string url = co_await first.listen("tcp://127.0.0.2:0");
  co_await second.listen("tcp://127.0.0.3" + port_of(url));
  const ConnectOptions both = with_host({"127.0.0.2", "127.0.0.3"});
  for (int i = 0; i < 5; ++i) {
    const IOStream stream = co_await connect("tcp://example.test" + port_of(url), both);
    expect_equal(stream.peer_address(), url);
  }
  co_await until_open(first, 0);
  expect_equal(first.stats().accepted, 5u);
  expect_equal(second.stats().accepted, 0u);
}

// The message names them in the order in which they were tried.
BEHAVIOUR("addresses of both kinds are tried in turns, the first one's kind first", kSockets) {
  TCPServer server(echo);
  const std::string port = port_of(co_await server.listen("tcp://127.0.0.5:0"));
  const ConnectOptions dead = with_host({"127.0.0.1", "127.0.0.2", "::1"});
  const Result<IOStream> none = co_await as_result(connect("tcp://example.test" + port, dead));
  expect(!none.ok(), "nobody listens there");
  const std::string message = none.failure().message();
  std::size_t at = 0;
  for (const char* address : {"127.0.0.1", "[::1]", "127.0.0.2"}) {
    at = message.find(address + port + ": ", at);
    expect(at != std::string::npos, message);
  }
}

BEHAVIOUR("of addresses of both kinds the one that somebody listens at is found, whichever comes first", kSockets) {
  TCPServer server(echo);
  const std::string url = co_await server.listen("tcp://127.0.0.1:0");
  for (const std::vector<std::string>& hosts : {std::vector<std::string>{"::1", "127.0.0.1"}, {"127.0.0.1", "::1"}}) {
    const ConnectOptions options = with_host(hosts);
    const IOStream stream = co_await connect("tcp://example.test" + port_of(url), options);
    expect_equal(stream.peer_address(), url);
  }
}

BEHAVIOUR("connect's deadline gives up every address that does not answer", kSockets) {
  Stuck one("tcp://127.0.0.2:0");
  co_await one.fill();
  Stuck other("tcp://127.0.0.3" + port_of(one.url()));
  co_await other.fill();
  const std::size_t open = open_descriptors();
  const ConnectOptions both = with_host({"127.0.0.2", "127.0.0.3"}).set_timeout(300ms);
  const Result<IOStream> late = co_await as_result(connect("tcp://example.test" + port_of(one.url()), both));
  expect(late.reason() == Errc::timeout, late.failure().message());
  expect_equal(open_descriptors(), open);
}
