// The requests of a client over streams: connecting, redirects, second attempts.
#include "protocols/http/client_check.h"
#include "protocols/http/client_exchange.h"
#include "protocols/http/client_pool.h"
#include "protocols/http/client_request.h"
#include "protocols/http/client_route.h"
#include "twinloop/detail/http_engine.h"
#include "twinloop/ioloop.h"

namespace twinloop::detail {
namespace {

constexpr std::size_t kWorthReading = 64 * 1024;  // of a redirect's body, to keep its connection

// What a hop is asked for, and what it told on the way.
struct Attempt {
  std::shared_ptr<const HTTPRequest> request;
  std::size_t max_body_size;
  HTTPProgress& progress;
  bool may_reuse = true;
  HTTPTimes times{};
  bool heard_nothing = false;
};

struct Exchanged {
  HTTPResponse head;
  std::shared_ptr<HTTPExchange> exchange;
};

struct Opened {
  HTTPTurn turn;
  std::unique_ptr<HTTPConnection> connection;
};

bool is_stale(const Attempt& attempt, Errc reason) noexcept {
  const bool connection_went = reason == Errc::truncated || reason == Errc::reset || reason == Errc::idle_timeout;
  return attempt.times.reused && attempt.heard_nothing && connection_went;
}

class StreamEngine final : public HTTPEngine {
 public:
  explicit StreamEngine(const HTTPClientOptions& options)
      : options_(options), pool_(std::make_shared<HTTPPool>(options)) {}

  Future<HTTPAnswer> start(std::shared_ptr<const HTTPRequest> request, std::size_t max_body_size,
                           HTTPProgress& progress) override {
    return follow(*this, Attempt{std::move(request), max_body_size, progress});
  }
  void close() noexcept override { pool_->close(); }
  HTTPClientStats stats() const noexcept override { return pool_->stats(); }
  const HTTPClientOptions& options() const noexcept override { return options_; }

 private:
  // Whoever calls start() keeps the engine until it is done.
  static Future<HTTPAnswer> follow(StreamEngine& self, Attempt attempt) {
    const std::shared_ptr<const HTTPRequest> request = attempt.request;
    HTTPHop hop = first_hop(*request);
    for (unsigned redirects = 0;; ++redirects) {
      attempt.progress.where = hop.url.to_string();
      Exchanged exchanged = co_await ask(self, hop, attempt);
      HTTPResponse& head = exchanged.head;
      const std::string* location = head.headers.find("Location");
      const bool leads_on = is_redirect(head.status) && location != nullptr && request->follow_redirects();
      if (!leads_on || redirects >= request->max_redirects()) {
        head.effective_url = hop.url.to_string();
        head.times = attempt.times;
        head.times.redirects = redirects;
        HTTPAnswer answer{std::move(head), std::move(exchanged.exchange)};
        co_return answer;
      }
      Result<HTTPHop> next = next_hop(hop, head.status, *location);
      if (!next.ok()) {
        const std::string what = describe(hop.method, hop.url.to_string()) + ": it redirects to what is not fetched";
        co_return in_context(next.failure(), what);
      }
      co_await exchanged.exchange->discard(kWorthReading);
      hop = std::move(*next);
    }
  }

  // One hop; a second time where the connection that was kept was dead.
  static Future<Exchanged> ask(StreamEngine& self, const HTTPHop& hop, Attempt& attempt) {
    attempt.may_reuse = true;
    Future<Exchanged> first = ask_once(self, hop, attempt);
    Result<Exchanged> exchanged = co_await as_result(std::move(first));
    if (exchanged.ok()) co_return std::move(*exchanged);
    const bool again = is_stale(attempt, exchanged.reason()) && is_repeatable(*attempt.request, hop);
    if (!again) co_return exchanged.failure();
    attempt.may_reuse = false;
    Future<Exchanged> second = ask_once(self, hop, attempt);
    co_return co_await std::move(second);
  }

  static Future<Exchanged> ask_once(StreamEngine& self, const HTTPHop& hop, Attempt& attempt) {
    const HTTPRoute route = route_of(*attempt.request, hop, self.options_);
    std::string head = request_head(*attempt.request, hop, self.options_, route.proxy_wish);
    attempt.times = HTTPTimes();
    attempt.heard_nothing = false;
    Future<Opened> opening = limited_open(self, hop, route, attempt);
    Opened opened = co_await std::move(opening);
    const auto exchange = std::make_shared<HTTPExchange>(
        self.pool_, std::move(opened.turn), std::move(opened.connection), attempt.request, hop, attempt.max_body_size);
    Future<HTTPResponse> beginning = exchange->begin(std::move(head), attempt.progress);
    Result<HTTPResponse> response = co_await as_result(std::move(beginning));
    attempt.heard_nothing = exchange->heard_nothing();
    if (!response.ok()) co_return response.failure();
    attempt.times.first_byte = IOLoop::current().clock() - attempt.progress.began;
    Exchanged exchanged{std::move(*response), exchange};
    co_return exchanged;
  }

  static Future<Opened> limited_open(StreamEngine& self, const HTTPHop& hop, const HTTPRoute& route, Attempt& attempt) {
    const Duration limit = attempt.request->connect_timeout();
    Future<Opened> opening = open(self, route, attempt);
    if (limit > Duration::zero()) opening = with_timeout(limit, std::move(opening));
    Result<Opened> opened = co_await as_result(std::move(opening));
    if (opened.ok()) co_return std::move(*opened);
    const std::string what = describe(hop.method, hop.url.to_string());
    if (opened.reason() != Errc::timeout || opened.failure().has_context() || opened.failure().exception()) {
      co_return in_context(opened.failure(), what);
    }
    co_return Failure(Errc::timeout, what + ": " + time_is_up(attempt.progress.step, limit, "set_connect_timeout"));
  }

  static Future<Opened> open(StreamEngine& self, const HTTPRoute& route, Attempt& attempt) {
    IOLoop& loop = IOLoop::current();
    const TimePoint queued = loop.clock();
    attempt.progress.step = HTTPProgress::Step::queued;
    Future<HTTPTurn> waiting = HTTPPool::turn(self.pool_, route.server);
    HTTPTurn turn = co_await std::move(waiting);
    Opened opened{std::move(turn), nullptr};
    const TimePoint called = loop.clock();
    attempt.times.queue = called - queued;
    attempt.progress.step = HTTPProgress::Step::connecting;
    if (attempt.may_reuse) opened.connection = self.pool_->take(route.key);
    attempt.times.reused = opened.connection != nullptr;
    if (opened.connection == nullptr) {
      Future<IOStream> connecting = open_route(route);
      IOStream stream = co_await std::move(connecting);
      self.pool_->count_connection();
      const ParserLimits limits{self.options_.max_header_size(), kMostHeaders};
      opened.connection = std::make_unique<HTTPConnection>(std::move(stream), route.key, limits);
      attempt.times.connect = loop.clock() - called;
    }
    co_return opened;
  }

  static constexpr std::size_t kMostHeaders = 1000;

  const HTTPClientOptions options_;
  const std::shared_ptr<HTTPPool> pool_;
};

}  // namespace

std::shared_ptr<HTTPEngine> make_http_engine(const HTTPClientOptions& options) {
  return std::make_shared<StreamEngine>(options);
}

}  // namespace twinloop::detail
