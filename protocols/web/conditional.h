// Conditional requests and ranges (RFC 9110 §13 and §14), as far as they can be told without a file.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace twinloop::detail {

bool matches_etag(std::string_view if_none_match, std::string_view etag) noexcept;
// Whether the list names the ETag, or "*"; weakly compared.

bool is_unmodified_since(std::string_view if_modified_since, std::chrono::system_clock::time_point modified);
// False where the header is no date.

struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t size = 0;
};

enum class RangeKind : unsigned char {
  whole,  // none was asked for, or in a way that is ignored: an unknown unit, several at once, nonsense
  part,
  unsatisfiable  // 416
};

struct RangeAnswer {
  RangeKind kind = RangeKind::whole;
  ByteRange range;
};

RangeAnswer parse_range(std::string_view header, std::uint64_t size) noexcept;
// Of a Range header, for a representation of that size: "bytes=0-99", "bytes=100-", "bytes=-100".

bool range_applies(std::string_view if_range, std::string_view etag, std::chrono::system_clock::time_point modified);
// Whether an If-Range header still means what the client has: a strong ETag that is the same, or exactly the date.

}  // namespace twinloop::detail
