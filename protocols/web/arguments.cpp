// What a RequestHandler was asked: arguments, cookies, who asks.
#include <algorithm>

#include "protocols/web/application.h"
#include "protocols/web/crypto.h"
#include "protocols/web/handler_state.h"
#include "protocols/web/text.h"
#include "twinloop/request_handler.h"
#include "twinloop/web.h"

namespace twinloop {
namespace {

using detail::HandlerState;

constexpr std::string_view kForm = "application/x-www-form-urlencoded";
constexpr std::string_view kMultipart = "multipart/form-data";
constexpr std::chrono::seconds kSignedCookieLife = std::chrono::hours(24) * 30;

enum class Source : unsigned char { query, body, both };

// More fields than there may be are the client's mistake.
template <class F>
decltype(auto) or_bad_request(F parse) {
  try {
    return parse();
  } catch (const Error& error) {
    throw HTTPError(400, error.what());
  }
}

Result<MultipartForm> parse_form(HandlerState& state) {
  const std::string_view type = state.request.headers().get("Content-Type");
  const bool multipart = type.starts_with(kMultipart);
  MultipartForm form;
  if (!multipart && !type.starts_with(kForm)) return form;
  if (const std::string* coding = state.request.headers().find("Content-Encoding")) {  // that nobody has taken off
    return Failure(Errc::not_supported, "a form with Content-Encoding: " + detail::printable(*coding));
  }
  if (multipart) return parse_multipart(state.body, type);
  form.arguments = or_bad_request([&] { return parse_query(state.body); });
  return form;
}

// The form in the body, parsed when first asked for.
MultipartForm& form_of(HandlerState& state) {
  if (state.form) return *state.form;
  Result<MultipartForm> form = parse_form(state);
  if (!form.ok()) throw HTTPError(400, form.failure().message());
  state.form = std::make_unique<MultipartForm>(std::move(*form));
  return *state.form;
}

std::vector<std::string> values_of(const RequestHandler& handler, HandlerState& state, std::string_view name,
                                   Source source) {
  std::vector<std::string_view> raw;
  if (source != Source::body) raw = or_bad_request([&] { return state.request.query_arguments().all(name); });
  if (source != Source::query) {
    const std::vector<std::string_view> more = form_of(state).arguments.all(name);
    raw.insert(raw.end(), more.begin(), more.end());
  }
  std::vector<std::string> values;
  for (const std::string_view value : raw) {
    std::string decoded = handler.decode_argument(std::string(value), name);
    detail::blank_controls(decoded);
    values.emplace_back(detail::without_spaces(decoded));
  }
  return values;
}

std::string last_of(std::vector<std::string> values, std::string_view name) {
  if (values.empty()) throw HTTPError(400, "Missing argument " + detail::printable(name));
  return std::move(values.back());
}

std::string last_of(std::vector<std::string> values, std::string_view name, std::string_view otherwise) {
  if (values.empty()) return std::string(otherwise);
  return last_of(std::move(values), name);
}

}  // namespace

// ---- the path

const std::vector<std::string>& RequestHandler::path_args() const noexcept { return state_->path_args; }

const std::string& RequestHandler::path_argument(std::string_view name) const {
  const std::size_t index = state_->pattern != nullptr ? state_->pattern->group_named(name) : state_->path_args.size();
  if (index < state_->path_args.size()) return state_->path_args[index];
  throw Error(Errc::not_found, "the route's pattern has no group '" + std::string(name) + "'");
}

// ---- query and form

std::string RequestHandler::decode_argument(std::string value, std::string_view name) const {
  if (!detail::is_utf8(value)) throw HTTPError(400, "Invalid unicode in " + detail::printable(name));
  return value;
}

std::vector<std::string> RequestHandler::get_arguments(std::string_view name) {
  return values_of(*this, *state_, name, Source::both);
}
std::vector<std::string> RequestHandler::get_query_arguments(std::string_view name) {
  return values_of(*this, *state_, name, Source::query);
}
std::vector<std::string> RequestHandler::get_body_arguments(std::string_view name) {
  return values_of(*this, *state_, name, Source::body);
}

std::string RequestHandler::get_argument(std::string_view name) { return last_of(get_arguments(name), name); }
std::string RequestHandler::get_argument(std::string_view name, std::string_view otherwise) {
  return last_of(get_arguments(name), name, otherwise);
}
std::string RequestHandler::get_query_argument(std::string_view name) {
  return last_of(get_query_arguments(name), name);
}
std::string RequestHandler::get_query_argument(std::string_view name, std::string_view otherwise) {
  return last_of(get_query_arguments(name), name, otherwise);
}
std::string RequestHandler::get_body_argument(std::string_view name) { return last_of(get_body_arguments(name), name); }
std::string RequestHandler::get_body_argument(std::string_view name, std::string_view otherwise) {
  return last_of(get_body_arguments(name), name, otherwise);
}

const std::vector<std::pair<std::string, HTTPFile>>& RequestHandler::files() { return form_of(*state_).files; }

// ---- cookies

std::optional<std::string> RequestHandler::get_cookie(std::string_view name) {
  const std::string* value = request().cookie(name);
  if (value == nullptr) return std::nullopt;
  return *value;
}

// A cookie that is set twice is sent once.
void RequestHandler::set_cookie(std::string_view name, std::string_view value, const CookieOptions& options) {
  state_->expect_attached("set_cookie");
  auto& cookies = state_->cookies;
  std::string text = format_cookie(name, value, options);
  const auto known = std::find_if(cookies.begin(), cookies.end(), [&](const auto& each) { return each.first == name; });
  if (known != cookies.end())
    known->second = std::move(text);
  else
    cookies.emplace_back(name, std::move(text));
}

void RequestHandler::clear_cookie(std::string_view name, const CookieOptions& options) {
  CookieOptions expired = options;
  set_cookie(name, "", expired.set_expires(std::chrono::system_clock::now() - std::chrono::hours(24 * 365)));
}

void RequestHandler::clear_all_cookies(const CookieOptions& options) {
  for (const auto& [name, value] : parse_cookies(request().headers().joined("Cookie"))) clear_cookie(name, options);
}

void RequestHandler::set_signed_cookie(std::string_view name, std::string_view value, const CookieOptions& options) {
  CookieOptions lasting = options;
  if (!options.expires() && !options.max_age()) {
    lasting.set_expires(std::chrono::system_clock::now() + kSignedCookieLife);
  }
  set_cookie(name, create_signed_value(settings().cookie_secrets(), name, value), lasting);
}

std::optional<std::string> RequestHandler::get_signed_cookie(std::string_view name, std::chrono::seconds max_age) {
  if (settings().cookie_secrets().empty()) {
    throw Error(Errc::not_supported, "signed cookies: the application's settings have no cookie secret");
  }
  const std::string* value = request().cookie(name);
  if (value == nullptr) return std::nullopt;
  return decode_signed_value(settings().cookie_secrets(), name, *value, max_age);
}

std::optional<int> RequestHandler::get_signed_cookie_key_version(std::string_view name) {
  const std::string* value = request().cookie(name);
  if (value == nullptr) return std::nullopt;
  return signed_value_key_version(*value);
}

// ---- who asks

std::optional<std::string> RequestHandler::get_current_user() { return std::nullopt; }

const std::optional<std::string>& RequestHandler::current_user() {
  if (!state_->user) state_->user = get_current_user();
  return *state_->user;
}

Future<bool> RequestHandler::authenticated() {
  if (current_user()) co_return true;
  const std::string& method = request().method();
  if (settings().login_url().empty() || (method != "GET" && method != "HEAD")) {
    co_await send_error(403);
    co_return false;
  }
  const bool elsewhere = settings().login_url().find("://") != std::string::npos;
  HTTPArguments next;
  next.add("next", elsewhere ? request().full_url() : request().uri());
  co_await redirect(url_concat(settings().login_url(), next));
  co_return false;
}

// ---- forged requests

std::string RequestHandler::xsrf_token() {
  HandlerState& state = *state_;
  if (!state.xsrf_text.empty()) return state.xsrf_text;
  const std::string* cookie = request().cookie(settings().xsrf_cookie_name());
  if (cookie != nullptr) state.xsrf = detail::unmask_xsrf_token(*cookie);
  const bool known = state.xsrf.has_value();
  if (!known) state.xsrf = detail::new_xsrf_token();
  state.xsrf_text = detail::mask_xsrf_token(*state.xsrf);
  if (!known) set_cookie(settings().xsrf_cookie_name(), state.xsrf_text, settings().xsrf_cookie_options());
  return state.xsrf_text;
}

std::string RequestHandler::xsrf_form_html() {
  return R"(<input type="hidden" name="_xsrf" value=")" + detail::html_escape(xsrf_token()) + "\"/>";
}

void RequestHandler::check_xsrf_cookie() {
  std::string given = get_argument("_xsrf", "");
  if (given.empty()) given = request().headers().get("X-Xsrftoken");
  if (given.empty()) given = request().headers().get("X-Csrftoken");
  if (given.empty()) throw HTTPError(403, "'_xsrf' argument missing from " + request().method());
  const std::string* cookie = request().cookie(settings().xsrf_cookie_name());
  const auto ours = cookie != nullptr ? detail::unmask_xsrf_token(*cookie) : std::nullopt;
  const auto theirs = detail::unmask_xsrf_token(given);
  if (!theirs) throw HTTPError(403, "'_xsrf' argument has invalid format");
  if (!ours || !detail::equal_in_constant_time(ours->token, theirs->token)) {
    throw HTTPError(403, "XSRF cookie does not match '_xsrf' argument");
  }
}

}  // namespace twinloop
