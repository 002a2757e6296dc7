#include "protocols/websocket/handshake_failures.h"

namespace twinloop::detail {
namespace {

// The answer still leaves when the stream is destroyed: it lingers.
void answer(IOStream& stream, const Refusal& refusal) {
  if (!stream.is_closed()) stream.write(refusal_answer(refusal)).ignore();
}

// An end within the handshake is none that the protocol knows.
std::error_code without_goodbye(std::error_code error) noexcept {
  return error == make_error_code(Errc::end) ? make_error_code(Errc::truncated) : error;
}

}  // namespace

void refuse(IOStream& stream, const Refusal& refusal) {
  const std::string peer = stream.description();
  answer(stream, refusal);
  throw Error(Errc::protocol,
              "the WebSocket request of " + peer + " was answered with " + refusal.status + ": " + refusal.why);
}

void fail_request(IOStream& stream, const ReceivedHead& received) {
  const std::string peer = stream.description();
  if (received.error && received.text.empty()) throw_error(received.error, peer + " sent no request");
  if (received.error == make_error_code(Errc::unsatisfiable_read)) {
    answer(stream, {"431 Request Header Fields Too Large", "the request's head is too long"});
    throw_error(received.error, peer + " sent a request head that is too long");
  }
  if (received.error && received.error != make_error_code(Errc::protocol)) {
    throw_error(without_goodbye(received.error), peer + " did not finish its request");
  }
  answer(stream, {"400 Bad Request", "that is no HTTP/1.1 request"});
  throw_error(Errc::protocol, peer + " sent no HTTP request but '" + excerpt(received.text) + "'");
}

void fail_response(const std::string& where, const ReceivedHead& received) {
  const std::string_view text = received.text;
  if (received.error && text.empty())
    throw_error(without_goodbye(received.error), where + ": the server left without an answer");
  if (text.starts_with("\x15\x03")) throw_error(Errc::protocol, where + ": the server speaks TLS; try wss://");
  if (!text.starts_with("HTTP/1.")) {
    throw_error(Errc::protocol, where + ": the server did not speak HTTP: it began with '" + excerpt(text) + "'");
  }
  const bool cut = received.error == make_error_code(Errc::end);
  const std::error_code error = cut ? make_error_code(Errc::truncated) : received.error;
  throw_error(error ? error : make_error_code(Errc::protocol),
              where + ": the head of the server's answer '" + excerpt(text) + "'");
}

}  // namespace twinloop::detail
