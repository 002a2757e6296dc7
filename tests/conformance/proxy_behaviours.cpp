// Listeners behind a proxy that says by the PROXY protocol who is connected to whom.
#include <array>
#include <string>

#include "carriers.h"
#include "fixtures.h"
#include "twinloop/net.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kNetwork = Needs::tcp | Needs::listen;
const std::string kLine = "PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\n";

std::string binary(char command, char family, const std::string& rest) {
  return "\r\n\r\n\0\r\nQUIT\n"s + command + family + static_cast<char>(rest.size() >> 8) +
         static_cast<char>(rest.size() & 0xff) + rest;
}
const std::string kFour = binary('\x21', '\x11', "\xc0\x00\x02\x01\xc6\x33\x64\x02\x12\x67\x01\xbb"s);

ListenOptions behind_proxies() { return ListenOptions().set_proxy_protocol(true).set_handshake_timeout(20s); }

struct Proxied {
  IOStream proxy;   // the end of whoever sends the header
  IOStream served;  // what the listener gave
};

Future<Proxied> open(Listener& listener, std::string header) {
  Future<IOStream> accepting = listener.accept();
  IOStream proxy = co_await connect("tcp://" + Url::parse(listener.url()).value().authority());
  co_await proxy.write(std::move(header));
  IOStream served = co_await std::move(accepting);
  co_return Proxied{std::move(proxy), std::move(served)};
}

Future<void> expect_peer(Listener& listener, std::string header, std::string peer, std::string local) {
  Proxied ends = co_await open(listener, std::move(header) + "behind it\n");
  const std::string line = co_await ends.served.read_until("\n");
  expect_equal(line, "behind it\n");
  expect_equal(ends.served.peer_address(), peer);
  expect_equal(ends.served.local_address(), local);
  co_await ends.served.write("and back\n");
  const std::string answer = co_await ends.proxy.read_until("\n");
  expect_equal(answer, "and back\n");
}

// A connection that says this and then ends, or goes on.
Future<void> say(const Listener& listener, std::string bytes, bool ends) {
  IOStream stream = co_await connect(listener.url());
  co_await stream.write(std::move(bytes));
  if (ends) co_await stream.shutdown_write();
  (void)co_await as_result(stream.read_until_close());
}

}  // namespace

BEHAVIOUR("behind a proxy the addresses are those of its header, in either version, and what follows it is the stream",
          kNetwork) {
  Listener listener = co_await listen("tcp://127.0.0.1:0", behind_proxies());
  co_await expect_peer(listener, kLine, "tcp://192.0.2.1:4711", "tcp://198.51.100.2:443");
  co_await expect_peer(listener, "PROXY TCP6 2001:DB8::1 ::1 1 65535\r\n", "tcp://[2001:db8::1]:1",
                       "tcp://[::1]:65535");
  co_await expect_peer(listener, kFour, "tcp://192.0.2.1:4711", "tcp://198.51.100.2:443");

  const std::string six = "\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\x01" + std::string(15, '\0') + "\x01";
  co_await expect_peer(listener, binary('\x21', '\x21', six + "\x12\x67\x01\xbb"s), "tcp://[2001:db8::1]:4711",
                       "tcp://[::1]:443");
  const std::string paths = "/run/a"s + std::string(102, '\0') + "\0abstract"s + std::string(99, '\0');
  co_await expect_peer(listener, binary('\x21', '\x31', paths), "unix:/run/a", "unix:@abstract");
}

BEHAVIOUR("what a PROXY header says besides its addresses is passed over", kNetwork) {
  Listener listener = co_await listen("tcp://127.0.0.1:0", behind_proxies());
  const std::string tlvs = "\x01\x00\x02h2\x20\x00\x00"s;
  co_await expect_peer(listener, binary('\x21', '\x11', kFour.substr(16) + tlvs), "tcp://192.0.2.1:4711",
                       "tcp://198.51.100.2:443");
}

BEHAVIOUR("a PROXY header that names nobody leaves the connection's own addresses", kNetwork) {
  Listener listener = co_await listen("tcp://127.0.0.1:0", behind_proxies());
  const std::string headers[] = {"PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff::1 whatever 1 2\r\n",
                                 binary('\x20', '\0', ""), binary('\x20', '\x11', kFour.substr(16)),
                                 binary('\x21', '\0', "")};
  for (const std::string& header : headers) {
    Proxied ends = co_await open(listener, header);
    expect_equal(ends.served.peer_address(), ends.proxy.local_address());
    expect_equal(ends.served.local_address(), listener.url());
  }
}

BEHAVIOUR("a PROXY header may come a byte at a time, and one that is cut anywhere is truncated", kNetwork) {
  Listener listener = co_await listen("tcp://127.0.0.1:0", behind_proxies());
  for (const std::string& header : {kLine, kFour}) {
    Future<IOStream> accepting = listener.accept();
    IOStream proxy = co_await connect(listener.url());
    for (const char byte : header) {
      co_await proxy.write(std::string(1, byte));
      co_await proxy.flush();
      co_await moment();
    }
    IOStream served = co_await std::move(accepting);
    expect_equal(served.peer_address(), "tcp://192.0.2.1:4711");

    const RecordedLog log;
    for (std::size_t size = 0; size < header.size(); ++size) co_await say(listener, header.substr(0, size), true);
    expect_equal(log.count(LogLevel::info), static_cast<int>(header.size()));
    expect(!log.mentions("broke the protocol"), log.text());
  }
  co_await expect_peer(listener, kLine, "tcp://192.0.2.1:4711", "tcp://198.51.100.2:443");
}

BEHAVIOUR("what is no PROXY header is refused, and the next connection is served", kNetwork) {
  Listener listener = co_await listen("tcp://127.0.0.1:0", behind_proxies());
  const std::string wrong[] = {
      "GET / HTTP/1.1\r\n\r\n",
      "PROXY TCP4 192.0.2.1 198.51.100.2 4711\r\n",
      "PROXY TCP4 192.0.2.1 198.51.100.2 4711 443 \r\n",
      "PROXY TCP4  192.0.2.1 198.51.100.2 4711 443\r\n",
      "PROXY TCP4 192.0.2.1 198.51.100.2 04711 443\r\n",
      "PROXY TCP4 192.0.2.1 198.51.100.2 4711 65536\r\n",
      "PROXY TCP4 192.0.2.256 198.51.100.2 4711 443\r\n",
      "PROXY TCP4 ::1 ::1 4711 443\r\n",
      "PROXY TCP6 192.0.2.1 198.51.100.2 4711 443\r\n",
      "PROXY TCP5 192.0.2.1 198.51.100.2 4711 443\r\n",
      "PROXY UNKNOWN" + std::string(200, 'x'),
      binary('\x11', '\x11', kFour.substr(16)),
      binary('\x22', '\x11', kFour.substr(16)),
      binary('\x21', '\x41', kFour.substr(16)),
      binary('\x21', '\x13', kFour.substr(16)),
      binary('\x21', '\x11', kFour.substr(16, 11)),
      binary('\x21', '\x11', kFour.substr(16) + "\x01\x00\x05no"s),
      binary('\x21', '\x11',
             kFour.substr(16) + "\x04\x13\x88"s + std::string(5000, '\0')),  // well-formed, and too long
  };
  for (const std::string& bytes : wrong) {
    const RecordedLog log;
    co_await say(listener, bytes, true);
    expect(log.count(LogLevel::info) == 1 && log.mentions("the peer broke the protocol"), bytes + log.text());
  }
  co_await expect_peer(listener, kLine, "tcp://192.0.2.1:4711", "tcp://198.51.100.2:443");
}

BEHAVIOUR("a proxy that says nothing is given up at the handshake timeout", kNetwork) {
  const RecordedLog log;
  Listener listener = co_await listen("tcp://127.0.0.1:0", behind_proxies().set_handshake_timeout(5ms));
  co_await say(listener, kLine.substr(0, 20), false);
  expect(log.mentions("the deadline passed"), log.text());
}

BEHAVIOUR("without being asked for, a PROXY header is bytes like any other", kNetwork) {
  Listener listener = co_await listen("tcp://127.0.0.1:0");
  Proxied ends = co_await open(listener, kLine);
  const std::string line = co_await ends.served.read_until("\n");
  expect_equal(line, kLine);
  expect_equal(ends.served.peer_address(), ends.proxy.local_address());
}

BEHAVIOUR("a PROXY header stands below TLS and WebSocket", kNetwork) {
  for (const Carrier& carrier : carriers()) {
    if (!carrier.filter) continue;
    ConnectOptions connecting;
    ListenOptions listening = behind_proxies();
    carrier.secure(connecting, listening);
    Listener listener = co_await listen(carrier.url, std::move(listening));
    Listener proxy = co_await listen("tcp://127.0.0.1:0");
    Future<IOStream> accepting = listener.accept();
    Url front = Url::parse(carrier.url).value();
    front.port = Url::parse(proxy.url()).value().port;
    Future<IOStream> connected = connect(front.to_string(), std::move(connecting));
    IOStream near = co_await proxy.accept();
    IOStream far = co_await connect("tcp://" + Url::parse(listener.url()).value().authority());
    co_await far.write(kFour);
    Future<std::uint64_t> there = pump(near, far);
    Future<std::uint64_t> back = pump(far, near);
    IOStream client = co_await std::move(connected);
    IOStream served = co_await std::move(accepting);
    expect_equal(served.peer_address(), "tcp://192.0.2.1:4711");
    co_await client.write("through all of it\n");
    const std::string line = co_await served.read_until("\n");
    expect_equal(line, "through all of it\n");
  }
}
