// Origin: where work that a loop runs came from.  What logs, the watch for blocking callbacks and traces say about it.
#pragma once

#include <source_location>
#include <string>

#include "twinloop/detail/config.h"

namespace twinloop {

#if TWINLOOP_INSPECTION
using Location = std::source_location;
#else
// A build that counts bytes keeps no file names.
struct Location {
  static constexpr Location current() noexcept { return {}; }
  constexpr const char* file_name() const noexcept { return ""; }
  constexpr const char* function_name() const noexcept { return ""; }
  constexpr unsigned line() const noexcept { return 0; }
};
#endif

class Origin {
 public:
  Origin(const char* label = "", Location where = Location::current()) noexcept  // NOLINT(google-explicit-constructor)
      : label_(label), where_(where) {}
  // As the last argument of add_callback and the like, `"refresh"` names the work; without one its place in the source does.
  // The label must live as long as the process: a string literal.

  const char* label() const noexcept { return label_; }
  const Location& where() const noexcept { return where_; }

  std::string text() const;
  // "refresh (chat.cpp:42)", or the place alone; "" when nothing is known.

 private:
  const char* label_;
  Location where_;
};

}  // namespace twinloop
