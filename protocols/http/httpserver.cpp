#include "twinloop/httpserver.h"

#include "protocols/http/server_connection.h"

namespace twinloop {
namespace {

// http:// and https:// are what tcp:// and tls:// carry.
std::string with_other_scheme(std::string_view url, std::string_view from, std::string_view to) {
  return url.starts_with(from) ? std::string(to).append(url.substr(from.size())) : std::string(url);
}
std::string carrier_url(std::string_view url) {
  return with_other_scheme(with_other_scheme(url, "http://", "tcp://"), "https://", "tls://");
}
std::string http_url(std::string_view url) {
  return with_other_scheme(with_other_scheme(url, "tcp://", "http://"), "tls://", "https://");
}

Future<std::string> listen_on(Future<std::string> listening) { co_return http_url(co_await std::move(listening)); }

}  // namespace

class HTTPServer::Impl {
 public:
  Impl(HTTPHandler handler, HTTPServerOptions options)
      : service_(std::make_shared<detail::HTTPService>(std::move(handler), std::move(options))),
        server_([service = service_](IOStream stream) { return detail::serve_http(service, std::move(stream)); },
                service_->options.server()) {}

  TCPServer& server() noexcept { return server_; }
  const TCPServer& server() const noexcept { return server_; }
  detail::HTTPService& service() const noexcept { return *service_; }

  void on_drain(std::function<void()> callback) { on_drain_.push_back(std::move(callback)); }

  Future<void> drain(Duration limit) {
    service_->draining = true;
    service_->connections.for_each([](detail::HTTPServerConnection& connection) { connection.close_if_idle(); });
    for (const std::function<void()>& callback : on_drain_) callback();
    return server_.drain(limit);
  }

 private:
  std::shared_ptr<detail::HTTPService> service_;
  TCPServer server_;
  std::vector<std::function<void()>> on_drain_;
};

HTTPServer::HTTPServer(HTTPHandler handler, HTTPServerOptions options)
    : impl_(std::make_unique<Impl>(std::move(handler), std::move(options))) {}
HTTPServer::HTTPServer(HTTPServer&&) noexcept = default;
HTTPServer& HTTPServer::operator=(HTTPServer&&) noexcept = default;
HTTPServer::~HTTPServer() = default;

// NOLINTNEXTLINE(performance-unnecessary-value-param): by value, as every listen() takes it
Future<std::string> HTTPServer::listen(std::string url, ListenOptions options) {
  impl_->service().draining = false;
  return listen_on(impl_->server().listen(carrier_url(url), std::move(options)));
}

std::string HTTPServer::add(Listener listener) {
  impl_->service().draining = false;
  return http_url(impl_->server().add(std::move(listener)));
}

std::vector<std::string> HTTPServer::urls() const {
  std::vector<std::string> all = impl_->server().urls();
  for (std::string& url : all) url = http_url(url);
  return all;
}

void HTTPServer::stop() noexcept { impl_->server().stop(); }
Future<void> HTTPServer::drain(Duration limit) { return impl_->drain(limit); }
void HTTPServer::on_drain(std::function<void()> callback) { impl_->on_drain(std::move(callback)); }
Future<void> HTTPServer::stopped() { return impl_->server().stopped(); }

HTTPServerStats HTTPServer::stats() const noexcept {
  const detail::HTTPService& service = impl_->service();
  return HTTPServerStats{impl_->server().stats(), service.requests, service.active};
}

}  // namespace twinloop
