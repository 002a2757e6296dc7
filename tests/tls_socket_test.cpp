// TLS over real sockets, on every descriptor backend, and against OpenSSL's own programs.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <csignal>
#include <cstdlib>
#include <string>
#include <utility>

#include "posix_fixtures.h"
#include "tls_streams.h"
#include "twinloop/executor.h"
#include "twinloop/net.h"

extern char** environ;

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::tls_test;
using Catch::Matchers::ContainsSubstring;
using twinloop::testing::each_backend;

namespace {

// Each test runs once on every backend.
void run_everywhere(Future<void> (*work)()) {
  IOLoop loop(twinloop::testing::make(each_backend()));
  loop.run_sync(30s, work);
  loop.wind_down(10s);
}

ConnectOptions trusting() {
  ConnectOptions options;
  options.set_tls(TlsClientContext(client_options()));
  return options;
}

ListenOptions certified() {
  ListenOptions options;
  options.set_tls(TlsServerContext(server_options()));
  return options;
}

Future<void> echo(IOStream stream) {
  for (;;) co_await stream.write(co_await stream.read_some());
}

struct Served {
  std::string url;
  Future<void> serving;
};

Future<Served> serve_at(std::string where, std::function<Future<void>(IOStream)> handler) {
  Listener listener = co_await listen(where, certified());
  Served served;
  served.url = listener.url();
  served.serving = serve(std::move(listener), std::move(handler));
  co_return served;
}

Future<Ends> tcp_connection() {
  Listener listener = co_await listen("tcp://127.0.0.1:0");
  IOStream client = co_await connect(listener.url());
  IOStream server = co_await listener.accept();
  co_return Ends(std::move(client), std::move(server));
}

Future<void> send(IOStream& stream, std::string bytes) {
  co_await stream.write(std::move(bytes));
  co_await stream.flush();
}

Future<void> echo_ten_megabytes(std::string where) {
  Served served = co_await serve_at(std::move(where), &echo);
  IOStream stream = co_await connect(served.url, trusting());
  const std::string bytes = pattern(10'000'000);
  Future<void> sending = send(stream, bytes);
  const std::string back = co_await stream.read_bytes(bytes.size());
  co_await std::move(sending);
  CHECK(back == bytes);
}

Future<void> answer_at_end(IOStream stream) {
  const std::string request = co_await stream.read_until_close();
  std::string answer = std::to_string(request.size());
  co_await stream.write(std::move(answer));
}

Future<void> answer_half_closed(std::string where) {
  Served served = co_await serve_at(std::move(where), &answer_at_end);
  IOStream stream = co_await connect(served.url, trusting());
  co_await stream.write(std::string(300'000, 'q'));
  co_await stream.shutdown_write();
  const std::string answer = co_await stream.read_until_close();
  CHECK(answer == "300000");
}

Future<void> write_megabyte(IOStream stream) { co_await stream.write(std::string(1'000'000, 'x')); }

Future<void> refuse_upload(IOStream stream) {
  co_await stream.read_bytes(1000);
  co_await stream.write("413 too large\n");
}

Future<std::size_t> upload(IOStream& stream) {
  std::size_t sent = 0;
  for (int i = 0; i < 40; ++i) {
    const Result<void> written = co_await as_result(stream.write(std::string(50'000, 'u')));
    if (!written.ok()) break;
    sent += 50'000;
  }
  co_return sent;
}

// ---- other programs

std::string output_of(std::string command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return {};
  std::string all;
  std::array<char, 4096> memory;
  while (const std::size_t count = std::fread(memory.data(), 1, memory.size(), pipe)) all.append(memory.data(), count);
  ::pclose(pipe);
  return all;
}

Future<std::string> run_program(std::string command) {
  return IOLoop::current().run_in_executor(&output_of, "timeout 20 " + std::move(command));
}

// `openssl s_server`, on a port that the kernel chooses, until the test ends.
class OpensslServer {
 public:
  explicit OpensslServer(std::vector<std::string> options) {
    std::vector<std::string> words{"openssl", "s_server",
                                   "-accept", "127.0.0.1:0",
                                   "-cert",   folder_.put("cert", localhost().certificate),
                                   "-key",    folder_.put("key", localhost().key)};
    words.insert(words.end(), options.begin(), options.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    const int error = ::posix_spawnp(&process_, "openssl", &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    output_ = ends[0];
    if (error != 0) throw std::runtime_error("no openssl");
    port_ = read_port();
  }
  ~OpensslServer() {
    if (process_ > 0) ::kill(process_, SIGTERM);
    if (process_ > 0) ::waitpid(process_, nullptr, 0);
    ::close(output_);
  }
  OpensslServer(const OpensslServer&) = delete;
  OpensslServer& operator=(const OpensslServer&) = delete;

  std::string url(const std::string& scheme = "tls") const { return scheme + "://127.0.0.1:" + port_; }

 private:
  // "ACCEPT 127.0.0.1:37251"
  std::string read_port() const {
    std::string text;
    for (char byte; ::read(output_, &byte, 1) == 1;) {
      if (byte == '\n' && text.starts_with("ACCEPT")) return text.substr(text.rfind(':') + 1);
      text = byte == '\n' ? "" : text + byte;
    }
    throw std::runtime_error("openssl s_server does not listen");
  }

  Folder folder_;
  pid_t process_ = -1;
  int output_ = -1;
  std::string port_;
};

std::string host_and_port(const std::string& url) { return url.substr(url.find("//") + 2); }

}  // namespace

// ---- both ends ours

TEST_CASE("tls: 10 MB come back unchanged over real sockets") {
  run_everywhere([]() -> Future<void> { co_await echo_ten_megabytes("tls://127.0.0.1:0"); });
}

TEST_CASE("wss: 10 MB come back unchanged over real sockets") {
  run_everywhere([]() -> Future<void> { co_await echo_ten_megabytes("wss://127.0.0.1:0/echo"); });
}

TEST_CASE("tls: a client that half-closes gets its whole answer") {
  run_everywhere([]() -> Future<void> { co_await answer_half_closed("tls://127.0.0.1:0"); });
}

TEST_CASE("wss: a client that half-closes gets its whole answer") {
  run_everywhere([]() -> Future<void> { co_await answer_half_closed("wss://127.0.0.1:0/"); });
}

TEST_CASE("tls: a handler that writes 1 MB and returns delivers 1 MB") {
  run_everywhere([]() -> Future<void> {
    Served served = co_await serve_at("tls://127.0.0.1:0", &write_megabyte);
    IOStream stream = co_await connect(served.url, trusting());
    const std::string all = co_await stream.read_until_close();
    CHECK(all.size() == 1'000'000);
  });
}

TEST_CASE("tls: a refusal in the middle of an upload arrives whole") {
  run_everywhere([]() -> Future<void> {
    Served served = co_await serve_at("tls://127.0.0.1:0", &refuse_upload);
    IOStream stream = co_await connect(served.url, trusting());
    Future<std::size_t> sending = upload(stream);
    const std::string answer = co_await stream.read_until("\n");
    CHECK(answer == "413 too large\n");
  });
}

TEST_CASE("tls: the end of a peer is noticed while nobody reads, over real sockets") {
  run_everywhere([]() -> Future<void> {
    Listener listener = co_await listen("tls://127.0.0.1:0", certified());
    IOStream client = co_await connect(listener.url(), trusting());
    IOStream server = co_await listener.accept();
    co_await client.write("nobody reads this");
    client.close();
    co_await server.peer_ended();
    CHECK(server.error() == make_error_code(Errc::end));
    CHECK(server.buffered() == 17);
  });
}

TEST_CASE("tls: an aborted connection is reset over real sockets") {
  run_everywhere([]() -> Future<void> {
    Listener listener = co_await listen("tls://127.0.0.1:0", certified());
    IOStream client = co_await connect(listener.url(), trusting());
    IOStream server = co_await listener.accept();
    client.abort();
    co_await server.closed();
    CHECK(server.error() == make_error_code(Errc::reset));
  });
}

TEST_CASE("tls: a dialogue in the clear goes on in TLS over real sockets") {
  run_everywhere([]() -> Future<void> {
    Ends ends = co_await tcp_connection();
    co_await ends.server.write("220 ready\r\n");
    const std::string greeting = co_await ends.client.read_until("\r\n");
    CHECK(greeting == "220 ready\r\n");
    co_await ends.client.write("STARTTLS\r\n");
    const std::string wish = co_await ends.server.read_until("\r\n");
    CHECK(wish == "STARTTLS\r\n");
    co_await ends.server.write("220 go ahead\r\n");
    const std::string leave = co_await ends.client.read_until("\r\n");
    CHECK(leave == "220 go ahead\r\n");
    Future<IOStream> accepting = start_tls(std::move(ends.server), TlsServerContext(server_options()));
    IOStream client = co_await start_tls(std::move(ends.client), TlsClientContext(client_options()), "localhost");
    IOStream server = co_await std::move(accepting);
    co_await client.write("EHLO\r\n");
    const std::string hello = co_await server.read_until("\r\n");
    CHECK(hello == "EHLO\r\n");
    CHECK(server.tls() != nullptr);
  });
}

TEST_CASE(
    "tls: whom a client believes over real sockets: a known authority, for the host that was asked for, or whom it is "
    "told to") {
  run_everywhere([]() -> Future<void> {
    Served served = co_await serve_at("tls://127.0.0.1:0", &echo);
    const auto reason = [&served](const TlsOptions& options) -> Future<Errc> {
      const ConnectOptions connecting = ConnectOptions().set_tls(TlsClientContext(options));
      const Result<IOStream> stream = co_await as_result(connect(served.url, connecting));
      co_return stream.ok() ? Errc::end : stream.reason();  // `end`: it was believed
    };
    const Errc stranger = co_await reason(TlsOptions());
    CHECK(stranger == Errc::bad_certificate);
    const Errc match = co_await reason(client_options());
    CHECK(match == Errc::end);
    const Errc other = co_await reason(client_options().server_name("other.test"));
    CHECK(other == Errc::bad_certificate);
    const Errc any_host = co_await reason(client_options().server_name("other.test").verify_host(false));
    CHECK(any_host == Errc::end);
    const Errc anybody = co_await reason(TlsOptions().verify(TlsVerify::none));
    CHECK(anybody == Errc::end);
  });
}

TEST_CASE("tls: a TCP connection that ends without close_notify is truncated") {
  run_everywhere([]() -> Future<void> {
    Ends left = co_await tcp_connection();
    Ends right = co_await tcp_connection();
    Wire wire(std::move(left), std::move(right));
    Ends below = wire.ends();
    Future<IOStream> accepting = start_tls(std::move(below.server), TlsServerContext(server_options()));
    IOStream client = co_await start_tls(std::move(below.client), TlsClientContext(client_options()), "localhost");
    IOStream server = co_await std::move(accepting);
    wire.cut();
    co_await client.closed();
    co_await server.closed();
    CHECK(client.error() == make_error_code(Errc::truncated));
    CHECK(server.error() == make_error_code(Errc::truncated));
  });
}

TEST_CASE("tls: many handshakes at once all succeed, and the failed ones harm nobody") {
  run_everywhere([]() -> Future<void> {
    Served served = co_await serve_at("tls://127.0.0.1:0", &echo);
    const ConnectOptions options = trusting();
    std::vector<Future<IOStream>> good;
    std::vector<Future<IOStream>> bad;
    for (int i = 0; i < 30; ++i) {
      good.push_back(connect(served.url, options));
      bad.push_back(connect(served.url));
    }
    for (Future<IOStream>& each : good) {
      IOStream stream = co_await std::move(each);
      co_await stream.write("ping");
      const std::string back = co_await stream.read_bytes(4);
      CHECK(back == "ping");
    }
    for (Future<IOStream>& each : bad) {
      const Result<IOStream> refused = co_await as_result(std::move(each));
      CHECK(refused.reason() == Errc::bad_certificate);
    }
  });
}

TEST_CASE("tls: a client that says nothing is given up, and others are served meanwhile") {
  run_everywhere([]() -> Future<void> {
    ListenOptions options = certified();
    options.set_handshake_timeout(50ms);
    Listener listener = co_await listen("tls://127.0.0.1:0", options);
    const std::string url = listener.url();
    IOStream silent = co_await connect("tcp" + url.substr(3));
    IOStream client = co_await connect(url, trusting());
    IOStream server = co_await listener.accept();
    co_await silent.peer_ended();
  });
}

TEST_CASE("tls: the wrong scheme at either end is an error that says so") {
  run_everywhere([]() -> Future<void> {
    Served tls = co_await serve_at("tls://127.0.0.1:0", &echo);
    const Result<IOStream> clear = co_await as_result(connect("ws" + tls.url.substr(3)));
    CHECK_FALSE(clear.ok());
    Listener plain = co_await listen("ws://127.0.0.1:0");
    const Result<IOStream> answered = co_await as_result(connect("wss" + plain.url().substr(2), trusting()));
    check_failed(answered, Errc::protocol, "does not speak TLS");
  });
}

TEST_CASE("tls: a listener without a certificate is refused before it listens") {
  run_everywhere([]() -> Future<void> {
    const Result<Listener> refused = co_await as_result(listen("wss://127.0.0.1:0/"));
    CHECK(refused.reason() == Errc::bad_certificate);
    CHECK_THAT(refused.failure().message(), ContainsSubstring("set_tls"));
  });
}

TEST_CASE("wss: the stream tells of the TLS below it") {
  run_everywhere([]() -> Future<void> {
    Served served = co_await serve_at("wss://localhost:0/", &echo);
    IOStream stream = co_await connect(served.url, trusting());
    REQUIRE(stream.tls() != nullptr);
    CHECK(stream.tls()->server_name() == "localhost");
    co_await stream.finish();
  });
}

// ---- OpenSSL's own programs at the other end

TEST_CASE("openssl s_client: speaks to our server, ends with close_notify, and verifies us") {
  run_everywhere([]() -> Future<void> {
    const Folder folder;
    const std::string trusted = folder.put("ca", authority().certificate());
    Served served = co_await serve_at("tls://127.0.0.1:0", &answer_at_end);
    for (const std::string version : {"-tls1_2", "-tls1_3"}) {
      const std::string said = co_await run_program("sh -c 'printf hello | openssl s_client -connect " +
                                                    host_and_port(served.url) + " " + version + " -CAfile " + trusted +
                                                    " -verify_return_error -verify_hostname localhost' 2>&1");
      CHECK_THAT(said, ContainsSubstring("Verify return code: 0 (ok)"));
    }
  });
}

TEST_CASE("openssl s_client: bytes both ways, and a resumed session of TLS 1.2 and 1.3") {
  run_everywhere([]() -> Future<void> {
    const Folder folder;
    Served served = co_await serve_at("tls://127.0.0.1:0", [](IOStream stream) -> Future<void> {
      const std::string line = co_await stream.read_until("\n");
      std::string answer = (stream.tls()->resumed() ? "resumed " : "new ") + line;
      co_await stream.write(std::move(answer));
    });
    for (const std::string version : {"-tls1_2", "-tls1_3"}) {
      const std::string session = folder.path("session" + version);
      const std::string client = "openssl s_client -quiet " + version + " -connect " + host_and_port(served.url);
      const std::string ask = "sh -c 'echo hello | " + client;
      const std::string first = co_await run_program(ask + " -sess_out " + session + "' 2>/dev/null");
      CHECK(first == "new hello\n");
      const std::string second = co_await run_program(ask + " -sess_in " + session + "' 2>/dev/null");
      CHECK(second == "resumed hello\n");
    }
  });
}

TEST_CASE("openssl s_client: an old version of TLS is refused") {
  run_everywhere([]() -> Future<void> {
    ListenOptions options;
    options.set_tls(TlsServerContext(server_options().minimum_version(TlsVersion::tls1_3)));
    Listener listener = co_await listen("tls://127.0.0.1:0", options);
    const std::string said =
        co_await run_program("openssl s_client -tls1_2 -connect " + host_and_port(listener.url()) + " </dev/null 2>&1");
    CHECK_THAT(said, ContainsSubstring("alert protocol version"));
  });
}

TEST_CASE("openssl s_client: a renegotiation is refused") {
  run_everywhere([]() -> Future<void> {
    Served served = co_await serve_at("tls://127.0.0.1:0", &answer_at_end);
    const std::string said = co_await run_program("sh -c 'echo R | openssl s_client -tls1_2 -connect " +
                                                  host_and_port(served.url) + "' 2>&1");
    CHECK_THAT(said, ContainsSubstring("RENEGOTIATING"));
    CHECK_THAT(said, ContainsSubstring("no renegotiation"));
  });
}

TEST_CASE("openssl s_server: echoes reversed lines to our client, and sessions are resumed") {
  const std::string version = GENERATE("-tls1_2", "-tls1_3");
  static const OpensslServer* server = nullptr;
  const OpensslServer one({"-rev", version});
  server = &one;
  run_everywhere([]() -> Future<void> {
    const ConnectOptions options = trusting();
    for (const bool resumed : {false, true, true}) {
      IOStream stream = co_await connect(server->url(), options);
      CHECK(stream.tls()->resumed() == resumed);
      co_await stream.write("abc\n");
      const std::string line = co_await stream.read_until("\n");
      CHECK(line == "cba\n");
      co_await stream.shutdown_write();
      co_await stream.read_until_close();
    }
  });
}

TEST_CASE("openssl s_server: asks for our certificate and chooses our protocol") {
  static const OpensslServer* server = nullptr;
  const Folder folder;
  const OpensslServer one({"-rev", "-Verify", "1", "-verify_return_error", "-CAfile",
                           folder.put("ca", authority().certificate()), "-alpn", "h2"});
  server = &one;
  run_everywhere([]() -> Future<void> {
    const Issued alice = authority().issue(Wish("alice"));
    ConnectOptions options;
    options.set_tls(
        TlsClientContext(client_options().identity(alice.identity()).add_protocol("http/1.1").add_protocol("h2")));
    IOStream stream = co_await connect(server->url(), options);
    CHECK(stream.tls()->protocol() == "h2");
    co_await stream.write("abc\n");
    const std::string line = co_await stream.read_until("\n");
    CHECK(line == "cba\n");
  });
}

TEST_CASE("openssl s_server: killed, it leaves a truncated or reset stream behind") {
  run_everywhere([]() -> Future<void> {
    auto server = std::make_unique<OpensslServer>(std::vector<std::string>{"-rev"});
    IOStream stream = co_await connect(server->url(), trusting());
    co_await stream.write("abc\n");
    co_await stream.read_until("\n");
    server.reset();
    co_await stream.closed();
    CHECK(stream.error() == make_error_code(Errc::truncated));
  });
}
