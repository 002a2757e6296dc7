// The request's body: read when it is asked for, within its limits.
#include <algorithm>

#include "protocols/http/server_connection.h"
#include "twinloop/timing.h"

namespace twinloop::detail {
namespace {

constexpr std::size_t kSkipped = 64 * 1024;     // of a body that nobody read, for the sake of the connection
constexpr std::size_t kDecoded = 16 * 1024;     // bytes at a time
constexpr std::size_t kReserved = 1024 * 1024;  // at most, on the word of a Content-Length

}  // namespace

void HTTPServerConnection::set_body_timeout(Duration time) noexcept {
  body_deadline_ = time > Duration::zero() ? loop_.after(time) : kNever;
}

void HTTPServerConnection::choose_decoder() {
  const std::string* encoding = head_.headers.find("Content-Encoding");
  if (encoding == nullptr) return;
  decoder_ = ContentDecoder::make(*encoding);
  if (!decoder_) return;
  head_.headers.add("X-Consumed-Content-Encoding", *encoding);
  head_.headers.erase("Content-Encoding");
}

Future<std::string_view> HTTPServerConnection::read_for_body() {
  Future<std::string_view> read = stream_.read_some_view();
  const Duration idle = service_->options.idle_connection_timeout();
  if (read.done() || (idle <= Duration::zero() && body_deadline_ == kNever)) return read;
  const TimePoint stands_still = idle > Duration::zero() ? loop_.after(idle) : kNever;
  return with_deadline(std::min(body_deadline_, stands_still), std::move(read));
}

Failure HTTPServerConnection::fail_body(int status, Errc reason, std::string_view why) {
  keep_ = false;
  body_status_ = status;
  body_failure_ = Failure(reason, std::string(why));
  return body_failure_;
}

Failure HTTPServerConnection::fail_body_read(const std::error_code& error) {
  if (error == make_error_code(Errc::timeout) && !stream_.is_closed()) {
    return fail_body(408, Errc::timeout, "the body took too long");
  }
  // An end within a body is no half-close: the client has given up.
  keep_ = false;
  gone_ = true;
  reason_ = error;
  body_status_ = 400;
  body_failure_ = Failure(error);
  if (interested()) watch_client(false);
  return body_failure_;
}

std::optional<Failure> HTTPServerConnection::count_body(std::size_t bytes) {
  received_ += bytes;
  if (received_ <= max_body_size_) return std::nullopt;
  return fail_body(413, Errc::overflow, "a body of more than " + std::to_string(max_body_size_) + " bytes");
}

// No value when there is nothing more in `encoded_`.
std::optional<std::string_view> HTTPServerConnection::decode_some(std::optional<Failure>& failure) {
  decoded_.resize(kDecoded);
  std::span<char> room(decoded_);
  const ContentDecoder::Status status = decoder_->decode(encoded_, room);
  if (status == ContentDecoder::Status::broken) {
    failure = fail_body(400, Errc::protocol, "a body that is not what its Content-Encoding says");
    return std::nullopt;
  }
  const std::size_t made = kDecoded - room.size();
  failure = count_body(made);
  if (made == 0 || failure) return std::nullopt;
  return std::string_view(decoded_).substr(0, made);
}

Future<std::optional<std::string_view>> HTTPServerConnection::next_chunk() {
  if (body_status_ != 0) co_return body_failure_;
  if (!body_ended_ && !decoder_ && head_.content_length.value_or(0) > max_body_size_) {
    co_return fail_body(413, Errc::overflow, "a body of more than " + std::to_string(max_body_size_) + " bytes");
  }
  write_continue();
  for (;;) {
    if (decoder_ && !body_ended_) {
      std::optional<Failure> failure;
      const std::optional<std::string_view> piece = decode_some(failure);
      if (failure) co_return *failure;
      if (piece) co_return piece;
    }
    if (body_ended_) co_return std::optional<std::string_view>();
    const HTTP1Parser::Step step = parser_.next(rest_);
    rest_.remove_prefix(step.consumed);
    if (step.event == HTTP1Parser::Event::body && decoder_) {
      encoded_ = step.body;
    } else if (step.event == HTTP1Parser::Event::body) {
      const std::optional<Failure> failure = count_body(step.body.size());
      if (failure) co_return *failure;
      co_return std::optional<std::string_view>(step.body);
    } else if (step.event == HTTP1Parser::Event::end) {
      if (decoder_ && !decoder_->complete())
        co_return fail_body(400, Errc::protocol, "a compressed body that is cut off");
      body_ended_ = true;
    } else if (step.event == HTTP1Parser::Event::error) {
      co_return fail_body(parser_.status(), Errc::protocol, parser_.why());
    } else {
      const Result<std::string_view> bytes = co_await as_result(read_for_body());
      if (!bytes.ok()) co_return fail_body_read(bytes.error());
      rest_ = bytes.peek();
    }
  }
}

Future<std::string> HTTPServerConnection::body() {
  std::string all;
  if (head_.content_length && !decoder_) all.reserve(std::min<std::uint64_t>(*head_.content_length, kReserved));
  for (;;) {
    const Result<std::optional<std::string_view>> piece = co_await as_result(next_chunk());
    if (!piece.ok()) co_return piece.failure();
    if (!piece.peek()) co_return all;
    all.append(*piece.peek());
  }
}

// It does not come, or nobody knows whether it does.
bool HTTPServerConnection::body_is_refused() const noexcept {
  return !body_ended_ && (expects_continue_ || body_status_ != 0);
}

bool HTTPServerConnection::body_is_short() const noexcept {
  if (body_ended_) return true;
  return !body_is_refused() && head_.content_length.value_or(0) <= received_ + kSkipped;
}

// For the sake of the requests behind it.
Future<void> HTTPServerConnection::skip_body() {
  if (!body_is_short()) keep_ = false;
  const std::uint64_t most = received_ + kSkipped;
  while (keep_ && !body_ended_) {
    const Result<std::optional<std::string_view>> piece = co_await as_result(next_chunk());
    if (!piece.ok() || received_ > most) keep_ = false;
  }
}

}  // namespace twinloop::detail
