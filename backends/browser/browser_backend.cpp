#include "backends/browser/browser_backend.h"

#include <algorithm>
#include <cmath>

#include "backends/browser/browser_stdio.h"
#include "backends/browser/browser_websocket.h"
#include "backends/browser/glue.h"

namespace twinloop::detail {
namespace {

BrowserBackend* current = nullptr;  // a module instance has one thread and one loop

}  // namespace

BrowserBackend::BrowserBackend() {
  host::start();
  current = this;
}

BrowserBackend::~BrowserBackend() {
  host::request_turn(-1);
  current = nullptr;
}

TimePoint BrowserBackend::now() const noexcept {
  return TimePoint(Duration(static_cast<Duration::rep>(host::now() * 1e6)));
}

void BrowserBackend::request_turn(TimePoint when) {
  if (when == kNever) return host::request_turn(-1);
  if (when == kAlready) return host::request_turn(0);
  const double milliseconds = std::chrono::duration<double, std::milli>(when - now()).count();
  host::request_turn(std::max(0.0, std::ceil(milliseconds)));
}

void BrowserBackend::turn() noexcept {
  if (current == nullptr) return;
  const TimePoint next = current->loop_->turn();
  if (current != nullptr) current->request_turn(next);
}

bool BrowserNetwork::carries(std::string_view scheme) const noexcept {
  return scheme == "ws" || scheme == "wss" || scheme == "stdio";
}

std::string_view BrowserNetwork::alternatives() const noexcept {
  return "in a browser there are ws:, wss:, pair: and stdio:, and a server reaches it over WebSocket";
}

Future<std::unique_ptr<Transport>> BrowserNetwork::connect(Url url, const ConnectOptions& options) {
  if (url.scheme == "stdio") co_return std::make_unique<BrowserStdio>();
  auto socket = std::make_unique<BrowserWebSocket>(url.to_string(), options);
  co_await socket->opened();
  co_return std::move(socket);
}

Future<std::unique_ptr<Acceptor>> BrowserNetwork::listen(Url url, const ListenOptions&) {
  throw Error(Errc::not_supported,
              "listen " + url.to_string() + ": a browser accepts no connections; use pair:, or connect to a server");
  co_return nullptr;
}

std::unique_ptr<Backend> make_browser_backend() { return std::make_unique<BrowserBackend>(); }
bool browser_available() noexcept { return true; }

}  // namespace twinloop::detail
