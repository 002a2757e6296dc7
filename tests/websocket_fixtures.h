// What the tests of protocols/websocket share.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "protocols/websocket/close_code.h"
#include "protocols/websocket/frame.h"
#include "twinloop/ioloop.h"
#include "twinloop/iostream.h"
#include "twinloop/testing.h"
#include "twinloop/websocket_connection.h"

namespace twinloop::websocket_test {

using detail::FrameHeader;
using detail::kMaxFrameHeader;
using detail::Opcode;

// A hang is an error at once: this loop refuses to sleep for ever.
inline void run(Future<void> (*work)()) {
  IOLoop loop(std::make_unique<twinloop::testing::ManualBackend>());
  loop.run_sync(work);
  loop.wind_down(std::chrono::seconds(30));
}

inline std::string frame(int first, std::string payload, bool masked = true) {
  FrameHeader header;
  header.opcode = static_cast<Opcode>(first & 15);
  header.final = (first & 0x80) != 0;
  header.masked = masked;
  header.mask = {'a', 'b', 'c', 'd'};
  header.length = payload.size();
  if (masked) detail::apply_mask(payload.data(), payload.size(), header.mask, 0);
  std::array<char, kMaxFrameHeader> bytes;
  return std::string(bytes.data(), detail::write_frame_header(bytes, header)) + payload;
}

inline std::string close_frame(std::uint16_t code, bool masked = true) {
  return frame(0x88, detail::close_payload(code), masked);
}

// "t:hello b:bytes end" or "t:hello protocol"
inline Future<std::string> story(WebSocketConnection& ws) {
  std::string told;
  for (;;) {
    const Result<std::optional<WebSocketMessage>> message = co_await as_result(ws.read_message());
    if (!message.ok()) co_return told.append(name(message.reason()));
    if (!message.peek()) co_return told.append("end");
    told.append(message.peek()->is_text() ? "t:" : "b:").append(message.peek()->data).append(" ");
  }
}

inline Future<void> send_and_end(IOStream& stream, std::string bytes) {
  co_await stream.write(std::move(bytes));
  co_await stream.shutdown_write();
}

}  // namespace twinloop::websocket_test
