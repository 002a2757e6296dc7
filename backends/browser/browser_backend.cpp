#include "backends/browser/browser_backend.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "backends/browser/browser_stdio.h"
#include "backends/browser/browser_websocket.h"
#include "backends/browser/glue.h"

namespace twinloop::detail {
namespace {

BrowserBackend* current = nullptr;  // the one that the host turns
bool started = false;               // what the host keeps (numbers of sockets, input) outlives the first

constexpr double kSlice = 4;  // milliseconds of turns in a row; then the page may paint and take input

// Schemes of the native half.
bool is_native(std::string_view scheme) noexcept { return scheme == "tcp" || scheme == "tls" || scheme == "unix"; }

Failure not_in_a_browser(const char* verb, const Url& url, const char* why) {
  return {Errc::not_supported, verb + url.to_string() + why};
}

}  // namespace

BrowserBackend::BrowserBackend(std::unique_ptr<Network> network) : network_(std::move(network)) {
  assert(current == nullptr && "make_browser_backend() makes one at a time");
  if (!std::exchange(started, true)) host::start();
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
  const double until = host::now() + kSlice;
  TimePoint next = kAlready;
  while (current != nullptr && next == kAlready) {
    next = current->loop_->turn();
    if (host::now() >= until) break;
  }
  if (current != nullptr) current->request_turn(next);
}

// The native schemes too: what this platform cannot do is told in its own words.
bool BrowserNetwork::carries(std::string_view scheme) const noexcept {
  return scheme == "ws" || scheme == "wss" || scheme == "stdio" || is_native(scheme);
}

std::string_view BrowserNetwork::alternatives() const noexcept {
  return "in a browser there are ws://, wss://, pair: and stdio:, and a server reaches it over WebSocket";
}

Future<std::unique_ptr<Transport>> BrowserNetwork::connect(Url url, const ConnectOptions& options) {
  if (url.scheme == "stdio") co_return std::make_unique<BrowserStdio>();
  if (is_native(url.scheme))
    co_return not_in_a_browser("connect ", url, ": a browser has no raw sockets; use ws:// or wss://");
  auto socket = std::make_unique<BrowserWebSocket>(url.to_string());
  const Result<void> opened = co_await as_result(socket->open(options));
  if (!opened.ok()) co_return opened.failure();
  co_return std::move(socket);
}

Future<std::unique_ptr<Acceptor>> BrowserNetwork::listen(Url url, const ListenOptions&) {
  return Future<std::unique_ptr<Acceptor>>::failed(not_in_a_browser(
      "listen ", url, ": a browser accepts no connections; use pair:, or connect to a server by ws:// or wss://"));
}

std::unique_ptr<Backend> make_browser_backend() {
  if (current != nullptr) {
    throw Error(Errc::busy,
                "a page has one IOLoop, which still lives (that of run_main always does): use IOLoop::current()");
  }
  return std::make_unique<BrowserBackend>(std::make_unique<BrowserNetwork>());
}
bool browser_available() noexcept { return true; }

}  // namespace twinloop::detail
