#include "http_fixtures.h"

#include "twinloop/timing.h"

namespace twinloop::testing {

using twinloop::detail::HTTP1Parser;
using Event = HTTP1Parser::Event;

Future<Reply> RawClient::reply(bool to_head) {
  Reply reply;
  if (to_head) parser_->expect_no_body();
  for (;;) {
    const HTTP1Parser::Step step = parser_->next(received_);
    reply.body.append(step.body);
    received_.erase(0, step.consumed);
    if (step.event == Event::error) throw_error(Errc::protocol, parser_->why());
    if (step.event == Event::headers) {
      reply.status = parser_->head().status;
      reply.headers = parser_->head().headers;
    }
    if (step.event == Event::end) co_return reply;
    if (step.event != Event::more) continue;
    const Result<std::string> bytes = co_await as_result(stream_.read_some());
    if (bytes.ok()) {
      received_ = bytes.peek();
    } else if (bytes.reason() == Errc::end && parser_->finish().event == Event::end) {
      co_return reply;
    } else {
      co_return bytes.failure();
    }
  }
}

Future<Reply> RawClient::ask(std::string request) {
  co_await stream_.write(std::move(request));
  co_return co_await reply();
}

Future<std::string> RawClient::rest() {
  std::string all = std::exchange(received_, {});
  const Result<std::string> more = co_await as_result(stream_.read_until_close());
  if (more.ok()) all += more.peek();
  co_return all;
}

Future<RawClient> Site::open(std::string url) {
  if (carrier_.empty()) {
    carrier_ = co_await server_.listen(std::move(url));
    if (carrier_.starts_with("http://")) carrier_.replace(0, 4, "tcp");
  }
  co_return RawClient(co_await connect(carrier_));
}

namespace {

std::string request(std::string_view method, std::string_view target, std::string_view headers, std::string_view body) {
  std::string text(method);
  text.append(" ").append(target).append(" HTTP/1.1\r\nHost: test\r\n").append(headers).append("\r\n").append(body);
  return text;
}

}  // namespace

std::string get(std::string_view target, std::string_view headers) { return request("GET", target, headers, {}); }

std::string post(std::string_view target, std::string_view body, std::string_view headers) {
  const std::string length = "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return request("POST", target, length + std::string(headers), body);
}

std::string post_chunked(std::string_view target, std::string_view chunks, std::string_view headers) {
  return request("POST", target, "Transfer-Encoding: chunked\r\n" + std::string(headers), chunks);
}

Future<void> until(const HTTPServer& server, bool (*condition)(const HTTPServerStats& stats)) {
  while (!condition(server.stats())) co_await sleep_for(std::chrono::milliseconds(1));
}

}  // namespace twinloop::testing
