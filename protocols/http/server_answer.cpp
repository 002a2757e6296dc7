// The answer: its head in one buffer, its body framed as the head says.
#include <array>
#include <charconv>

#include "protocols/http/date_line.h"
#include "protocols/http/server_connection.h"
#include "twinloop/detail/files.h"

namespace twinloop::detail {
namespace {

constexpr std::size_t kJoined = 8 * 1024;  // a body that small leaves in one piece with its head
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

Failure misuse(const char* what) { return {Errc::protocol, std::string("HTTP answer: ") + what}; }

void append_number(std::string& text, std::uint64_t number, int base = 10) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, base).ptr;
  text.append(digits.data(), end);
}

// "name: value\r\n" at one go.
void append_line(std::string& text, std::string_view name, std::string_view value) {
  const std::size_t before = text.size();
  text.resize(before + name.size() + value.size() + 4);
  char* at = text.data() + before;
  at += name.copy(at, name.size());
  *at++ = ':';
  *at++ = ' ';
  at += value.copy(at, value.size());
  *at++ = '\r';
  *at = '\n';
}

bool has_no_body(int status) noexcept { return status == 204 || status == 304; }

}  // namespace

const std::string& HTTPService::usual_beginning(TimePoint now) {
  const std::string_view date = date_line(now);
  if (!beginning.ends_with(date)) beginning.assign("HTTP/1.1 200 OK\r\n").append(server_line).append(date);
  return beginning;
}

// What of the framing the handler's headers say themselves.
struct HTTPServerConnection::Given {
  std::optional<std::uint64_t> length;
  bool connection = false;
  bool close = false;
  bool date = false;
  bool server = false;
  bool trailer = false;
};

std::optional<Failure> HTTPServerConnection::look_at(const HTTPHeaders& headers, Given& given) const {
  for (const auto& [name, value] : headers) {
    switch (name.size()) {
      case 4:
        given.date |= equal_ignoring_case(name, "Date");
        break;
      case 6:
        given.server |= equal_ignoring_case(name, "Server");
        break;
      case 7:
        given.trailer |= equal_ignoring_case(name, "Trailer");
        break;
      case 10:
        if (!equal_ignoring_case(name, "Connection")) break;
        given.connection = true;
        given.close |= headers.has_token(name, "close");
        break;
      case 14: {
        if (!equal_ignoring_case(name, "Content-Length")) break;
        std::uint64_t length = 0;
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
        if (given.length || error != std::errc() || end != value.data() + value.size()) {
          return misuse("a Content-Length that is none");
        }
        given.length = length;
        break;
      }
      case 17:
        if (equal_ignoring_case(name, "Transfer-Encoding")) return misuse("its Transfer-Encoding is the server's");
        break;
      default:
        break;
    }
  }
  return std::nullopt;
}

std::optional<Failure> HTTPServerConnection::choose_framing(int status, const Given& given,
                                                            std::optional<std::uint64_t> whole) {
  if (has_no_body(status)) {
    if (whole.value_or(0) > 0) return misuse("a body with a status that has none");
    if (status == 204 && given.length) return misuse("a Content-Length with 204");
    answer_ = Answer::bodiless;
  } else if (given.length || whole) {
    if (given.length && whole && *given.length != *whole && !is_head_) {
      return misuse("a Content-Length that is not the body's");
    }
    answer_ = Answer::fixed;
    left_ = given.length ? *given.length : *whole;
  } else {
    answer_ = head_.minor_version > 0 ? Answer::chunked : Answer::until_close;
  }
  return std::nullopt;
}

void HTTPServerConnection::format_head(int status, std::string_view reason, const HTTPHeaders& headers,
                                       const Given& given) {
  if (status == 200 && reason.empty() && !given.server && !given.date) {
    out_.assign(service_->usual_beginning(loop_.time()));
  } else {
    out_.assign("HTTP/1.1 ");
    append_number(out_, static_cast<std::uint64_t>(status));
    out_.append(" ").append(reason.empty() ? reason_phrase(status) : reason).append("\r\n");
    if (!given.server) out_.append(service_->server_line);
    if (!given.date) out_.append(date_line(loop_.time()));
  }
  for (const auto& [name, value] : headers) append_line(out_, name, value);
  if (answer_ == Answer::fixed && !given.length) {
    std::array<char, 20> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), left_).ptr;
    append_line(out_, "Content-Length", {digits.data(), end});
  } else if (answer_ == Answer::chunked) {
    out_.append("Transfer-Encoding: chunked\r\n");
  }
  if (!given.connection && !keep_) {
    out_.append("Connection: close\r\n");
  } else if (!given.connection && head_.minor_version == 0) {
    out_.append("Connection: keep-alive\r\n");
  }
  out_.append("\r\n");
}

std::error_code HTTPServerConnection::write_refusal() const noexcept {
  if (!stream_) return Errc::local;
  if (gone_) return reason_ ? reason_ : make_error_code(Errc::end);
  return stream_.is_closed() ? stream_.error() : std::error_code();
}

// Leaves the head in `out_`.
std::optional<Failure> HTTPServerConnection::begin_answer(int status, const HTTPHeaders& headers,
                                                          std::string_view reason, std::optional<std::uint64_t> whole) {
  if (answer_ != Answer::none || detached_) return misuse("it was begun before");
  if (const std::error_code refusal = write_refusal()) return Failure(refusal);
  if (status < 200 || status > 999) return misuse("a status that is none");
  if (!is_http_field_value(reason)) return misuse("a reason with a control character in it");
  Given given;
  if (std::optional<Failure> wrong = look_at(headers, given)) return wrong;
  if (std::optional<Failure> wrong = choose_framing(status, given, whole)) return wrong;
  if (given.close || service_->draining || answer_ == Answer::until_close) keep_ = false;
  if (whole ? !body_is_short() : body_is_refused()) keep_ = false;
  if (given.trailer) trailers_ = std::make_unique<Trailers>(headers);
  format_head(status, reason, headers, given);
  return std::nullopt;
}

Future<void> HTTPServerConnection::respond(int status, const HTTPHeaders& headers, std::string body) {
  if (std::optional<Failure> wrong = begin_answer(status, headers, {}, body.size())) {
    return Future<void>::failed(std::move(*wrong));
  }
  finished_ = true;
  if (is_head_) body.clear();
  Future<void> written = write_whole(std::move(body));
  watch_answer();
  return written;
}

Future<void> HTTPServerConnection::write_whole(std::string body) {
  if (body.size() <= kJoined) return stream_.write(std::string_view(out_.append(body)));
  stream_.write(std::string_view(out_)).ignore();
  return stream_.write(std::move(body));
}

Future<void> HTTPServerConnection::write_headers(int status, const HTTPHeaders& headers, std::string_view reason) {
  if (std::optional<Failure> wrong = begin_answer(status, headers, reason, {})) {
    return Future<void>::failed(std::move(*wrong));
  }
  return stream_.write(std::string_view(out_));
}

Future<void> HTTPServerConnection::fail_answer(const char* what) {
  lose_answer();
  return Future<void>::failed(misuse(what));
}

Future<void> HTTPServerConnection::write(std::string_view bytes) {
  if (const std::error_code refusal = write_refusal()) return Future<void>::failed(refusal);
  if (answer_ == Answer::none || finished_) return Future<void>::failed(misuse("write() outside of it"));
  if (bytes.empty()) return stream_.write(std::string_view());
  if (answer_ == Answer::bodiless) return fail_answer("a body with a status that has none");
  if (answer_ == Answer::fixed) {
    if (bytes.size() > left_) return fail_answer("more than its Content-Length");
    left_ -= bytes.size();
  }
  if (is_head_) return stream_.write(std::string_view());
  if (answer_ != Answer::chunked) return stream_.write(bytes);
  out_.clear();
  append_number(out_, bytes.size(), 16);
  out_.append("\r\n");
  const std::array<std::string_view, 3> pieces = {out_, bytes, "\r\n"};
  return stream_.write(std::span<const std::string_view>(pieces));
}

Future<void> HTTPServerConnection::write_file(std::shared_ptr<OpenFile> file, std::uint64_t offset,
                                              std::uint64_t size) {
  if (const std::error_code refusal = write_refusal()) return Future<void>::failed(refusal);
  if (answer_ != Answer::fixed || finished_) {
    return Future<void>::failed(misuse("write_file() outside of one with a Content-Length"));
  }
  if (size > left_) return fail_answer("more than its Content-Length");
  left_ -= size;
  return is_head_ ? Future<void>::ready() : send_file(stream_, std::move(file), offset, size);
}

void HTTPServerConnection::add_trailer(std::string_view name, std::string_view value) {
  if (answer_ == Answer::none || finished_) misuse("add_trailer() outside of it").raise();
  if (answer_ == Answer::fixed || answer_ == Answer::bodiless) misuse("a trailer, which only chunks can have").raise();
  if (!trailers_) trailers_ = std::make_unique<Trailers>(HTTPHeaders());
  trailers_->add(name, value);
}

Future<void> HTTPServerConnection::finish() {
  if (const std::error_code refusal = write_refusal()) return Future<void>::failed(refusal);
  if (answer_ == Answer::none || finished_) return Future<void>::failed(misuse("finish() outside of it"));
  if (answer_ == Answer::fixed && left_ > 0 && !is_head_) return fail_answer("less than its Content-Length");
  finished_ = true;
  const bool chunked = answer_ == Answer::chunked && !is_head_;
  Future<void> written = chunked && trailers_ ? stream_.write(trailers_->end_of_chunks())
                                              : stream_.write(std::string_view(chunked ? "0\r\n\r\n" : ""));
  watch_answer();
  return written;
}

Future<void> HTTPServerConnection::flush() {
  if (const std::error_code refusal = write_refusal()) return Future<void>::failed(refusal);
  return stream_.flush();
}

void HTTPServerConnection::write_continue() {
  if (!expects_continue_ || answer_ != Answer::none || write_refusal()) return;
  expects_continue_ = false;
  stream_.write(kContinue).ignore();
}

// In place of a handler's answer, and the last one of the connection.
void HTTPServerConnection::answer_error(int status, std::string_view why) {
  keep_ = false;
  std::string text = std::to_string(status) + " " + std::string(reason_phrase(status));
  if (!why.empty()) text.append(": ").append(why);
  text += "\n";
  HTTPHeaders headers;
  headers.add("Content-Type", "text/plain; charset=utf-8");
  const Future<void> written = respond(status, headers, std::move(text));
}

}  // namespace twinloop::detail
