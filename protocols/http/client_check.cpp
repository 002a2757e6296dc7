// Whether a request makes sense, wherever it is sent from.
#include "protocols/http/client_check.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace twinloop::detail {
namespace {

constexpr std::array<std::string_view, 7> kMethods = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"};

[[noreturn]] void refuse(const HTTPRequest& request, std::string_view what) {
  throw Error(Errc::protocol, describe(request.method(), shown_url(request.url())).append(": ").append(what));
}

bool wants_body(std::string_view method) noexcept { return method == "POST" || method == "PUT" || method == "PATCH"; }
bool takes_no_body(std::string_view method) noexcept { return method == "GET" || method == "HEAD"; }

void check_method(const HTTPRequest& request) {
  const std::string& method = request.method();
  if (!is_http_token(method)) refuse(request, "the method is no word");
  if (method == "CONNECT") refuse(request, "CONNECT is for proxies; use set_proxy()");
  if (request.allow_nonstandard_methods()) return;
  if (std::find(kMethods.begin(), kMethods.end(), method) == kMethods.end()) {
    refuse(request, "the method is not a usual one; set_allow_nonstandard_methods(true) sends it all the same");
  }
}

void check_body(const HTTPRequest& request) {
  if (request.allow_nonstandard_methods()) return;
  if (wants_body(request.method()) && !request.has_body()) {
    refuse(request, "it has no body; set_body(\"\") sends an empty one");
  }
  if (takes_no_body(request.method()) && request.has_body()) {
    refuse(request, "it has a body, which servers ignore; use POST, or set_allow_nonstandard_methods(true)");
  }
}

void check_framing(const HTTPRequest& request) {
  const HTTPHeaders& headers = request.headers();
  if (headers.contains("Transfer-Encoding")) refuse(request, "Transfer-Encoding is not for the caller to set");
  if (!headers.contains("Content-Length")) return;
  const std::optional<std::uint64_t> length = announced_length(request);
  if (!length) refuse(request, "its Content-Length is no number");
  if (request.body_producer() != nullptr) return;
  const std::size_t real = request.body() != nullptr ? request.body()->size() : 0;
  if (*length != real) refuse(request, "its Content-Length is not that of its body");
}

// What HTTPHeaders allows may stand in a header; it throws otherwise.
void check_texts(const HTTPRequest& request) {
  if (request.user_agent()) HTTPHeaders().set("User-Agent", *request.user_agent());
  if (!request.basic_auth()) return;
  const auto& [user, password] = *request.basic_auth();
  if (user.find(':') != std::string::npos) refuse(request, "a user name cannot have a colon in it");
}

}  // namespace

void check_request(const HTTPRequest& request) {
  check_method(request);
  check_body(request);
  check_framing(request);
  check_texts(request);
}

std::optional<std::uint64_t> announced_length(const HTTPRequest& request) noexcept {
  if (request.headers().count("Content-Length") != 1) return {};
  const std::string_view text = request.headers().get("Content-Length");
  std::uint64_t length = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  if (error != std::errc() || rest != text.data() + text.size()) return {};
  return length;
}

std::string shown_url(std::string_view url) {
  std::string shown(url);
  const std::size_t slashes = shown.find("//");
  if (slashes != std::string::npos) {
    const std::size_t begin = slashes + 2;
    const std::size_t at = shown.substr(0, shown.find_first_of("/?#", begin)).rfind('@');
    if (at != std::string::npos && at >= begin) shown.erase(begin, at + 1 - begin);
  }
  std::replace_if(shown.begin(), shown.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, '?');
  return shown;
}

std::string describe(std::string_view method, std::string_view url) {
  return std::string(method).append(" ").append(url);
}

Failure in_context(const Failure& failure, std::string_view context) {
  std::string words = failure.message();
  const std::string tail = failure.code().message();
  if (words.ends_with(tail)) words.resize(words.size() - tail.size());
  if (words.ends_with(": ")) words.resize(words.size() - 2);
  std::string text(context);
  if (!words.empty()) text.append(": ").append(words);
  if (&failure.code().category() == &twinloop_category()) return {reason_of(failure.code()), std::move(text)};
  return std::make_exception_ptr(Error(failure.code(), text));
}

std::string time_is_up(HTTPProgress::Step step, Duration limit, std::string_view setting) {
  constexpr std::array<std::string_view, 4> kWhere = {"in the request queue", "while connecting",
                                                      "while waiting for the answer", "while receiving the body"};
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(limit).count();
  std::string text(kWhere[static_cast<std::size_t>(step)]);
  return text.append(", after ").append(std::to_string(milliseconds)).append(" ms (").append(setting).append(")");
}

}  // namespace twinloop::detail
