// How a connection ends before it has begun: what happens during connect and the handshakes of the filters, to the one who connects
// and to the one who listens.  The second table of docs/guide/closing.md, cell by cell.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "carriers.h"
#include "fixtures.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

enum class Event { closes, half_closes, resets, sends_garbage, trickles, stays_silent };

constexpr std::pair<Event, const char*> kEvents[] = {
    {Event::closes, "closes"},
    {Event::half_closes, "half-closes"},
    {Event::resets, "resets"},
    {Event::sends_garbage, "sends garbage"},
    {Event::trickles, "sends a byte at a time and never all"},
    {Event::stays_silent, "stays silent"},
};

Errc outcome_of(Event event) {
  switch (event) {
    case Event::closes:
    case Event::half_closes:
      return Errc::truncated;
    case Event::resets:
      return Errc::reset;
    case Event::sends_garbage:
      return Errc::protocol;
    case Event::trickles:
    case Event::stays_silent:
      break;
  }
  return Errc::timeout;
}

void happen(Event event, IOStream& peer) {
  switch (event) {
    case Event::closes:
      return peer.close();
    case Event::half_closes:
      return peer.shutdown_write().ignore();
    case Event::resets:
      return peer.abort();
    case Event::sends_garbage:
      return peer.write(std::string(64, '\xff') + "\r\n\r\n").ignore();
    case Event::trickles:
    case Event::stays_silent:
      return;
  }
}

enum class Side { connects, accepts };

// How a message begins that the handshake may go on with, and that needs many more bytes.
std::string beginning_of(const Carrier& carrier, Side who_waits) {
  const std::string_view scheme = carrier.name;
  if (scheme != "ws") return std::string("\x16\x03\x03\x40\x00\x02", 6);
  return who_waits == Side::connects ? "HTTP/1.1 101 Switching" : "GET /";
}

Future<void> trickle(IOStream& peer, std::string beginning) {
  for (std::size_t i = 0;; ++i) {
    const Result<void> sent = co_await as_result(peer.write(beginning.substr(std::min(i, beginning.size() - 1), 1)));
    if (!sent.ok()) co_return;
    co_await sleep_for(1ms);  // its pace
  }
}

std::string url_at(const Carrier& carrier, const Listener& listener) {
  Url url = Url::parse(carrier.url).value();
  url.port = Url::parse(listener.url()).value().port;
  return url.to_string();
}

bool takes_for_ever(Event event) { return event == Event::trickles || event == Event::stays_silent; }
Duration limit_for(Event event) { return takes_for_ever(event) ? Duration(50ms) : Duration(20s); }

// A plain TCP peer that never finishes the handshake which connect() begins.
Future<void> fail_the_connecting(const Carrier& carrier, Event event) {
  ConnectOptions connecting;
  ListenOptions listening;
  carrier.secure(connecting, listening);
  connecting.set_timeout(limit_for(event));
  Listener listener = co_await listen("tcp://127.0.0.1:0");
  const std::string url = url_at(carrier, listener);
  Future<IOStream> connected = connect(url, std::move(connecting));
  IOStream peer = co_await listener.accept();
  co_await peer.peek(1);  // the handshake has begun
  happen(event, peer);
  Future<void> trickling;
  if (event == Event::trickles) trickling = trickle(peer, beginning_of(carrier, Side::connects));
  const Result<IOStream> result = co_await as_result(std::move(connected));
  expect(!result.ok(), "it fails");
  expect(result.reason() == outcome_of(event), result.failure().message());
  const std::string where = Url::parse(url).value().authority();
  expect(result.failure().message().find(where) != std::string::npos, result.failure().message());
  co_await peer.peer_ended();  // nothing stays open
}

Future<void> greet(IOStream stream) {
  co_await stream.write("hello");
  co_await stream.finish();
}

// A plain TCP peer that never finishes the handshake which accept() takes for granted: the next one is served all the same.
Future<void> fail_the_accepting(const Carrier& carrier, Event event) {
  ConnectOptions connecting;
  ListenOptions listening;
  carrier.secure(connecting, listening);
  listening.set_handshake_timeout(limit_for(event));
  Listener listener = co_await listen(carrier.url, std::move(listening));
  const std::string url = listener.url();
  Future<IOStream> accepted = listener.accept();
  const RecordedLog log;
  IOStream peer = co_await connect("tcp://" + Url::parse(url).value().authority());
  happen(event, peer);
  Future<void> trickling;
  if (event == Event::trickles) trickling = trickle(peer, beginning_of(carrier, Side::accepts));
  co_await peer.peer_ended();
  const TimePoint late = IOLoop::current().after(20s);  // then the log says what did happen
  while (!log.mentions("handshake") && IOLoop::current().clock() < late) co_await sleep_for(1ms);
  expect(log.mentions("failed"), "it is logged: " + log.text());
  expect(!accepted.done(), "and nobody else hears of it");
  IOStream ours = co_await connect(url, std::move(connecting));
  IOStream next = co_await std::move(accepted);
  Future<void> greeting = greet(std::move(next));
  const std::string words = co_await ours.read_until_close();
  expect_equal(words, "hello");
  ours.close();
  co_await std::move(greeting);
}

// Everything that a conversation does, from connect to the end.
Future<void> converse(const Carrier& carrier, std::string url) {
  ConnectOptions connecting;
  ListenOptions listening;
  carrier.secure(connecting, listening);
  Listener listener = co_await listen(std::move(url), std::move(listening));
  Future<IOStream> accepting = listener.accept();
  IOStream ours = co_await connect(listener.url(), std::move(connecting));
  IOStream peer = co_await std::move(accepting);
  Future<std::string> reading = peer.read_until("\n");
  co_await ours.write_borrowed("one line\n");
  const std::string line = co_await std::move(reading);
  expect_equal(line, "one line\n");
  co_await peer.write(std::string(50'000, 'x'));
  co_await ours.read_bytes(20'000);
  co_await ours.peek(10'000);
  co_await ours.read_some_view();
  co_await ours.shutdown_write();
  co_await peer.peer_ended();
  co_await peer.finish();
}

Future<void> cancel_conversations(const Carrier& carrier) {
  const std::string url = carrier.url != nullptr ? carrier.url : "pair:conversation";
  const auto program = [&] { return converse(carrier, url); };
  const std::size_t cancelled = co_await cancel_everywhere(program);
  expect(cancelled >= 5, "it has places to be cancelled at: " + std::to_string(cancelled));
}

const std::vector<std::unique_ptr<Registration>> registered = [] {
  std::vector<std::unique_ptr<Registration>> all;
  const auto add = [&](std::string sentence, const Carrier& carrier, std::function<Future<void>()> run) {
    all.push_back(std::make_unique<Registration>(sentence + carrier.name, carrier.needs, std::move(run)));
  };
  for (const Carrier& carrier : carriers()) {
    add("beginning: a conversation can be cancelled at every step from connect on, over ", carrier,
        [&carrier] { return cancel_conversations(carrier); });
    for (const auto& [event, words] : kEvents) {
      if (!carrier.filter) continue;
      const std::string who = std::string("the peer ") + words + " in the handshake, ";
      add("beginning: " + who + "of connect over ", carrier,
          [&carrier, what = event] { return fail_the_connecting(carrier, what); });
      add("beginning: " + who + "of accept over ", carrier,
          [&carrier, what = event] { return fail_the_accepting(carrier, what); });
    }
  }
  return all;
}();

}  // namespace

// ---- between connect and accept

namespace {

Future<void> accept_who_has_left(const Carrier& carrier) {
  Listener listener = co_await listen(carrier.url);
  for (const bool hard : {false, true}) {
    IOStream client = co_await connect(listener.url());
    co_await client.write("left");
    co_await client.flush();
    if (hard)
      client.abort();
    else
      client.close();
    IOStream server = co_await listener.accept();
    co_await server.peer_ended();
    const bool reset = hard && carrier.resets;
    Result<std::string> last = co_await as_result(server.read_bytes(4));
    expect(last.ok() ? *last == "left" : reset, "a reset may take away what had not been read");
    co_await expect_failure(server.read_bytes(1), reset ? Errc::reset : Errc::end);
    expect(server.is_closed() == reset, "an end leaves our side open");
  }
}

}  // namespace

BEHAVIOUR("a peer that has left before it is accepted has its end told, or its reset", Needs::tcp | Needs::listen) {
  co_await try_over(is_plain, &accept_who_has_left);
}
