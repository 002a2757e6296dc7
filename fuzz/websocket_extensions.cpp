// Whatever stands in a Sec-WebSocket-Extensions, it is understood in every word or not at all; and what a server answers is an answer
// that a client takes that made such an offer.
#include <string>

#include "fuzz.h"
#include "protocols/websocket/extensions.h"

using twinloop::RequestHead;
using twinloop::WebSocketCompression;
using namespace twinloop::detail;

namespace {

RequestHead with_extensions(std::string_view value) {
  RequestHead head;
  head.headers.emplace_back("Sec-WebSocket-Extensions", value);
  return head;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text(data, size);
  const auto extensions = parse_extensions(with_extensions(text));
  if (!extensions) return 0;
  for (const Extension& each : *extensions) {
    fuzz::require(!each.name.empty(), "an extension has a name");
    for (const auto& [name, value] : each.parameters) fuzz::require(!name.empty(), "a parameter has a name");
  }
  const WebSocketCompression wish;
  accept_answer(*extensions, wish);
  std::string answer;
  const auto agreed = accept_offer(*extensions, wish, answer);
  if (!agreed) return 0;
  fuzz::require(agreed->server_max_window_bits >= 8 && agreed->server_max_window_bits <= 15, "a window that there is");
  fuzz::require(agreed->client_max_window_bits >= 8 && agreed->client_max_window_bits <= 15, "a window that there is");
  const auto read_back = parse_extensions(with_extensions(answer));
  fuzz::require(read_back && accept_answer(*read_back, wish), "the answer is one");
  return 0;
}
