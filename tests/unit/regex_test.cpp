// How long a match can be: what decides how much is searched again when more arrives.
#include <catch2/catch_test_macros.hpp>
#include <string>
#include <utility>

#include "twinloop/detail/compiled_regex.h"

using twinloop::detail::CompiledRegex;
using twinloop::detail::longest_match;

TEST_CASE("the longest match of a pattern is known where it is easy to tell") {
  const std::pair<const char*, std::size_t> patterns[] = {
      {"", 0},           {"abc", 3},  {"\r?\n\r?\n", 4}, {"a|bcd|ef", 3},   {"(?:ab|c){2,3}d", 7},
      {"[^\\]a-z]x", 2}, {"a{3}", 3}, {"^\\bab\\B$", 2}, {"\\x0d\\x0a", 2}, {".\\.\\d\\W", 4},
      {"(a(b(c)?))", 3}, {"a??b", 2}, {"(?:^)*a", 1},    {"a{2}?", 2},      {"", 0},
  };
  for (const auto& [pattern, longest] : patterns) {
    CAPTURE(pattern);
    CHECK(longest_match(pattern) == longest);
  }
}

TEST_CASE("what is not understood has no longest match") {
  for (const char* pattern : {"a*",      "a+",      "(?:ab)+?", "a{2,}",          "a{,3}",
                              "(?=a)b",  "(?<=a)b", "(?i)a",    "(a)\\1",         "[[:alpha:]]",
                              "[]a]",    "\\x{41}", "\\pL",     "\\Qa\\E",        "a)",
                              "(a",      "[a",      "\\",       "a{99999999999}", "((a{999}){999}){999}",
                              "\\u0041", "*a"}) {
    CAPTURE(pattern);
    CHECK(longest_match(pattern) == CompiledRegex::kNone);
  }
  CHECK(longest_match(std::string(1000, '(') + std::string(1000, ')')) == CompiledRegex::kNone);
}
