#include "protocols/web/conditional.h"

#include <algorithm>
#include <charconv>

#include "protocols/web/text.h"
#include "twinloop/httputil.h"

namespace twinloop::detail {
namespace {

using Clock = std::chrono::system_clock;

std::string_view without_weakness(std::string_view etag) noexcept {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  return etag;
}

// The next quoted ETag of a list, with its quotes; empty at the end.  A comma may stand inside of it.
std::string_view take_etag(std::string_view& list) noexcept {
  const std::size_t opening = list.find('"');
  const std::size_t closing = opening == std::string_view::npos ? opening : list.find('"', opening + 1);
  if (closing == std::string_view::npos) return {};
  const std::string_view etag = list.substr(opening, closing - opening + 1);
  list.remove_prefix(closing + 1);
  return etag;
}

Clock::time_point whole_seconds(Clock::time_point when) noexcept {
  return std::chrono::floor<std::chrono::seconds>(when);
}

struct Position {
  bool given = false;
  std::uint64_t value = 0;
};

// A number, or nothing at all; no value for nonsense.  What is too large for 64 bits is larger than any file.
std::optional<Position> to_position(std::string_view text) noexcept {
  text = without_spaces(text);
  if (text.empty()) return Position{};
  Position position{true, 0};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), position.value);
  if (end != text.data() + text.size() || error == std::errc::invalid_argument) return std::nullopt;
  if (error == std::errc::result_out_of_range) position.value = UINT64_MAX;
  return position;
}

RangeAnswer part(std::uint64_t first, std::uint64_t size) noexcept { return {RangeKind::part, {first, size}}; }

}  // namespace

bool matches_etag(std::string_view if_none_match, std::string_view etag) noexcept {
  if (etag.empty()) return false;
  if (without_spaces(if_none_match) == "*") return true;
  const std::string_view ours = without_weakness(etag);
  for (std::string_view theirs = take_etag(if_none_match); !theirs.empty(); theirs = take_etag(if_none_match)) {
    if (theirs == ours) return true;
  }
  return false;
}

bool is_unmodified_since(std::string_view if_modified_since, Clock::time_point modified) {
  const std::optional<Clock::time_point> since = parse_timestamp(if_modified_since);
  return since && whole_seconds(modified) <= *since;
}

RangeAnswer parse_range(std::string_view header, std::uint64_t size) noexcept {
  constexpr std::string_view kUnit = "bytes=";
  if (!header.starts_with(kUnit)) return {};
  header.remove_prefix(kUnit.size());
  const std::size_t dash = header.find('-');
  if (dash == std::string_view::npos || header.find(',') != std::string_view::npos) return {};
  const std::optional<Position> first = to_position(header.substr(0, dash));
  const std::optional<Position> last = to_position(header.substr(dash + 1));
  if (!first || !last || (!first->given && !last->given)) return {};

  if (!first->given) {  // the last so many
    if (last->value == 0 || size == 0) return {RangeKind::unsatisfiable, {}};
    const std::uint64_t count = std::min(last->value, size);
    return part(size - count, count);
  }
  if (last->given && last->value < first->value) return {};
  if (first->value >= size) return {RangeKind::unsatisfiable, {}};
  const std::uint64_t end = last->given ? std::min(last->value, size - 1) : size - 1;
  return part(first->value, end - first->value + 1);
}

bool range_applies(std::string_view if_range, std::string_view etag, Clock::time_point modified) {
  if_range = without_spaces(if_range);
  if (if_range.empty()) return true;
  if (if_range.starts_with('"')) return if_range == etag;
  if (if_range.starts_with("W/")) return false;
  const std::optional<Clock::time_point> when = parse_timestamp(if_range);
  return when && *when == whole_seconds(modified);
}

}  // namespace twinloop::detail
