// Whatever stands in a compressed body, it is taken off or refused, the same however the body is cut and however little room there is.
// The first byte of an input says whether it is gzip or deflate (bit 0) and how it is cut.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "fuzz.h"
#include "protocols/http/content_decoder.h"

using twinloop::detail::ContentDecoder;
using Status = ContentDecoder::Status;

namespace {

constexpr std::size_t kMost = 200'000;  // of what a body unfolds to: a bomb is let be there, as by a limit

struct Story {
  std::string text;
  bool broken = false;
  bool complete = false;
};

Story decoded(bool gzip, std::string_view body, std::size_t piece_size, std::size_t room_size) {
  const std::unique_ptr<ContentDecoder> decoder = ContentDecoder::make(gzip ? "gzip" : "deflate");
  std::vector<char> buffer(room_size);
  Story story;
  while (!body.empty() && story.text.size() < kMost) {
    std::string_view piece = body.substr(0, piece_size);
    body.remove_prefix(piece.size());
    for (Status status = Status::room; status == Status::room && story.text.size() < kMost;) {
      const std::size_t before = piece.size();
      std::span<char> room(buffer);
      status = decoder->decode(piece, room);
      const std::size_t made = buffer.size() - room.size();
      fuzz::require(piece.size() <= before && room.size() <= buffer.size(), "no more is taken or made than there is");
      fuzz::require(status != Status::room || made > 0 || piece.size() < before, "it gets on");
      fuzz::require(status != Status::hungry || piece.empty(), "'hungry' is only said when all was taken");
      story.text.append(buffer.data(), made);
      story.broken = status == Status::broken;
      if (story.broken) return story;
    }
  }
  story.complete = decoder->complete();
  return story;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view body = fuzz::text(data + 1, size - 1);
  const bool gzip = (data[0] & 1) == 0;
  const Story whole = decoded(gzip, body, std::max<std::size_t>(body.size(), 1), 64 * 1024);
  const Story cut = decoded(gzip, body, 1U + (data[0] >> 1U), 100);
  if (whole.text.size() >= kMost) return 0;
  fuzz::require(whole.broken == cut.broken, "the same is refused");
  fuzz::require(whole.text == cut.text && whole.complete == cut.complete, "the same is understood");
  return 0;
}
