#include "twinloop/tcpserver.h"

#include <algorithm>

#include "twinloop/locks.h"
#include "twinloop/timing.h"

namespace twinloop {
namespace {

// What a server's connections need of it: they may outlive it.
struct Service {
  Service(std::function<Future<void>(IOStream)> handle, const ServerOptions& o)
      : handle_stream(std::move(handle)), options(o) {}

  std::function<Future<void>(IOStream)> handle_stream;
  ServerOptions options;
  ServerStats stats;
  Condition ended;  // a connection did
};

struct Door {
  std::shared_ptr<Service> service;
  std::string url;
};

// A connection that runs by itself: the handler's coroutine and nothing around it, because there may be many.
class Connection final : public detail::Task {
 public:
  Connection(std::shared_ptr<const Door> door, IOStream stream) noexcept
      : door_(std::move(door)), stream_(std::move(stream)) {
    ++service().stats.accepted;
    ++service().stats.open;
  }
  ~Connection() override {
    cancel();
    --service().stats.open;
    service().ended.notify_all();
  }

  Future<void> start() override { return service().handle_stream(std::move(stream_)); }
  std::string what() const override { return "a handler of " + door_->url; }
  const void* group() const noexcept override { return door_->service.get(); }

 private:
  Service& service() const noexcept { return *door_->service; }

  std::shared_ptr<const Door> door_;
  IOStream stream_;
};

Future<void> wait_for_fewer(Service& service, std::size_t count) {
  while (service.stats.open >= count) co_await service.ended.wait();
}

Future<void> accept_for_ever(Listener& listener, std::shared_ptr<const Door> door) {
  Service& service = *door->service;
  for (;;) {
    IOStream stream = co_await listener.accept();
    if (service.stats.open >= service.options.max_connections()) {
      co_await wait_for_fewer(service, service.options.max_connections());
    }
    IOLoop::current().adopt(new Connection(door, std::move(stream)));
  }
}

}  // namespace

Future<void> serve(Listener listener, std::function<Future<void>(IOStream)> handle_stream) {
  auto service = std::make_shared<Service>(std::move(handle_stream), ServerOptions());
  auto door = std::make_shared<const Door>(std::move(service), listener.url());
  co_await accept_for_ever(listener, std::move(door));
}

class TCPServer::Impl {
 public:
  Impl(std::function<Future<void>(IOStream)> handle_stream, const ServerOptions& options)
      : service_(std::make_shared<Service>(std::move(handle_stream), options)) {}
  ~Impl() { close_all(); }

  std::string add(Listener listener) {
    stopped_.clear();
    Opening& opening = *openings_.emplace_back(std::make_unique<Opening>(std::move(listener), service_));
    opening.accepting = accept_for_ever(opening.listener, opening.door);
    return opening.door->url;
  }

  std::vector<std::string> urls() const {
    std::vector<std::string> all;
    all.reserve(openings_.size());
    for (const auto& opening : openings_) all.push_back(opening->door->url);
    return all;
  }

  void stop() noexcept {
    close_all();
    stopped_.set();
  }

  Future<void> stopped() { return stopped_.wait(); }
  const ServerStats& stats() const noexcept { return service_->stats; }
  const std::shared_ptr<Service>& service() const noexcept { return service_; }

 private:
  struct Opening {
    Opening(Listener l, std::shared_ptr<Service> service)
        : listener(std::move(l)), door(std::make_shared<const Door>(std::move(service), listener.url())) {}
    Listener listener;
    std::shared_ptr<const Door> door;
    Future<void> accepting;  // uses the two
  };

  // A handler's first steps run inside the coroutine that accepts: what that uses must outlive this turn.
  void close_all() noexcept {
    for (const auto& opening : openings_) opening->listener.close();
    IOLoop* loop = IOLoop::current_or_null();
    if (loop != nullptr && !openings_.empty()) loop->add_callback([closed = std::move(openings_)] {});
    openings_.clear();
  }

  std::shared_ptr<Service> service_;
  std::vector<std::unique_ptr<Opening>> openings_;
  Event stopped_;
};

namespace {

Future<std::string> open(TCPServer::Impl& server, std::string url, ListenOptions options) {
  Listener listener = co_await listen(std::move(url), std::move(options));
  co_return server.add(std::move(listener));
}

Future<void> wait_for_all(std::shared_ptr<Service> service, Duration limit) {
  const Result<void> ended = co_await as_result(with_timeout(limit, wait_for_fewer(*service, 1)));
  if (!ended.ok()) IOLoop::current().cancel_tasks(service.get());
}

}  // namespace

TCPServer::TCPServer(std::function<Future<void>(IOStream)> handle_stream, const ServerOptions& options)
    : impl_(std::make_unique<Impl>(std::move(handle_stream), options)) {}

TCPServer::TCPServer(TCPServer&&) noexcept = default;
TCPServer& TCPServer::operator=(TCPServer&&) noexcept = default;
TCPServer::~TCPServer() = default;

Future<std::string> TCPServer::listen(std::string url, ListenOptions options) {
  return open(*impl_, std::move(url), std::move(options));
}
std::string TCPServer::add(Listener listener) { return impl_->add(std::move(listener)); }
std::vector<std::string> TCPServer::urls() const { return impl_->urls(); }
void TCPServer::stop() noexcept { impl_->stop(); }
Future<void> TCPServer::stopped() { return impl_->stopped(); }
ServerStats TCPServer::stats() const noexcept { return impl_->stats(); }

Future<void> TCPServer::drain(Duration limit) {
  impl_->stop();
  return wait_for_all(impl_->service(), limit);
}

}  // namespace twinloop
