// The pattern of a route: a regular expression over the whole path or host, its groups, and the way back from arguments to a path.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace twinloop::detail {

class PathPattern {
 public:
  explicit PathPattern(std::string pattern, bool ignore_case = false);
  // Throws Error(invalid_pattern).
  PathPattern(PathPattern&&) noexcept;
  PathPattern& operator=(PathPattern&&) noexcept;
  ~PathPattern();

  static std::string quoted(std::string_view text);
  // The pattern that this text alone matches.

  bool match(std::string_view text, std::vector<std::string>& groups) const;
  // Whether all of the text matches; `groups` are replaced by the undecoded groups, "" for one that took no part.

  std::size_t group_count() const noexcept { return names_.size(); }
  std::size_t group_named(std::string_view name) const noexcept;
  // Its index, or group_count() when there is none.

  std::optional<std::string> path_for(std::span<const std::string> args) const;
  // The path with the groups replaced by these, escaped; no value where their number is another, or where the pattern has more than
  // fixed text and groups.

  const std::string& text() const noexcept { return pattern_; }

 private:
  struct Expression;

  std::string pattern_;
  std::unique_ptr<Expression> expression_;  // null: fixed text
  std::vector<std::string> names_;          // of the groups, "" for one without
  std::vector<std::string> pieces_;         // the fixed text around the groups; empty: there is no way back
};

}  // namespace twinloop::detail
