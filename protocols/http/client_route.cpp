#include "protocols/http/client_route.h"

#include <algorithm>
#include <charconv>

#include "protocols/http/client_check.h"
#include "protocols/http/parser.h"
#include "twinloop/detail/builtin.h"

namespace twinloop::detail {
namespace {

HTTPUrl parse_proxy(const HTTPRequest& request) {
  Result<HTTPUrl> url = HTTPUrl::parse(request.proxy());
  if (url.ok()) return std::move(*url);
  in_context(url.failure(), describe(request.method(), shown_url(request.url())) + ": its proxy").raise();
}

std::string stream_url(const HTTPUrl& url) { return (url.secure ? "tls://" : "tcp://") + url.host_and_port(); }

std::string number_of(const void* pointer) { return std::to_string(reinterpret_cast<std::uintptr_t>(pointer)); }

void go_through_proxy(HTTPRoute& route, const HTTPUrl& proxy, const HTTPHop& hop) {
  route.below = stream_url(proxy);
  route.proxy = proxy.to_string();
  route.tunnel = hop.url.secure;
  if (proxy.credentials) {
    route.proxy_authorization = basic_authorization(proxy.credentials->first, proxy.credentials->second);
  }
  if (!hop.url.secure) route.proxy_wish = {true, route.proxy_authorization};
}

// tls:// from the table of schemes, above a stream that is there already.
Future<IOStream> secure(IOStream lower, const HTTPRoute& route) {
  const auto schemes = builtin_schemes();
  const auto tls = std::find_if(schemes.begin(), schemes.end(), [](const auto& each) { return each.scheme == "tls"; });
  if (tls == schemes.end()) throw Error(Errc::not_supported, "https: this build has no TLS");
  if (!tls->missing.empty()) throw Error(Errc::not_supported, "https: " + std::string(tls->missing));
  Url url;
  url.scheme = "tls";
  url.host = route.url.host;
  url.port = route.url.port;
  Future<IOStream> securing = tls->connect(std::move(lower), url, route.options);
  co_return co_await std::move(securing);
}

std::string connect_request(const HTTPRoute& route) {
  const std::string target = route.url.host_and_port();
  std::string text = "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n";
  if (!route.proxy_authorization.empty()) text += "Proxy-Authorization: " + route.proxy_authorization + "\r\n";
  return text + "\r\n";
}

[[noreturn]] void refuse_proxy(const HTTPRoute& route, Errc reason, const std::string& what) {
  throw Error(reason, "CONNECT " + route.url.host_and_port() + " through " + route.proxy + ": " + what);
}

// The proxy's answer, up to its headers.  What comes behind them would be the server's.
Future<int> read_permission(IOStream& stream, const HTTPRoute& route) {
  HTTP1Parser parser(MessageKind::response, ParserLimits{});
  parser.expect_no_body();
  for (;;) {
    Future<std::string_view> reading = stream.read_some_view();
    Result<std::string_view> bytes = co_await as_result(std::move(reading));
    if (!bytes.ok()) refuse_proxy(route, bytes.reason(), "the proxy closed the connection");
    std::string_view input = *bytes;
    for (;;) {
      const HTTP1Parser::Step step = parser.next(input);
      input.remove_prefix(step.consumed);
      if (step.event == HTTP1Parser::Event::error) refuse_proxy(route, Errc::protocol, std::string(parser.why()));
      if (step.event == HTTP1Parser::Event::more) break;
      const int status = parser.head().status;
      if (step.event != HTTP1Parser::Event::headers || status < 200) continue;
      const bool early = status < 300 && (!input.empty() || stream.buffered() > 0);
      if (early) refuse_proxy(route, Errc::plaintext_before_tls, "something came before TLS began");
      co_return status;
    }
  }
}

Future<void> ask_for_tunnel(IOStream& stream, const HTTPRoute& route) {
  co_await stream.write(connect_request(route));
  Future<int> reading = read_permission(stream, route);
  const int status = co_await std::move(reading);
  if (status < 300) co_return;
  const std::string advice = status == 407 ? "; put user name and password into the proxy's URL" : "";
  refuse_proxy(route, Errc::refused,
               "it answered " + std::to_string(status) + " " + std::string(reason_phrase(status)) + advice);
}

}  // namespace

HTTPRoute route_of(const HTTPRequest& request, const HTTPHop& hop, const HTTPClientOptions& options) {
  HTTPRoute route;
  route.url = hop.url;
  route.server = hop.url.host_and_port();
  route.options = options.connect();
  route.options.timeout = Duration::max();  // ours is set_connect_timeout
  if (request.tls() != nullptr) route.options.tls = request.tls();
  const bool elsewhere = hop.at_home && !request.connect_to().empty();
  if (elsewhere) {
    route.below = request.connect_to();
  } else if (!request.proxy().empty()) {
    go_through_proxy(route, parse_proxy(request), hop);
  } else {
    route.below = "tcp://" + route.server;
  }
  route.key = (hop.url.secure ? "https://" : "http://") + route.server + " " + route.below + " " +
              route.proxy_authorization + " " + number_of(route.options.tls.get());
  return route;
}

Future<IOStream> open_route(const HTTPRoute& route) {
  IOStream stream = co_await connect(route.below, route.options);
  if (route.tunnel) co_await ask_for_tunnel(stream, route);
  if (!route.url.secure) co_return stream;
  Future<IOStream> securing = secure(std::move(stream), route);
  co_return co_await std::move(securing);
}

}  // namespace twinloop::detail
