// AsyncHTTPClient: HTTP/1.1 requests (Tornado's httpclient).  Natively over streams, with connections that are kept and used again;
// in a browser the same call goes through the host's fetch().
//
//   HTTPResponse page = co_await fetch("https://example.org/");
//
//   HTTPRequest upload("https://example.org/files");
//   upload.set_method("POST").set_body(std::move(text)).set_header("Content-Type", "text/plain");
//   HTTPResponse answer = co_await fetch(std::move(upload));
//
// A failure says which request it was, how far it had come and what can be done.  Its reason is that of the stream where that failed
// (refused, unresolved, bad_certificate, timeout, reset, truncated …), `protocol` for an answer that is no HTTP and for a request
// that cannot be sent, `overflow` for an answer beyond a limit.  A status other than 2xx is an HTTPClientError.
//
// Dropping a future gives the request up.  Its connection is closed, unless the answer was complete.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "twinloop/httputil.h"
#include "twinloop/iostream.h"
#include "twinloop/net.h"
#include "twinloop/resolver.h"

namespace twinloop {

namespace detail {
class HTTPBodySource;
class HTTPEngine;
}  // namespace detail

// Where a body producer writes to.  It lives as long as the producer's coroutine runs.
class HTTPBodyWriter {
 public:
  virtual Future<void> write(std::string_view bytes) = 0;
  // Completes when the bytes are accepted (IOStream::write), so a producer runs no faster than the server takes.  Fails with
  // `protocol` for more than the Content-Length that the request announced.
  virtual void add_trailer(std::string_view name, std::string_view value) = 0;
  // A field behind a chunked body, for what is known only there.  The request's Trailer header announces its name.  Throws
  // Error(protocol) for a name that was not announced or that has to stand in the head (RFC 9110 §6.5.1: Content-Length,
  // Authorization …), and behind a body with a Content-Length; in a page always, with `not_supported`.

 protected:
  ~HTTPBodyWriter() = default;
};

using HTTPBodyProducer = std::function<Future<void>(HTTPBodyWriter&)>;

// One request.  What is not set is as the client's options say.
class HTTPRequest {
 public:
  HTTPRequest(std::string url) : url_(std::move(url)) {}  // NOLINT(google-explicit-constructor): fetch("http://…")
  HTTPRequest(const char* url) : url_(url) {}             // NOLINT(google-explicit-constructor)
  // "http://example.org/path?query" or https.  A user name and password in it become set_basic_auth(), a fragment is left out.

  HTTPRequest& set_method(std::string method) { return method_ = std::move(method), *this; }
  // GET if not set.
  HTTPRequest& set_header(std::string_view name, std::string_view value) { return headers_.set(name, value), *this; }
  HTTPRequest& add_header(std::string_view name, std::string_view value) { return headers_.add(name, value), *this; }
  HTTPRequest& set_headers(HTTPHeaders headers) { return headers_ = std::move(headers), *this; }
  // Throws as HTTPHeaders does.  Host, User-Agent and Accept-Encoding are added where they are missing; Transfer-Encoding is not for
  // the caller, and a Content-Length has to be true.

  HTTPRequest& set_body(std::string bytes) { return body_ = std::move(bytes), *this; }
  HTTPRequest& set_body_producer(HTTPBodyProducer produce) { return body_ = std::move(produce), *this; }
  // A coroutine that writes the body piece by piece, with the request's Content-Length where it has one, else chunked.  What it fails
  // with, the request fails with.  It is called again when a 307 or 308 sends the request elsewhere.  (A page's fetch() takes no
  // stream: there it runs first, and what it wrote is sent whole.)

  HTTPRequest& set_connect_timeout(Duration time) { return connect_timeout_ = time, *this; }
  // Until there is a connection: the queue, resolving, connecting and handshakes.  Begins anew with each redirect.  20 s.
  HTTPRequest& set_request_timeout(Duration time) { return request_timeout_ = time, *this; }
  // Over everything: the queue, redirects and the body.  For fetch_streamed() until its headers are there, and then for each chunk
  // that is waited for.  20 s.  Zero in either: none.

  HTTPRequest& set_follow_redirects(bool follow) { return follow_redirects_ = follow, *this; }
  // 303, and 301 or 302 that answer a POST, become a GET without a body; 307 and 308 send everything again.  What leads to another
  // origin gets no Authorization, no Cookie and no other credentials.  On.
  HTTPRequest& set_max_redirects(unsigned count) { return max_redirects_ = count, *this; }
  // The one behind them is not followed and is the response.  5.  (A browser follows 20.)
  HTTPRequest& set_decompress_response(bool inflate) { return decompress_response_ = inflate, *this; }
  // Asks for gzip and deflate and takes them off; X-Consumed-Content-Encoding then says what it was.  On.
  HTTPRequest& set_max_body_size(std::size_t bytes) { return max_body_size_ = bytes, *this; }
  // Of the answer, decompressed; beyond it `overflow`.  As the client's options say for fetch(), no limit for fetch_streamed().

  HTTPRequest& set_user_agent(std::string name) { return user_agent_ = std::move(name), *this; }
  HTTPRequest& set_basic_auth(std::string user, std::string password) {
    return credentials_.emplace(std::move(user), std::move(password)), *this;
  }
  HTTPRequest& set_if_modified_since(std::chrono::system_clock::time_point when) {
    return headers_.set("If-Modified-Since", format_timestamp(when)), *this;
  }
  HTTPRequest& set_expect_100_continue(bool expect) { return expect_continue_ = expect, *this; }
  // Sends the body when the server has asked for it, or has said nothing for a second; not at all when it has refused.
  HTTPRequest& set_allow_nonstandard_methods(bool allow) { return nonstandard_ = allow, *this; }
  // Else a method that RFC 9110 does not name is refused, a GET with a body, and a POST, PUT or PATCH without one.
  HTTPRequest& set_raise_error(bool raise) { return raise_error_ = raise, *this; }
  // Off: a status other than 2xx is no failure.

  HTTPRequest& set_proxy(std::string url) { return proxy_ = std::move(url), *this; }
  // "http://user:password@proxy.example.org:3128": https goes through it by CONNECT, http as it is.
  HTTPRequest& set_tls(std::shared_ptr<detail::TlsState> state) { return tls_ = std::move(state), *this; }
  template <class Context>
    requires requires(const Context& context) { context.state(); }
  HTTPRequest& set_tls(const Context& context) {
    return set_tls(context.state());
  }
  // A TlsClientContext (twinloop/tls.h): whom to trust, and a certificate to show.  If not set, the system's authorities are trusted.
  HTTPRequest& set_connect_to(std::string url) { return connect_to_ = std::move(url), *this; }
  // A stream's URL to go to instead of the host and port of the request: "unix:/run/docker.sock", "tcp://10.0.0.7:8080".  Redirects to
  // other origins go where they say.

  const std::string& url() const noexcept { return url_; }
  const std::string& method() const noexcept { return method_; }
  const HTTPHeaders& headers() const noexcept { return headers_; }
  bool has_body() const noexcept { return !std::holds_alternative<std::monostate>(body_); }
  const std::string* body() const noexcept { return std::get_if<std::string>(&body_); }
  const HTTPBodyProducer* body_producer() const noexcept { return std::get_if<HTTPBodyProducer>(&body_); }
  Duration connect_timeout() const noexcept { return connect_timeout_; }
  Duration request_timeout() const noexcept { return request_timeout_; }
  bool follow_redirects() const noexcept { return follow_redirects_; }
  unsigned max_redirects() const noexcept { return max_redirects_; }
  bool decompress_response() const noexcept { return decompress_response_; }
  const std::optional<std::size_t>& max_body_size() const noexcept { return max_body_size_; }
  const std::optional<std::string>& user_agent() const noexcept { return user_agent_; }
  const std::optional<std::pair<std::string, std::string>>& basic_auth() const noexcept { return credentials_; }
  bool expect_100_continue() const noexcept { return expect_continue_; }
  bool allow_nonstandard_methods() const noexcept { return nonstandard_; }
  bool raise_error() const noexcept { return raise_error_; }
  const std::string& proxy() const noexcept { return proxy_; }
  const std::shared_ptr<detail::TlsState>& tls() const noexcept { return tls_; }
  const std::string& connect_to() const noexcept { return connect_to_; }

 private:
  std::string url_;
  std::string method_ = "GET";
  HTTPHeaders headers_;
  std::variant<std::monostate, std::string, HTTPBodyProducer> body_;
  Duration connect_timeout_ = std::chrono::seconds(20);
  Duration request_timeout_ = std::chrono::seconds(20);
  unsigned max_redirects_ = 5;
  bool follow_redirects_ = true;
  bool decompress_response_ = true;
  bool expect_continue_ = false;
  bool nonstandard_ = false;
  bool raise_error_ = true;
  std::optional<std::size_t> max_body_size_;
  std::optional<std::string> user_agent_;
  std::optional<std::pair<std::string, std::string>> credentials_;
  std::string proxy_;
  std::string connect_to_;
  std::shared_ptr<detail::TlsState> tls_;
};

// How long it took.  A browser tells none but the first byte.
struct HTTPTimes {
  Duration queue{};       // of the last hop: until it had its turn
  Duration connect{};     // of the last hop: resolving, connecting, handshakes; zero on a connection that was kept
  Duration first_byte{};  // since the request began
  unsigned redirects = 0;
  bool reused = false;  // the last hop went over a connection that was kept
};

// What came before the body, and with fetch() the body.
struct HTTPResponse {
  int status = 0;
  std::string reason;  // in the server's words
  HTTPHeaders headers;
  std::string body;
  HTTPHeaders trailers;       // behind a chunked body
  std::string effective_url;  // where it came from, after redirects
  Duration request_time{};    // since the request began
  HTTPTimes times;

  bool ok() const noexcept { return status >= 200 && status < 300; }
};

const std::error_category& http_status_category() noexcept;
// Of the code() of an HTTPClientError: its value is the status, its message "404 Not Found".

// The server answered, with a status other than 2xx.
class HTTPClientError : public Error {
 public:
  HTTPClientError(std::string_view method, HTTPResponse response);

  int status() const noexcept { return response_->status; }
  const HTTPResponse& response() const noexcept { return *response_; }
  // All of it, its body, too.

 private:
  std::shared_ptr<const HTTPResponse> response_;
};

// An answer whose body is still to come.  It is one pointer and some values: moving it is legal at any time.  Destroying it gives the
// rest up.
class HTTPStreamedResponse {
 public:
  HTTPStreamedResponse(HTTPResponse head, std::shared_ptr<detail::HTTPBodySource> body) noexcept;
  HTTPStreamedResponse(HTTPStreamedResponse&&) noexcept;
  HTTPStreamedResponse& operator=(HTTPStreamedResponse&&) noexcept;
  ~HTTPStreamedResponse();

  int status() const noexcept { return head_.status; }
  const HTTPResponse& head() const noexcept { return head_; }
  // Its body and trailers are empty.

  Future<std::optional<std::string_view>> next_chunk();
  // What has arrived, at most 64 KiB, valid until the next call; no value at the end.  The next piece is not read from the server
  // before it is asked for: that is flow control.  Fails with `truncated` or `reset` when the connection ends before the body does.
  Future<std::string> body();
  // The rest.
  const HTTPHeaders& trailers() const noexcept;
  // Empty before the end.

 private:
  HTTPResponse head_;
  std::shared_ptr<detail::HTTPBodySource> body_;
};

// What a client keeps and bounds.  In a browser connections are the host's, and only max_body_size and user_agent mean something.
class HTTPClientOptions {
 public:
  HTTPClientOptions& set_max_clients(std::size_t count) { return max_clients_ = count, *this; }
  // Requests under way; those beyond wait in line, and their timeouts run.  10.
  HTTPClientOptions& set_max_per_host(std::size_t count) { return max_per_host_ = count, *this; }
  // Of them to one host and port; who waits for one host does not keep those for another.  No limit.
  HTTPClientOptions& set_max_queued(std::size_t count) { return max_queued_ = count, *this; }
  // Requests in line; those beyond fail with `limit` at once.  100,000.
  HTTPClientOptions& set_max_idle(std::size_t count) { return max_idle_ = count, *this; }
  // Connections that are kept although nobody uses them, the oldest goes first; 0: each is closed after its answer.  10.
  HTTPClientOptions& set_idle_timeout(Duration time) { return idle_timeout_ = time, *this; }
  // For how long.  15 s.
  HTTPClientOptions& set_max_header_size(std::size_t bytes) { return max_header_size_ = bytes, *this; }
  // Of an answer's status line and headers; beyond it `overflow`.  64 KiB.
  HTTPClientOptions& set_max_body_size(std::size_t bytes) { return max_body_size_ = bytes, *this; }
  // For fetch(): 100 MiB.
  HTTPClientOptions& set_user_agent(std::string name) { return user_agent_ = std::move(name), *this; }
  // "twinloop".
  HTTPClientOptions& set_connect(ConnectOptions options) { return connect_ = std::move(options), *this; }
  // For the streams below: socket and stream options, resolver, TLS.  Its timeout is not used.

  std::size_t max_clients() const noexcept { return max_clients_; }
  std::size_t max_per_host() const noexcept { return max_per_host_; }
  std::size_t max_queued() const noexcept { return max_queued_; }
  std::size_t max_idle() const noexcept { return max_idle_; }
  Duration idle_timeout() const noexcept { return idle_timeout_; }
  std::size_t max_header_size() const noexcept { return max_header_size_; }
  std::size_t max_body_size() const noexcept { return max_body_size_; }
  const std::string& user_agent() const noexcept { return user_agent_; }
  const ConnectOptions& connect() const noexcept { return connect_; }

 private:
  std::size_t max_clients_ = 10;
  std::size_t max_per_host_ = kNoLimit;
  std::size_t max_queued_ = 100'000;
  std::size_t max_idle_ = 10;
  Duration idle_timeout_ = std::chrono::seconds(15);
  std::size_t max_header_size_ = 64 * 1024;
  std::size_t max_body_size_ = 100 * 1024 * 1024;
  std::string user_agent_ = "twinloop";
  ConnectOptions connect_;
};

struct HTTPClientStats {
  std::uint64_t requests = 0;     // begun, each hop of a redirect counts
  std::uint64_t connections = 0;  // opened
  std::size_t active = 0;         // requests under way
  std::size_t queued = 0;         // requests in line
  std::size_t idle = 0;           // connections that are kept
};

// A client and its connections.  It belongs to its loop's thread.  Destroying it lets the requests under way finish.
class AsyncHTTPClient {
 public:
  explicit AsyncHTTPClient(const HTTPClientOptions& options = {});
  AsyncHTTPClient(AsyncHTTPClient&&) noexcept;
  AsyncHTTPClient& operator=(AsyncHTTPClient&&) noexcept;
  ~AsyncHTTPClient();
  // As close(), except that the requests in line get their turn.

  static AsyncHTTPClient& current();
  // The one of the current loop, with the usual options; it ends with the loop.

  Future<HTTPResponse> fetch(HTTPRequest request);
  // The whole answer.  Fails with HTTPClientError for a status other than 2xx, unless set_raise_error(false).
  //
  // A connection that was kept may have been closed by the server just when the request was on its way.  Where not a byte of an answer
  // came, a request that may be repeated (GET, HEAD, PUT, DELETE, OPTIONS; not from a producer) is sent once more, over a new one.

  Future<HTTPStreamedResponse> fetch_streamed(HTTPRequest request);
  // The answer's headers; its body then comes as it is asked for.  A status other than 2xx is no failure here.

  void close() noexcept;
  // Closes the connections that nobody uses; requests in line, and later ones, fail with `local`.  Those under way finish.

  HTTPClientStats stats() const noexcept;

 private:
  std::shared_ptr<detail::HTTPEngine> engine_;
};

Future<HTTPResponse> fetch(HTTPRequest request);
// AsyncHTTPClient::current().fetch(…).

}  // namespace twinloop
