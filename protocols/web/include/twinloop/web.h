// Application: a web server of routes and handlers (Tornado's web).
//
//   Application app;
//   app.add<Greeting>("/");
//   app.add<Item>("/items/([0-9]+)").set_name("item");
//   app.add<StaticFileHandler>("/static/(.*)", "/srv/www");
//   co_await app.listen("http://127.0.0.1:8080");
//   co_await app.stopped();
//
// A pattern is a regular expression over the whole path (RE2, so that no path can keep it busy); its groups are the handler's
// path_args.  The first route that matches in the order of the calls has the request.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "twinloop/detail/handler_traits.h"
#include "twinloop/httpserver.h"
#include "twinloop/request_handler.h"
#include "twinloop/web_values.h"

namespace twinloop {

class ApplicationSettings {
 public:
  ApplicationSettings& set_cookie_secret(std::string secret) { return keys_ = SigningKeys(std::move(secret)), *this; }
  ApplicationSettings& set_cookie_secrets(SigningKeys keys) { return keys_ = std::move(keys), *this; }
  // What signed cookies need.  At least 16 bytes, from a random generator.
  ApplicationSettings& set_xsrf_cookies(bool check) { return xsrf_cookies_ = check, *this; }
  // Refuses what is not GET, HEAD or OPTIONS unless it carries the token of the `_xsrf` cookie (RequestHandler::xsrf_token).  Off.
  ApplicationSettings& set_xsrf_cookie_name(std::string name) { return xsrf_name_ = std::move(name), *this; }
  ApplicationSettings& set_xsrf_cookie_options(CookieOptions options) {
    return xsrf_options_ = std::move(options), *this;
  }
  ApplicationSettings& set_compress_response(bool compress) { return compress_ = compress, *this; }
  // gzip for text of a KiB or more, where the client takes it.  Off.
  ApplicationSettings& set_login_url(std::string url) { return login_url_ = std::move(url), *this; }
  // Where RequestHandler::authenticated() sends strangers.
  ApplicationSettings& set_default_host(std::string host) { return default_host_ = std::move(host), *this; }
  // Requests for a host that no pattern knows are routed as if they were for this one.
  ApplicationSettings& set_static_path(std::string folder, std::string url_prefix = "/static/") {
    return static_path_ = std::move(folder), static_prefix_ = std::move(url_prefix), *this;
  }
  // Serves the folder's files there, before any other route, and lets RequestHandler::static_url name them.
  ApplicationSettings& set_serve_failures(bool show) { return serve_failures_ = show, *this; }
  // Shows the client what went wrong inside, for debugging.  Off.
  ApplicationSettings& set_log_function(std::function<void(RequestHandler&)> function) {
    return log_function_ = std::move(function), *this;
  }
  // Called at each request's end.  By default log_failed_request.

  const SigningKeys& cookie_secrets() const noexcept { return keys_; }
  bool xsrf_cookies() const noexcept { return xsrf_cookies_; }
  const std::string& xsrf_cookie_name() const noexcept { return xsrf_name_; }
  const CookieOptions& xsrf_cookie_options() const noexcept { return xsrf_options_; }
  bool compress_response() const noexcept { return compress_; }
  const std::string& login_url() const noexcept { return login_url_; }
  const std::string& default_host() const noexcept { return default_host_; }
  const std::string& static_path() const noexcept { return static_path_; }
  const std::string& static_url_prefix() const noexcept { return static_prefix_; }
  bool serve_failures() const noexcept { return serve_failures_; }
  const std::function<void(RequestHandler&)>& log_function() const noexcept { return log_function_; }

 private:
  SigningKeys keys_;
  bool xsrf_cookies_ = false;
  std::string xsrf_name_ = "_xsrf";
  CookieOptions xsrf_options_;
  bool compress_ = false;
  std::string login_url_;
  std::string default_host_;
  std::string static_path_;
  std::string static_prefix_;
  bool serve_failures_ = false;
  std::function<void(RequestHandler&)> log_function_;
};

void log_request(RequestHandler& handler);
// One line to the log: "404 GET /nothing (127.0.0.1) 0.31ms", or "gone GET /wait (127.0.0.1) 7341.20ms".  An error from status 500
// on, a warning from 400 on, else for information, which the default log handler does not show.
void log_failed_request(RequestHandler& handler);
// The same for statuses from 400 on only: what succeeds costs no line.

namespace detail {
class ApplicationCore;
}

// What add() gives: the route, to say more about it.
class Route {
 public:
  Route& set_name(std::string name) { return entry_->name = std::move(name), *this; }
  // For reverse_url.
  Route& stream_request_body(bool stream = true) { return entry_->traits.streams_body = stream, *this; }
  // The handler gets the body piece by piece (data_received).  The same for a class: static constexpr bool kStreamRequestBody = true.
  Route& cancel_on_connection_close(bool cancel = true) { return entry_->cancel_on_close = cancel, *this; }
  // As RequestHandler::set_cancel_on_connection_close, from the beginning.

 private:
  friend class HostRoutes;
  explicit Route(detail::RouteEntry& entry) noexcept : entry_(&entry) {}
  detail::RouteEntry* entry_;
};

// The routes of one host.
class HostRoutes {
 public:
  template <std::derived_from<RequestHandler> H, class... Args>
  Route add(std::string pattern, Args... args) {
    return Route(enter(std::move(pattern), detail::make_route<H>(std::move(args)...)));
  }
  // Each request makes an H of copies of these arguments; std::ref passes on what outlives the application.  Throws
  // Error(invalid_pattern).

 private:
  friend class Application;
  HostRoutes(detail::ApplicationCore& core, std::size_t host) noexcept : core_(&core), host_(host) {}
  detail::RouteEntry& enter(std::string pattern, detail::RouteEntry entry);

  detail::ApplicationCore* core_;
  std::size_t host_;
};

// It belongs to its loop's thread.  Destroying it stops accepting; requests under way go on, and keep what they need of it.
class Application {
 public:
  explicit Application(ApplicationSettings settings = {}, HTTPServerOptions server = {});
  Application(Application&&) noexcept;
  Application& operator=(Application&&) noexcept;
  ~Application();

  template <std::derived_from<RequestHandler> H, class... Args>
  Route add(std::string pattern, Args... args) {
    return any_host().template add<H>(std::move(pattern), std::move(args)...);
  }
  HostRoutes host(std::string pattern);
  // Routes for hosts that match, which come before those for any: app.host("(www\\.)?example\\.org").add<Front>("/").
  template <std::derived_from<RequestHandler> H, class... Args>
  void set_default_handler(Args... args) {
    enter_default(detail::make_route<H>(std::move(args)...));
  }
  // For paths without a route; else they get 404.

  template <class... Args>
  std::string reverse_url(std::string_view route, const Args&... args) const {
    return reverse({route, {detail::url_part(args)...}});
  }
  // As RequestHandler::reverse_url.

  Future<std::string> listen(std::string url, ListenOptions options = {});
  // As HTTPServer::listen.
  Future<void> stopped();
  Future<void> drain(Duration limit);
  // Accepts nobody any more, tells the handlers (RequestHandler::on_drain), lets the requests under way finish and cancels what is
  // left at the limit.
  HTTPServer& server() noexcept;
  HTTPHandler handler() const;
  // For a server of one's own, or a test; it does not need the Application to stay.

  const ApplicationSettings& settings() const noexcept;

 private:
  HostRoutes any_host() noexcept;
  void enter_default(detail::RouteEntry entry);
  std::string reverse(const detail::RouteCall& call) const;

  std::shared_ptr<detail::ApplicationCore> core_;
  std::unique_ptr<HTTPServer> server_;
};

// ---- handlers for every application

// Answers everything with one status.
class ErrorHandler : public RequestHandler {
 public:
  explicit ErrorHandler(int status) noexcept : status_(status) {}
  Future<void> prepare() override;
  void check_xsrf_cookie() override {}

 private:
  int status_;
};

// Sends elsewhere: RedirectHandler("/new/{0}") with the groups of the pattern filled in and the arguments of the query added.  301, or
// 302.
class RedirectHandler : public RequestHandler {
 public:
  explicit RedirectHandler(std::string url, bool permanent = true) : url_(std::move(url)), permanent_(permanent) {}
  Future<void> get() override;

 private:
  std::string target() const;

  std::string url_;
  bool permanent_;
};

// Hands the request on to another HTTPHandler, which answers it.
class FallbackHandler : public RequestHandler {
 public:
  explicit FallbackHandler(HTTPHandler handler) : handler_(std::move(handler)) {}
  Future<void> execute() override;

 private:
  HTTPHandler handler_;
};

}  // namespace twinloop
