// "2|1:0|10:1300000000|3:foo|4:YmFy|<hex>": version, key version, time, name and value in base64, each with its length, then
// the HMAC-SHA256 of all in front of it.
#include <charconv>

#include "protocols/web/crypto.h"
#include "protocols/websocket/sha1.h"
#include "twinloop/web_values.h"

namespace twinloop {
namespace {

constexpr std::size_t kShortestSecret = 16;
constexpr std::size_t kSignatureSize = 64;

using Clock = std::chrono::system_clock;

std::string field(std::string_view text) { return std::to_string(text.size()).append(":").append(text).append("|"); }

template <class Number>
std::optional<Number> to_number(std::string_view text) noexcept {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Takes "3:foo|" off the front of the text.
std::optional<std::string_view> take_field(std::string_view& text) noexcept {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::optional<std::size_t> size = to_number<std::size_t>(text.substr(0, colon));
  const std::string_view rest = text.substr(colon + 1);
  if (!size || *size >= rest.size() || rest[*size] != '|') return std::nullopt;
  text = rest.substr(*size + 1);
  return rest.substr(0, *size);
}

struct SignedFields {
  int key_version = 0;
  std::int64_t time = 0;
  std::string_view name;
  std::string_view value;
  std::string_view signed_part;
  std::string_view signature;
};

std::optional<SignedFields> parse(std::string_view text) noexcept {
  if (!text.starts_with("2|")) return std::nullopt;
  std::string_view rest = text.substr(2);
  const auto version = take_field(rest);
  const auto time = take_field(rest);
  const auto name = take_field(rest);
  const auto value = take_field(rest);
  if (!version || !time || !name || !value || rest.size() != kSignatureSize) return std::nullopt;
  const auto version_number = to_number<int>(*version);
  const auto seconds = to_number<std::int64_t>(*time);
  if (!version_number || !seconds) return std::nullopt;
  return SignedFields{*version_number, *seconds, *name, *value, text.substr(0, text.size() - rest.size()), rest};
}

std::int64_t seconds_of(Clock::time_point when) noexcept {
  return std::chrono::duration_cast<std::chrono::seconds>(when.time_since_epoch()).count();
}

bool in_time(std::int64_t made, std::int64_t now, std::chrono::seconds max_age) noexcept {
  return made >= now - max_age.count() && made <= now + kSignedValueAge.count();
}

}  // namespace

SigningKeys& SigningKeys::add(int version, std::string secret) {
  if (secret.size() < kShortestSecret) throw Error(Errc::limit, "a secret needs at least 16 bytes");
  secrets_.insert_or_assign(version, std::move(secret));
  return *this;
}

const std::string* SigningKeys::find(int version) const noexcept {
  const auto found = secrets_.find(version);
  return found != secrets_.end() ? &found->second : nullptr;
}

std::string create_signed_value(const SigningKeys& keys, std::string_view name, std::string_view value,
                                Clock::time_point now) {
  const std::string* secret = keys.find(keys.key_version());
  if (secret == nullptr) throw Error(Errc::not_supported, "signing a value: there is no secret to sign with");
  std::string text = "2|" + field(std::to_string(keys.key_version())) + field(std::to_string(seconds_of(now))) +
                     field(name) + field(detail::base64(value));
  text += detail::to_hex(detail::hmac_sha256(*secret, text));
  return text;
}

std::optional<std::string> decode_signed_value(const SigningKeys& keys, std::string_view name, std::string_view value,
                                               std::chrono::seconds max_age, Clock::time_point now) {
  const std::optional<SignedFields> fields = parse(value);
  if (!fields || fields->name != name) return std::nullopt;
  const std::string* secret = keys.find(fields->key_version);
  if (secret == nullptr) return std::nullopt;
  const std::string expected = detail::to_hex(detail::hmac_sha256(*secret, fields->signed_part));
  if (!detail::equal_in_constant_time(expected, fields->signature)) return std::nullopt;
  if (!in_time(fields->time, seconds_of(now), max_age)) return std::nullopt;
  return detail::from_base64(fields->value);
}

std::optional<int> signed_value_key_version(std::string_view value) noexcept {
  const std::optional<SignedFields> fields = parse(value);
  if (!fields) return std::nullopt;
  return fields->key_version;
}

}  // namespace twinloop
