// Whatever frames come, compressed or not, a connection makes messages of them or refuses them with a close code, holds no more than
// its limit, and does not care how they were cut.  The first byte of an input says whether the connection is a server's (bit 0), whether
// compression was agreed (bit 1) and how the rest is cut.
#include <memory>
#include <string>

#include "fuzz.h"
#include "protocols/websocket/connection.h"
#include "twinloop/testing.h"

using namespace twinloop;

namespace {

constexpr std::size_t kLimit = 10'000;

WebSocketConnection make_connection(IOStream stream, unsigned char choice) {
  detail::ConnectionSetup setup((choice & 1) != 0 ? detail::Role::server : detail::Role::client);
  if ((choice & 2) != 0) setup.deflate.emplace();
  const auto options = WebSocketOptions().set_max_message_size(kLimit).set_compression();
  return WebSocketConnection(std::make_unique<WebSocketConnection::Impl>(std::move(stream), std::move(setup), options));
}

Future<void> feed(IOStream peer, std::string_view bytes, std::size_t piece) {
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
    if (peer.is_closed()) co_return;
    const Result<> written = co_await as_result(peer.write(bytes.substr(0, piece)));
    if (!written.ok()) co_return;
    co_await moment();
  }
  (void)co_await as_result(peer.shutdown_write());
  (void)co_await as_result(peer.read_until_close());
}

// What was understood, up to the end or the failure; which of the two a connection that is cut off ends in may depend on the moment.
Future<std::string> story_of(unsigned char choice, std::string_view bytes, std::size_t piece) {
  auto [a, b] = make_pair_streams();
  WebSocketConnection ws = make_connection(std::move(b), choice);
  Future<void> feeding = feed(std::move(a), bytes, piece);
  std::string story;
  for (;;) {
    const Result<std::optional<WebSocketMessage>> message = co_await as_result(ws.read_message());
    if (!message.ok()) {
      story.append("|").append(name(message.reason()));
      break;
    }
    if (!message.peek()) {
      fuzz::require(ws.close_code() >= 1000, "an end has a code");
      story.append("|end ").append(std::to_string(ws.close_code())).append(ws.close_reason());
      break;
    }
    fuzz::require(message.peek()->data.size() <= kLimit, "no message is longer than the limit");
    story.append(message.peek()->is_text() ? "t" : "b").append(std::to_string(message.peek()->data.size())).append(":");
    story.append(message.peek()->data);
  }
  co_return story;
}

std::string story(unsigned char choice, std::string_view bytes, std::size_t piece) {
  IOLoop loop(std::make_unique<testing::ManualBackend>());
  std::string told = loop.run_sync(&story_of, choice, bytes, piece);
  loop.wind_down(std::chrono::seconds(30));
  return told;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes = fuzz::text(data + 1, size - 1);
  const std::string whole = story(data[0], bytes, bytes.size());
  const std::string cut = story(data[0], bytes, 1 + (data[0] >> 2));
  fuzz::require(whole == cut, "the same is understood");
  return 0;
}
