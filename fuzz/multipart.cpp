// Whatever body comes, the form in it is the same however it is cut, and what the parser holds is bounded.  The first byte of an input
// says how it is cut.
#include <string>

#include "fuzz.h"
#include "twinloop/httputil.h"

using namespace twinloop;

namespace {

constexpr const char* kType = "multipart/form-data; boundary=b";
using Event = MultipartParser::Event;

MultipartLimits limits() {
  MultipartLimits limits;
  limits.max_parts = 10;
  limits.max_part_header_size = 200;
  limits.max_part_size = 1000;
  return limits;
}

struct Story {
  std::string form;
  bool refused = false;
};

void tell(Story& story, MultipartParser& parser, const MultipartParser::Step& step) {
  const MultipartPart& part = parser.part();
  if (step.event == Event::part) story.form += "<" + part.name + "|" + part.filename.value_or("") + ">";
  if (step.event == Event::part_end) story.form += "</>";
  if (step.event == Event::end) story.form += ".";
  story.form += step.data;
}

Story read(std::string_view body, std::size_t piece_size) {
  MultipartParser parser(kType, limits());
  Story story;
  while (!body.empty()) {
    std::string_view piece = body.substr(0, piece_size);
    body.remove_prefix(piece.size());
    for (;;) {
      const MultipartParser::Step step = parser.next(piece);
      fuzz::require(step.consumed <= piece.size(), "no more is taken than there is");
      piece.remove_prefix(step.consumed);
      tell(story, parser, step);
      story.refused = step.event == Event::error;
      if (story.refused) return story;
      if (step.event == Event::more) break;
    }
    fuzz::require(piece.empty(), "'more' is only said when all was taken");
  }
  story.refused = parser.finish().event == Event::error;
  return story;
}

void compare_with_the_whole(std::string_view body, const Story& story) {
  const Result<MultipartForm> form = parse_multipart(body, kType, limits());
  fuzz::require(form.ok() == !story.refused, "the same is refused at once and in pieces");
  if (!form.ok()) return;
  const std::size_t parts = form.peek().arguments.size() + form.peek().files.size();
  fuzz::require(parts <= 10, "no more parts than allowed");
  for (const auto& [name, value] : form.peek().arguments) {
    fuzz::require(value.size() <= 1000, "no part is larger than allowed");
    fuzz::require(story.form.find(value) != std::string::npos, "what is in the form was told");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view body = fuzz::text(data + 1, size - 1);
  const Story whole = read(body, body.size());
  const Story cut = read(body, 1 + data[0] % 32);
  fuzz::require(whole.refused == cut.refused, "the same is refused");
  if (!whole.refused) fuzz::require(whole.form == cut.form, "the same is understood");
  compare_with_the_whole(body, whole);
  return 0;
}
