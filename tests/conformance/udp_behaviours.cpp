// Datagrams.  RULES §2, "completion reserves", and §4.
#include <ifaddrs.h>
#include <net/if.h>

#include <string>
#include <vector>

#include "fixtures.h"
#include "twinloop/timing.h"
#include "twinloop/udp.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kUdp = Needs::fds | Needs::tcp;
constexpr const char* kAnyPort = "udp://127.0.0.1:0";

Future<UdpSocket> connect_to(const UdpSocket& server) { return UdpSocket::connect(server.local_address().url()); }

// Where nobody listens: the port of a socket that has gone.
Future<std::string> dead_url() {
  const UdpSocket socket = co_await UdpSocket::bind(kAnyPort);
  co_return socket.local_address().url();
}

Future<void> some_turns() {
  for (int i = 0; i < 40; ++i) co_await moment();  // more than the turns that may leave a poll out
}

Future<void> ask_and_answer() {
  UdpSocket server = co_await UdpSocket::bind(kAnyPort);
  UdpSocket client = co_await connect_to(server);
  co_await client.send("question");
  const Datagram question = co_await server.receive();
  Future<Datagram> waiting = client.receive();
  co_await server.send_to(question.from, "answer");
  const Datagram answer = co_await std::move(waiting);
  expect_equal(answer.bytes, "answer");
}

std::string loopback_interface() {
  ifaddrs* all = nullptr;
  expect(::getifaddrs(&all) == 0, "the interfaces");
  std::string name;
  for (const ifaddrs* each = all; each != nullptr && name.empty(); each = each->ifa_next) {
    if ((each->ifa_flags & IFF_LOOPBACK) != 0) name = each->ifa_name;
  }
  ::freeifaddrs(all);
  return name;
}

}  // namespace

BEHAVIOUR("a datagram sent arrives whole, with the address it came from", kUdp) {
  UdpSocket server = co_await UdpSocket::bind(kAnyPort);
  UdpSocket client = co_await UdpSocket::bind(kAnyPort);
  co_await client.send_to(server.local_address(), "hello");
  const Datagram datagram = co_await server.receive();
  expect_equal(datagram.bytes, "hello");
  expect(!datagram.truncated, "all of it");
  expect(datagram.from == client.local_address(), "from the client");
  expect_equal(datagram.from.url(), client.local_address().url());
}

BEHAVIOUR("datagrams keep their boundaries, empty ones too", kUdp) {
  UdpSocket server = co_await UdpSocket::bind(kAnyPort);
  UdpSocket client = co_await connect_to(server);
  const std::vector<std::string> sent{"one", "", "three"};
  for (const std::string& each : sent) co_await client.send(each);
  for (const std::string& each : sent) {
    const Datagram datagram = co_await server.receive();
    expect_equal(datagram.bytes, each);
  }
}

BEHAVIOUR("a receive that waits is told of the datagram that comes", kUdp) {
  UdpSocket server = co_await UdpSocket::bind(kAnyPort);
  UdpSocket client = co_await connect_to(server);
  Future<Datagram> next = server.receive();
  co_await some_turns();
  expect(!next.done(), "there is nothing yet");
  co_await client.send("late");
  const Datagram datagram = co_await std::move(next);
  expect_equal(datagram.bytes, "late");
}

BEHAVIOUR("an answer to where a datagram came from reaches its sender", kUdp) {
  UdpSocket server = co_await UdpSocket::bind(kAnyPort);
  UdpSocket client = co_await connect_to(server);
  co_await client.send("question");
  const Datagram question = co_await server.receive();
  co_await server.send_to(question.from, "answer");
  const Datagram answer = co_await client.receive();
  expect_equal(answer.bytes, "answer");
  expect(answer.from == server.local_address(), "from the server");
}

BEHAVIOUR("a connected socket receives from its peer only", kUdp) {
  UdpSocket server = co_await UdpSocket::bind(kAnyPort);
  UdpSocket client = co_await connect_to(server);
  UdpSocket stranger = co_await UdpSocket::bind(kAnyPort);
  co_await stranger.send_to(client.local_address(), "spam");
  co_await server.send_to(client.local_address(), "mail");
  const Datagram datagram = co_await client.receive();
  expect_equal(datagram.bytes, "mail");
  expect(client.remote_address() == server.local_address(), "it knows its peer");
  expect(!server.remote_address(), "a bound socket has none");
}

BEHAVIOUR("a datagram longer than the limit is cut and says so", kUdp) {
  UdpSocket server = co_await UdpSocket::bind(kAnyPort, UdpOptions().max_datagram_size(4));
  UdpSocket client = co_await connect_to(server);
  co_await client.send("123456");
  co_await client.send("1234");
  const Datagram cut = co_await server.receive();
  expect_equal(cut.bytes, "1234");
  expect(cut.truncated, "the rest is lost");
  const Datagram whole = co_await server.receive();
  expect_equal(whole.bytes, "1234");
  expect(!whole.truncated, "this one fits");
}

BEHAVIOUR("the largest datagram passes, and a larger one is refused with the socket as usable as before", kUdp) {
  UdpSocket server = co_await UdpSocket::bind(kAnyPort);
  UdpSocket client = co_await connect_to(server);
  const std::string largest(65'507, 'x');
  co_await expect_failure(client.send(largest + "x"), Errc::limit);
  co_await client.send(largest);
  const Datagram datagram = co_await server.receive();
  expect(datagram.bytes == largest, "every byte");
}

BEHAVIOUR("nobody at the port is refused, at the receive that waits, and the socket stays usable", kUdp) {
  const std::string url = co_await dead_url();
  UdpSocket client = co_await UdpSocket::connect(url);
  Future<Datagram> waiting = client.receive();
  co_await client.send("is there anybody?");
  co_await expect_failure(std::move(waiting), Errc::refused);
  UdpSocket server = co_await UdpSocket::bind(url);
  co_await client.send("now there is");
  const Datagram datagram = co_await server.receive();
  expect_equal(datagram.bytes, "now there is");
}

BEHAVIOUR("nobody at the port is refused, at the next send when nobody receives", kUdp) {
  const std::string url = co_await dead_url();
  UdpSocket client = co_await UdpSocket::connect(url);
  co_await client.send("is there anybody?");
  co_await some_turns();
  co_await expect_failure(client.send("hello?"), Errc::refused);
  co_await client.send("well then");
}

BEHAVIOUR("a refusal that nobody asks for does not keep the loop busy", kUdp) {
  const std::string url = co_await dead_url();
  UdpSocket client = co_await UdpSocket::connect(url);
  Future<Datagram> waiting = client.receive();
  co_await client.send("is there anybody?");
  co_await expect_failure(std::move(waiting), Errc::refused);
  co_await client.send("hello?");  // its refusal comes while the socket is still watched
  co_await some_turns();
  const auto before = IOLoop::current().stats().handlers;
  co_await sleep_for(5ms);
  expect(IOLoop::current().stats().handlers - before < 10, "it was told at most a few times");
}

BEHAVIOUR("a receive dropped before anything comes leaves the datagram for the next", kUdp) {
  UdpSocket server = co_await UdpSocket::bind(kAnyPort);
  UdpSocket client = co_await connect_to(server);
  {
    Future<Datagram> dropped = server.receive();
  }
  co_await client.send("kept");
  const Datagram datagram = co_await server.receive();
  expect_equal(datagram.bytes, "kept");
}

BEHAVIOUR("a receive dropped when it is done loses no datagram and no order", kUdp) {
  UdpSocket server = co_await UdpSocket::bind(kAnyPort);
  UdpSocket client = co_await connect_to(server);
  Future<Datagram> dropped = server.receive();
  co_await client.send("first");
  co_await client.send("second");
  while (!dropped.done()) co_await moment();
  dropped = Future<Datagram>();
  const Datagram first = co_await server.receive();
  const Datagram second = co_await server.receive();
  expect_equal(first.bytes + "," + second.bytes, "first,second");
}

BEHAVIOUR("a receive that is done keeps its datagram when the next one begins, and when the socket closes", kUdp) {
  UdpSocket server = co_await UdpSocket::bind(kAnyPort);
  UdpSocket client = co_await connect_to(server);
  co_await client.send("first");
  co_await client.send("second");
  Future<Datagram> first = server.receive();
  while (!first.done()) co_await moment();
  Future<Datagram> second = server.receive();
  while (!second.done()) co_await moment();
  server.close();
  const Datagram one = co_await std::move(first);
  const Datagram two = co_await std::move(second);
  expect_equal(one.bytes + "," + two.bytes, "first,second");
}

BEHAVIOUR("a second receive while one waits is busy", kUdp) {
  UdpSocket server = co_await UdpSocket::bind(kAnyPort);
  Future<Datagram> first = server.receive();
  co_await expect_failure(server.receive(), Errc::busy);
}

BEHAVIOUR("closing a datagram socket fails what is pending and what comes later with local", kUdp) {
  UdpSocket socket = co_await UdpSocket::bind(kAnyPort);
  const UdpAddress own = socket.local_address();
  Future<Datagram> pending = socket.receive();
  socket.close();
  co_await expect_failure(std::move(pending), Errc::local);
  co_await expect_failure(socket.receive(), Errc::local);
  co_await expect_failure(socket.send_to(own, "x"), Errc::local);
}

BEHAVIOUR("destroying a datagram socket fails its pending receive with local", kUdp) {
  UdpSocket socket = co_await UdpSocket::bind(kAnyPort);
  Future<Datagram> pending = socket.receive();
  socket = UdpSocket();
  co_await expect_failure(std::move(pending), Errc::local);
}

BEHAVIOUR("a datagram socket moves with a receive pending", kUdp) {
  UdpSocket socket = co_await UdpSocket::bind(kAnyPort);
  Future<Datagram> pending = socket.receive();
  UdpSocket moved = std::move(socket);
  UdpSocket client = co_await connect_to(moved);
  co_await client.send("x");
  const Datagram datagram = co_await std::move(pending);
  expect_equal(datagram.bytes, "x");
}

BEHAVIOUR("a port that is taken is in_use, and the message names the address", kUdp) {
  UdpSocket first = co_await UdpSocket::bind(kAnyPort);
  const std::string url = first.local_address().url();
  const Result<UdpSocket> second = co_await as_result(UdpSocket::bind(url));
  expect(!second.ok() && second.reason() == Errc::in_use, "it is taken");
  expect(second.failure().message().find(url) != std::string::npos, second.failure().message());
}

BEHAVIOUR("what is no udp:// URL is refused by name", kUdp) {
  co_await expect_failure(UdpSocket::bind("tcp://127.0.0.1:0"), Errc::unknown_scheme);
  co_await expect_failure(UdpSocket::connect("127.0.0.1"), Errc::invalid_url);
  UdpSocket socket = co_await UdpSocket::bind(kAnyPort);
  co_await expect_failure(socket.resolve("udp//"), Errc::invalid_url);
}

BEHAVIOUR("a name is resolved to an address that the socket can send to", kUdp) {
  UdpSocket server = co_await UdpSocket::bind(kAnyPort);
  UdpSocket client = co_await UdpSocket::bind(kAnyPort);
  const std::string url = server.local_address().url();
  const std::string port = url.substr(url.rfind(':'));
  const UdpAddress address = co_await client.resolve("udp://localhost" + port);
  expect(address == server.local_address(), "the IPv4 address, as the socket is one");
}

BEHAVIOUR("a socket on every address talks to IPv4 peers by their plain addresses", kUdp) {
  UdpSocket server = co_await UdpSocket::bind("udp://:0");
  UdpSocket client = co_await UdpSocket::bind(kAnyPort);
  const std::string url = server.local_address().url();
  const UdpAddress to = co_await client.resolve("udp://127.0.0.1" + url.substr(url.rfind(':')));
  co_await client.send_to(to, "question");
  const Datagram question = co_await server.receive();
  expect(question.from == client.local_address(), question.from.url());
  co_await server.send_to(question.from, "answer");
  const Datagram answer = co_await client.receive();
  expect_equal(answer.bytes, "answer");
}

BEHAVIOUR("a thousand datagrams each way come back as they were sent", kUdp) {
  UdpSocket server = co_await UdpSocket::bind(kAnyPort);
  UdpSocket client = co_await connect_to(server);
  for (int i = 0; i < 1000; ++i) {
    const std::string text = std::to_string(i);
    co_await client.send(text);
    const Datagram question = co_await server.receive();
    co_await server.send_to(question.from, question.bytes);
    const Datagram answer = co_await client.receive();
    expect_equal(answer.bytes, text);
  }
}

BEHAVIOUR("a datagram to a broadcast address needs the option", kUdp) {
  UdpSocket plain = co_await UdpSocket::bind(kAnyPort);
  const UdpAddress everybody = co_await plain.resolve("udp://127.255.255.255:9");
  co_await expect_failure(plain.send_to(everybody, "x"), Errc::denied);
  UdpSocket allowed = co_await UdpSocket::bind(kAnyPort, UdpOptions().broadcast(true));
  co_await allowed.send_to(everybody, "x");
}

BEHAVIOUR("a member of a multicast group receives what is sent to it, until it leaves", kUdp) {
  const UdpOptions options = UdpOptions().multicast_interface(loopback_interface());
  UdpSocket member = co_await UdpSocket::bind("udp://0.0.0.0:0", options);
  UdpSocket sender = co_await UdpSocket::bind(kAnyPort, options);
  const std::string url = member.local_address().url();
  const UdpAddress group = co_await sender.resolve("udp://239.255.77.77" + url.substr(url.rfind(':')));
  member.join(group);
  co_await sender.send_to(group, "to all");
  const Datagram datagram = co_await member.receive();
  expect_equal(datagram.bytes, "to all");
  member.leave(group);
  co_await sender.send_to(group, "to those who are left");
  const UdpAddress direct = co_await sender.resolve("udp://127.0.0.1" + url.substr(url.rfind(':')));
  co_await sender.send_to(direct, "to you");
  const Datagram next = co_await member.receive();
  expect_equal(next.bytes, "to you");
}

BEHAVIOUR("whatever step a question and its answer are cancelled at, nothing is left", kUdp) {
  const std::size_t cancelled = co_await cancel_everywhere(&ask_and_answer);
  expect(cancelled > 0, "it was cancelled at least once");
}
