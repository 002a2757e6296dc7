// EventStream: server-sent events, for a page's EventSource.
//
//   Future<void> get() override {
//     EventStream events(*this);
//     for (;;) co_await events.send(co_await next_price());
//   }
//
// It ends when the client goes: the handler's coroutine is then dropped where it waits, and on_connection_close() follows.
#pragma once

#include <string>
#include <string_view>

#include "twinloop/periodic.h"
#include "twinloop/request_handler.h"

namespace twinloop {

// What EventSource calls a message, with all that it can carry.
class ServerEvent {
 public:
  explicit ServerEvent(std::string data) : data_(std::move(data)) {}
  ServerEvent& set_event(std::string name) { return event_ = std::move(name), *this; }
  // "message" to the page when it has none.
  ServerEvent& set_id(std::string id) { return id_ = std::move(id), *this; }
  // What the client sends as Last-Event-ID when it connects again.
  ServerEvent& set_retry(std::chrono::milliseconds wait) { return retry_ = wait, *this; }
  // How long it waits before it does.

  std::string to_string() const;
  // As on the wire.  Throws Error(protocol) for a name or an id with a line break in it; data may have any number.

 private:
  std::string data_;
  std::string event_;
  std::optional<std::string> id_;
  std::optional<std::chrono::milliseconds> retry_;
};

class EventStream {
 public:
  explicit EventStream(RequestHandler& handler, Duration keep_alive = std::chrono::seconds(15));
  // Sets the response's headers, and asks for cancellation when the client goes.  After `keep_alive` without an event a comment is
  // sent, so that proxies do not cut the connection and a client that vanished is noticed by its silence; zero: never.
  EventStream(const EventStream&) = delete;
  EventStream& operator=(const EventStream&) = delete;
  ~EventStream();

  Future<void> open();
  // Sends the headers, so that the client knows before the first event.  send() does it otherwise.
  Future<void> send(std::string_view data);
  Future<void> send(const ServerEvent& event);
  // Completes when it is accepted: a slow client holds the producer back.  Fails with StreamClosedError once the client has gone.

  std::string last_event_id() const;
  // What the client has seen before it connected again; "" for nothing.

 private:
  Future<void> transmit(std::string_view text);
  void keep_alive();

  RequestHandler& handler_;
  TimePoint last_sent_;
  Duration interval_;
  PeriodicCallback timer_;
  Future<void> comment_;
};

}  // namespace twinloop
