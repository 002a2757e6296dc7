// AsyncHTTPClient over TLS and through proxies.
#include <string>

#include "httpclient_fixtures.h"
#include "tests/tls_fixtures.h"
#include "twinloop/httpserver.h"
#include "twinloop/task_group.h"
#include "twinloop/timing.h"
#include "twinloop/websocket_handler.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;

namespace {

constexpr Needs kNetwork = Needs::tcp | Needs::listen;

const TlsClientContext& trusting() {
  static const TlsClientContext context(tls_test::client_options());
  return context;
}

ListenOptions certified() {
  static const TlsServerContext context(tls_test::server_options());
  return ListenOptions().set_tls(context);
}

std::string tell(const RawRequest& request) { return ok_with(request.line()); }

Future<ScriptedServer> secure_server(Answer answer = tell) {
  return ScriptedServer::answering(std::move(answer), "tls://127.0.0.1:0", certified());
}

// A proxy that lets everybody through who knows the password, and remembers what it was asked.
struct Proxy {
  std::vector<RawRequest> asked;
  std::string password;  // as the header says it; "" for none

  std::string refusal(const RawRequest& request) const {
    if (password.empty() || request.has("Proxy-Authorization: " + password)) return {};
    return "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
  }
};

Future<void> pump_and_end(IOStream& from, IOStream& to) {
  const Result<std::uint64_t> pumped = co_await as_result(pump(from, to));
  const Result<void> ended = co_await as_result(to.shutdown_write());
  if (!pumped.ok() || !ended.ok()) to.abort();
}

Future<void> carry(std::shared_ptr<Proxy> proxy, IOStream& client) {
  Result<RawRequest> request = co_await as_result(read_request(client));
  if (!request.ok()) co_return;
  proxy->asked.push_back(*request);
  const std::string refusal = proxy->refusal(*request);
  if (!refusal.empty()) co_return co_await client.write(refusal);
  const std::string line = request->line();
  if (!line.starts_with("CONNECT ")) co_return co_await client.write(ok_with("through the proxy"));
  IOStream server = co_await connect("tcp://" + line.substr(8, line.rfind(' ') - 8));
  co_await client.write("HTTP/1.1 200 Connection established\r\n\r\n");
  Future<void> upwards = pump_and_end(client, server);
  co_await pump_and_end(server, client);
  co_await std::move(upwards);
}

Future<ScriptedServer> serve_proxy(std::shared_ptr<Proxy> proxy) {
  return ScriptedServer::talking([proxy](IOStream& client) { return carry(proxy, client); });
}

}  // namespace

BEHAVIOUR("https checks whom it talks to, and keeps its connections as http does", kNetwork) {
  ScriptedServer server = co_await secure_server();
  AsyncHTTPClient client;
  co_await expect_message(client.fetch(server.request()), Errc::bad_certificate, "GET https://127.0.0.1:");
  HTTPRequest request = server.request("/secret");
  request.set_tls(trusting());
  const HTTPResponse first = co_await client.fetch(request);
  expect_equal(first.body, "GET /secret HTTP/1.1");
  const HTTPResponse second = co_await client.fetch(request);
  expect(second.times.reused, "the same connection");
  co_await expect_message(client.fetch(server.request()), Errc::bad_certificate, "GET https://");  // not over that one
}

BEHAVIOUR("a web server speaks https, and is believed about it unless a trusted proxy says otherwise", kNetwork) {
  HTTPServer server(
      [](HTTPServerRequest& request) -> Future<void> {
        const std::string body = co_await request.body();
        co_await request.respond(200, {}, request.protocol() + " " + std::to_string(body.size()));
      },
      HTTPServerOptions().add_trusted_proxy("127.0.0.1"));
  const std::string url = co_await server.listen("https://127.0.0.1:0", certified());
  expect(url.starts_with("https://127.0.0.1:"), url);
  const auto ask = [&url](std::string scheme) {
    HTTPRequest request(url + "/");
    request.set_tls(trusting()).set_method("POST").set_body(std::string(5000, 'A'));
    if (!scheme.empty()) request.set_header("X-Scheme", scheme);
    return fetch(std::move(request));
  };
  const HTTPResponse plain = co_await ask("");
  expect_equal(plain.body, "https 5000");
  const HTTPResponse unwrapped = co_await ask("http");
  expect_equal(unwrapped.body, "http 5000");
  const HTTPResponse unknown = co_await ask("unknown");
  expect_equal(unknown.body, "https 5000");
}

BEHAVIOUR("a certificate for another host is refused, also where the connection goes elsewhere", kNetwork) {
  ScriptedServer server = co_await secure_server();
  std::string elsewhere = server.url("");
  elsewhere.replace(0, 5, "tcp");
  HTTPRequest wrong("https://other.test/");
  wrong.set_connect_to(elsewhere).set_tls(trusting());
  co_await expect_message(fetch(std::move(wrong)), Errc::bad_certificate, "GET https://other.test/");
  HTTPRequest right("https://localhost/named");
  right.set_connect_to(elsewhere).set_tls(trusting());
  const HTTPResponse response = co_await fetch(std::move(right));
  expect_equal(response.body, "GET /named HTTP/1.1");
  expect_equal(response.effective_url, "https://localhost/named");
}

BEHAVIOUR("the client's options say whom to trust where the request does not", kNetwork) {
  ScriptedServer server = co_await secure_server();
  ConnectOptions connecting;
  connecting.set_tls(trusting());
  AsyncHTTPClient client(HTTPClientOptions().set_connect(connecting));
  const HTTPResponse response = co_await client.fetch(server.request());
  expect_equal(response.status, 200);
}

BEHAVIOUR("a server that wants a certificate of its clients gets the request's, and refuses who has none", kNetwork) {
  const tls_test::Issued ours = tls_test::authority().issue(tls_test::Wish("a client"));
  const TlsServerContext strict(
      tls_test::server_options().add_authority(tls_test::authority().certificate()).verify(TlsVerify::required));
  ScriptedServer server =
      co_await ScriptedServer::answering(tell, "tls://127.0.0.1:0", ListenOptions().set_tls(strict));
  AsyncHTTPClient client;
  const RecordedLog log;  // the server's, of the one that it refuses
  const Result<HTTPResponse> stranger = co_await as_result(client.fetch(server.request().set_tls(trusting())));
  expect(stranger.reason() == Errc::bad_certificate, stranger.ok() ? "it was let in" : stranger.failure().message());
  const TlsClientContext identified(tls_test::client_options().identity(ours.identity()));
  HTTPRequest request = server.request("/secret");
  request.set_tls(identified);
  const HTTPResponse answer = co_await client.fetch(request);
  expect_equal(answer.body, "GET /secret HTTP/1.1");
  const HTTPResponse again = co_await client.fetch(request);
  expect(again.times.reused, "the same connection");
  const Result<HTTPResponse> other = co_await as_result(client.fetch(server.request().set_tls(trusting())));
  expect(!other.ok(), "nobody else goes over that one");
}

BEHAVIOUR("http where https is spoken, and the other way round, are clear errors", kNetwork) {
  ScriptedServer secure = co_await secure_server();
  const auto complain = [](IOStream& stream) -> Future<void> {
    co_await stream.read_some();
    co_await stream.write("HTTP/1.1 400 Bad Request\r\n\r\n");
    co_await stream.peer_ended();
  };
  ScriptedServer plain = co_await ScriptedServer::talking(complain);
  std::string to_plain = plain.url("/");
  to_plain.replace(0, 4, "https");
  co_await expect_failure(fetch(HTTPRequest(to_plain).set_tls(trusting())), Errc::protocol);
  std::string to_secure = secure.url("/");
  to_secure.replace(0, 5, "http");
  const Result<HTTPResponse> response = co_await as_result(fetch(to_secure));
  expect(!response.ok() && response.failure().message().find("GET http://") == 0, response.failure().message());
}

BEHAVIOUR("a body without a length that TLS does not end is truncated", kNetwork) {
  const auto cut = [](IOStream& stream) -> Future<void> {
    co_await read_request(stream);
    co_await stream.write("HTTP/1.1 200 OK\r\n\r\nhalf of ");
    co_await stream.flush();
    stream.abort();
  };
  ScriptedServer server = co_await ScriptedServer::talking(cut, "tls://127.0.0.1:0", certified());
  const Result<HTTPResponse> response = co_await as_result(fetch(server.request().set_tls(trusting())));
  expect(response.reason() == Errc::truncated || response.reason() == Errc::reset, response.failure().message());
}

BEHAVIOUR("https goes through a proxy by CONNECT, which sees the host and nothing more", kNetwork) {
  ScriptedServer server = co_await secure_server();
  const auto proxy = std::make_shared<Proxy>();
  proxy->password = "Basic bWU6c2VjcmV0";
  ScriptedServer carrier = co_await serve_proxy(proxy);
  std::string with_password = carrier.url("");
  with_password.insert(7, "me:secret@");
  AsyncHTTPClient client;
  HTTPRequest request = server.request("/hidden");
  request.set_tls(trusting()).set_proxy(with_password).set_header("Cookie", "session=1");
  const HTTPResponse response = co_await client.fetch(request);
  expect_equal(response.body, "GET /hidden HTTP/1.1");
  expect_equal(response.effective_url, server.url("/hidden"));
  expect(!proxy->asked[0].has("hidden") && !proxy->asked[0].has("session"), proxy->asked[0].head);
  expect(!server.requests()[0].has("Proxy-"), server.requests()[0].head);
  const HTTPResponse again = co_await client.fetch(request);
  expect(again.times.reused, "the way through is kept");
  expect_equal(proxy->asked.size(), 1u);
}

BEHAVIOUR("a proxy that refuses says so, and what to do about it", kNetwork) {
  ScriptedServer server = co_await secure_server();
  const auto proxy = std::make_shared<Proxy>();
  proxy->password = "Basic x";
  ScriptedServer carrier = co_await serve_proxy(proxy);
  HTTPRequest request = server.request();
  request.set_proxy(carrier.url());
  co_await expect_message(fetch(std::move(request)), Errc::refused, "407 Proxy Authentication Required; put user name");
  const auto early = [](IOStream& stream) -> Future<void> {
    co_await read_request(stream);
    co_await stream.write("HTTP/1.1 200 OK\r\n\r\n\x16\x03\x01injected");
    co_await stream.peer_ended();
  };
  ScriptedServer injecting = co_await ScriptedServer::talking(early);
  HTTPRequest injected = server.request();
  injected.set_proxy(injecting.url()).set_tls(trusting());
  co_await expect_message(fetch(std::move(injected)), Errc::plaintext_before_tls, "something came before TLS began");
}

BEHAVIOUR("http goes to a proxy with the whole URL", kNetwork) {
  const auto proxy = std::make_shared<Proxy>();
  proxy->password = "Basic bWU6c2VjcmV0";
  ScriptedServer carrier = co_await serve_proxy(proxy);
  std::string with_password = carrier.url("");
  with_password.insert(7, "me:secret@");
  HTTPRequest request("http://example.test:8080/path?query");
  request.set_proxy(with_password);
  const HTTPResponse response = co_await fetch(std::move(request));
  expect_equal(response.body, "through the proxy");
  expect_equal(proxy->asked[0].line(), "GET http://example.test:8080/path?query HTTP/1.1");
  expect(proxy->asked[0].has("Host: example.test:8080\r\n"), proxy->asked[0].head);
}

// ---- WebSocket messages, which come from the same application

namespace {

class Repeat : public WebSocketHandler {
 public:
  Future<void> on_message(WebSocketMessage message) override { co_await write_message(message.data, message.kind); }
};

}  // namespace

BEHAVIOUR("messages go over wss:// to an application behind https://, which is checked", kNetwork) {
  Application app;
  app.add<Repeat>("/repeat");
  std::string url = co_await app.listen("https://127.0.0.1:0", certified());
  url = "wss" + url.substr(url.find(':')) + "/repeat";
  co_await expect_failure(websocket_connect(url), Errc::bad_certificate);
  const WebSocketOptions options = WebSocketOptions().set_connect(ConnectOptions().set_tls(trusting()));
  WebSocketConnection ws = co_await websocket_connect(url, options);
  for (const std::size_t size : {5u, 100'000u}) {
    co_await ws.write_message(std::string(size, 'm'));
    const std::optional<WebSocketMessage> message = co_await ws.read_message();
    expect(message.has_value() && message->data == std::string(size, 'm'), "what was sent");
  }
  co_await ws.close();
  expect_equal(ws.close_code(), 1000);
}
