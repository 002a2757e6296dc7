#include "protocols/http/forwarded.h"

#include <algorithm>
#include <charconv>

#include "twinloop/url.h"

namespace twinloop::detail {
namespace {

bool is_ipv4(std::string_view text) noexcept {
  for (int part = 0; part < 4; ++part) {
    const std::size_t dot = part < 3 ? text.find('.') : text.size();
    if (dot == std::string_view::npos || dot == 0 || dot > 3) return false;
    unsigned number = 0;
    const std::string_view digits = text.substr(0, dot);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + dot || number > 255) return false;
    text.remove_prefix(std::min(dot + 1, text.size()));
  }
  return text.empty();
}

bool is_group(std::string_view text) noexcept {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  return !text.empty() && text.size() <= 4 && error == std::errc() && end == text.data() + text.size();
}

// The number of groups in "a:b:c", the last of which may be an IPv4 address, which is two; -1 when one is none.
int count_groups(std::string_view text, bool last) noexcept {
  int groups = 0;
  while (!text.empty()) {
    const std::size_t colon = text.find(':');
    const std::string_view group = text.substr(0, colon);
    if (last && colon == std::string_view::npos && is_ipv4(group)) return groups + 2;
    if (!is_group(group)) return -1;
    ++groups;
    if (colon == std::string_view::npos) break;
    text.remove_prefix(colon + 1);
    if (text.empty()) return -1;
  }
  return groups;
}

bool is_ipv6(std::string_view text) noexcept {
  const std::size_t gap = text.find("::");
  if (gap == std::string_view::npos) return count_groups(text, true) == 8;
  const int before = count_groups(text.substr(0, gap), false);
  const int behind = count_groups(text.substr(gap + 2), true);
  return before >= 0 && behind >= 0 && before + behind < 8;
}

std::string_view last_item(std::string_view list) noexcept {
  const std::size_t comma = list.rfind(',');
  return trim_http_space(comma == std::string_view::npos ? list : list.substr(comma + 1));
}

std::string_view without_last_item(std::string_view list) noexcept {
  const std::size_t comma = list.rfind(',');
  return comma == std::string_view::npos ? std::string_view() : list.substr(0, comma);
}

}  // namespace

bool is_ip_address(std::string_view text) noexcept { return is_ipv4(text) || is_ipv6(text); }

std::string host_of_address(std::string_view address) {
  if (address.starts_with("unix:")) return "unix";
  const Result<Url> url = Url::parse(address);
  return url.ok() ? url.peek().host : std::string();
}

std::string forwarded_ip(const HTTPHeaders& headers, std::string peer, const std::vector<std::string>& trusted) {
  if (const std::string_view real = headers.get("X-Real-Ip"); is_ip_address(real)) return std::string(real);
  const std::string chain = headers.joined("X-Forwarded-For");
  std::string_view rest = chain;
  while (!rest.empty()) {
    const std::string_view hop = last_item(rest);
    rest = without_last_item(rest);
    const bool is_proxy = std::find(trusted.begin(), trusted.end(), hop) != trusted.end();
    if (is_proxy && !rest.empty()) continue;
    return is_ip_address(hop) ? std::string(hop) : peer;
  }
  return peer;
}

std::string forwarded_protocol(const HTTPHeaders& headers, std::string otherwise) {
  const std::string chain = headers.joined("X-Forwarded-Proto");
  const std::string_view said = headers.get("X-Scheme", last_item(chain));
  if (equal_ignoring_case(said, "http")) return "http";
  if (equal_ignoring_case(said, "https")) return "https";
  return otherwise;
}

}  // namespace twinloop::detail
