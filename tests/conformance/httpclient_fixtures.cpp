#include "httpclient_fixtures.h"

#include <charconv>

namespace twinloop::testing {
namespace {

std::size_t number_in(std::string_view text, int base) {
  std::size_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number, base);
  return number;
}

Future<std::string> read_chunks(IOStream& stream) {
  std::string body;
  for (;;) {
    const std::string line = co_await stream.read_until("\r\n");
    const std::size_t size = number_in(line, 16);
    std::string chunk = co_await stream.read_bytes(size + 2);
    if (size == 0) co_return body;
    body += chunk.substr(0, size);
  }
}

bool ends_connection(std::string_view answer) {
  const std::string_view head = answer.substr(0, answer.find("\r\n\r\n"));
  const auto says = [head](std::string_view text) { return head.find(text) != std::string_view::npos; };
  const bool has_no_body = says(" 204 ") || says(" 304 ");
  return says("Connection: close") || !(has_no_body || says("Content-Length") || says("chunked"));
}

}  // namespace

Answer always(std::string answer) {
  return [answer = std::move(answer)](const RawRequest&) { return answer; };
}

Future<RawRequest> read_request(IOStream& stream) {
  RawRequest request;
  request.head = co_await stream.read_until("\r\n\r\n");
  if (request.has("Transfer-Encoding: chunked")) {
    request.body = co_await read_chunks(stream);
  } else if (request.has("Content-Length: ")) {
    const std::size_t at = request.head.find("Content-Length: ") + 16;
    const std::size_t size = number_in(std::string_view(request.head).substr(at), 10);
    if (size > 0) request.body = co_await stream.read_bytes(size);
  }
  co_return request;
}

Future<ScriptedServer> ScriptedServer::answering(Answer answer, std::string url, ListenOptions options) {
  auto state = std::make_shared<State>();
  state->answer = std::move(answer);
  return start(std::move(state), std::move(url), std::move(options));
}

Future<ScriptedServer> ScriptedServer::talking(Conversation talk, std::string url, ListenOptions options) {
  auto state = std::make_shared<State>();
  state->talk = std::move(talk);
  return start(std::move(state), std::move(url), std::move(options));
}

Future<ScriptedServer> ScriptedServer::start(std::shared_ptr<State> state, std::string url, ListenOptions options) {
  ScriptedServer scripted;
  scripted.state_ = state;
  const auto handle = [state](IOStream stream) { return serve(state, std::move(stream)); };
  scripted.server_ = std::make_unique<TCPServer>(handle);
  scripted.stream_url_ = co_await scripted.server_->listen(url, options);
  co_return scripted;
}

Future<void> ScriptedServer::serve(std::shared_ptr<State> state, IOStream stream) {
  const int connection = ++state->connections;
  if (state->talk) co_return co_await state->talk(stream);
  const Result<void> ended = co_await as_result(answer_all(*state, stream, connection));
  if (!ended.ok() && !is_ordinary_end(ended.error())) ended.failure().raise();
}

Future<void> ScriptedServer::answer_all(State& state, IOStream& stream, int connection) {
  for (;;) {
    RawRequest request = co_await read_request(stream);
    request.connection = connection;
    state.requests.push_back(request);
    const std::string answer = state.answer(request);
    if (answer.empty()) continue;
    co_await stream.write(answer);
    if (ends_connection(answer)) co_return co_await stream.flush();
  }
}

std::string ScriptedServer::url(std::string_view path) const {
  const std::size_t slashes = stream_url_.find("://");
  if (slashes == std::string::npos) return "http://scripted.test" + std::string(path);
  const bool secure = stream_url_.starts_with("tls:");
  return (secure ? "https" : "http") + stream_url_.substr(slashes) + std::string(path);
}

HTTPRequest ScriptedServer::request(std::string_view path) const {
  HTTPRequest request(url(path));
  if (stream_url_.find("://") == std::string::npos) request.set_connect_to(stream_url_);
  return request;
}

Future<void> until_idle(const AsyncHTTPClient& client, std::size_t count) {
  while (client.stats().idle != count) co_await moment();
}

std::string ok_with(std::string_view body, std::string_view headers) {
  std::string answer = "HTTP/1.1 200 OK\r\n";
  answer.append(headers).append("Content-Length: ").append(std::to_string(body.size())).append("\r\n\r\n");
  return answer.append(body);
}

Future<void> expect_message(Future<HTTPResponse> fetching, Errc reason, std::string part, Location where) {
  const Result<HTTPResponse> response = co_await as_result(std::move(fetching));
  if (response.ok()) throw ExpectationFailed("it succeeded, expected " + std::string(name(reason)), where);
  const std::string message = response.failure().message();
  if (response.reason() != reason) {
    throw ExpectationFailed("it failed with " + std::string(name(response.reason())) + " (" + message + ")", where);
  }
  if (message.find(part) == std::string::npos) throw ExpectationFailed("'" + message + "' lacks " + part, where);
}

}  // namespace twinloop::testing
