#include "protocols/http/client_pool.h"

#include <algorithm>

#include "twinloop/ioloop.h"

namespace twinloop::detail {

// Who waits in line.  It may go away at any time: also when it was called already and has not heard it yet.
class HTTPPool::Place {
 public:
  Place(HTTPPool& line, const std::string& server)
      : pool_(line), server_(server), at_(line.line_.insert(line.line_.end(), this)) {}
  ~Place() {
    if (state_ == State::waiting) pool_.line_.erase(at_);
    if (state_ == State::called) pool_.end(server_);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  Future<void> called() { return promise_.get_future(); }
  const std::string& server() const noexcept { return server_; }
  void take() noexcept { state_ = State::gone; }

  void call() {
    pool_.line_.erase(at_);
    state_ = State::called;
    pool_.begin(server_);
    promise_.set_value();
  }
  void refuse() noexcept {
    pool_.line_.erase(at_);
    state_ = State::gone;
    promise_.set_error(Errc::local);
  }

 private:
  enum class State : unsigned char { waiting, called, gone };

  HTTPPool& pool_;
  const std::string& server_;
  const std::list<Place*>::iterator at_;
  Promise<void> promise_;
  State state_ = State::waiting;
};

HTTPTurn::~HTTPTurn() {
  if (pool_ != nullptr) pool_->end(server_);
}

Future<HTTPTurn> HTTPPool::turn(std::shared_ptr<HTTPPool> self, std::string server) {
  if (self->closed_) co_return Failure(Errc::local, "the client was closed");
  if (self->has_room(server)) {
    self->begin(server);
    co_return HTTPTurn(std::move(self), std::move(server));
  }
  if (self->line_.size() >= self->options_.max_queued()) {
    co_return Failure(Errc::limit, std::to_string(self->line_.size()) + " requests wait in line (set_max_queued)");
  }
  Place place(*self, server);
  Future<void> called = place.called();
  const Result<void> waited = co_await as_result(std::move(called));
  if (!waited.ok()) co_return Failure(Errc::local, "the client was closed");
  place.take();
  co_return HTTPTurn(self, server);
}

bool HTTPPool::has_room(const std::string& server) const noexcept {
  if (stats_.active >= options_.max_clients()) return false;
  const auto found = active_.find(server);
  return (found == active_.end() ? 0 : found->second) < options_.max_per_host();
}

void HTTPPool::begin(const std::string& server) {
  ++stats_.requests;
  ++stats_.active;
  ++active_[server];
}

void HTTPPool::end(const std::string& server) noexcept {
  --stats_.active;
  const auto found = active_.find(server);
  if (--found->second == 0) active_.erase(found);
  call_next();
}

void HTTPPool::call_next() noexcept {
  const auto next = std::find_if(line_.begin(), line_.end(), [this](Place* p) { return has_room(p->server()); });
  if (next != line_.end()) (*next)->call();
}

std::unique_ptr<HTTPConnection> HTTPPool::take(std::string_view route) {
  for (auto each = idle_.rbegin(); each != idle_.rend(); ++each) {
    if ((*each)->route != route) continue;
    std::unique_ptr<HTTPConnection> connection = std::move(*each);
    idle_.erase(std::next(each).base());
    IOStream& stream = connection->stream;
    if (stream.is_closed() || stream.input_ended() || stream.buffered() > 0) return take(route);
    stream.set_close_callback(Function<void()>());
    stream.set_idle_timeout(Duration::zero());
    return connection;
  }
  return nullptr;
}

void HTTPPool::keep(std::unique_ptr<HTTPConnection> connection) {
  if (closed_ || options_.max_idle() == 0) return;
  IOStream& stream = connection->stream;
  stream.set_idle_timeout(options_.idle_timeout());
  stream.set_close_callback([weak = weak_from_this()] {
    if (const auto alive = weak.lock()) alive->drop_ended();
  });
  idle_.push_back(std::move(connection));
  if (idle_.size() > options_.max_idle()) idle_.pop_front();
}

void HTTPPool::drop_ended() noexcept {
  idle_.remove_if([](const auto& each) { return each->stream.is_closed() || each->stream.input_ended(); });
}

void HTTPPool::close() noexcept {
  closed_ = true;
  idle_.clear();
  while (!line_.empty()) line_.front()->refuse();
}

HTTPClientStats HTTPPool::stats() const noexcept {
  HTTPClientStats stats = stats_;
  stats.queued = line_.size();
  stats.idle = idle_.size();
  return stats;
}

}  // namespace twinloop::detail
