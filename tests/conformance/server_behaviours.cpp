// TCPServer: one handler, many listeners, a limit and an end in order.  (Over `pair:` it runs everywhere, in a browser too.)
#include <optional>
#include <string>
#include <vector>

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

BEHAVIOUR("a server with max_connections serves the next one when one has ended", Needs::nothing) {
  TCPServer server(echo_lines, ServerOptions().set_max_connections(2));
  co_await server.listen("pair:limited");
  IOStream first = co_await connect("pair:limited");
  IOStream second = co_await connect("pair:limited");
  IOStream third = co_await connect("pair:limited");
  IOStream fourth = co_await connect("pair:limited");
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

BEHAVIOUR("drain waits until the handlers have ended by themselves", Needs::nothing) {
  TCPServer server(echo_then_linger);
  co_await server.listen("pair:draining");
  IOStream client = co_await connect("pair:draining");
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

BEHAVIOUR("at its limit drain cancels the handlers that are left, and what they accepted still goes out",
          Needs::nothing) {
  TCPServer server(echo_lines);
  TCPServer other(echo_lines);
  co_await server.listen("pair:stubborn");
  co_await other.listen("pair:bystander");
  IOStream client = co_await connect("pair:stubborn");
  IOStream bystander = co_await connect("pair:bystander");
  co_await ask(bystander, "1\n");
  co_await ask(client, "1\n");
  co_await client.write("2\n");
  co_await server.drain(5ms);
  expect_equal(server.stats().open, 0u);
  const std::string rest = co_await client.read_until_close();
  expect_equal(rest, "2\n");
  const std::string answer = co_await ask(bystander, "still here\n");
  expect_equal(answer, "still here\n");
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
