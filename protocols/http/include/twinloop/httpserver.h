// HTTPServer: HTTP/1.1 on any number of listeners of any kind (Tornado's httpserver).  A handler is a coroutine that gets one
// request, reads its body if it wants to, and answers; keep-alive, pipelining, framing, limits and strictness are the server's.
//
//   Future<void> hello(HTTPServerRequest& request) {
//     co_await request.respond(200, HTTPHeaders().set("Content-Type", "text/plain"), "Hello, World!");
//   }
//   HTTPServer server(hello);
//   co_await server.listen("http://127.0.0.1:8080");
//   co_await server.stopped();
//
// Applications with routes, cookies and the like stand on this: twinloop/web.h.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "twinloop/httputil.h"
#include "twinloop/iostream.h"
#include "twinloop/net.h"
#include "twinloop/tcpserver.h"

namespace twinloop {

namespace detail {
class ApplicationCore;
class HTTPServerConnection;
}  // namespace detail

// What a FIN means after a complete request, for a handler that asked to be told when its client goes (RULES: a FIN is only the end
// of the client's input, but nearly always the client has gone).
enum class HalfClosingClients : unsigned char {
  gone,  // the client has gone
  wait   // it still reads; only a reset, a failed write or a timeout means that it has gone
};

class HTTPServerOptions {
 public:
  HTTPServerOptions& set_max_header_size(std::size_t bytes) { return max_header_size_ = bytes, *this; }
  // Of the request line and all headers; beyond it 431 and close.  64 KiB.
  HTTPServerOptions& set_max_header_count(std::size_t count) { return max_header_count_ = count, *this; }
  // Beyond it 431 and close.  100.
  HTTPServerOptions& set_max_body_size(std::size_t bytes) { return max_body_size_ = bytes, *this; }
  // Beyond it 413 and close, before the body is read where its length is announced.  100 MiB.
  HTTPServerOptions& set_header_timeout(Duration time) { return header_timeout_ = time, *this; }
  // From a request's first byte to the end of its headers; then 408 and close.  30 s.
  HTTPServerOptions& set_body_timeout(Duration time) { return body_timeout_ = time, *this; }
  // From the headers to the body's end; then 408 and close.  None: a body that stands still is the idle timeout's business.
  HTTPServerOptions& set_idle_connection_timeout(Duration time) { return idle_connection_timeout_ = time, *this; }
  // Between requests, and before the first: then the connection is closed without a word.  Within a body: then 408 and close.  75 s.
  HTTPServerOptions& set_max_requests_per_connection(std::size_t count) { return max_requests_ = count, *this; }
  // The last one is answered with Connection: close.  No limit.
  HTTPServerOptions& set_keep_alive(bool keep) { return keep_alive_ = keep, *this; }
  HTTPServerOptions& set_decompress_requests(bool inflate) { return decompress_requests_ = inflate, *this; }
  // Bodies with Content-Encoding: gzip arrive decompressed; max_body_size then counts decompressed bytes.  Off.
  HTTPServerOptions& set_half_closing_clients(HalfClosingClients meaning) { return half_closing_ = meaning, *this; }
  HTTPServerOptions& set_server_name(std::string name) { return server_name_ = std::move(name), *this; }
  // The Server header; "" for none.  "twinloop".
  HTTPServerOptions& add_trusted_proxy(std::string address) { return trusted_.push_back(std::move(address)), *this; }
  // A peer whose X-Forwarded-For, X-Real-Ip and X-Forwarded-Proto are believed: an IP address, or "unix" for unix sockets.
  HTTPServerOptions& set_max_connections(std::size_t count) { return server_.set_max_connections(count), *this; }
  // See ServerOptions.

  std::size_t max_header_size() const noexcept { return max_header_size_; }
  std::size_t max_header_count() const noexcept { return max_header_count_; }
  std::size_t max_body_size() const noexcept { return max_body_size_; }
  Duration header_timeout() const noexcept { return header_timeout_; }
  Duration body_timeout() const noexcept { return body_timeout_; }
  Duration idle_connection_timeout() const noexcept { return idle_connection_timeout_; }
  std::size_t max_requests_per_connection() const noexcept { return max_requests_; }
  bool keep_alive() const noexcept { return keep_alive_; }
  bool decompress_requests() const noexcept { return decompress_requests_; }
  HalfClosingClients half_closing_clients() const noexcept { return half_closing_; }
  const std::string& server_name() const noexcept { return server_name_; }
  const std::vector<std::string>& trusted_proxies() const noexcept { return trusted_; }
  const ServerOptions& server() const noexcept { return server_; }

 private:
  std::size_t max_header_size_ = 64 * 1024;
  std::size_t max_header_count_ = 100;
  std::size_t max_body_size_ = 100 * 1024 * 1024;
  Duration header_timeout_ = std::chrono::seconds(30);
  Duration body_timeout_ = Duration::zero();
  Duration idle_connection_timeout_ = std::chrono::seconds(75);
  std::size_t max_requests_ = kNoLimit;
  bool keep_alive_ = true;
  bool decompress_requests_ = false;
  HalfClosingClients half_closing_ = HalfClosingClients::gone;
  std::string server_name_ = "twinloop";
  std::vector<std::string> trusted_;
  ServerOptions server_;
};

// One request, and the way to answer it.  It lives until its handler has ended and the answer is complete; it belongs to the
// connection, so a handler takes it by reference and does not keep it.
class HTTPServerRequest {
 public:
  HTTPServerRequest(const HTTPServerRequest&) = delete;
  HTTPServerRequest& operator=(const HTTPServerRequest&) = delete;

  // ---- what was asked

  const std::string& method() const noexcept;
  const std::string& uri() const noexcept;
  // The request target as it came, "/chat?room=1".
  std::string_view path() const noexcept;
  std::string_view query() const noexcept;
  // In front of the "?", undecoded, and behind it.
  int minor_version() const noexcept;
  // 1 for HTTP/1.1, 0 for HTTP/1.0.
  const HTTPHeaders& headers() const noexcept;
  std::string_view host() const noexcept;
  // Of the Host header, or of an absolute target; "127.0.0.1" where HTTP/1.0 names none.
  std::string remote_ip() const;
  std::string protocol() const;
  // The client's address ("unix" behind a unix socket, empty where there is none) and "http" or "https"; where the peer is a trusted
  // proxy, what that says.
  std::string full_url() const;
  const HTTPArguments& query_arguments();
  // Parsed when first asked for.
  const std::string* cookie(std::string_view name);
  Duration request_time() const noexcept;
  // Since its first byte.
  const TlsSession* tls() const noexcept;

  // ---- its body.  A client that waits for "100 Continue" gets it when the body is first asked for, so that a handler may refuse
  // without it.  A body that nobody read is thrown away when it is short, else the connection is closed after the answer.

  Future<std::string> body();
  // All of it.  Fails with overflow beyond the limit (the client gets 413), with StreamClosedError when the client goes first, with
  // timeout (408), with protocol when it is malformed (400).
  Future<std::optional<std::string_view>> next_chunk();
  // What has arrived, at most 64 KiB, valid until the next call; no value at the end.  The next piece is not read from the client
  // before it is asked for: that is flow control.
  bool body_ended() const noexcept;
  const HTTPHeaders& trailers() const noexcept;
  // Behind a chunked body; empty before its end.
  void set_max_body_size(std::size_t bytes) noexcept;
  void set_body_timeout(Duration time) noexcept;
  // For this request, before its body is read.

  // ---- the answer

  Future<void> respond(int status, const HTTPHeaders& headers, std::string body);
  // The whole answer at once, with its Content-Length.  For a HEAD request the body is left out.

  Future<void> write_headers(int status, const HTTPHeaders& headers, std::string_view reason = {});
  // Begins the answer.  Without a Content-Length in `headers` the body is chunked, or for HTTP/1.0 ends with the connection.  Date,
  // Server and Connection are added where `headers` has none.  As everything here, completes when the bytes are accepted
  // (IOStream::write).  Fails with protocol when it was begun before, or where status and headers contradict each other (a
  // Content-Length with 204).
  Future<void> write(std::string_view bytes);
  // Fails with protocol, and closes the connection, for more than the Content-Length announced.  After the client has gone it fails
  // with StreamClosedError.
  Future<void> write_file(std::shared_ptr<detail::OpenFile> file, std::uint64_t offset, std::uint64_t size);
  // As write(), of that part of a file, in an answer with a Content-Length (detail/files.h).  Over plain TCP the system sends what it has
  // in memory by itself, where it can.  Fails with truncated when the file has become shorter; then close the connection.
  void add_trailer(std::string_view name, std::string_view value);
  // A field behind a chunked body, for what is known only there: a checksum, how it went.  finish() sends it.  The Trailer header that
  // write_headers() got announces its name.  A HEAD request and HTTP/1.0 get none.  Throws Error(protocol) for a name that was not
  // announced or that has to stand in the head (RFC 9110 §6.5.1: Content-Length, Set-Cookie …), and in an answer that has no chunks.
  Future<void> flush();
  // As IOStream::flush.
  Future<void> finish();
  // Ends the answer.  Fails with protocol, and closes the connection, when less than the Content-Length was written.
  void write_continue();
  // 100 Continue, now, where the client waits for it.

  bool headers_written() const noexcept;
  bool finished() const noexcept;

  // ---- the client that goes.  Who asks for one of these declares an interest: then a FIN counts as gone, unless the server's
  // options say `wait`.  Without it a FIN is only the end of the input, and the answer is sent all the same.

  template <class F>
  void set_close_callback(F&& callback) {
    static_assert(!ReturnsFuture<F>, "this callback is a coroutine and would be cancelled at once: use spawn");
    set_close_function(detail::Function<void()>(std::forward<F>(callback)));
  }
  void set_close_callback(std::nullptr_t) { set_close_function({}); }
  // Calls it once, from the loop, if the client goes before the answer is complete and flushed; not while a handler works on behind
  // that.  One at a time; nullptr takes it back.
  void cancel_when_client_goes();
  // Drops the handler's coroutine then: what it waits for is withdrawn, its destructors run.  Throws Error(protocol) behind detach():
  // who took the connection over watches it himself.
  bool client_gone() const noexcept;
  std::error_code close_reason() const noexcept;

  // ---- other protocols

  IOStream detach(std::string& leftover);
  // Takes the connection over, for an upgrade: only before write_headers, and behind the body.  What was received behind the request
  // goes to `leftover`, what comes next stays in the stream.  The server forgets the connection, except that drain() and
  // max_connections count it until the handler ends.
  IOStream& stream() noexcept;
  // To set options on; reading and writing stay the server's.

 private:
  friend class detail::ApplicationCore;
  friend class detail::HTTPServerConnection;
  explicit HTTPServerRequest(detail::HTTPServerConnection& connection) noexcept : connection_(connection) {}
  void set_close_function(detail::Function<void()> callback);
  void set_sent_function(detail::Function<void()> callback);
  bool server_drains() const noexcept;

  detail::HTTPServerConnection& connection_;
};

using HTTPHandler = std::function<Future<void>(HTTPServerRequest&)>;

struct HTTPServerStats {
  ServerStats connections;
  std::uint64_t requests = 0;
  std::size_t active = 0;  // whose handler is under way
};

// It belongs to its loop's thread.  Destroying it stops accepting; connections go on.
class HTTPServer {
 public:
  explicit HTTPServer(HTTPHandler handler, HTTPServerOptions options = {});
  // A handler that fails before it has begun its answer is answered with 500 and logged; one that fails later loses the connection.
  // Where its request's body was at fault, the answer is that one's status (400, 408, 413).  One that returns without an answer is
  // a 500, too; in the middle of one, it has finished it.

  HTTPServer(HTTPServer&&) noexcept;
  HTTPServer& operator=(HTTPServer&&) noexcept;
  ~HTTPServer();

  Future<std::string> listen(std::string url, ListenOptions options = {});
  // "http://127.0.0.1:8080" or ":8080" behind the slashes, "https://…" (options with TLS), "unix:/run/app.sock", or any other stream's
  // URL.  Gives where it listens, port 0 being the real one.
  std::string add(Listener listener);
  std::vector<std::string> urls() const;

  void stop() noexcept;
  // Closes the listeners.  Connections go on.
  Future<void> drain(Duration limit);
  // stop(), closes idle connections, lets the requests under way finish and answers them with Connection: close, calls what
  // on_drain() registered (WebSockets say 1001), and cancels what is left at the limit.
  void on_drain(std::function<void()> callback);
  Future<void> stopped();

  HTTPServerStats stats() const noexcept;

  class Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace twinloop
