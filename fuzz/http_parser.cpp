// Whatever bytes come, the parser takes them to the end or refuses them, and what it makes of them does not depend on how they were
// cut.  The first byte of an input says whether they are requests or responses (bit 0), whether the response answers HEAD (bit 1) and
// how they are cut (the rest).
#include <string>

#include "fuzz.h"
#include "protocols/http/parser.h"

namespace {

using twinloop::detail::HTTP1Parser;
using twinloop::detail::MessageKind;
using twinloop::detail::ParserLimits;
using Event = HTTP1Parser::Event;

struct Story {
  std::string messages;  // all that was told before an error
  bool refused = false;
};

void tell_head(HTTP1Parser& parser, std::string& story) {
  const twinloop::detail::MessageHead& head = parser.head();
  story += head.method + " " + head.target + " " + std::to_string(head.status) + " " + head.reason;
  for (const auto& [name, value] : head.headers) {
    fuzz::require(twinloop::is_http_token(name), "a header's name is a token");
    fuzz::require(twinloop::is_http_field_value(value), "a header's value has no control characters");
    story.append("|").append(name).append(":").append(value);
  }
  fuzz::require(!(head.chunked && head.content_length), "one framing");
  fuzz::require(head.headers.count("Content-Length") <= 1, "one length");
  fuzz::require(head.headers.size() <= 20, "no more headers than allowed");
}

bool upgraded(HTTP1Parser& parser) { return parser.head().upgrade; }

Story read(std::string_view bytes, MessageKind kind, bool to_head, std::size_t piece_size) {
  ParserLimits limits;
  limits.max_header_size = 4096;
  limits.max_header_count = 20;
  HTTP1Parser parser(kind, limits);
  if (to_head) parser.expect_no_body();
  Story story;
  while (!bytes.empty()) {
    std::string_view piece = bytes.substr(0, piece_size);
    for (;;) {
      const HTTP1Parser::Step step = parser.next(piece);
      fuzz::require(step.consumed <= piece.size(), "no more is taken than there is");
      piece.remove_prefix(step.consumed);
      bytes.remove_prefix(step.consumed);
      if (step.event == Event::error) {
        fuzz::require(parser.status() >= 400 && parser.status() < 600, "an error has a status");
        fuzz::require(parser.next(piece).event == Event::error, "nothing follows an error");
        story.refused = true;
        return story;
      }
      if (step.event == Event::headers) tell_head(parser, story.messages);
      story.messages.append(step.body);
      if (step.event == Event::end) story.messages += "|end\n";
      if (step.event == Event::end && upgraded(parser)) return story;
      if (step.event == Event::more) break;
    }
    fuzz::require(piece.empty(), "'more' is only said when all was taken");
  }
  story.refused = parser.finish().event == Event::error;
  return story;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes = fuzz::text(data + 1, size - 1);
  const MessageKind kind = (data[0] & 1) == 0 ? MessageKind::request : MessageKind::response;
  const bool to_head = kind == MessageKind::response && (data[0] & 2) != 0;
  const Story whole = read(bytes, kind, to_head, bytes.size());
  const Story cut = read(bytes, kind, to_head, 1 + (data[0] >> 2));
  fuzz::require(whole.refused == cut.refused, "the same is refused");
  if (!whole.refused) fuzz::require(whole.messages == cut.messages, "the same is understood");
  return 0;
}
