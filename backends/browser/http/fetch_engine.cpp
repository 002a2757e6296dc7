// The HTTP client of a browser: its requests are the host's.
#include <array>
#include <map>
#include <vector>

#include "backends/browser/glue.h"
#include "backends/browser/http/fetch_glue.h"
#include "twinloop/detail/http_engine.h"
#include "twinloop/detail/task.h"
#include "twinloop/ioloop.h"

namespace twinloop::detail {
namespace {

constexpr std::size_t kPiece = 64 * 1024;

std::string take_line(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(line.size() + 1, text.size()));
  return std::string(line);
}

std::string problem() {
  std::array<char, 256> text{};
  host::problem(text.data(), text.size());
  return text.data();
}

std::string header_lines(const HTTPRequest& request) {
  std::string lines;
  if (request.user_agent()) lines += "User-Agent\n" + *request.user_agent() + "\n";
  for (const HTTPHeaders::Field& field : request.headers()) {
    if (!equal_ignoring_case(field.name, "Content-Length")) lines += field.name + "\n" + field.value + "\n";
  }
  return lines;
}

// One call of fetch().  JavaScript knows it by a number, which it may outlive.
class Fetch final : public HTTPBodySource, private CloseHook {
 public:
  Fetch(std::string what, std::size_t max_body_size, std::shared_ptr<std::size_t> active)
      : what_(std::move(what)), max_body_size_(max_body_size), active_(std::move(active)), loop_(IOLoop::current()) {
    loop_.add_closer(*this);
    ++*active_;
  }
  ~Fetch() override {
    all().erase(id_);
    if (started_) host::forget_fetch(id_);
    --*active_;
  }
  Fetch(const Fetch&) = delete;
  Fetch& operator=(const Fetch&) = delete;

  void start(const HTTPRequest& request, const std::string* body);
  Future<HTTPResponse> head();
  Future<std::optional<std::string_view>> next_chunk() override;
  HTTPHeaders& trailers() noexcept override { return trailers_; }

  static void tell(int id) noexcept {
    const auto found = all().find(id);
    if (found == all().end()) return;
    found->second->happened_.set_value();
    found->second->loop_.arrange_turn();
  }

 private:
  static std::map<int, Fetch*>& all() {
    static std::map<int, Fetch*> fetches;
    return fetches;
  }
  void on_loop_close() noexcept override { happened_.set_error(Errc::loop_closed); }

  Future<void> event() {
    happened_ = Promise<void>();
    return happened_.get_future();
  }
  std::string text() const;
  [[noreturn]] void fail(Errc reason, const std::string& what) const { throw_error(reason, what_ + ": " + what); }
  [[noreturn]] void fail_to_start(int code) const;
  [[noreturn]] void fail_unanswered() const;
  [[noreturn]] void fail_in_body() const;

  static inline int last_id_ = 0;
  const int id_ = ++last_id_;
  const std::string what_;
  const std::size_t max_body_size_;
  const std::shared_ptr<std::size_t> active_;  // how many there are
  IOLoop& loop_;
  Promise<void> happened_;
  HTTPHeaders trailers_;  // no page gets to see any
  std::vector<char> piece_;
  std::size_t body_size_ = 0;
  bool started_ = false;
};

void Fetch::start(const HTTPRequest& request, const std::string* body) {
  const std::string headers = header_lines(request);
  host::FetchRequest asked;
  asked.method = request.method().c_str();
  asked.url = request.url().c_str();
  asked.headers = headers.c_str();
  if (request.basic_auth()) {
    asked.user = request.basic_auth()->first.c_str();
    asked.password = request.basic_auth()->second.c_str();
  }
  if (body != nullptr) {
    asked.body = body->data();
    asked.body_size = static_cast<int>(body->size());
  }
  asked.follow = request.follow_redirects();
  all().emplace(id_, this);
  const int code = host::start_fetch(id_, asked);
  if (code != host::kFetching) fail_to_start(code);
  started_ = true;
}

void Fetch::fail_to_start(int code) const {
  if (code == host::kNoFetch) fail(Errc::not_supported, "this host has no fetch()");
  if (code == host::kForbiddenHeader) {
    fail(Errc::not_supported, "a page may not send the header " + problem() + "; the browser sets it itself");
  }
  fail(Errc::invalid_url, "fetch() refuses it: " + problem());
}

Future<HTTPResponse> Fetch::head() {
  while (host::fetch_state(id_) == host::kWaiting) {
    Future<void> something = event();
    co_await std::move(something);
  }
  if (host::fetch_state(id_) == host::kFailed) fail_unanswered();
  if (host::is_opaque_redirect(id_)) {
    fail(Errc::not_supported, "it redirects, and a page does not get to see where; let it be followed");
  }
  const std::string lines = text();
  std::string_view rest = lines;
  HTTPResponse response;
  response.status = host::fetch_status(id_);
  response.reason = take_line(rest);
  response.effective_url = take_line(rest);
  while (!rest.empty()) {
    HTTPHeaders::Field& field = response.headers.append_unchecked();
    field.name = take_line(rest);
    field.value = take_line(rest);
  }
  const std::string encoding(response.headers.get("Content-Encoding"));
  if (!encoding.empty()) response.headers.set("X-Consumed-Content-Encoding", encoding);
  response.headers.erase("Content-Encoding");
  co_return response;
}

Future<std::optional<std::string_view>> Fetch::next_chunk() {
  piece_.resize(kPiece);
  for (;;) {
    const auto size = static_cast<std::size_t>(host::read_fetch(id_, piece_.data(), kPiece));
    body_size_ += size;
    if (body_size_ > max_body_size_) {
      fail(Errc::overflow, "the body exceeds " + std::to_string(max_body_size_) + " bytes (set_max_body_size)");
    }
    if (size > 0) co_return std::string_view(piece_.data(), size);
    if (host::fetch_state(id_) == host::kEnd) co_return std::nullopt;
    if (host::fetch_state(id_) == host::kFailed) fail_in_body();
    Future<void> something = event();
    if (host::fetch_state(id_) != host::kWaiting) host::pull_fetch(id_);
    co_await std::move(something);
  }
}

std::string Fetch::text() const {
  const int size = host::fetch_text(id_, nullptr, 0);
  std::string text(static_cast<std::size_t>(size) + 1, '\0');
  host::fetch_text(id_, text.data(), size + 1);
  text.pop_back();
  return text;
}

void Fetch::fail_unanswered() const {
  const std::string words = text();
  switch (host::fetch_failure(id_)) {
    case host::kRefusedConnection:
      fail(Errc::refused, words);
    case host::kUnknownHost:
      fail(Errc::unresolved, words);
    case host::kReset:
      fail(Errc::reset, words);
    case host::kBroken:
      fail(Errc::protocol, words);
    case host::kUnexplained:
      break;
  }
  fail(Errc::io, "fetch() says '" + words +
                     "'; a browser does not tell more: the server may be down, its certificate bad, or it does not "
                     "allow this page's origin (CORS)");
}

void Fetch::fail_in_body() const {
  const bool broken = host::fetch_failure(id_) == host::kBroken;
  fail(broken ? Errc::protocol : Errc::truncated, "the answer stops short: " + text());
}

// What a producer writes, until all of it can be sent.
class Collected final : public HTTPBodyWriter {
 public:
  explicit Collected(std::size_t most) noexcept : most_(most) {}
  Future<void> write(std::string_view bytes) override {
    if (bytes.size() > most_ - body.size()) {
      return Future<void>::failed(Failure(Errc::overflow, "a page sends its body whole, and this one is too large"));
    }
    body += bytes;
    return Future<void>::ready();
  }
  void add_trailer(std::string_view name, std::string_view /*value*/) override {
    throw Error(Errc::not_supported,
                "the trailer '" + std::string(name) + "': fetch() sends none; send it as a header");
  }

  std::string body;

 private:
  const std::size_t most_;
};

void refuse_what_is_the_hosts(const HTTPRequest& request, const std::string& what) {
  const auto refuse = [&](const char* text) { throw Error(Errc::not_supported, what + ": " + text); };
  if (!request.proxy().empty()) refuse("a page has no proxy of its own; the browser's settings have");
  if (request.tls() != nullptr) refuse("a page cannot choose whom to trust; the browser does");
  if (!request.connect_to().empty()) refuse("a page connects to the host of the URL and nowhere else");
  if (!request.decompress_response()) refuse("fetch() takes compression off, always");
}

class FetchEngine final : public HTTPEngine {
 public:
  explicit FetchEngine(const HTTPClientOptions& options) : options_(options) {}

  Future<HTTPAnswer> start(std::shared_ptr<const HTTPRequest> request, std::size_t max_body_size,
                           HTTPProgress& progress) override {
    return ask(*this, std::move(request), max_body_size, progress);
  }
  void close() noexcept override { closed_ = true; }
  HTTPClientStats stats() const noexcept override {
    HTTPClientStats stats;
    stats.requests = requests_;
    stats.active = *active_;
    return stats;
  }
  const HTTPClientOptions& options() const noexcept override { return options_; }

 private:
  static Future<HTTPAnswer> ask(FetchEngine& self, std::shared_ptr<const HTTPRequest> request,
                                std::size_t max_body_size, HTTPProgress& progress) {
    const std::string what = request->method() + " " + progress.where;
    refuse_what_is_the_hosts(*request, what);
    if (self.closed_) throw StreamClosedError(Errc::local, what + ": the client was closed");
    progress.step = HTTPProgress::Step::waiting;
    Collected collected(self.options_.max_body_size());
    const std::string* body = request->body();
    if (request->body_producer() != nullptr) {
      Future<void> producing = (*request->body_producer())(collected);
      co_await std::move(producing);
      body = &collected.body;
    }
    ++self.requests_;
    const auto fetching = std::make_shared<Fetch>(what, max_body_size, self.active_);
    fetching->start(*request, body);
    Future<HTTPResponse> waiting = fetching->head();
    HTTPResponse head = co_await std::move(waiting);
    head.times.first_byte = IOLoop::current().clock() - progress.began;
    HTTPAnswer answer{std::move(head), std::shared_ptr<HTTPBodySource>(fetching)};
    co_return answer;
  }

  const HTTPClientOptions options_;
  const std::shared_ptr<std::size_t> active_ = std::make_shared<std::size_t>(0);
  std::uint64_t requests_ = 0;
  bool closed_ = false;
};

}  // namespace

void host::fetch_event(int id) noexcept { Fetch::tell(id); }

std::shared_ptr<HTTPEngine> make_http_engine(const HTTPClientOptions& options) {
  return std::make_shared<FetchEngine>(options);
}

}  // namespace twinloop::detail
