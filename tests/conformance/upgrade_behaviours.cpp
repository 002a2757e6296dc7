// What the two ends of a WebSocket's bytes know of how it began: IOStream::websocket().
#include <string>
#include <utility>

#include "carriers.h"
#include "twinloop/websocket.h"

namespace twinloop::testing {
namespace {

constexpr Needs kNetwork = Needs::tcp | Needs::listen;

bool all(const Carrier&) { return true; }

Future<Ends> upgrade(const Carrier& carrier, ConnectOptions connecting, ListenOptions listening, std::string target) {
  carrier.secure(connecting, listening);
  Listener listener = co_await listen(carrier.url, std::move(listening));
  Future<IOStream> accepting = listener.accept();
  Url url = Url::parse(listener.url()).value();
  url.path = std::move(target);
  IOStream ours = co_await connect(url.to_string(), std::move(connecting));
  IOStream peer = co_await std::move(accepting);
  co_return Ends{std::move(ours), std::move(peer)};
}

std::string all_of(const WebSocketSession& session, std::string_view name) {
  std::string values;
  for (const auto& [key, value] : session.headers()) {
    if (key == name) values.append(value).append(";");
  }
  return values;
}

Future<void> expect_request_over(const Carrier& carrier) {
  const ConnectOptions asking = ConnectOptions()
                                    .add_header("X-Seat", "2")
                                    .add_header("X-Empty", "")
                                    .add_header("Cookie", "a=1")
                                    .add_header("Cookie", "b: 2");
  Ends ends = co_await upgrade(carrier, asking, {}, "/room?seat=2");
  const WebSocketSession* asked = ends.peer.websocket();
  expect(asked != nullptr, "the server sees the request");
  expect_equal(asked->target(), "/room?seat=2");
  expect_equal(asked->header("x-seat").value_or("none"), "2");
  expect_equal(asked->header("X-Empty").value_or("none"), "");
  expect_equal(asked->header("Upgrade").value_or("none"), "websocket");
  expect_equal(asked->header("Origin").value_or("none"), "none");
  expect_equal(all_of(*asked, "Cookie"), "a=1;b: 2;");
}

Future<void> expect_answer_over(const Carrier& carrier) {
  Ends ends = co_await upgrade(carrier, {}, {}, "/room");
  const WebSocketSession* answered = ends.ours.websocket();
  expect(answered != nullptr, "the client sees the answer");
  expect_equal(answered->target(), "");
  expect_equal(answered->header("connection").value_or("none"), "Upgrade");
  expect_equal(answered->header("Host").value_or("none"), "none");
}

Future<void> expect_subprotocol_over(const Carrier& carrier) {
  const ConnectOptions offering = ConnectOptions().add_protocol("chess").add_protocol("go");
  ListenOptions speaking = ListenOptions().add_protocol("go").add_protocol("chess");
  Ends ends = co_await upgrade(carrier, offering, std::move(speaking), "/");
  expect_equal(ends.peer.websocket()->selected_subprotocol(), "go");
  expect_equal(ends.ours.websocket()->selected_subprotocol(), "go");
  Ends silent = co_await upgrade(carrier, {}, ListenOptions().add_protocol("go"), "/");
  expect_equal(silent.peer.websocket()->selected_subprotocol(), "");
  expect_equal(silent.ours.websocket()->selected_subprotocol(), "");
}

Future<void> expect_only_in_websockets(const Carrier& carrier) {
  Ends ends = co_await open_ends(carrier, {});
  expect_equal(ends.ours.websocket() != nullptr, is_websocket(carrier));
  expect_equal(ends.peer.websocket() != nullptr, is_websocket(carrier));
  ends.ours.close();
  expect(ends.ours.websocket() == nullptr, "it goes with the stream");
}

Future<void> expect_passed_on_over(const Carrier& carrier) {
  Ends ends = co_await upgrade(carrier, {}, {}, "/below");
  std::string unread;
  std::unique_ptr<Transport> below = ends.peer.detach(unread);
  const IOStream above(make_faulty_transport(std::move(below), Faults()));
  expect(above.websocket() != nullptr, "the transport on top passes it on");
  expect_equal(above.websocket()->target(), "/below");
}

}  // namespace

BEHAVIOUR("a WebSocket's server sees the path, the query and the headers that were asked for", kNetwork) {
  co_await try_over(&is_websocket, &expect_request_over);
}

BEHAVIOUR("a WebSocket's client sees the headers of the answer", kNetwork) {
  co_await try_over(&is_websocket, &expect_answer_over);
}

BEHAVIOUR("both ends of a WebSocket see the subprotocol that was agreed, or that none was", kNetwork) {
  co_await try_over(&is_websocket, &expect_subprotocol_over);
}

BEHAVIOUR("only a stream inside a WebSocket tells how one began, and only while it is open", kNetwork) {
  co_await try_over(&all, &expect_only_in_websockets);
}

BEHAVIOUR("what stands on a WebSocket passes on how it began", kNetwork) {
  co_await try_over(&is_websocket, &expect_passed_on_over);
}

}  // namespace twinloop::testing
