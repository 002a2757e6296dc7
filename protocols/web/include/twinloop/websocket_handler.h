// WebSocketHandler: a route of a web application that speaks WebSocket (Tornado's).  A program derives from it and overrides
// on_message; an object is made for each connection.
//
//   class Shouting : public WebSocketHandler {
//     Future<void> on_message(WebSocketMessage message) override {
//       co_await write_message(upper(message.data));
//     }
//   };
//   app.add<Shouting>("/shout");
//
// prepare(), arguments, cookies and the user are the request's, as in any handler: prepare() may refuse.  Then come the handshake,
// open(), on_message() for one message after the other, never two at a time, and on_close() once.  What is not read here is not read
// from the client: a slow handler holds its client back.
//
// What open() or on_message() throws is logged, and the client is told 1011.  When the application drains, it is told 1001, or 503
// where the handshake is still to come.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "twinloop/web.h"
#include "twinloop/websocket_connection.h"

namespace twinloop {

class WebSocketHandler : public RequestHandler {
 public:
  // ---- what a program overrides

  virtual Future<void> open();
  // The connection is there.  No message is read before it has ended.
  virtual Future<void> on_message(WebSocketMessage message) = 0;
  virtual void on_close();
  // Once, behind every open() but where the loop closes: the connection has ended, close_code() and close_reason() say how (1006 where there was no Close, also
  // when drain() cuts it off at its limit).  It is called at once when the client goes while open() or
  // on_message() waits for something; their writes then fail, and nothing is called any more.  Where
  // set_cancel_on_connection_close(true) was asked for, they are dropped behind it.
  virtual void on_ping(std::string payload);
  virtual void on_pong(std::string payload);

  virtual bool check_origin(std::string_view origin);
  // Whether a page from there may connect: by default those of this host, and those that websocket_options() names.  False: 403.
  // Programs that are no page send no Origin and are not asked.
  virtual std::string select_subprotocol(const std::vector<std::string>& offered);
  // One of those that the client offers, or "": none.  By default the first of websocket_options() that it offers.
  virtual std::optional<WebSocketCompression> get_compression_options();
  // No value, the default: nothing is compressed.
  virtual WebSocketOptions websocket_options();
  // Limits, pings, timeouts.

  // ---- from open() on

  WebSocketConnection& connection() noexcept { return connection_; }
  // Reading is the handler's own.
  Future<void> write_message(std::string_view data, WebSocketKind kind = WebSocketKind::text);
  Future<void> write_message(const PreparedMessage& message);
  Future<void> ping(std::string_view payload = {});
  Future<void> close(std::uint16_t code = 1000, std::string_view reason = {});
  // As WebSocketConnection's.  In on_message do not await close(): the client's answer is read behind it.
  const std::string& selected_subprotocol() const noexcept { return connection_.selected_subprotocol(); }
  std::uint16_t close_code() const noexcept;
  const std::string& close_reason() const noexcept { return connection_.close_reason(); }

  Future<void> get() final;
  Future<void> head() final;
  void on_drain() override;

 private:
  class Ending;

  Future<void> refuse(const std::string& status, const std::string& why);
  Future<bool> shake_hands();
  Future<void> talk();
  Future<void> run_open();
  Future<void> run_message(WebSocketMessage message);
  Future<bool> succeeded(Future<void> work);
  Future<void> tell_of_the_end();
  void tell_close() noexcept;
  void say_going_away();

  WebSocketConnection connection_;
  Future<void> work_;  // open() or on_message()
  bool busy_ = false;
  bool told_ = false;
  bool draining_ = false;
  Future<void> watching_;
};

}  // namespace twinloop
