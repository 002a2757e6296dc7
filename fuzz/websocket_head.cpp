// Whatever arrives where the head of a WebSocket handshake is expected, a request's or an answer's, it is read or refused, the same
// however it is cut; and what is read is safe to pass on.  The first byte of an input says which of the two it is (bit 0) and how it
// is cut.
#include <algorithm>
#include <string>

#include "fuzz.h"
#include "protocols/websocket/handshake.h"
#include "protocols/websocket/head.h"
#include "twinloop/ioloop.h"
#include "twinloop/testing.h"

using namespace twinloop;
using namespace twinloop::detail;

namespace {

constexpr std::size_t kLimit = 2000;

Future<void> feed(IOStream& peer, std::string_view bytes, std::size_t piece) {
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
    const Result<> written = co_await as_result(peer.write(bytes.substr(0, piece)));
    if (!written.ok()) co_return;
    co_await moment();
  }
  (void)co_await as_result(peer.shutdown_write());
}

Future<ReceivedHead> receive(bool request, std::string_view bytes, std::size_t piece) {
  auto [peer, stream] = make_pair_streams();
  Future<void> feeding = feed(peer, bytes, piece);
  ReceivedHead head = co_await read_head(stream, kLimit, request ? &is_request_line : &is_status_line);
  if (head.error) head.text.clear();  // what there is of a bad one depends on the cut
  co_return head;
}

ReceivedHead received(bool request, std::string_view bytes, std::size_t piece) {
  IOLoop loop(std::make_unique<twinloop::testing::ManualBackend>());
  ReceivedHead head = loop.run_sync(&receive, request, bytes, piece);
  loop.wind_down(std::chrono::seconds(30));
  return head;
}

void check_fields(const RequestHead& head) {
  for (const auto& [name, value] : head.headers) {
    fuzz::require(is_token(name) && is_field_text(value), "a header cannot break out of its line");
    for (const std::string_view item : split_list(value)) {
      fuzz::require(!item.empty(), "an item of a list is something");
      fuzz::require(has_token(head, name, item), "what a list has is found in it");
    }
  }
}

void check(bool request, const std::string& text) {
  RequestHead head;
  ResponseHead answer;
  if (request && parse_request_head(text, head)) {
    fuzz::require(is_token(head.method) && head.target.find_first_of(" \r\n") == std::string::npos,
                  "a method and a target");
    check_fields(head);
    const Refusal refusal = refusal_of(head, ListenOptions());
    const bool refused = refusal.status.starts_with('4') || refusal.status.starts_with("505");
    fuzz::require(refusal.status.empty() || refused, "an upgrade, or a refusal with a status");
  } else if (!request && parse_response_head(text, answer)) {
    fuzz::require(answer.status >= 0 && answer.status <= 999, "a status");
    check_fields(answer.fields);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes = fuzz::text(data + 1, size - 1);
  const bool request = (data[0] & 1) == 0;
  const ReceivedHead whole = received(request, bytes, std::max<std::size_t>(bytes.size(), 1));
  const ReceivedHead cut = received(request, bytes, 1U + (data[0] >> 1U));
  fuzz::require(!whole.error == !cut.error && whole.text == cut.text, "the same is understood");
  check(request, std::string(bytes));
  if (whole.error) return 0;
  fuzz::require(whole.text.size() <= kLimit && whole.text.ends_with("\r\n\r\n"),
                "a head that is whole, within the limit");
  check(request, whole.text);
  return 0;
}
