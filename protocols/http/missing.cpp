// A build without llhttp or zlib: whoever makes a server is told so.
#include "twinloop/httpserver.h"

namespace twinloop {

class HTTPServer::Impl {};

HTTPServer::HTTPServer(HTTPHandler, HTTPServerOptions) {
  throw_error(Errc::not_supported, "HTTP: this build has no llhttp, or no zlib");
}
HTTPServer::HTTPServer(HTTPServer&&) noexcept = default;
HTTPServer& HTTPServer::operator=(HTTPServer&&) noexcept = default;
HTTPServer::~HTTPServer() = default;

// There is none to call these on.
Future<std::string> HTTPServer::listen(std::string, ListenOptions) {
  return Future<std::string>::failed(Errc::not_supported);
}
std::string HTTPServer::add(Listener) { return {}; }
std::vector<std::string> HTTPServer::urls() const { return {}; }
void HTTPServer::stop() noexcept {}
Future<void> HTTPServer::drain(Duration) { return Future<void>::failed(Errc::not_supported); }
void HTTPServer::on_drain(std::function<void()>) {}
Future<void> HTTPServer::stopped() { return Future<void>::failed(Errc::not_supported); }
HTTPServerStats HTTPServer::stats() const noexcept { return {}; }

}  // namespace twinloop
