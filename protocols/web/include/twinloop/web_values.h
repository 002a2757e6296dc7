// Values of web applications: errors with an HTTP status, options of cookies, signed values.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "twinloop/result.h"

namespace twinloop {

// ---- errors that are answers

// Thrown by a handler it is answered with its status; the log message is for the log only.
class HTTPError : public Error {
 public:
  explicit HTTPError(int status, std::string_view log_message = {}, std::string reason = {});

  int status() const noexcept { return code().value(); }
  const std::string& http_reason() const noexcept { return reason_; }
  // Stands in the response instead of the status's usual phrase.

 private:
  std::string reason_;
};

const std::error_category& http_category() noexcept;
Failure http_failure(int status) noexcept;
// As throwing HTTPError(status), for a hundredth of the price: what a Future may fail with, or a
// coroutine that returns a value: `co_return http_failure(404);`

int http_status_of(const Failure& failure) noexcept;
// What a failure is answered with: the status of these two, otherwise 500.

// Thrown by a handler: the request is finished as it stands, with this last text, without an error (Tornado's).
class Finish : public std::exception {
 public:
  explicit Finish(std::string last = {}) : last_(std::move(last)) {}

  const std::string& last() const noexcept { return last_; }
  const char* what() const noexcept override { return "the handler asked for the end of its request"; }

 private:
  std::string last_;
};

// ---- cookies

class CookieOptions {
 public:
  CookieOptions& set_domain(std::string domain) { return domain_ = std::move(domain), *this; }
  CookieOptions& set_path(std::string path) { return path_ = std::move(path), *this; }
  // "/"
  CookieOptions& set_expires(std::chrono::system_clock::time_point when) { return expires_ = when, *this; }
  CookieOptions& set_max_age(std::chrono::seconds age) { return max_age_ = age, *this; }
  // Neither: until the browser is closed.
  CookieOptions& set_http_only(bool hide = true) { return http_only_ = hide, *this; }
  // Not for the page's scripts.
  CookieOptions& set_secure(bool secure = true) { return secure_ = secure, *this; }
  CookieOptions& set_same_site(std::string rule) { return same_site_ = std::move(rule), *this; }
  // "Strict", "Lax" or "None".

  const std::string& domain() const noexcept { return domain_; }
  const std::string& path() const noexcept { return path_; }
  const std::optional<std::chrono::system_clock::time_point>& expires() const noexcept { return expires_; }
  const std::optional<std::chrono::seconds>& max_age() const noexcept { return max_age_; }
  bool http_only() const noexcept { return http_only_; }
  bool secure() const noexcept { return secure_; }
  const std::string& same_site() const noexcept { return same_site_; }

 private:
  std::string domain_;
  std::string path_ = "/";
  std::optional<std::chrono::system_clock::time_point> expires_;
  std::optional<std::chrono::seconds> max_age_;
  bool http_only_ = false;
  bool secure_ = false;
  std::string same_site_;
};

std::string format_cookie(std::string_view name, std::string_view value, const CookieOptions& options = {});
// A Set-Cookie header's value.  Throws Error(protocol) for a name that is no token and for a value, domain or path that would end the
// cookie or the header.

// ---- URLs of static files

class StaticUrlOptions {
 public:
  StaticUrlOptions& set_version(bool include) { return version_ = include, *this; }
  // On.
  StaticUrlOptions& set_host(bool include) { return host_ = include, *this; }
  // Begins with the scheme and the host that the request came for.  Off.

  bool version() const noexcept { return version_; }
  bool host() const noexcept { return host_; }

 private:
  bool version_ = true;
  bool host_ = false;
};

// ---- signed values: readable by whoever holds them, forgeable by nobody without the secret.  Format 2 of Tornado's, with
// HMAC-SHA256, so that applications in both can share their cookies.

inline constexpr std::chrono::seconds kSignedValueAge = std::chrono::hours(24) * 31;

// Secrets by version, so that they can be changed: what is new is signed with the one of `key_version`, what is old is
// accepted as long as its secret is here.
class SigningKeys {
 public:
  SigningKeys() = default;
  explicit SigningKeys(std::string secret) { add(0, std::move(secret)); }
  SigningKeys& add(int version, std::string secret);
  // Throws Error(limit) for a secret shorter than 16 bytes.
  SigningKeys& set_key_version(int version) { return current_ = version, *this; }
  // 0

  const std::string* find(int version) const noexcept;
  int key_version() const noexcept { return current_; }
  bool empty() const noexcept { return secrets_.empty(); }

 private:
  std::map<int, std::string> secrets_;
  int current_ = 0;
};

std::string create_signed_value(const SigningKeys& keys, std::string_view name, std::string_view value,
                                std::chrono::system_clock::time_point now = std::chrono::system_clock::now());
std::optional<std::string> decode_signed_value(
    const SigningKeys& keys, std::string_view name, std::string_view value,
    std::chrono::seconds max_age = kSignedValueAge,
    std::chrono::system_clock::time_point now = std::chrono::system_clock::now());
// No value when it is malformed, signed with another secret, for another name, older than max_age, or from a future of more than
// 31 days.  Both throw Error(not_supported) in a build without OpenSSL.
std::optional<int> signed_value_key_version(std::string_view value) noexcept;
// Which secret it says it was signed with; nothing is checked.

}  // namespace twinloop
