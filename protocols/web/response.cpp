// What a RequestHandler answers.
#include <algorithm>
#include <array>

#include "protocols/web/application.h"
#include "protocols/web/conditional.h"
#include "protocols/web/crypto.h"
#include "protocols/web/handler_state.h"
#include "protocols/web/text.h"
#include "twinloop/log.h"
#include "twinloop/request_handler.h"
#include "twinloop/web.h"

namespace twinloop {
namespace {

using detail::HandlerState;

constexpr std::size_t kTaggedBody = 1024 * 1024;  // what is hashed in one go, for an ETag that nobody asked for

Future<void> failed(std::string misuse) { return Future<void>::failed(Failure(Errc::protocol, std::move(misuse))); }

bool has_body(int status) noexcept { return status >= 200 && status != 204 && status != 304; }

// What describes a body that is not there (RFC 9110 §15.4.5).
void clear_representation(HTTPHeaders& headers) {
  for (const std::string_view name : {"Content-Type", "Content-Encoding", "Content-Language", "Content-Length"}) {
    headers.erase(name);
  }
}

void add_cookies(HandlerState& state) {
  for (const auto& [name, value] : state.cookies) state.headers.add("Set-Cookie", value);
  state.cookies.clear();
}

bool wants_gzip(const HandlerState& state) {
  return state.application.settings().compress_response() && has_body(state.status) && state.status != 206 &&
         !state.headers.contains("Content-Encoding") && detail::is_compressible(state.headers.get("Content-Type"));
}

// Before the headers leave: whether the body goes compressed.  What might have been compressed says so to caches.
void choose_encoding(HandlerState& state, bool large_enough) {
  if (!wants_gzip(state)) return;
  state.headers.add("Vary", "Accept-Encoding");
  if (!large_enough || !detail::accepts_gzip(state.request.headers().joined("Accept-Encoding"))) return;
  state.gzip = std::make_unique<detail::GzipEncoder>();
  state.headers.set("Content-Encoding", "gzip");
  state.headers.erase("Content-Length");
  const std::string etag(state.headers.get("ETag"));  // the same text, but other bytes
  if (etag.starts_with('"')) state.headers.set("ETag", "W/" + etag);
}

std::string error_page(int status, std::string_view reason) {
  const std::string title = std::to_string(status) + ": " + detail::html_escape(reason);
  return "<html><title>" + title + "</title><body>" + title + "</body></html>";
}

std::string allowed_methods(unsigned verbs) {
  constexpr std::array<std::string_view, detail::kVerbCount> kNames = {"GET",   "HEAD",   "POST",   "PUT",
                                                                       "PATCH", "DELETE", "OPTIONS"};
  std::string list;
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if ((verbs >> i & 1U) != 0) list.append(list.empty() ? "" : ", ").append(kNames[i]);
  }
  return list;
}

// One that would break out of the status line is none.
std::string reason_in(const Failure& failure) {
  if (!failure.exception()) return {};
  try {
    std::rethrow_exception(failure.exception());
  } catch (const HTTPError& error) {
    return is_http_field_value(error.http_reason()) ? error.http_reason() : std::string();
  } catch (...) {
    return {};
  }
}

}  // namespace

// ---- status and headers

void RequestHandler::clear() {
  state_->status = 200;
  state_->reason.clear();
  state_->output.clear();
  state_->headers.clear();
  state_->headers.set("Content-Type", "text/html; charset=UTF-8");
  set_default_headers();
}

void RequestHandler::set_status(int status, std::string reason) {
  state_->expect_attached("set_status");
  if (!is_http_field_value(reason)) throw Error(Errc::protocol, "a control character in a reason");
  state_->status = status;
  state_->reason = std::move(reason);
}

int RequestHandler::status() const noexcept { return state_->status; }
HTTPHeaders& RequestHandler::headers() noexcept { return state_->headers; }
void RequestHandler::set_header(std::string_view name, std::string_view value) {
  state_->expect_attached("set_header");
  state_->headers.set(name, value);
}
void RequestHandler::add_header(std::string_view name, std::string_view value) {
  state_->expect_attached("add_header");
  state_->headers.add(name, value);
}
void RequestHandler::clear_header(std::string_view name) { state_->headers.erase(name); }
bool RequestHandler::headers_written() const noexcept { return state_->headers_written; }
bool RequestHandler::finished() const noexcept { return state_->finished; }

// ---- ETag

std::optional<std::string> RequestHandler::compute_etag() const { return '"' + detail::sha1_hex(state_->output) + '"'; }

void RequestHandler::set_etag_header() {
  if (const std::optional<std::string> etag = compute_etag()) set_header("ETag", *etag);
}

bool RequestHandler::check_etag_header() const {
  return detail::matches_etag(request().headers().joined("If-None-Match"), state_->headers.get("ETag"));
}

// ---- the body

void RequestHandler::write(std::string_view bytes) {
  if (const std::string wrong = state_->too_late_for("write"); !wrong.empty()) throw Error(Errc::protocol, wrong);
  state_->output.append(bytes);
}

void RequestHandler::write(std::string&& bytes) {
  if (state_->finished || !state_->output.empty()) return write(std::string_view(bytes));
  state_->output = std::move(bytes);
}

// The headers of a response that is known whole: 304 where the client has it, else compressed where that is wanted.
void RequestHandler::prepare_whole_response() {
  HandlerState& state = *state_;
  const std::string& method = request().method();
  if (state.status == 200 && (method == "GET" || method == "HEAD")) {
    if (!state.headers.contains("ETag") && state.output.size() <= kTaggedBody) set_etag_header();
    if (check_etag_header()) state.status = 304;
  }
  if (has_body(state.status)) {
    const bool whole_here = !state.headers.contains("Content-Length");
    choose_encoding(state, whole_here && state.output.size() >= detail::kCompressFrom);
    if (state.gzip) state.output = state.gzip->encode(state.output, true);
  } else {
    state.output.clear();
    clear_representation(state.headers);
  }
  add_cookies(state);
}

Future<void> RequestHandler::finish(std::string_view last) {
  HandlerState& state = *state_;
  if (std::string wrong = state.too_late_for("finish"); !wrong.empty()) return failed(std::move(wrong));
  write(last);
  if (state.headers_written) {
    state.finished = true;
    return send_all();
  }
  prepare_whole_response();
  state.finished = true;
  state.headers_written = true;
  if (state.reason.empty() && !state.headers.contains("Content-Length")) {
    return request().respond(state.status, state.headers, std::move(state.output));
  }
  return send_all();
}

// What is left of a response, in pieces.
Future<void> RequestHandler::send_all() {
  HandlerState& state = *state_;
  if (!request().headers_written()) {
    const bool counted = state.headers.contains("Content-Length");
    if (has_body(state.status) && !counted) state.headers.set("Content-Length", std::to_string(state.output.size()));
    co_await request().write_headers(state.status, state.headers, state.reason);
  } else if (state.gzip) {
    state.output = state.gzip->encode(state.output, true);
  }
  if (!state.output.empty() && request().method() != "HEAD") co_await request().write(state.output);
  state.output.clear();
  co_await request().finish();
}

Future<void> RequestHandler::flush() {
  HandlerState& state = *state_;
  if (std::string wrong = state.too_late_for("flush"); !wrong.empty()) return failed(std::move(wrong));
  if (!state.headers_written) {
    choose_encoding(state, true);
    add_cookies(state);
    state.headers_written = true;
    return send_first(std::exchange(state.output, {}));
  }
  std::string chunk = std::exchange(state.output, {});
  if (chunk.empty() || request().method() == "HEAD") return Future<void>::ready();
  return request().write(state.gzip ? state.gzip->encode(chunk, false) : chunk);
}

Future<void> RequestHandler::send_first(std::string chunk) {
  HandlerState& state = *state_;
  if (state.gzip && !chunk.empty()) chunk = state.gzip->encode(chunk, false);
  co_await request().write_headers(state.status, state.headers, state.reason);
  if (!chunk.empty() && request().method() != "HEAD") co_await request().write(chunk);
}

// ---- errors and redirections

Future<void> RequestHandler::send_error(int status, Failure why) {
  HandlerState& state = *state_;
  if (state.headers_written) {  // half of another response is on its way
    state.finished = true;
    request().stream().close();
    co_return;
  }
  clear();
  state.gzip.reset();
  set_status(status, reason_in(why));
  if (status == 405) set_header("Allow", allowed_methods(state.route.traits.verbs));
  const Result<> page = co_await as_result(attempt_error(status, why));
  if (!page.ok()) log(LogLevel::error, "web: write_error failed: " + page.failure().message());
  if (!state.finished) co_await finish();
}

Future<void> RequestHandler::attempt_error(int status, const Failure& why) noexcept {
  try {
    return write_error(status, why);
  } catch (...) {
    return Future<void>::failed(std::current_exception());
  }
}

Future<void> RequestHandler::write_error(int status, const Failure& why) {
  if (settings().serve_failures()) {
    set_header("Content-Type", "text/plain; charset=UTF-8");
    return finish(why ? why.message() : std::string(reason_phrase(status)));
  }
  return finish(error_page(status, state_->reason.empty() ? reason_phrase(status) : std::string_view(state_->reason)));
}

Future<void> RequestHandler::redirect(std::string_view url, bool permanent, int status) {
  if (std::string wrong = state_->too_late_for("redirect"); !wrong.empty()) return failed(std::move(wrong));
  if (state_->headers_written) return failed("redirect() after the headers were sent");
  set_status(status != 0 ? status : permanent ? 301 : 302);
  set_header("Location", url);
  return finish();
}

}  // namespace twinloop
