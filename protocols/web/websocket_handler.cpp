#include "twinloop/websocket_handler.h"

#include "protocols/websocket/close_code.h"
#include "protocols/websocket/handshake.h"
#include "protocols/websocket/head.h"
#include "twinloop/log.h"

namespace twinloop {
namespace {

constexpr const char* kGoingAway = "the server is going away";

RequestHead head_of(HTTPServerRequest& request) {
  RequestHead head;
  head.method = request.method();
  head.target = request.uri();
  head.version = request.minor_version() == 1 ? "HTTP/1.1" : "HTTP/1.0";
  for (const HTTPHeaders::Field& field : request.headers()) head.headers.emplace_back(field.name, field.value);
  return head;
}

std::vector<std::string> offered_protocols(const HTTPHeaders& headers) {
  std::vector<std::string> names;
  for (const std::string_view value : headers.all("Sec-WebSocket-Protocol")) {
    for (const std::string_view name : detail::split_list(value)) names.emplace_back(name);
  }
  return names;
}

// What prepare() set, except what describes a body.
void add_headers(WebSocketOptions& options, const HTTPHeaders& headers) {
  for (const HTTPHeaders::Field& field : headers) {
    if (!field.name.starts_with("Content-")) options.add_header(field.name, field.value);
  }
}

}  // namespace

// ---- by default

Future<void> WebSocketHandler::open() { return Future<void>::ready(); }
void WebSocketHandler::on_close() {}
void WebSocketHandler::on_ping(std::string) {}  // NOLINT(performance-unnecessary-value-param): those who override it
void WebSocketHandler::on_pong(std::string) {}  // NOLINT(performance-unnecessary-value-param): may keep it
std::optional<WebSocketCompression> WebSocketHandler::get_compression_options() { return std::nullopt; }
WebSocketOptions WebSocketHandler::websocket_options() { return {}; }

bool WebSocketHandler::check_origin(std::string_view origin) {
  if (detail::is_own_origin(origin, request().headers().get("Host"))) return true;
  const WebSocketOptions options = websocket_options();
  for (const std::string& each : options.origins()) {
    if (each == "*" || detail::same_ignoring_case(each, origin)) return true;
  }
  return false;
}

std::string WebSocketHandler::select_subprotocol(const std::vector<std::string>& offered) {
  const WebSocketOptions options = websocket_options();
  for (const std::string& ours : options.protocols()) {
    for (const std::string& theirs : offered) {
      if (ours == theirs) return ours;
    }
  }
  return {};
}

// ---- the life of a connection

// Of one that was opened, also where its coroutine is dropped at the limit of a drain.  With the loop it ends without a word: what
// on_close() would speak of may be gone by then.
class WebSocketHandler::Ending {
 public:
  explicit Ending(WebSocketHandler& handler) noexcept : handler_(handler) {}
  ~Ending() {
    handler_.watching_ = Future<void>();
    if (!loop_.closed()) handler_.tell_close();
  }
  Ending(const Ending&) = delete;
  Ending& operator=(const Ending&) = delete;

 private:
  IOLoop& loop_ = IOLoop::current();
  WebSocketHandler& handler_;
};

std::uint16_t WebSocketHandler::close_code() const noexcept {
  const std::uint16_t code = connection_.close_code();
  return code == 0 && told_ ? detail::close_code::kAbnormal : code;
}

Future<void> WebSocketHandler::get() {
  const bool open = co_await shake_hands();
  if (!open) co_return;
  if (draining_) say_going_away();
  watching_ = tell_of_the_end();
  const Ending ending(*this);
  connection_.set_on_ping([this](std::string payload) { on_ping(std::move(payload)); });
  connection_.set_on_pong([this](std::string payload) { on_pong(std::move(payload)); });
  co_await talk();
}

Future<void> WebSocketHandler::head() { return refuse("405 Method Not Allowed", "a WebSocket is opened with GET"); }

Future<bool> WebSocketHandler::shake_hands() {
  RequestHead head = head_of(request());
  const HTTPHeaders& asked = request().headers();
  WebSocketOptions options = websocket_options();
  options.add_origin("*");  // check_origin() decides
  ListenOptions any_origin;
  any_origin.origins = options.origins();
  detail::Refusal refusal = detail::refusal_of(head, any_origin);
  if (refusal.status.empty() && asked.contains("Origin") && !check_origin(asked.get("Origin"))) {
    refusal = {"403 Forbidden", "pages from there may not connect here"};
  }
  if (refusal.status.empty() && draining_) refusal = {"503 Service Unavailable", kGoingAway};
  if (!refusal.status.empty()) {
    co_await refuse(refusal.status, refusal.why);
    co_return false;
  }
  if (const auto compression = get_compression_options()) options.set_compression(*compression);
  std::string protocol = select_subprotocol(offered_protocols(asked));
  std::vector<std::string> chosen;
  if (!protocol.empty()) chosen.push_back(std::move(protocol));
  options.set_protocols(std::move(chosen));
  add_headers(options, headers());
  std::string received;
  IOStream stream = detach(received);
  connection_ = co_await websocket_accept(std::move(stream), std::move(head), std::move(options), std::move(received));
  co_return true;
}

Future<void> WebSocketHandler::refuse(const std::string& status, const std::string& why) {
  set_status(std::stoi(status), status.substr(4));
  if (status.starts_with("426")) {
    set_header("Upgrade", "websocket");
    set_header("Sec-WebSocket-Version", "13");
  }
  if (status.starts_with("405")) set_header("Allow", "GET");
  set_header("Content-Type", "text/plain; charset=UTF-8");
  return finish(why + "\n");
}

Future<void> WebSocketHandler::talk() {
  bool well = co_await succeeded(run_open());
  while (well && !told_) {
    Result<std::optional<WebSocketMessage>> message = co_await as_result(connection_.read_message());
    if (!message.ok()) {
      log(LogLevel::info, request().uri() + ": " + message.failure().message());
      co_return;
    }
    if (!message.peek()) co_return;
    well = co_await succeeded(run_message(std::move(**message)));
  }
}

// The override may throw before it is a coroutine.
Future<void> WebSocketHandler::run_open() { co_await open(); }
Future<void> WebSocketHandler::run_message(WebSocketMessage message) { co_await on_message(std::move(message)); }

Future<bool> WebSocketHandler::succeeded(Future<void> work) {
  work_ = std::move(work);
  busy_ = true;
  const Result<> done = co_await as_result(std::move(work_));
  busy_ = false;
  if (done.ok()) co_return true;
  if (is_ordinary_end(done.error()) && connection_.is_closing()) co_return true;  // the next read says how it ended
  log_exception(done.failure());
  (void)co_await as_result(connection_.close(1011));
  co_return false;
}

Future<void> WebSocketHandler::tell_of_the_end() {
  co_await connection_.closed();
  if (!busy_) co_return;
  tell_close();
  if (cancels_on_connection_close()) work_ = Future<void>();
}

void WebSocketHandler::tell_close() noexcept {
  if (std::exchange(told_, true)) return;
  try {
    on_close();
  } catch (const std::exception& error) {
    log(LogLevel::error, std::string("on_close failed: ") + error.what());
  } catch (...) {
    log(LogLevel::error, "on_close failed");
  }
}

void WebSocketHandler::on_drain() {
  draining_ = true;
  if (connection_) say_going_away();
}

void WebSocketHandler::say_going_away() { connection_.close(1001, kGoingAway).ignore(); }

// ---- from open() on

Future<void> WebSocketHandler::write_message(std::string_view data, WebSocketKind kind) {
  return connection_.write_message(data, kind);
}
Future<void> WebSocketHandler::write_message(const PreparedMessage& message) {
  return connection_.write_message(message);
}
Future<void> WebSocketHandler::ping(std::string_view payload) { return connection_.ping(payload); }
Future<void> WebSocketHandler::close(std::uint16_t code, std::string_view reason) {
  return connection_.close(code, reason);
}

}  // namespace twinloop
