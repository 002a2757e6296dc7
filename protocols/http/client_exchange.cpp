#include "protocols/http/client_exchange.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "protocols/http/client_check.h"

namespace twinloop::detail {
namespace {

constexpr std::size_t kPiece = 64 * 1024;
constexpr std::size_t kSentWithHead = 16 * 1024;               // a body up to this goes into one write with its headers
constexpr Duration kPermissionWait = std::chrono::seconds(1);  // RFC 9110 §10.1.1: not for ever

bool has_body(int status, bool answers_head) noexcept { return !answers_head && status != 204 && status != 304; }

std::string chunk_header(std::size_t size) {
  std::array<char, 18> text{};
  char* end = std::to_chars(text.data(), text.data() + 16, size, 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  return {text.data(), end};
}

}  // namespace

HTTPExchange::HTTPExchange(std::shared_ptr<HTTPPool> from, HTTPTurn turn, std::unique_ptr<HTTPConnection> connection,
                           std::shared_ptr<const HTTPRequest> request, const HTTPHop& hop, std::size_t max_body_size)
    : pool_(std::move(from)),
      turn_(std::move(turn)),
      connection_(std::move(connection)),
      request_(std::move(request)),
      what_(describe(hop.method, hop.url.to_string())),
      answers_head_(hop.method == "HEAD"),
      with_body_(hop.with_body && request_->has_body()),
      chunked_(is_chunked(*request_, hop)),
      max_body_size_(max_body_size),
      unwritten_(announced_length(*request_).value_or(0)),
      sent_trailers_(request_->headers()) {}

HTTPExchange::~HTTPExchange() { give_up(); }

// Unless the answer was complete.
void HTTPExchange::give_up() noexcept {
  sending_ = Future<void>();
  if (connection_ != nullptr) connection_->stream.abort();
  connection_.reset();
  turn_ = HTTPTurn();
}

// ---- the request

Future<HTTPResponse> HTTPExchange::begin(std::string head, HTTPProgress& progress) {
  progress.step = HTTPProgress::Step::waiting;
  if (!with_body_ || !request_->expect_100_continue()) permission_.set();
  sending_ = send(std::move(head));
  co_await receive_head();
  HTTPResponse response = take_head();
  if (waits_for_permission() || response.status >= 300) stop_sending();
  co_return response;
}

// Never fails.  Where the connection does not take the request any more, an answer may have come all the same.
Future<void> HTTPExchange::send(std::string head) {
  Future<void> sending = send_all(std::move(head));
  const Result<void> sent = co_await as_result(std::move(sending));
  sent_ = sent.ok();
  if (sent.ok() || cannot_write_) co_return;
  producer_failure_ = sent.failure();
  connection_->stream.abort();  // whoever waits for the answer learns of it
}

Future<void> HTTPExchange::send_all(std::string head) {
  const std::string* body = with_body_ ? request_->body() : nullptr;
  if (body != nullptr && body->size() <= kSentWithHead && permission_.is_set()) {
    co_return co_await put(std::move(head += *body));
  }
  co_await put(std::move(head));
  Future<void> allowed = permission_.wait(kPermissionWait);
  const Result<void> waited = co_await as_result(std::move(allowed));
  if (!waited.ok()) permission_.set();  // it may not know of 100 Continue
  if (body != nullptr) co_await send_string(*body);
  if (with_body_ && request_->body_producer() != nullptr) co_await send_produced(*request_->body_producer());
}

Future<void> HTTPExchange::send_string(std::string_view body) {
  while (!body.empty()) {
    const std::string_view piece = body.substr(0, kPiece);
    body.remove_prefix(piece.size());
    co_await put(std::string(piece));
  }
}

Future<void> HTTPExchange::send_produced(const HTTPBodyProducer& produce) {
  Future<void> producing = produce(*this);
  co_await std::move(producing);
  if (chunked_) co_return co_await put(sent_trailers_.end_of_chunks());
  if (unwritten_ == 0) co_return;
  Failure too_little(Errc::protocol, what_ + ": the producer wrote " + std::to_string(unwritten_) +
                                         " bytes less than its Content-Length");
  co_await Fail(std::move(too_little));
}

Future<void> HTTPExchange::write(std::string_view bytes) {
  if (bytes.empty()) return Future<void>::ready();  // in chunks it would be the end
  if (chunked_) return put(chunk_header(bytes.size()).append(bytes).append("\r\n"));
  if (bytes.size() > unwritten_) {
    return Future<void>::failed(Failure(Errc::protocol, what_ + ": the producer wrote more than its Content-Length"));
  }
  unwritten_ -= bytes.size();
  return put(std::string(bytes));
}

void HTTPExchange::add_trailer(std::string_view name, std::string_view value) {
  if (!chunked_) throw Error(Errc::protocol, what_ + ": a trailer, which only chunks can have");
  sent_trailers_.add(name, value);
}

Future<void> HTTPExchange::put(std::string bytes) {
  Future<void> writing = connection_->stream.write(std::move(bytes));
  Result<void> written = co_await as_result(std::move(writing));
  if (written.ok()) co_return;
  cannot_write_ = true;
  co_await Fail(in_context(written.failure(), what_ + ": while sending"));
}

void HTTPExchange::stop_sending() noexcept { sending_ = Future<void>(); }

// ---- the answer

Future<void> HTTPExchange::receive_head() {
  for (;;) {
    if (answers_head_) connection_->parser.expect_no_body();
    const HTTP1Parser::Step step = co_await next_step();
    if (step.event != HTTP1Parser::Event::headers) continue;  // the end of an interim answer
    const int status = connection_->parser.head().status;
    if (status == 101) {
      fail(Errc::protocol, "the server switches to another protocol; for WebSockets use connect(\"ws://…\")");
    }
    if (status >= 200) co_return;
    if (status == 100) permission_.set();
  }
}

Future<HTTP1Parser::Step> HTTPExchange::next_step() {
  for (;;) {
    HTTP1Parser::Step step = connection_->parser.next(input_);
    input_.remove_prefix(step.consumed);
    if (step.event == HTTP1Parser::Event::error) fail_to_parse();
    if (step.event != HTTP1Parser::Event::more) co_return step;
    Future<std::string_view> reading = connection_->stream.read_some_view(kPiece);
    Result<std::string_view> bytes = co_await as_result(std::move(reading));
    if (bytes.ok()) {
      heard_ = true;
      input_ = *bytes;
    } else if (bytes.reason() != Errc::end) {
      fail(bytes.failure(), heard_ ? "while receiving" : "before an answer came");
    } else {
      step = connection_->parser.finish();
      if (step.event != HTTP1Parser::Event::end) fail_at_end();
      keep_alive_ = false;
      co_return step;
    }
  }
}

HTTPResponse HTTPExchange::take_head() {
  MessageHead& head = connection_->parser.head();
  check_head(head);
  keep_alive_ = head.keep_alive;
  HTTPResponse response;
  response.status = head.status;
  response.reason = std::move(head.reason);
  response.headers = std::move(head.headers);
  if (has_body(head.status, answers_head_)) choose_decoder(response.headers);
  if (decoder_ == nullptr && has_body(head.status, answers_head_) && head.content_length > max_body_size_) {
    fail(Errc::overflow, "a body of " + std::to_string(*head.content_length) + " bytes (set_max_body_size)");
  }
  return response;
}

void HTTPExchange::check_head(const MessageHead& head) {
  if (head.status != 204) return;
  if (head.chunked || head.content_length.value_or(0) > 0) {
    fail(Errc::protocol, "204 No Content announces a body");
  }
}

void HTTPExchange::choose_decoder(HTTPHeaders& headers) {
  if (!request_->decompress_response()) return;
  const std::string encoding(headers.get("Content-Encoding"));
  decoder_ = ContentDecoder::make(encoding);
  if (decoder_ == nullptr) return;
  headers.set("X-Consumed-Content-Encoding", encoding);
  headers.erase("Content-Encoding");
}

// ---- its body

Future<std::optional<std::string_view>> HTTPExchange::next_chunk() {
  return decoder_ != nullptr ? decoded_chunk() : raw_chunk();
}

Future<std::optional<std::string_view>> HTTPExchange::raw_chunk() {
  if (ended_) co_return std::nullopt;
  if (connection_ == nullptr) throw StreamClosedError(Errc::local, what_ + ": it has failed before");
  const HTTP1Parser::Step step = co_await next_step();
  if (step.event == HTTP1Parser::Event::body) co_return decoder_ != nullptr ? step.body : counted(step.body);
  if (!sent_)
    co_await moment();  // a server that has read everything may answer before our sender hears that it was taken
  end_of_message();
  co_return std::nullopt;
}

Future<std::optional<std::string_view>> HTTPExchange::decoded_chunk() {
  decoded_.resize(kPiece);
  for (;;) {
    std::span<char> room(decoded_);
    const ContentDecoder::Status status = decoder_->decode(encoded_, room);
    const std::string_view chunk(decoded_.data(), decoded_.size() - room.size());
    if (!chunk.empty()) co_return counted(chunk);
    if (status == ContentDecoder::Status::broken) fail(Errc::protocol, "the body is not compressed as it says");
    if (ended_) break;
    const std::optional<std::string_view> raw = co_await raw_chunk();
    encoded_ = raw.value_or(std::string_view());
  }
  if (!decoder_->complete()) fail(Errc::truncated, "the compressed body stops short");
  co_return std::nullopt;
}

std::string_view HTTPExchange::counted(std::string_view chunk) {
  body_size_ += chunk.size();
  if (body_size_ > max_body_size_) {
    fail(Errc::overflow, "the body exceeds " + std::to_string(max_body_size_) + " bytes (set_max_body_size)");
  }
  return chunk;
}

Future<void> HTTPExchange::discard(std::size_t max_bytes) {
  decoder_.reset();
  std::size_t seen = 0;
  while (seen <= max_bytes) {
    Result<std::optional<std::string_view>> chunk = co_await as_result(raw_chunk());
    if (!chunk.ok() || !chunk->has_value()) co_return;
    seen += (*chunk)->size();
  }
}

void HTTPExchange::end_of_message() {
  ended_ = true;
  trailers_ = std::move(connection_->parser.trailers());
  IOStream& stream = connection_->stream;
  const bool nothing_left = input_.empty() && stream.buffered() == 0;
  const bool good = keep_alive_ && sent_ && nothing_left && !stream.is_closed() && !stream.input_ended();
  stop_sending();
  if (good) {
    pool_->keep(std::move(connection_));
  } else {
    stream.close();
  }
  connection_.reset();
  turn_ = HTTPTurn();
}

// ---- what goes wrong

void HTTPExchange::fail(const Failure& failure, std::string_view step) {
  const Failure own = producer_failure_;
  give_up();
  if (own) own.raise();
  in_context(failure, what_ + ": " + std::string(step)).raise();
}

void HTTPExchange::fail_to_parse() {
  const HTTP1Parser& parser = connection_->parser;
  const bool too_large = parser.status() == 431 || parser.status() == 413;
  const std::string why(parser.why());
  fail(too_large ? Errc::overflow : Errc::protocol, "the server's answer: " + why);
}

void HTTPExchange::fail_at_end() {
  fail(Errc::truncated, !heard_ ? "the server closed the connection before it answered" : "the answer stops short");
}

}  // namespace twinloop::detail
