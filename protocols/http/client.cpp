// AsyncHTTPClient: what is the same over streams and in a browser.
#include <map>

#include "protocols/http/client_check.h"
#include "twinloop/httpclient.h"
#include "twinloop/ioloop.h"
#include "twinloop/timing.h"

namespace twinloop {
namespace {

using detail::HTTPAnswer;
using detail::HTTPEngine;
using detail::HTTPProgress;
using Engine = std::shared_ptr<HTTPEngine>;
using Request = std::shared_ptr<const HTTPRequest>;

class StatusCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "http"; }
  std::string message(int status) const override {
    return std::to_string(status).append(" ").append(reason_phrase(status));
  }
};

HTTPProgress progress_of(const HTTPRequest& request) {
  HTTPProgress progress;
  progress.began = IOLoop::current().clock();
  progress.where = detail::shown_url(request.url());
  return progress;
}

// What a limit of ours cut short says nothing yet about the request.
bool is_bare_timeout(const Failure& failure) {
  return failure.code() == make_error_code(Errc::timeout) && !failure.has_context() && !failure.exception();
}

template <class T>
Future<T> limited(Request request, const HTTPProgress& progress, Future<T> work) {
  const Duration limit = request->request_timeout();
  if (limit > Duration::zero()) work = with_timeout(limit, std::move(work));
  Result<T> result = co_await as_result(std::move(work));
  if (result.ok()) co_return std::move(*result);
  if (!is_bare_timeout(result.failure())) co_return result.failure();
  const std::string what = detail::describe(request->method(), progress.where);
  co_return Failure(Errc::timeout, what + ": " + detail::time_is_up(progress.step, limit, "set_request_timeout"));
}

Future<std::string> read_all(std::shared_ptr<detail::HTTPBodySource> source) {
  std::string body;
  for (;;) {
    Future<std::optional<std::string_view>> next = source->next_chunk();
    Result<std::optional<std::string_view>> chunk = co_await as_result(std::move(next));
    if (!chunk.ok()) co_return chunk.failure();
    if (!chunk->has_value()) co_return body;
    body.append(**chunk);
  }
}

Future<HTTPResponse> collect(Engine engine, Request request, HTTPProgress& progress) {
  const std::size_t most = request->max_body_size().value_or(engine->options().max_body_size());
  Future<HTTPAnswer> starting = engine->start(request, most, progress);
  HTTPAnswer answer = co_await std::move(starting);
  progress.step = HTTPProgress::Step::receiving;
  HTTPResponse& response = answer.head;
  response.body = co_await read_all(answer.body);
  response.trailers = std::move(answer.body->trailers());
  response.request_time = IOLoop::current().clock() - progress.began;
  co_return std::move(response);
}

Future<HTTPResponse> fetch_whole(Engine engine, HTTPRequest asked) {
  detail::check_request(asked);
  const Request request = std::make_shared<const HTTPRequest>(std::move(asked));
  HTTPProgress progress = progress_of(*request);
  Future<HTTPResponse> collecting = limited(request, progress, collect(engine, request, progress));
  HTTPResponse response = co_await std::move(collecting);
  if (!response.ok() && request->raise_error()) throw HTTPClientError(request->method(), std::move(response));
  co_return response;
}

// Each chunk within the request's time.  Nothing of it refers to the answer, which may go first.
class LimitedBody final : public detail::HTTPBodySource {
 public:
  LimitedBody(Request request, HTTPProgress progress, std::shared_ptr<detail::HTTPBodySource> body)
      : request_(std::move(request)), progress_(std::move(progress)), body_(std::move(body)) {
    progress_.step = HTTPProgress::Step::receiving;
  }
  Future<std::optional<std::string_view>> next_chunk() override {
    return limited(request_, progress_, body_->next_chunk());
  }
  HTTPHeaders& trailers() noexcept override { return body_->trailers(); }

 private:
  const Request request_;
  HTTPProgress progress_;
  const std::shared_ptr<detail::HTTPBodySource> body_;
};

Future<HTTPStreamedResponse> fetch_head(Engine engine, HTTPRequest asked) {
  detail::check_request(asked);
  const Request request = std::make_shared<const HTTPRequest>(std::move(asked));
  HTTPProgress progress = progress_of(*request);
  const std::size_t most = request->max_body_size().value_or(kNoLimit);
  Future<HTTPAnswer> starting = limited(request, progress, engine->start(request, most, progress));
  HTTPAnswer answer = co_await std::move(starting);
  answer.head.request_time = IOLoop::current().clock() - progress.began;
  co_return HTTPStreamedResponse(std::move(answer.head),
                                 std::make_shared<LimitedBody>(request, std::move(progress), std::move(answer.body)));
}

Future<std::optional<std::string_view>> next_of(std::shared_ptr<detail::HTTPBodySource> body) {
  Future<std::optional<std::string_view>> next = body->next_chunk();
  Result<std::optional<std::string_view>> chunk = co_await as_result(std::move(next));
  if (!chunk.ok()) co_return chunk.failure();
  co_return *chunk;
}

// The clients of AsyncHTTPClient::current(), each until its loop closes.
class LoopClient final : private detail::CloseHook {
 public:
  explicit LoopClient(IOLoop& loop) : loop_(&loop) { loop.add_closer(*this); }

  static AsyncHTTPClient& of(IOLoop& loop) {
    std::unique_ptr<LoopClient>& client = all()[&loop];
    if (client == nullptr) client = std::make_unique<LoopClient>(loop);
    return client->client_;
  }

 private:
  using Clients = std::map<IOLoop*, std::unique_ptr<LoopClient>>;
  static Clients& all() {
    thread_local Clients clients;
    return clients;
  }
  void on_loop_close() noexcept override { all().erase(loop_); }

  IOLoop* const loop_;
  AsyncHTTPClient client_;
};

}  // namespace

const std::error_category& http_status_category() noexcept {
  static const StatusCategory category;
  return category;
}

HTTPClientError::HTTPClientError(std::string_view method, HTTPResponse response)
    : Error(std::error_code(response.status, http_status_category()), detail::describe(method, response.effective_url)),
      response_(std::make_shared<const HTTPResponse>(std::move(response))) {}

HTTPStreamedResponse::HTTPStreamedResponse(HTTPResponse head, std::shared_ptr<detail::HTTPBodySource> body) noexcept
    : head_(std::move(head)), body_(std::move(body)) {}
HTTPStreamedResponse::HTTPStreamedResponse(HTTPStreamedResponse&&) noexcept = default;
HTTPStreamedResponse& HTTPStreamedResponse::operator=(HTTPStreamedResponse&&) noexcept = default;
HTTPStreamedResponse::~HTTPStreamedResponse() = default;

Future<std::optional<std::string_view>> HTTPStreamedResponse::next_chunk() { return next_of(body_); }
Future<std::string> HTTPStreamedResponse::body() { return read_all(body_); }
const HTTPHeaders& HTTPStreamedResponse::trailers() const noexcept { return body_->trailers(); }

AsyncHTTPClient::AsyncHTTPClient(const HTTPClientOptions& options) : engine_(detail::make_http_engine(options)) {}
AsyncHTTPClient::AsyncHTTPClient(AsyncHTTPClient&&) noexcept = default;
AsyncHTTPClient& AsyncHTTPClient::operator=(AsyncHTTPClient&&) noexcept = default;
AsyncHTTPClient::~AsyncHTTPClient() = default;

AsyncHTTPClient& AsyncHTTPClient::current() { return LoopClient::of(IOLoop::current()); }

Future<HTTPResponse> AsyncHTTPClient::fetch(HTTPRequest request) { return fetch_whole(engine_, std::move(request)); }
Future<HTTPStreamedResponse> AsyncHTTPClient::fetch_streamed(HTTPRequest request) {
  return fetch_head(engine_, std::move(request));
}
void AsyncHTTPClient::close() noexcept { engine_->close(); }
HTTPClientStats AsyncHTTPClient::stats() const noexcept { return engine_->stats(); }

Future<HTTPResponse> fetch(HTTPRequest request) { return AsyncHTTPClient::current().fetch(std::move(request)); }

}  // namespace twinloop
