// RequestHandler: one request of a web application, from its routing to its end (Tornado's).  A program derives from it and
// overrides the verbs; an object is made for each request, so its members are that request's own.
//
//   class Greeting : public RequestHandler {
//     Future<void> get() override {
//       write("Hello, " + get_argument("name", "you") + "\n");
//       co_return;
//     }
//   };
//
// The verbs are coroutines and members: the object lives until they have ended.  What ends a request is finish(), called for a
// handler that does not call it.  A failure is answered: HTTPError with its status, anything else with 500.
//
// Each request ends in exactly one of on_finish(), when the response was handed over whole, and on_connection_close(), when it
// cannot be any more.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "twinloop/httpserver.h"
#include "twinloop/web_values.h"

namespace twinloop {

class Application;
class ApplicationSettings;

namespace detail {
class ApplicationCore;
struct HandlerState;

// reverse_url("item", 42)
struct RouteCall {
  std::string_view route;
  std::vector<std::string> args;
};
inline std::string url_part(std::string_view text) { return std::string(text); }
inline std::string url_part(std::integral auto number) { return std::to_string(number); }
}  // namespace detail

class RequestHandler {
 public:
  RequestHandler();
  // The request is not known yet in a constructor: begin in prepare().
  virtual ~RequestHandler();
  RequestHandler(const RequestHandler&) = delete;
  RequestHandler& operator=(const RequestHandler&) = delete;

  // ---- what a program overrides

  virtual Future<void> prepare();
  // Before any verb: authentication, common headers.  When it ends the request the verb is not called.  In a route that streams its
  // request's body it runs when the headers have arrived.
  virtual Future<void> get();
  virtual Future<void> head();
  virtual Future<void> post();
  virtual Future<void> put();
  virtual Future<void> patch();
  virtual Future<void> del();
  virtual Future<void> options();
  // What is not overridden is answered with 405 and an Allow header; head() with what get() says, without the body.

  virtual Future<void> data_received(std::string_view chunk);
  // A piece of a streamed request body, valid until it returns its result.  The next piece is not read before that.
  virtual void data_ended();
  // All of a streamed body has come: before the verb.  What it throws is answered.

  virtual void on_finish();
  // The response was handed to the operating system whole.  For cleaning up; there is nobody to answer any more.
  virtual void on_connection_close();
  // The client has gone, or the request was cancelled, before that.  Overriding it declares an interest: then a client that ends its
  // sending side counts as gone (HTTPServerOptions::set_half_closing_clients).  It is called at once, whatever the verb waits for;
  // the verb goes on, its writes fail with StreamClosedError, unless set_cancel_on_connection_close was asked for.
  virtual void on_drain();
  // The application is about to end (Application::drain): a handler that would stay for long says so to its client, and finishes.
  // Of a request whose headers arrive only then it is called in front of prepare().

  virtual void set_default_headers();
  // Called for each response that begins anew: also before an error's.
  virtual Future<void> write_error(int status, const Failure& why);
  // The page that says what went wrong; it ends in finish().
  virtual void log_exception(const Failure& why);
  virtual std::optional<std::string> get_current_user();
  // Who asks, by a signed cookie for instance; no value: a stranger.  See current_user().
  virtual std::optional<std::string> compute_etag() const;
  // Of what was written, as SHA-1 by default; no value: none.  finish() asks for bodies of up to a MiB.
  virtual std::string decode_argument(std::string value, std::string_view name) const;
  // Of each group of the path before prepare(), of arguments when they are asked for.  Throws HTTPError(400) for what is not UTF-8.
  virtual void check_xsrf_cookie();
  // Throws HTTPError(403) unless the request carries the cookie's token: as argument `_xsrf`, or in X-Xsrftoken or X-Csrftoken.
  virtual Future<void> execute();
  // All of the above in its order, after which the request is finished or detached.  For what is more than a request: WebSockets.

  // ---- the request

  HTTPServerRequest& request() noexcept;
  const HTTPServerRequest& request() const noexcept;
  const ApplicationSettings& settings() const noexcept;
  std::string_view body() const noexcept;
  // All of it; empty where the route streams it.

  const std::vector<std::string>& path_args() const noexcept;
  // The groups of the route's pattern, decoded; "" for one that took no part.
  const std::string& path_argument(std::string_view name) const;
  // A named group, (?P<name>…).  Throws Error(not_found) when the pattern has none of that name.

  std::string get_argument(std::string_view name);
  std::string get_argument(std::string_view name, std::string_view otherwise);
  std::vector<std::string> get_arguments(std::string_view name);
  std::string get_query_argument(std::string_view name);
  std::string get_query_argument(std::string_view name, std::string_view otherwise);
  std::vector<std::string> get_query_arguments(std::string_view name);
  std::string get_body_argument(std::string_view name);
  std::string get_body_argument(std::string_view name, std::string_view otherwise);
  std::vector<std::string> get_body_arguments(std::string_view name);
  // Of the query, of a form in the body (urlencoded or multipart), or of both.  The last one counts where there are several; without
  // spaces around it, and with spaces in place of control characters.  One that is missing throws HTTPError(400) unless there is an `otherwise`.
  const std::vector<std::pair<std::string, HTTPFile>>& files();
  // What a multipart form uploaded, with the names of its fields.

  std::optional<std::string> get_cookie(std::string_view name);
  std::optional<std::string> get_signed_cookie(std::string_view name, std::chrono::seconds max_age = kSignedValueAge);
  // No value also when its signature is wrong, it is too old, or made for another name.  Throws Error(not_supported) without OpenSSL
  // or without a cookie secret in the settings.
  std::optional<int> get_signed_cookie_key_version(std::string_view name);
  const std::optional<std::string>& current_user();
  // get_current_user(), asked once.
  Future<bool> authenticated();
  // `if (!co_await authenticated()) co_return;` — a stranger is sent to the login_url of the settings (GET and HEAD), with
  // ?next=…, which is a whole URL where the login page is on another host, or gets 403.

  // ---- the answer.  write() gathers it; finish() sends it with Content-Length and ETag, flush() what there is so far.

  void set_status(int status, std::string reason = {});
  int status() const noexcept;
  void set_header(std::string_view name, std::string_view value);
  void add_header(std::string_view name, std::string_view value);
  void set_header(std::string_view name, std::integral auto number) { set_header(name, std::to_string(number)); }
  void clear_header(std::string_view name);
  HTTPHeaders& headers() noexcept;
  // As HTTPHeaders: what would break out of its header is refused with Error(protocol).
  void clear();
  // Forgets status, headers and what was written.

  void set_cookie(std::string_view name, std::string_view value, const CookieOptions& options = {});
  void clear_cookie(std::string_view name, const CookieOptions& options = {});
  void clear_all_cookies(const CookieOptions& options = {});
  void set_signed_cookie(std::string_view name, std::string_view value, const CookieOptions& options = {});
  // Readable by the client, but not forgeable.  30 days, unless the options say otherwise.

  void write(std::string_view bytes);
  void write(std::string&& bytes);
  void write(const char* text) { write(std::string_view(text)); }
  // Copied, or taken over.  Throws Error(protocol) after finish().
  Future<void> flush();
  // Sends headers, when they were not sent, and what was written; after that they cannot be changed.  Completes when the bytes are
  // accepted: awaiting it holds a producer back while its client is slow.  Fails with StreamClosedError once the client has gone.
  Future<void> finish(std::string_view last = {});
  // Ends the response.  Completes when it is accepted; on_finish() follows when it was handed over.  Twice fails with protocol.
  Future<void> send_error(int status, Failure why = {});
  // Answers with write_error() in place of what was written.  When headers were sent already it cuts the connection, so that
  // the client does not take half a response for a whole one.  The cheap way to fail: `co_await send_error(404); co_return;`
  Future<void> redirect(std::string_view url, bool permanent = false, int status = 0);
  // 302, 301, or the status given.

  std::string xsrf_token();
  // The token that a form has to send back, masked anew for each response; sets the cookie where there is none.
  std::string xsrf_form_html();
  // A hidden input with it.
  template <class... Args>
  std::string reverse_url(std::string_view route, const Args&... args) const {
    return reverse({route, {detail::url_part(args)...}});
  }
  // The path of a named route with its groups filled in.  Throws Error(not_found), or Error(invalid_url) for the wrong number.
  Future<std::string> static_url(std::string path, StaticUrlOptions options = {});
  // "/static/app.css?v=9f86d0…" for a file of the settings' static path: its version is a hash of what is in it, made again when the file
  // has another time or size, so that caches may keep what they got for years (StaticFileHandler).  A file that cannot be read is
  // named without a version, and the log says so.  Fails with not_supported where the settings have no static path.
  void set_etag_header();
  bool check_etag_header() const;
  // Whether If-None-Match names the ETag that is set (weak comparison, RFC 9110 §13.1.2); finish() asks by itself.

  bool headers_written() const noexcept;
  bool finished() const noexcept;

  void set_cancel_on_connection_close(bool cancel);
  // Drops the verb where it waits when the client goes: what it waited for is withdrawn, its destructors run, then
  // on_connection_close() is called if it was not before.  Only true is possible once it is on.  Of a WebSocketHandler it drops open()
  // and on_message().  Behind a detach() of your own the connection is yours, and so is watching it.
  bool cancels_on_connection_close() const noexcept;

  IOStream detach(std::string& leftover);
  // Takes the connection over, before anything was sent; neither on_finish() nor on_connection_close() follows, and what would
  // change the answer fails with Error(protocol).

 private:
  friend class detail::ApplicationCore;
  friend struct detail::HandlerState;
  std::string reverse(const detail::RouteCall& call) const;
  using Step = Future<void> (RequestHandler::*)();
  Future<void> attempt(Step step) noexcept;
  Future<void> attempt_error(int status, const Failure& why) noexcept;
  Future<void> begin();
  Future<void> receive();
  Future<void> verb();
  Future<void> finish_as_it_is();
  Future<void> conclude(Failure failure);
  Future<void> send_all();
  Future<void> send_first(std::string chunk);
  void prepare_whole_response();

  std::unique_ptr<detail::HandlerState> state_;
};

}  // namespace twinloop
