#include "protocols/web/path_pattern.h"

#include <re2/re2.h>

#include <array>
#include <utility>

#include "twinloop/error.h"
#include "twinloop/httputil.h"

namespace twinloop::detail {
namespace {

constexpr std::string_view kSpecial = "\\^$.|?*+()[]{}";
constexpr std::size_t kMaxGroups = 32;

RE2::Options options_for(bool ignore_case) {
  RE2::Options options;
  options.set_encoding(RE2::Options::EncodingLatin1);
  options.set_log_errors(false);
  options.set_case_sensitive(!ignore_case);
  options.set_dot_nl(true);
  return options;
}

std::string_view without_anchors(std::string_view pattern) noexcept {
  if (pattern.starts_with('^')) pattern.remove_prefix(1);
  if (pattern.ends_with('$') && !pattern.ends_with("\\$")) pattern.remove_suffix(1);
  return pattern;
}

// "a\.b" → "a.b"; no value where it is more than fixed text.
std::optional<std::string> fixed_text(std::string_view pattern) {
  std::string text;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '\\') {
      if (kSpecial.find(pattern[i]) != std::string_view::npos) return std::nullopt;
      text += pattern[i];
      continue;
    }
    ++i;
    if (i == pattern.size() || kSpecial.find(pattern[i]) == std::string_view::npos) return std::nullopt;
    text += pattern[i];
  }
  return text;
}

// Where the group that opens at `opening` closes; npos where another one opens inside.
std::size_t closing_of(std::string_view pattern, std::size_t opening) noexcept {
  bool in_class = false;
  for (std::size_t i = opening + 1; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\') {
      ++i;
    } else if (in_class) {
      in_class = c != ']';
    } else if (c == '[') {
      in_class = true;
    } else if (c == '(') {
      return std::string_view::npos;
    } else if (c == ')') {
      return i;
    }
  }
  return std::string_view::npos;
}

std::size_t next_group(std::string_view pattern, std::size_t from) noexcept {
  for (std::size_t i = from; i < pattern.size(); ++i) {
    if (pattern[i] == '\\')
      ++i;
    else if (pattern[i] == '(')
      return i;
  }
  return std::string_view::npos;
}

bool captures(std::string_view pattern, std::size_t opening) noexcept {
  const std::string_view group = pattern.substr(opening + 1);
  return !group.starts_with('?') || group.starts_with("?P<");
}

// The fixed text around each group; empty where there is something else.
std::vector<std::string> pieces_of(std::string_view pattern) {
  std::vector<std::string> pieces;
  std::size_t from = 0;
  for (;;) {
    const std::size_t opening = next_group(pattern, from);
    std::optional<std::string> piece = fixed_text(pattern.substr(from, opening - from));
    if (!piece) return {};
    pieces.push_back(std::move(*piece));
    if (opening == std::string_view::npos) return pieces;
    const std::size_t closing = closing_of(pattern, opening);
    if (closing == std::string_view::npos || !captures(pattern, opening)) return {};
    from = closing + 1;
  }
}

}  // namespace

std::string PathPattern::quoted(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    if (kSpecial.find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

struct PathPattern::Expression {
  Expression(const std::string& pattern, bool ignore_case) : regex(pattern, options_for(ignore_case)) {}
  RE2 regex;
};

PathPattern::PathPattern(std::string pattern, bool ignore_case)
    : pattern_(std::move(pattern)), pieces_(pieces_of(without_anchors(pattern_))) {
  if (pieces_.size() == 1 && !ignore_case) return;
  expression_ = std::make_unique<Expression>(pattern_, ignore_case);
  const RE2& regex = expression_->regex;
  if (!regex.ok()) throw Error(Errc::invalid_pattern, "'" + pattern_ + "': " + regex.error());
  names_.resize(static_cast<std::size_t>(regex.NumberOfCapturingGroups()));
  if (names_.size() > kMaxGroups) throw Error(Errc::invalid_pattern, "'" + pattern_ + "': more than 32 groups");
  for (const auto& [index, name] : regex.CapturingGroupNames()) names_[static_cast<std::size_t>(index) - 1] = name;
}

PathPattern::PathPattern(PathPattern&&) noexcept = default;
PathPattern& PathPattern::operator=(PathPattern&&) noexcept = default;
PathPattern::~PathPattern() = default;

bool PathPattern::match(std::string_view text, std::vector<std::string>& groups) const {
  groups.clear();
  if (!expression_) return text == pieces_.front();
  std::array<re2::StringPiece, kMaxGroups + 1> found;
  const re2::StringPiece all(text.data(), text.size());
  const int wanted = static_cast<int>(names_.size()) + 1;
  if (!expression_->regex.Match(all, 0, all.size(), RE2::ANCHOR_BOTH, found.data(), wanted)) return false;
  groups.reserve(names_.size());
  for (std::size_t i = 1; i <= names_.size(); ++i) groups.emplace_back(found[i].data(), found[i].size());
  return true;
}

std::size_t PathPattern::group_named(std::string_view name) const noexcept {
  std::size_t index = 0;
  while (index < names_.size() && names_[index] != name) ++index;
  return index;
}

std::optional<std::string> PathPattern::path_for(std::span<const std::string> args) const {
  if (pieces_.size() != args.size() + 1) return std::nullopt;
  std::string path = pieces_.front();
  for (std::size_t i = 0; i < args.size(); ++i) path.append(url_escape(args[i], false)).append(pieces_[i + 1]);
  return path;
}

}  // namespace twinloop::detail
