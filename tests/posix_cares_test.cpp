// cares_resolver against a name server of our own.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <string>
#include <vector>

#include "posix_fixtures.h"
#include "twinloop/cares.h"
#include "twinloop/net.h"
#include "twinloop/udp.h"

using namespace twinloop;
using namespace std::chrono_literals;
using namespace std::string_literals;
using Catch::Matchers::ContainsSubstring;
using twinloop::testing::each_backend;
using twinloop::testing::make;
using twinloop::testing::run;

namespace {

constexpr std::size_t kHead = 12;  // of a DNS message (RFC 1035 §4.1.1); the question's name stands behind it

std::string name_in(const std::string& question) {
  std::string name;
  for (std::size_t at = kHead; question[at] != '\0'; at += 1 + static_cast<unsigned char>(question[at])) {
    name += (name.empty() ? "" : ".") + question.substr(at + 1, static_cast<unsigned char>(question[at]));
  }
  return name;
}

// The question again, with these answers and that code for how it went.
std::string reply(const std::string& query, char code, const std::string& answers, char count) {
  const std::size_t end = query.find('\0', kHead) + 5;
  return query.substr(0, 2) + "\x81"s + static_cast<char>(0x80 | code) + "\0\x01\0"s + count + "\0\0\0\0"s +
         query.substr(kHead, end - kHead) + answers;
}

bool asks_for_ipv4(const std::string& query) { return query[query.find('\0', kHead) + 2] == 1; }

// here.test is at two addresses, lost.test as well but the first questions for it get lost, silent.test is at none that anybody
// tells, and nothing else exists.
Future<void> answer_questions(UdpSocket& socket) {
  const std::string records =
      "\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0\x01"s + "\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0\x02"s;
  int lost = 0;
  for (;;) {
    const Datagram query = co_await socket.receive();
    const std::string name = name_in(query.bytes);
    if (name == "silent.test" || (name == "lost.test" && ++lost <= 2)) continue;  // one for each kind of address
    const bool known = name == "here.test" || name == "lost.test";
    const bool answered = known && asks_for_ipv4(query.bytes);
    const std::string answer = reply(query.bytes, known ? 0 : 3, answered ? records : "", answered ? 2 : 0);
    co_await socket.send_to(query.from, answer);
  }
}

struct NameServer {
  UdpSocket socket;
  std::string address;
};

Future<NameServer> open_server() {
  UdpSocket socket = co_await UdpSocket::bind("udp://127.0.0.1:0");
  const std::string address = socket.local_address().url().substr(6);  // without "udp://"
  co_return NameServer{std::move(socket), address};
}

Future<void> ask() {
  NameServer server = co_await open_server();
  const Future<void> answering = answer_questions(server.socket);
  const auto resolver = cares_resolver(server.address);
  std::vector<std::string> hosts = co_await resolver->resolve("here.test");
  std::ranges::sort(hosts);
  CHECK(hosts == std::vector<std::string>{"127.0.0.1", "127.0.0.2"});

  Future<std::vector<std::string>> one = resolver->resolve("here.test");
  Future<std::vector<std::string>> other = resolver->resolve("nowhere.test");
  const Result<std::vector<std::string>> unknown = co_await as_result(std::move(other));
  CHECK(unknown.reason() == Errc::unresolved);
  CHECK_THAT(unknown.failure().message(), ContainsSubstring("not found"));
  const std::vector<std::string> again = co_await std::move(one);
  CHECK(again.size() == 2);

  Listener listener = co_await listen("tcp://127.0.0.1:0");
  const std::string url = "tcp://here.test:" + std::to_string(Url::parse(listener.url()).value().port);
  const IOStream stream = co_await connect(url, ConnectOptions().set_resolver(resolver));
  CHECK(stream.peer_address() == listener.url());
}

Future<void> ask_in_vain() {
  NameServer server = co_await open_server();
  const Future<void> answering = answer_questions(server.socket);
  auto resolver = cares_resolver(server.address);
  for (int i = 0; i < 3; ++i) {
    const auto waited = co_await as_result(with_timeout(1ms, resolver->resolve("silent.test")));
    CHECK(waited.reason() == Errc::timeout);
  }
  Future<std::vector<std::string>> left = resolver->resolve("silent.test");
  const std::vector<std::string> hosts = co_await resolver->resolve("here.test");
  CHECK(hosts.size() == 2);
  resolver.reset();
  const auto ended = co_await as_result(std::move(left));
  CHECK(ended.reason() == Errc::cancelled);
}

Future<void> ask_again() {
  NameServer server = co_await open_server();
  const Future<void> answering = answer_questions(server.socket);
  const auto resolver = cares_resolver(server.address);
  const std::vector<std::string> hosts = co_await resolver->resolve("lost.test");
  CHECK(hosts.size() == 2);
}

}  // namespace

TEST_CASE("c-ares resolves names on the loop, several at once, and connect uses it") {
  IOLoop loop(make(each_backend()));
  run(loop, ask());
  CHECK(loop.stats().descriptors == 0);
}

TEST_CASE("who stops waiting for a name server that does not answer leaves nothing, and others go on") {
  IOLoop loop(make(each_backend()));
  run(loop, ask_in_vain());
}

TEST_CASE("a question that got lost is asked again, after the seconds that c-ares takes") {
  IOLoop loop;
  run(loop, ask_again());
}

TEST_CASE("a question to c-ares ends with the loop") {
  Future<std::vector<std::string>> waiting;
  std::shared_ptr<Resolver> resolver;
  {
    IOLoop loop(make(each_backend()));
    run(loop, [](auto& r, auto& w) -> Future<void> {
      const NameServer silent = co_await open_server();
      r = cares_resolver(silent.address);
      w = r->resolve("here.test");
    }(resolver, waiting));
  }
  CHECK(waiting.done());
  CHECK_THROWS_AS(waiting.result(), Error);
}

TEST_CASE("servers that are none are refused by name") {
  IOLoop loop;
  CHECK_THROWS_WITH(cares_resolver("not,a,list"), ContainsSubstring("'not,a,list'"));
}
