// TCPServer: one handler, many listeners, a limit and an end in order.  (Over `pair:` it runs everywhere, in a browser too.)
#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "carriers.h"
#include "fixtures.h"
#include "twinloop/tcpserver.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kNetwork = Needs::tcp | Needs::listen;

Future<void> echo_lines(IOStream stream) {
  for (;;) {
    const std::string line = co_await stream.read_until("\n");
    if (line == "fail\n") throw_error(Errc::limit, "as it was told");
    co_await stream.write(line);
  }
}

// Takes its time to end after the peer has.
Future<void> echo_then_linger(IOStream stream) {
  const std::string line = co_await stream.read_until("\n");
  co_await stream.peer_ended();
  co_await sleep_for(20ms);
  co_await stream.write(line);
}

Future<std::string> ask(IOStream& stream, std::string line) {
  co_await stream.write(std::move(line));
  co_return co_await stream.read_until("\n");
}

Future<void> until_open(const TCPServer& server, std::size_t count) {
  while (server.stats().open != count) co_await sleep_for(1ms);
}

}  // namespace

BEHAVIOUR("a server serves several listeners of several kinds with one handler", kNetwork) {
  TCPServer server(echo_lines);
  for (const char* url : {"tcp://127.0.0.1:0", "ws://127.0.0.1:0/lines", "pair:several"}) co_await server.listen(url);
  const std::vector<std::string> urls = server.urls();
  expect_equal(urls.size(), 3u);
  std::vector<IOStream> clients;
  for (const std::string& url : urls) {
    clients.push_back(co_await connect(url));
    const std::string answer = co_await ask(clients.back(), url + "\n");
    expect_equal(answer, url + "\n");
  }
  expect_equal(server.stats().accepted, 3u);
  expect_equal(server.stats().open, 3u);
  clients.clear();
  co_await until_open(server, 0);
}

BEHAVIOUR("a handler that fails is logged and ends its own connection only", Needs::nothing) {
  const RecordedLog log;
  TCPServer server(echo_lines);
  co_await server.listen("pair:failing");
  IOStream well = co_await connect("pair:failing");
  IOStream ill = co_await connect("pair:failing");
  co_await ill.write("fail\n");
  const std::string nothing = co_await ill.read_until_close();
  expect_equal(nothing, "");
  expect(log.mentions("a handler of pair:failing"), log.text());
  expect(log.mentions("as it was told"), log.text());
  const std::string answer = co_await ask(well, "still here\n");
  expect_equal(answer, "still here\n");
}

namespace {

// Listens there, and gives what connects to it.
Future<std::function<Future<IOStream>()>> open_door(TCPServer& server, const Carrier& carrier) {
  ConnectOptions connecting;
  ListenOptions listening;
  carrier.secure(connecting, listening);
  std::string url = co_await server.listen(carrier.url != nullptr ? carrier.url : "pair:door", std::move(listening));
  co_return [url, connecting] { return connect(url, connecting); };
}

bool is_any(const Carrier&) { return true; }
bool is_pair(const Carrier& carrier) { return carrier.url == nullptr; }

Future<void> try_limit(const Carrier& carrier) {
  TCPServer server(echo_lines, ServerOptions().set_max_connections(2));
  const std::function<Future<IOStream>()> come = co_await open_door(server, carrier);
  IOStream first = co_await come();
  IOStream second = co_await come();
  co_await until_open(server, 2);
  IOStream third = co_await come();
  IOStream fourth = co_await come();
  co_await ask(first, "1\n");
  co_await ask(second, "2\n");
  co_await third.write("3\n");
  Future<std::string> waiting = third.read_until("\n");
  co_await sleep_for(5ms);
  expect(!waiting.done(), "the third waits");
  expect_equal(server.stats().open, 2u);
  first.close();
  const std::string answer = co_await std::move(waiting);
  expect_equal(answer, "3\n");
  expect_equal(server.stats().open, 2u);
  second.close();
  third.close();
  co_await ask(fourth, "4\n");
  expect_equal(server.stats().accepted, 4u);
}

}  // namespace

BEHAVIOUR("a server with max_connections serves the next one when one has ended", Needs::nothing) {
  co_await try_over(is_pair, try_limit);
}
BEHAVIOUR("a server with max_connections serves the next one when one has ended, over every carrier", kNetwork) {
  co_await try_over(is_any, try_limit);
}

BEHAVIOUR("beyond max_handshakes a connection waits until a handshake has ended, and one warning says so", kNetwork) {
  const RecordedLog log;
  Listener listener = co_await listen("ws://127.0.0.1:0/", ListenOptions().set_max_handshakes(2));
  const std::string raw = "tcp://" + Url::parse(listener.url()).value().authority();
  Future<IOStream> accepting = listener.accept();
  IOStream silent = co_await connect(raw);
  const IOStream other = co_await connect(raw);
  while (!log.mentions("max_handshakes")) co_await sleep_for(1ms);
  Future<IOStream> third = connect(listener.url());
  co_await sleep_for(5ms);
  expect(!third.done(), "it waits");
  silent.close();
  IOStream client = co_await std::move(third);
  const IOStream served = co_await std::move(accepting);
  expect_equal(log.count(LogLevel::warning), 1);
}

BEHAVIOUR("a listener whose connections nobody takes shakes hands with sixteen, and with the rest when they are taken",
          kNetwork) {
  Listener listener = co_await listen("ws://127.0.0.1:0/");
  std::vector<Future<IOStream>> clients;
  for (int i = 0; i < 40; ++i) clients.push_back(connect(listener.url()));
  const auto connected = [&clients] {
    return std::count_if(clients.begin(), clients.end(), [](const Future<IOStream>& each) { return each.done(); });
  };
  while (connected() < 16) co_await sleep_for(1ms);
  co_await sleep_for(10ms);
  expect_equal(connected(), 16);
  std::vector<IOStream> served;
  while (served.size() < clients.size()) served.push_back(co_await listener.accept());
  for (Future<IOStream>& each : clients) co_await std::move(each);
}

BEHAVIOUR("a server that stops refuses newcomers, and its connections go on", Needs::nothing) {
  TCPServer server(echo_lines);
  co_await server.listen("pair:stopping");
  IOStream client = co_await connect("pair:stopping");
  co_await ask(client, "before\n");
  Future<void> stopped = server.stopped();
  expect(!stopped.done(), "it runs");
  server.stop();
  co_await std::move(stopped);
  const Result<IOStream> late = co_await as_result(connect("pair:stopping"));
  expect(late.reason() == Errc::refused, "nobody listens");
  const std::string answer = co_await ask(client, "after\n");
  expect_equal(answer, "after\n");

  co_await server.listen("pair:stopping");  // and it may start again
  IOStream again = co_await connect("pair:stopping");
  co_await ask(again, "again\n");
}

namespace {

Future<void> stop_at_once(TCPServer& server, IOStream stream) {
  server.stop();
  co_await stream.write("stopped\n");
}

Future<void> destroy_at_once(std::optional<TCPServer>& server, IOStream stream) {
  server.reset();
  co_await stream.write("destroyed\n");
}

Future<void> stop_and_go_on(std::optional<TCPServer>& server, IOStream stream) {
  server->stop();
  co_await echo_lines(std::move(stream));
}

}  // namespace

BEHAVIOUR("a handler may stop its server before its first co_await, with others waiting to be accepted",
          Needs::nothing) {
  TCPServer* self = nullptr;
  TCPServer server([&self](IOStream stream) { return stop_at_once(*self, std::move(stream)); });
  self = &server;
  co_await server.listen("pair:stopped-at-once");
  IOStream client = co_await connect("pair:stopped-at-once");
  IOStream unserved = co_await connect("pair:stopped-at-once");
  const std::string answer = co_await client.read_until_close();
  expect_equal(answer, "stopped\n");
  const std::string nothing = co_await unserved.read_until_close();
  expect_equal(nothing, "");
  expect_equal(server.stats().accepted, 1u);
}

BEHAVIOUR("a handler may destroy its server before its first co_await", Needs::nothing) {
  std::optional<TCPServer> server;
  server.emplace([&server](IOStream stream) { return destroy_at_once(server, std::move(stream)); });
  Listener listener = co_await listen("pair:destroyed-at-once");
  IOStream client = co_await connect("pair:destroyed-at-once");
  co_await sleep_for(1ms);  // the connection is there when the server is given the listener
  server->add(std::move(listener));
  const std::string answer = co_await client.read_until_close();
  expect_equal(answer, "destroyed\n");
}

BEHAVIOUR("a handler stops its server twice while forty clients wait, and nobody is left half accepted", kNetwork) {
  std::optional<TCPServer> server;
  server.emplace([&server](IOStream stream) { return stop_and_go_on(server, std::move(stream)); });
  const std::string url = co_await server->listen("tcp://127.0.0.1:0");
  std::vector<IOStream> clients;
  std::vector<Future<IOStream>> connecting;
  connecting.reserve(40);
  for (int i = 0; i < 40; ++i) connecting.push_back(connect(url));
  for (Future<IOStream>& each : connecting) {
    Result<IOStream> client = co_await as_result(std::move(each));
    if (client.ok()) clients.push_back(std::move(*client));
  }
  std::size_t served = 0;
  for (IOStream& client : clients) {
    const Result<std::string> answer = co_await as_result(ask(client, "still here\n"));
    served += answer.ok() ? 1 : 0;
  }
  expect(served > 0, "the one that stopped it goes on");
  expect_equal(served, server->stats().open);
  server->stop();
}

BEHAVIOUR("a listener that was opened elsewhere is served like the server's own", Needs::nothing) {
  TCPServer server(echo_lines);
  Listener listener = co_await listen("pair:elsewhere");
  const std::string url = server.add(std::move(listener));
  expect_equal(url, "pair:elsewhere");
  IOStream client = co_await connect(url);
  co_await ask(client, "1\n");
}

BEHAVIOUR("the connections of a server that is destroyed go on", Needs::nothing) {
  std::optional<TCPServer> server(std::in_place, echo_lines);
  co_await server->listen("pair:destroyed");
  IOStream client = co_await connect("pair:destroyed");
  co_await ask(client, "before\n");
  server.reset();
  const std::string answer = co_await ask(client, "after\n");
  expect_equal(answer, "after\n");
}

namespace {

Future<void> try_drain(const Carrier& carrier) {
  TCPServer server(echo_then_linger);
  const std::function<Future<IOStream>()> come = co_await open_door(server, carrier);
  IOStream client = co_await come();
  co_await client.write("a line\n");
  co_await until_open(server, 1);
  Future<void> draining = server.drain(10s);
  co_await client.shutdown_write();
  co_await std::move(draining);
  expect_equal(server.stats().open, 0u);
  const std::string answer = co_await client.read_until_close();
  expect_equal(answer, "a line\n");
  co_await server.drain(0s);  // nobody is left: at once
}

// Behind the line that it echoes it waits for ever.
Future<void> echo_and_stay(IOStream stream) {
  const std::string line = co_await stream.read_until("\n");
  co_await stream.write(line);
  co_await stream.write("and more\n");
  co_await stream.closed();
}

Future<void> try_drain_at_its_limit(const Carrier& carrier) {
  TCPServer server(echo_and_stay);
  TCPServer other(echo_lines);
  const std::function<Future<IOStream>()> come = co_await open_door(server, carrier);
  const std::string elsewhere = co_await other.listen("pair:bystander");
  IOStream client = co_await come();
  IOStream bystander = co_await connect(elsewhere);
  co_await ask(bystander, "1\n");
  co_await ask(client, "1\n");
  co_await server.drain(5ms);
  expect_equal(server.stats().open, 0u);
  const std::string rest = co_await client.read_until_close();
  expect_equal(rest, "and more\n");
  const std::string answer = co_await ask(bystander, "still here\n");
  expect_equal(answer, "still here\n");
}

Future<void> in_turn(bool (*those)(const Carrier&), Future<void> (*trial)(const Carrier&)) {
  for (const Carrier& carrier : carriers()) {
    if (those(carrier)) co_await trial(carrier);
  }
}

}  // namespace

BEHAVIOUR("drain waits until the handlers have ended by themselves", Needs::nothing) {
  co_await in_turn(is_pair, try_drain);
}
BEHAVIOUR("drain waits until the handlers have ended by themselves, over every carrier", kNetwork) {
  co_await in_turn(is_any, try_drain);
}

BEHAVIOUR("at its limit drain cancels the handlers that are left, and what they accepted still goes out",
          Needs::nothing) {
  co_await in_turn(is_pair, try_drain_at_its_limit);
}
BEHAVIOUR("at its limit drain cancels the handlers that are left, and what they accepted goes out over every carrier",
          kNetwork) {
  co_await in_turn(is_any, try_drain_at_its_limit);
}

namespace {

Future<void> drain_from_inside(TCPServer& server, IOStream stream) {
  const std::string line = co_await stream.read_until("\n");
  if (line == "drain\n") co_await server.drain(5ms);
  co_await stream.write("not reached\n");
}

}  // namespace

BEHAVIOUR("a handler may drain its own server, and is then cancelled itself", Needs::nothing) {
  TCPServer* self = nullptr;
  TCPServer server([&self](IOStream stream) { return drain_from_inside(*self, std::move(stream)); });
  self = &server;
  co_await server.listen("pair:inside");
  IOStream client = co_await connect("pair:inside");
  co_await client.write("drain\n");
  const std::string rest = co_await client.read_until_close();
  expect_equal(rest, "");
  co_await until_open(server, 0);
}

BEHAVIOUR("a drain that is dropped cancels nobody", Needs::nothing) {
  TCPServer server(echo_lines);
  co_await server.listen("pair:dropped");
  IOStream client = co_await connect("pair:dropped");
  co_await ask(client, "1\n");
  {
    const Future<void> draining = server.drain(1ms);
    expect(!draining.done(), "somebody is there");
  }
  co_await sleep_for(5ms);
  const std::string answer = co_await ask(client, "2\n");
  expect_equal(answer, "2\n");
}

BEHAVIOUR("a listener that cannot be opened fails listen, and the others go on", Needs::nothing) {
  TCPServer server(echo_lines);
  co_await server.listen("pair:one");
  const Result<std::string> taken = co_await as_result(server.listen("pair:one"));
  expect(taken.reason() == Errc::in_use, "somebody listens there");
  expect_equal(server.urls().size(), 1u);
  IOStream client = co_await connect("pair:one");
  co_await ask(client, "1\n");
}
