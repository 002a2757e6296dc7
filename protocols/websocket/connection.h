// What a WebSocketConnection points at: the codec between messages and a stream, both halves of it.
//
// One coroutine, the pump, reads the stream; everything else happens in plain functions that it and the public operations call.
// None of them calls the program's code: callbacks go through the loop.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocols/websocket/close_code.h"
#include "protocols/websocket/deflate.h"
#include "protocols/websocket/extensions.h"
#include "protocols/websocket/frame.h"
#include "protocols/websocket/keep_alive.h"
#include "protocols/websocket/mask_source.h"
#include "protocols/websocket/utf8.h"
#include "twinloop/ioloop.h"
#include "twinloop/websocket_connection.h"

namespace twinloop {

struct PreparedMessage::Frames {
  std::string plain;
  std::string compressed;  // empty: it was not worth it, or not asked for
  std::size_t header_size = 0;
  int window_bits = 15;  // of `compressed`
  WebSocketKind kind = WebSocketKind::text;
};

namespace detail {

// What the handshake settled.
struct ConnectionSetup {
  explicit ConnectionSetup(Role end) noexcept : role(end) {}

  Role role;
  std::optional<DeflateAgreement> deflate;
  std::string protocol;
  std::string received;  // behind the handshake
  RequestHead head;
};

}  // namespace detail

class WebSocketConnection::Impl final : private detail::OperationBase,
                                        private detail::CloseHook,
                                        private detail::KeepAlive::Owner {
 public:
  Impl(IOStream stream, detail::ConnectionSetup setup, const WebSocketOptions& options);
  ~Impl();

  template <class Message>
  Future<std::optional<Message>> read();

  Future<void> write_message(std::string_view data, WebSocketKind kind);
  Future<void> write_prepared(const std::shared_ptr<const PreparedMessage::Frames>& frames);
  Future<void> write_part(std::string_view data, WebSocketKind kind, bool last);
  Future<void> ping(std::string_view payload);
  Future<void> close(std::uint16_t code, std::string_view reason);
  Future<void> closed();
  void abort() noexcept;

  bool is_closed() const noexcept { return ended_; }
  bool is_closing() const noexcept { return ended_ || close_sent_; }
  std::uint16_t close_code() const noexcept;
  std::error_code error() const noexcept { return failure_.code(); }
  bool compressed() const noexcept { return inflater_ != nullptr; }

  IOStream stream;
  std::string protocol;
  RequestHead head;
  std::string close_reason;
  ControlFunction on_ping;
  ControlFunction on_pong;

 private:
  // Ends a connection whose peer does not answer our Close.
  struct CloseTimer final : detail::Timer {
    explicit CloseTimer(Impl& connection) noexcept : owner(connection) {}
    void fire() override { owner.give_up_closing(); }
    void expire() noexcept override {}
    Impl& owner;
  };

  void on_loop_close() noexcept override;

  bool may_ask_peer() const noexcept override { return !is_closing(); }
  bool hears_peer() const noexcept override { return stream.reading(); }  // not while a message waits that nobody wants
  void ask_peer() override { ping({}).ignore(); }
  void give_peer_up() override;

  static void on_dropped(detail::OperationBase&) noexcept {}
  static void on_deliver(detail::OperationBase& operation, FutureBase& future);
  static constexpr Hooks kReadHooks{&Impl::on_dropped, &Impl::on_deliver};

  static Future<void> pump(Impl& self);
  static Future<void> watch_peer(Impl& self);
  static Future<void> send_late_pong(Impl& self);

  bool takes_data() const noexcept { return pending() || close_sent_; }
  bool may_receive() const noexcept;
  void stir();
  void receive(std::string_view bytes) noexcept;
  void advance();
  bool announces_too_much(std::size_t here) const noexcept;
  void take_payload(const detail::FrameStep& step);
  void take_whole(std::string_view payload);
  bool assemble(std::string_view piece);
  bool finish_message();
  bool inflated(detail::Inflated outcome);
  bool check_text(std::size_t from);
  void complete_message(std::string_view message);
  void deliver(FutureBase& future);
  void release_view() noexcept;
  bool is_text() const noexcept { return parser_.message_opcode() == detail::Opcode::text; }

  void take_control();
  void take_ping(std::string_view payload);
  void take_close();
  void call(const ControlFunction& function, std::string_view payload);

  Failure write_refusal() const;
  bool has_room(std::size_t count) const noexcept;
  Failure no_room(std::size_t count) const;
  Future<void> send_frame(detail::FrameHeader header, std::string_view payload);
  void send_control(detail::Opcode opcode, std::string_view payload);
  void send_close(std::uint16_t code, std::string_view reason);

  Failure failure(Errc reason, std::string_view why) const;
  void refuse(std::uint16_t code, Errc reason, std::string_view why);
  void lose(std::error_code error);
  void end(Failure failure);
  void settle_closed();
  void give_up_closing();

  IOLoop& loop_;
  const std::size_t max_message_;
  const std::size_t max_write_buffer_;
  const Duration close_timeout_;
  detail::FrameParser parser_;
  std::unique_ptr<detail::MaskSource> masks_;  // a client's
  std::unique_ptr<detail::Deflater> deflater_;
  std::unique_ptr<detail::Inflater> inflater_;
  std::size_t deflate_from_ = 0;  // bytes
  int deflate_bits_ = 0;

  std::string initial_;    // received behind the handshake; later the stream keeps what is received
  std::span<char> rest_;   // of it, not parsed
  std::string assembled_;  // a message that did not come in one piece, as far as it is here
  std::string_view message_;
  detail::Utf8Checker incoming_text_;
  detail::Utf8Checker outgoing_text_;  // of a message in parts
  Promise<void> wake_;                 // the pump's, while there is nothing to read

  Failure failure_;
  std::vector<Promise<void>> closed_;
  std::vector<Promise<void>> closing_;
  std::string late_pong_payload_;
  CloseTimer close_timer_{*this};
  std::unique_ptr<detail::KeepAlive> keep_alive_;
  std::uint16_t peer_code_ = 0;
  detail::Role role_;
  WebSocketKind message_kind_ = WebSocketKind::binary;
  WebSocketKind part_kind_ = WebSocketKind::binary;
  bool as_view_ = false;
  bool message_ready_ = false;
  bool view_out_ = false;  // the program looks at message_
  bool in_parts_ = false;  // a message of ours has begun whose last part has not come
  bool pong_due_ = false;
  bool close_sent_ = false;
  bool peer_gone_ = false;
  bool ended_ = false;

  Future<void> late_pong_;
  Future<void> watching_;
  Future<void> pumping_;
};

}  // namespace twinloop
