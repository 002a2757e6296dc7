// A connection's life: request after request, its handler, its client, its idle time.
#include "protocols/http/server_connection.h"

#include <algorithm>
#include <utility>

#include "protocols/http/forwarded.h"
#include "twinloop/log.h"
#include "twinloop/timing.h"

namespace twinloop::detail {

HTTPService::HTTPService(HTTPHandler h, HTTPServerOptions o) : handler(std::move(h)), options(std::move(o)) {
  if (!options.server_name().empty()) server_line = "Server: " + options.server_name() + "\r\n";
}

Future<void> serve_http(std::shared_ptr<HTTPService> service, IOStream stream) {
  HTTPServerConnection connection(std::move(service), std::move(stream));
  while (connection.goes_on()) {
    HTTPServerConnection::Head head = connection.parse_head();
    while (head == HTTPServerConnection::Head::wants_input) {
      const Result<std::string_view> input = co_await as_result(connection.read_for_head());
      if (!connection.take_head_input(input)) co_return;
      head = connection.parse_head();
    }
    if (head == HTTPServerConnection::Head::refused) co_return;

    Future<void> handler = connection.start_handler();
    Result<void> outcome = Unit();
    if (handler.done()) {
      outcome =
          handler.take_result();  // without a turn at the scheduler: what limits a client is how much is read from it
    } else {
      outcome = co_await as_result(std::move(handler));
    }
    connection.end_answer(outcome);
    if (connection.owes_flush()) {
      const Result<void> flushed = co_await as_result(connection.flush());
      connection.note_flushed(flushed);
    }
    if (connection.owes_notice()) co_await moment();  // it is queued already
    if (connection.owes_body()) co_await connection.skip_body();
    connection.end_request();
  }
}

HTTPServerConnection::HTTPServerConnection(std::shared_ptr<HTTPService> service, IOStream stream)
    : OperationBase(&kHooks),
      service_(std::move(service)),
      loop_(IOLoop::current()),
      stream_(std::move(stream)),
      parser_(MessageKind::request,
              ParserLimits{service_->options.max_header_size(), service_->options.max_header_count()}),
      head_(parser_.head()),
      request_(*this) {
  service_->connections.push_back(*this);
}

HTTPServerConnection::~HTTPServerConnection() {
  branch_.stop();
  work_ = Future<void>();
  forget_client();
  if (active_) end_request();
  if (notice_) notice_->connection = nullptr;
  if (scheduled()) loop_.remove_timer(*this);
}

// ---- the next request

HTTPServerConnection::Head HTTPServerConnection::parse_head() {
  const HTTP1Parser::Step step = parser_.next(rest_);
  rest_.remove_prefix(step.consumed);
  switch (step.event) {
    case HTTP1Parser::Event::headers:
      return begin_request() ? Head::complete : Head::refused;
    case HTTP1Parser::Event::error:
      refuse(parser_.status(), parser_.why());
      return Head::refused;
    default:
      return Head::wants_input;
  }
}

Future<std::string_view> HTTPServerConnection::read_for_head() {
  Future<std::string_view> read = stream_.read_some_view();
  if (read.done()) return read;
  if (!parser_.in_message()) {
    if (service_->draining) stream_.close();
    note_idle();
    return read;
  }
  const Duration limit = service_->options.header_timeout();
  if (limit <= Duration::zero()) return read;
  if (head_deadline_ == kNever) head_deadline_ = loop_.after(limit);
  return with_deadline(head_deadline_, std::move(read));
}

bool HTTPServerConnection::take_head_input(const Result<std::string_view>& input) {
  idle_ = false;
  if (input.ok()) {
    rest_ = input.peek();
    return true;
  }
  if (input.reason() == Errc::timeout && !stream_.is_closed()) refuse(408, "the headers took too long");
  return false;
}

bool HTTPServerConnection::begin_request() {
  const HTTPServerOptions& options = service_->options;
  ++service_->requests;
  ++service_->active;
  active_ = true;
  begun_ = loop_.time();
  head_deadline_ = kNever;
  answer_ = Answer::none;
  finished_ = false;
  is_head_ = head_.method == "HEAD";
  received_ = 0;
  max_body_size_ = options.max_body_size();
  keep_ = head_.keep_alive && options.keep_alive() && ++served_ < options.max_requests_per_connection();
  body_ended_ = !head_.chunked && head_.content_length.value_or(0) == 0;
  expects_continue_ = false;
  if (body_ended_) {
    parser_.next({});  // the end
    return true;
  }
  set_body_timeout(options.body_timeout());
  if (options.decompress_requests()) choose_decoder();
  const std::string* expect = head_.minor_version > 0 ? head_.headers.find("Expect") : nullptr;
  expects_continue_ = expect != nullptr && equal_ignoring_case(*expect, "100-continue");
  if (expect == nullptr || expects_continue_) return true;
  answer_error(417, "an expectation other than 100-continue");
  return false;
}

void HTTPServerConnection::end_request() {
  if (!std::exchange(active_, false)) return;
  --service_->active;
  forget_client();
  if (service_->draining) keep_ = false;
  if (body_status_ != 0) body_failure_ = Failure();
  body_status_ = 0;
  body_deadline_ = kNever;
  encoded_ = {};
  if (decoder_) decoder_.reset();
  if (trailers_) trailers_.reset();
  if (query_) query_.reset();
  if (cookies_) cookies_.reset();
}

// A head that cannot be taken.
void HTTPServerConnection::refuse(int status, std::string_view why) {
  log(LogLevel::info, "HTTP: " + std::to_string(status) + " to " + stream_.description() + ": " + std::string(why));
  head_.minor_version = 1;
  is_head_ = false;
  answer_ = Answer::none;
  answer_error(status, why);
}

// ---- the handler

Future<void> HTTPServerConnection::start_handler() {
  try {
    work_ = service_->handler(request_);
  } catch (...) {
    return Future<void>::failed(std::current_exception());
  }
  if (!OperationAccess::pending(work_)) return std::move(work_);
  branch_.watch(work_, this);
  return OperationAccess::make_future<void>(*this);
}

void HTTPServerConnection::on_handler_done(Branch& branch) {
  auto& self = static_cast<HTTPServerConnection&>(*branch.operation());
  if (!OperationAccess::failed(self.work_)) return self.reserve();
  self.fail_pending(OperationAccess::take_failure(self.work_));
}

void HTTPServerConnection::on_dropped(OperationBase& operation) noexcept {
  auto& self = static_cast<HTTPServerConnection&>(operation);
  self.branch_.stop();
  self.work_ = Future<void>();
}

void HTTPServerConnection::on_deliver(OperationBase& operation, FutureBase& future) {
  OperationAccess::pass(static_cast<HTTPServerConnection&>(operation).work_, future);
}

FutureBase* HTTPServerConnection::inner(OperationBase& operation) noexcept {
  return &static_cast<HTTPServerConnection&>(operation).work_;
}

void HTTPServerConnection::cut_handler() noexcept {
  if (!pending() || !OperationAccess::pending(work_)) return;
  branch_.stop();
  [[maybe_unused]] const Future<void> dropped = std::move(work_);
  fail_pending(Errc::cancelled);
}

void HTTPServerConnection::end_answer(const Result<void>& outcome) {
  if (detached_) return;
  if (!outcome.ok() && body_status_ == 0 && !is_ordinary_end(outcome.error())) {
    log(LogLevel::error,
        "HTTP: the handler of " + head_.method + " " + head_.target + " failed: " + outcome.failure().message());
  }
  if (client_gone()) return;
  if (answer_ == Answer::none) {
    if (body_status_ != 0) return answer_error(body_status_, body_failure_.message());
    if (outcome.ok())
      log(LogLevel::error, "HTTP: the handler of " + head_.method + " " + head_.target + " gave no answer");
    return answer_error(500, {});
  }
  if (finished_) return;
  if (!outcome.ok()) return lose_answer();
  const Future<void> done = finish();
}

// The client must not take what it has for the whole.
void HTTPServerConnection::lose_answer() {
  keep_ = false;
  if (answer_ == Answer::until_close) {
    stream_.abort();
  } else {
    stream_.close();
  }
}

// ---- the client that goes

void HTTPServerConnection::set_close_function(Function<void()> callback) {
  close_function_ = std::move(callback);
  if (!close_function_) return;
  watch_client(service_->options.half_closing_clients() == HalfClosingClients::wait);
  watch_answer();
}

void HTTPServerConnection::cancel_when_client_goes() {
  if (detached_) throw Error(Errc::protocol, "cancel_when_client_goes() behind detach()");
  cancel_ = true;
  watch_client(service_->options.half_closing_clients() == HalfClosingClients::wait);
  watch_answer();
}

void HTTPServerConnection::watch_client(bool half_open) {
  if (!stream_ || !active_) return;
  if (!notice_) notice_ = std::make_shared<Notice>(Notice{this});
  stream_.set_close_callback(
      [notice = notice_] {
        if (notice->connection != nullptr) notice->connection->on_client_notice();
      },
      half_open && !gone_);
}

// A callback of the loop: no handler is running.
void HTTPServerConnection::on_client_notice() {
  if (!active_ || !interested() || detached_) return;
  if (!gone_) reason_ = stream_.error();
  gone_ = true;
  const std::shared_ptr<Notice> notice = notice_;
  if (Function<void()> callback = std::exchange(close_function_, {})) callback();
  if (notice->connection != nullptr && cancel_) cut_handler();
}

void HTTPServerConnection::note_flushed(const Result<void>& flushed) {
  if (!flushed.ok()) return;  // the stream is closed: its notice is on the way, and the request is not over before it
  forget_client();
}

void HTTPServerConnection::forget_client() noexcept {
  cancel_ = false;
  close_function_.reset();
  sent_function_.reset();
  sent_branch_.stop();
  sent_ = Future<void>();
}

// A handler may work on behind its answer: whoever asked about the client hears of the answer's end when it has left.
void HTTPServerConnection::watch_answer() {
  if (!finished_ || sent_.valid() || client_gone() || !(interested() || sent_function_)) return;
  sent_ = stream_.flush();
  sent_branch_.watch(sent_, this);
}

void HTTPServerConnection::on_answer_sent(Branch& branch) {
  auto& self = static_cast<HTTPServerConnection&>(*branch.operation());
  const Result<void> flushed = self.sent_.take_result();
  if (!flushed.ok() || self.gone_) return;
  Function<void()> callback = std::move(self.sent_function_);
  self.forget_client();
  if (callback) callback();
}

std::error_code HTTPServerConnection::close_reason() const noexcept {
  if (gone_) return reason_;
  return stream_ ? stream_.error() : std::error_code();
}

IOStream HTTPServerConnection::detach(std::string& leftover) {
  if (answer_ != Answer::none || detached_) throw_error(Errc::protocol, "detach() behind the beginning of an answer");
  if (!body_ended_) throw_error(Errc::busy, "detach() before the end of the request's body");
  leftover.assign(rest_);
  rest_ = {};
  if (notice_) stream_.set_close_callback([] {});
  detached_ = true;
  return std::move(stream_);
}

// ---- idle time

void HTTPServerConnection::note_idle() {
  const Duration limit = service_->options.idle_connection_timeout();
  idle_ = true;
  idle_since_ = loop_.time();
  if (!scheduled() && limit > Duration::zero()) loop_.add_timer(*this, idle_since_ + limit);
}

// Requests do not move the timer: when it fires, it looks.
void HTTPServerConnection::fire() {
  if (detached_) return;
  const Duration limit = service_->options.idle_connection_timeout();
  const TimePoint due = (idle_ ? idle_since_ : loop_.clock()) + limit;
  if (idle_ && due <= loop_.clock()) return stream_.close();
  loop_.add_timer(*this, due);
}

void HTTPServerConnection::close_if_idle() noexcept {
  if (idle_ && stream_) stream_.close();
}

// ---- what was asked

const HTTPArguments& HTTPServerConnection::query_arguments() {
  if (!query_) query_ = parse_query(request_.query());
  return *query_;
}

const std::string* HTTPServerConnection::cookie(std::string_view name) {
  if (!cookies_) {
    std::string header;
    for (const std::string_view each : head_.headers.all("Cookie")) {
      header.append(header.empty() ? "" : "; ").append(each);
    }
    cookies_ = parse_cookies(header);
  }
  const auto found =
      std::find_if(cookies_->rbegin(), cookies_->rend(), [name](const auto& pair) { return pair.first == name; });
  return found != cookies_->rend() ? &found->second : nullptr;
}

std::string_view HTTPServerConnection::host() const noexcept {
  if (const std::string_view host = head_.headers.get("Host"); !host.empty()) return host;
  const std::string_view target = head_.target;
  const std::size_t scheme = target.starts_with('/') ? std::string_view::npos : target.find("://");
  if (scheme == std::string_view::npos) return "127.0.0.1";
  const std::string_view rest = target.substr(scheme + 3);
  return rest.substr(0, rest.find_first_of("/?"));
}

std::string HTTPServerConnection::remote_ip() const {
  std::string peer = host_of_address(stream_ ? stream_.peer_address() : std::string());
  const std::vector<std::string>& trusted = service_->options.trusted_proxies();
  if (std::find(trusted.begin(), trusted.end(), peer) == trusted.end()) return peer;
  return forwarded_ip(head_.headers, std::move(peer), trusted);
}

std::string HTTPServerConnection::protocol() const {
  std::string own = stream_ && stream_.tls() != nullptr ? "https" : "http";
  const std::vector<std::string>& trusted = service_->options.trusted_proxies();
  if (trusted.empty()) return own;
  const std::string peer = host_of_address(stream_ ? stream_.peer_address() : std::string());
  if (std::find(trusted.begin(), trusted.end(), peer) == trusted.end()) return own;
  return forwarded_protocol(head_.headers, std::move(own));
}

Duration HTTPServerConnection::request_time() const noexcept { return loop_.clock() - begun_; }

}  // namespace twinloop::detail
