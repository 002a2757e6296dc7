// Whatever a Range, an If-Range or an If-None-Match says, the part that is given lies within the file.  The first byte of an input is
// the size of the file as a power of two, but one, the rest the header.
#include <chrono>
#include <cstdint>
#include <string>

#include "fuzz.h"
#include "protocols/web/conditional.h"

using namespace twinloop::detail;

namespace {

void check_range(std::string_view header, std::uint64_t size) {
  const RangeAnswer answer = parse_range(header, size);
  if (answer.kind == RangeKind::whole) return;
  fuzz::require(header.starts_with("bytes="), "other units are ignored");
  if (answer.kind == RangeKind::unsatisfiable) return;
  const auto [first, count] = answer.range;
  fuzz::require(count > 0 && first < size && count <= size - first, "a part lies within the file, and is something");
  const std::string same = "bytes=" + std::to_string(first) + "-" + std::to_string(first + count - 1);
  const RangeAnswer again = parse_range(same, size);
  fuzz::require(again.kind == RangeKind::part && again.range.first == first && again.range.size == count,
                "the part that was given can be asked for");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text = fuzz::text(data + 1, size - 1);
  const unsigned bits = data[0] % 65U;
  check_range(text, bits == 64 ? UINT64_MAX : (std::uint64_t{1} << bits) - 1);
  const auto modified = std::chrono::system_clock::time_point(std::chrono::seconds(784111777));
  range_applies(text, "\"tag\"", modified);
  is_unmodified_since(text, modified);
  if (matches_etag(text, "\"tag\"")) {
    fuzz::require(text.find("\"tag\"") != std::string_view::npos || text.find('*') != std::string_view::npos,
                  "it was named");
  }
  return 0;
}
