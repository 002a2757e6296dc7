// HTTP's dates (RFC 9110 §5.6.7), without locales.
#include <array>
#include <charconv>

#include "twinloop/httputil.h"

namespace twinloop {
namespace {

using Clock = std::chrono::system_clock;

constexpr std::array<std::string_view, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

char* put_two(char* at, unsigned number) noexcept {
  *at++ = static_cast<char>('0' + number / 10 % 10);
  *at++ = static_cast<char>('0' + number % 10);
  return at;
}

char* put(char* at, std::string_view text) noexcept { return at + text.copy(at, text.size()); }

// Takes what it looks for off the front of the text.
class Scanner {
 public:
  explicit Scanner(std::string_view text) noexcept : rest_(text) {}

  bool take(std::string_view text) noexcept {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }
  bool take_number(std::size_t digits, int& number) noexcept {
    if (rest_.size() < digits || rest_.front() < '0' || rest_.front() > '9') return false;
    const std::string_view text = rest_.substr(0, digits);
    if (std::from_chars(text.data(), text.data() + text.size(), number).ptr != text.data() + digits) return false;
    rest_.remove_prefix(digits);
    return true;
  }
  bool take_month(unsigned& month) noexcept {
    for (unsigned i = 0; i < kMonths.size(); ++i) {
      if (!take(kMonths[i])) continue;
      month = i + 1;
      return true;
    }
    return false;
  }
  bool take_day_name() noexcept {
    const std::size_t end = rest_.find_first_of(", ");
    if (end == std::string_view::npos || end < 3) return false;
    rest_.remove_prefix(end);
    return true;
  }
  bool at_end() const noexcept { return rest_.empty(); }

 private:
  std::string_view rest_;
};

struct Civil {
  int year = 0;
  unsigned month = 0;
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
};

bool take_time(Scanner& text, Civil& civil) noexcept {
  return text.take_number(2, civil.hour) && text.take(":") && text.take_number(2, civil.minute) && text.take(":") &&
         text.take_number(2, civil.second);
}

bool take_fixdate(Scanner text, Civil& civil) noexcept {  // "Sun, 06 Nov 1994 08:49:37 GMT"
  return text.take_day_name() && text.take(", ") && text.take_number(2, civil.day) && text.take(" ") &&
         text.take_month(civil.month) && text.take(" ") && text.take_number(4, civil.year) && text.take(" ") &&
         take_time(text, civil) && text.take(" GMT") && text.at_end();
}

bool take_rfc850(Scanner text, Civil& civil) noexcept {  // "Sunday, 06-Nov-94 08:49:37 GMT"
  const bool well = text.take_day_name() && text.take(", ") && text.take_number(2, civil.day) && text.take("-") &&
                    text.take_month(civil.month) && text.take("-") && text.take_number(2, civil.year) &&
                    text.take(" ") && take_time(text, civil) && text.take(" GMT") && text.at_end();
  civil.year += civil.year < 70 ? 2000 : 1900;
  return well;
}

bool take_asctime(Scanner text, Civil& civil) noexcept {  // "Sun Nov  6 08:49:37 1994"
  if (!text.take_day_name() || !text.take(" ") || !text.take_month(civil.month) || !text.take(" ")) return false;
  const bool one_digit = text.take(" ");
  return text.take_number(one_digit ? 1 : 2, civil.day) && text.take(" ") && take_time(text, civil) && text.take(" ") &&
         text.take_number(4, civil.year) && text.at_end();
}

std::optional<Clock::time_point> time_of(const Civil& civil) {
  using namespace std::chrono;
  const year_month_day date{year(civil.year), month(civil.month), day(static_cast<unsigned>(civil.day))};
  if (!date.ok() || civil.hour > 23 || civil.minute > 59 || civil.second > 60) return std::nullopt;
  const sys_seconds when = sys_days(date) + hours(civil.hour) + minutes(civil.minute) + seconds(civil.second);
  if (when < ceil<seconds>(Clock::time_point::min()) || when > floor<seconds>(Clock::time_point::max())) {
    return std::nullopt;  // a clock that counts nanoseconds ends in the year 2262
  }
  return when;
}

}  // namespace

std::string format_timestamp(Clock::time_point when) {
  using namespace std::chrono;
  const auto days = floor<std::chrono::days>(when);
  const year_month_day date(days);
  const hh_mm_ss time(floor<seconds>(when) - days);
  std::array<char, 29> text;
  char* at = put(text.data(), kDays[weekday(days).c_encoding()]);
  at = put_two(put(at, ", "), static_cast<unsigned>(date.day()));
  at = put(put(put(at, " "), kMonths[static_cast<unsigned>(date.month()) - 1]), " ");
  const auto year = static_cast<unsigned>(static_cast<int>(date.year()));
  at = put(put_two(put_two(at, year / 100), year), " ");
  at = put(put_two(at, static_cast<unsigned>(time.hours().count())), ":");
  at = put(put_two(at, static_cast<unsigned>(time.minutes().count())), ":");
  put(put_two(at, static_cast<unsigned>(time.seconds().count())), " GMT");
  return {text.data(), text.size()};
}

std::optional<Clock::time_point> parse_timestamp(std::string_view text) {
  const Scanner scanner(trim_http_space(text));
  Civil civil;
  if (take_fixdate(scanner, civil) || take_rfc850(scanner, civil = {}) || take_asctime(scanner, civil = {})) {
    return time_of(civil);
  }
  return std::nullopt;
}

}  // namespace twinloop
