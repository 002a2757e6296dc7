#include "protocols/http/date_line.h"

#include <string>

#include "twinloop/httputil.h"

namespace twinloop::detail {
namespace {

struct DateLine {
  std::string text;
  TimePoint begun{};
  TimePoint stale{};
};

}  // namespace

std::string_view date_line(TimePoint now, WallClock wall_clock) {
  thread_local DateLine line;
  if (now < line.begun || now >= line.stale || line.text.empty()) {
    const auto wall = wall_clock();
    const auto second = std::chrono::floor<std::chrono::seconds>(wall);
    line.text = "Date: " + format_timestamp(second) + "\r\n";
    line.begun = now;
    line.stale = now + std::chrono::duration_cast<Duration>(second + std::chrono::seconds(1) - wall);
  }
  return line.text;
}

}  // namespace twinloop::detail
