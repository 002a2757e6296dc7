// The way of a request through its handler.  What it says is in response.cpp, what it was asked in arguments.cpp.
#include "twinloop/request_handler.h"

#include <array>
#include <utility>

#include "protocols/web/application.h"
#include "protocols/web/handler_state.h"
#include "protocols/web/text.h"
#include "twinloop/log.h"
#include "twinloop/web.h"

namespace twinloop {
namespace {

using detail::HandlerState;
using Verb = Future<void> (RequestHandler::*)();

struct NamedVerb {
  std::string_view name;
  Verb call;
};

// In the order of HandlerTraits::verbs.
constexpr std::array<NamedVerb, detail::kVerbCount> kVerbs = {{
    {"GET", &RequestHandler::get},
    {"HEAD", &RequestHandler::head},
    {"POST", &RequestHandler::post},
    {"PUT", &RequestHandler::put},
    {"PATCH", &RequestHandler::patch},
    {"DELETE", &RequestHandler::del},
    {"OPTIONS", &RequestHandler::options},
}};

// What a handler that threw Finish wants to say last; no value for all other failures.
std::optional<std::string> last_words(const Failure& failure) {
  if (!failure.exception()) return std::nullopt;
  try {
    std::rethrow_exception(failure.exception());
  } catch (const Finish& finish) {
    return finish.last();
  } catch (...) {
    return std::nullopt;
  }
}

// What a body that could not be received is answered with.
Failure body_failure(const Failure& failure) noexcept {
  switch (reason_of(failure.code())) {
    case Errc::overflow:
      return http_failure(413);
    case Errc::timeout:
      return http_failure(408);
    case Errc::protocol:
      return http_failure(400);
    default:
      return failure;
  }
}

bool changes_nothing(std::string_view method) noexcept {
  return method == "GET" || method == "HEAD" || method == "OPTIONS";
}

}  // namespace

RequestHandler::RequestHandler() = default;
RequestHandler::~RequestHandler() = default;

Future<void> RequestHandler::prepare() { return Future<void>::ready(); }
Future<void> RequestHandler::get() { return Future<void>::failed(http_failure(405)); }
Future<void> RequestHandler::head() { return get(); }
Future<void> RequestHandler::post() { return Future<void>::failed(http_failure(405)); }
Future<void> RequestHandler::put() { return Future<void>::failed(http_failure(405)); }
Future<void> RequestHandler::patch() { return Future<void>::failed(http_failure(405)); }
Future<void> RequestHandler::del() { return Future<void>::failed(http_failure(405)); }
Future<void> RequestHandler::options() { return Future<void>::failed(http_failure(405)); }
Future<void> RequestHandler::data_received(std::string_view) {
  return Future<void>::failed(
      Failure(Errc::not_supported, "data_received: this handler does not take its body in pieces"));
}
void RequestHandler::data_ended() {}
void RequestHandler::on_finish() {}
void RequestHandler::on_connection_close() {}
void RequestHandler::on_drain() {}
void RequestHandler::set_default_headers() {}

Future<void> RequestHandler::verb() {
  for (const NamedVerb& known : kVerbs) {
    if (known.name == request().method()) return (this->*known.call)();
  }
  return Future<void>::failed(http_failure(405));
}

Future<void> RequestHandler::begin() {
  for (std::string& argument : state_->path_args) argument = decode_argument(std::move(argument), "the path");
  if (settings().xsrf_cookies() && !changes_nothing(request().method())) check_xsrf_cookie();
  return prepare();
}

Future<void> RequestHandler::finish_as_it_is() { return finish(); }

// A step that throws before it returns its future fails as one that throws in its coroutine.
Future<void> RequestHandler::attempt(Step step) noexcept {
  try {
    return (this->*step)();
  } catch (...) {
    return Future<void>::failed(std::current_exception());
  }
}

// All of the body, or piece by piece what data_received() takes.
Future<void> RequestHandler::receive() {
  if (!state_->route.traits.streams_body) {
    Result<std::string> body = co_await as_result(request().body());
    if (!body.ok()) co_await detail::Fail(body_failure(body.failure()));
    state_->body = std::move(*body);
    co_return;
  }
  while (!state_->finished) {
    const Result<std::optional<std::string_view>> chunk = co_await as_result(request().next_chunk());
    if (!chunk.ok()) co_await detail::Fail(body_failure(chunk.failure()));
    if (!chunk.peek()) co_return data_ended();
    co_await data_received(*chunk.peek());
  }
}

Future<void> RequestHandler::execute() {
  HandlerState& state = *state_;
  const bool streams = state.route.traits.streams_body;
  Result<> step = Unit{};
  if (!streams && !request().body_ended()) step = co_await as_result(receive());
  if (step.ok()) step = co_await as_result(attempt(&RequestHandler::begin));
  if (step.ok() && streams && !state.finished) step = co_await as_result(receive());
  if (step.ok() && !state.finished) step = co_await as_result(attempt(&RequestHandler::verb));
  if (step.ok() && !state.finished && !state.detached) {
    step = co_await as_result(attempt(&RequestHandler::finish_as_it_is));
  }
  if (!step.ok()) co_await conclude(step.failure());
}

// Answers a failure, unless there is nobody any more.
Future<void> RequestHandler::conclude(Failure failure) {
  HandlerState& state = *state_;
  if (state.detached) {
    co_await detail::Fail(std::move(failure));
    co_return;
  }
  if (const std::optional<std::string> last = last_words(failure)) {
    if (!state.finished) co_await finish(*last);
    co_return;
  }
  if (request().client_gone() && is_ordinary_end(failure.code())) co_return;
  try {
    log_exception(failure);
  } catch (const std::exception& error) {
    log(LogLevel::error, std::string("web: log_exception failed: ") + error.what());
  }
  if (state.finished || request().client_gone()) co_return;
  co_await send_error(http_status_of(failure), failure);
}

void RequestHandler::log_exception(const Failure& why) {
  const std::string what = request().method() + " " + detail::printable(request().uri()) + ": " + why.message();
  log(http_status_of(why) < 500 ? LogLevel::warning : LogLevel::error, what);
}

HTTPServerRequest& RequestHandler::request() noexcept { return state_->request; }
const HTTPServerRequest& RequestHandler::request() const noexcept { return state_->request; }
const ApplicationSettings& RequestHandler::settings() const noexcept { return state_->application.settings(); }
std::string_view RequestHandler::body() const noexcept { return state_->body; }

std::string RequestHandler::reverse(const detail::RouteCall& call) const {
  return state_->application.reverse_url(call);
}

void RequestHandler::set_cancel_on_connection_close(bool cancel) {
  if (!cancel) return;
  state_->cancels = true;
  if (!state_->detached) request().cancel_when_client_goes();
}

bool RequestHandler::cancels_on_connection_close() const noexcept { return state_->cancels; }

IOStream RequestHandler::detach(std::string& leftover) {
  IOStream stream = request().detach(leftover);
  request().set_close_callback(detail::Function<void()>());
  state_->detached = true;
  return stream;
}

}  // namespace twinloop
