#include "protocols/web/application.h"

#include <algorithm>
#include <utility>

#include "protocols/web/text.h"
#include "twinloop/log.h"
#include "twinloop/static_files.h"

namespace twinloop {
namespace detail {
namespace {

void log_failed_hook(const char* hook, const Failure& failure) noexcept {
  log(LogLevel::error, std::string("web: ") + hook + " failed: " + failure.message());
}

// Calls what a program overrode where nobody could catch what it throws.
template <class F>
void call_hook(const char* name, F hook) noexcept {
  try {
    hook();
  } catch (...) {
    log_failed_hook(name, std::current_exception());
  }
}

// The end of a request, whichever way its frame goes: one of on_finish and on_connection_close, and a line in the log.
class Ending {
 public:
  explicit Ending(HandlerState& state) noexcept : state_(state) {}
  Ending(const Ending&) = delete;
  Ending& operator=(const Ending&) = delete;
  ~Ending() {
    if (waits_) ApplicationCore::set_sent_callback(state_.request, {});
    if (state_.detached) return;
    if (listens_) state_.request.set_close_callback(nullptr);
    gone();
    state_.application.log_end(*state_.handler);
  }

  void listen() {
    listens_ = true;
    state_.request.set_close_callback([this] { client_left(); });
  }

  // A verb may work on behind finish().
  void wait_for_the_answer() {
    waits_ = true;
    ApplicationCore::set_sent_callback(state_.request, [this] { finished(); });
  }

  void gone() noexcept {
    if (std::exchange(state_.ended, true)) return;
    call_hook("on_connection_close", [this] { state_.handler->on_connection_close(); });
  }

  // A flush that waits for it would wait for ever, where all it did was to end its sending side.
  void client_left() noexcept {
    gone();
    state_.request.stream().close();
  }

  void finished() noexcept {
    if (std::exchange(state_.ended, true)) return;
    call_hook("on_finish", [this] { state_.handler->on_finish(); });
  }

 private:
  HandlerState& state_;
  bool listens_ = false;
  bool waits_ = false;
};

}  // namespace

ApplicationCore::ApplicationCore(ApplicationSettings settings)
    : settings_(std::move(settings)),
      hosts_(1),
      default_(make_route<ErrorHandler>(404)),
      static_versions_(settings_.static_path()) {
  if (settings_.static_path().empty()) return;
  add_route(0, PathPattern::quoted(settings_.static_url_prefix()) + "(.*)",
            make_route<StaticFileHandler>(settings_.static_path()));
}

RouteEntry& ApplicationCore::add_route(std::size_t host, std::string pattern, RouteEntry entry) {
  PatternRoute& route =
      hosts_[host].routes.emplace_back(PatternRoute{PathPattern(std::move(pattern)), std::move(entry)});
  return route.entry;
}

std::size_t ApplicationCore::add_host(std::string pattern) {
  hosts_.push_back(Host{PathPattern(std::move(pattern), true), {}});
  return hosts_.size() - 1;
}

bool ApplicationCore::find_in(const Host& host, std::string_view path, Match& match) const {
  for (const PatternRoute& route : host.routes) {
    if (!route.pattern.match(path, match.groups)) continue;
    match.route = &route;
    return true;
  }
  return false;
}

bool ApplicationCore::find_for(std::string_view host_name, std::string_view path, Match& match) const {
  std::vector<std::string> groups;
  for (std::size_t i = 1; i < hosts_.size(); ++i) {
    if (hosts_[i].pattern->match(host_name, groups) && find_in(hosts_[i], path, match)) return true;
  }
  return false;
}

ApplicationCore::Match ApplicationCore::find(const HTTPServerRequest& request) const {
  Match match;
  if (hosts_.size() > 1) {
    std::string_view name = request.host();
    if (!name.starts_with('[')) name = name.substr(0, name.find(':'));
    if (find_for(name, request.path(), match)) return match;
    if (!settings_.default_host().empty() && find_for(settings_.default_host(), request.path(), match)) return match;
  }
  find_in(hosts_.front(), request.path(), match);
  return match;
}

std::unique_ptr<RequestHandler> ApplicationCore::make_handler(HTTPServerRequest& request) {
  Match match = find(request);
  const RouteEntry& entry = match.route != nullptr ? match.route->entry : default_;
  std::unique_ptr<RequestHandler> handler = entry.make();
  begin(*handler, request, entry, std::move(match));
  return handler;
}

void ApplicationCore::begin(RequestHandler& handler, HTTPServerRequest& request, const RouteEntry& entry, Match match) {
  handler.state_ = std::make_unique<HandlerState>(*this, request, entry);
  HandlerState& state = *handler.state_;
  state.handler = &handler;
  if (match.route != nullptr) state.pattern = &match.route->pattern;
  state.path_args = std::move(match.groups);
  for (std::string& argument : state.path_args) argument = url_unescape(argument, false);
  handler.clear();
  if (entry.traits.wants_drain) {
    draining_.push_back(state);
    if (request.server_drains()) tell_drain(state);
  }
  if (entry.cancel_on_close) handler.set_cancel_on_connection_close(true);
}

// on_finish means that the response was handed over: who asked for one of the two is waited for, and nobody else.
Future<void> ApplicationCore::serve(std::shared_ptr<ApplicationCore> core, HTTPServerRequest& request) {
  const std::unique_ptr<RequestHandler> handler = core->make_handler(request);
  HandlerState& state = *handler->state_;
  const HandlerTraits& traits = state.route.traits;
  Ending ending(state);
  if (traits.wants_close) ending.listen();
  if (traits.wants_finish || traits.wants_close) ending.wait_for_the_answer();
  const Result<> executed = co_await as_result(handler->execute());
  if (!executed.ok()) co_await Fail(executed.failure());
  if (state.detached || state.ended) co_return;
  if (traits.wants_finish || traits.wants_close) {
    const Result<> flushed = co_await as_result(request.flush());
    if (!flushed.ok()) co_return;
  }
  if (request.finished()) ending.finished();
}

std::string ApplicationCore::reverse_url(const RouteCall& call) const {
  for (const Host& host : hosts_) {
    for (const PatternRoute& route : host.routes) {
      if (route.entry.name != call.route || call.route.empty()) continue;
      std::optional<std::string> path = route.pattern.path_for(call.args);
      if (path) return std::move(*path);
      throw Error(Errc::invalid_url, "route '" + route.entry.name + "', " + route.pattern.text() +
                                         ", cannot be filled with " + std::to_string(call.args.size()) + " arguments");
    }
  }
  throw Error(Errc::not_found, "no route is called '" + std::string(call.route) + "'");
}

void ApplicationCore::tell_drain() noexcept {
  draining_.for_each([](HandlerState& state) { tell_drain(state); });
}

void ApplicationCore::tell_drain(HandlerState& state) noexcept {
  call_hook("on_drain", [&] { state.handler->on_drain(); });
}

void ApplicationCore::log_end(RequestHandler& handler) noexcept {
  call_hook("the log function", [&] {
    if (settings_.log_function())
      settings_.log_function()(handler);
    else
      log_failed_request(handler);
  });
}

}  // namespace detail

using detail::ApplicationCore;

detail::RouteEntry& HostRoutes::enter(std::string pattern, detail::RouteEntry entry) {
  return core_->add_route(host_, std::move(pattern), std::move(entry));
}

Application::Application(ApplicationSettings settings, HTTPServerOptions server)
    : core_(std::make_shared<ApplicationCore>(std::move(settings))),
      server_(std::make_unique<HTTPServer>(handler(), std::move(server))) {
  server_->on_drain([core = core_] { core->tell_drain(); });
}

Application::Application(Application&&) noexcept = default;
Application& Application::operator=(Application&&) noexcept = default;
Application::~Application() = default;

HostRoutes Application::any_host() noexcept { return {*core_, 0}; }
HostRoutes Application::host(std::string pattern) { return {*core_, core_->add_host(std::move(pattern))}; }
void Application::enter_default(detail::RouteEntry entry) { core_->set_default(std::move(entry)); }
std::string Application::reverse(const detail::RouteCall& call) const { return core_->reverse_url(call); }

Future<std::string> Application::listen(std::string url, ListenOptions options) {
  return server_->listen(std::move(url), std::move(options));
}

Future<void> Application::stopped() { return server_->stopped(); }
Future<void> Application::drain(Duration limit) { return server_->drain(limit); }
HTTPServer& Application::server() noexcept { return *server_; }
const ApplicationSettings& Application::settings() const noexcept { return core_->settings(); }

HTTPHandler Application::handler() const {
  return [core = core_](HTTPServerRequest& request) { return ApplicationCore::serve(core, request); };
}

// ---- the log

namespace {

LogLevel level_of(const RequestHandler& handler) noexcept {
  if (handler.status() >= 500) return LogLevel::error;
  return handler.status() >= 400 ? LogLevel::warning : LogLevel::info;
}

}  // namespace

void log_request(RequestHandler& handler) {
  const HTTPServerRequest& request = handler.request();
  const bool gone = !request.finished();
  const auto hundredths = std::chrono::duration_cast<std::chrono::microseconds>(request.request_time()).count() / 10;
  const std::string fraction = std::to_string(hundredths % 100);
  std::string line = gone ? "gone" : std::to_string(handler.status());
  line.append(" ").append(request.method()).append(" ").append(detail::printable(request.uri()));
  line.append(" (").append(request.remote_ip()).append(") ").append(std::to_string(hundredths / 100));
  line.append(fraction.size() == 1 ? ".0" : ".").append(fraction).append("ms");
  log(gone ? LogLevel::info : level_of(handler), line);
}

void log_failed_request(RequestHandler& handler) {
  if (handler.status() >= 400 && handler.request().finished()) log_request(handler);
}

// ---- handlers for every application

Future<void> ErrorHandler::prepare() { return send_error(status_); }

std::string RedirectHandler::target() const {
  std::string url;
  for (std::size_t i = 0; i < url_.size(); ++i) {
    const bool slot =
        url_[i] == '{' && i + 2 < url_.size() && url_[i + 2] == '}' && url_[i + 1] >= '0' && url_[i + 1] <= '9';
    if (!slot) {
      url += url_[i];
      continue;
    }
    const auto index = static_cast<std::size_t>(url_[i + 1] - '0');
    if (index < path_args().size()) url += url_escape(path_args()[index], false);
    i += 2;
  }
  return url;
}

namespace {

std::string with_query(const std::string& url, std::string_view query) {
  if (query.empty()) return url;
  const std::size_t fragment = std::min(url.find('#'), url.size());
  std::string text = url.substr(0, fragment);
  text.append(text.find('?') == std::string::npos ? "?" : "&").append(query);
  return text.append(url, fragment);
}

}  // namespace

// A group that begins with a slash must not make a path of ours another host.
Future<void> RedirectHandler::get() {
  const std::string url = target();
  if (url.starts_with("//") && !url_.starts_with("//")) return send_error(403);
  return redirect(with_query(url, request().query()), permanent_);
}

Future<void> FallbackHandler::execute() {
  const Result<> answered = co_await as_result(handler_(request()));
  if (!answered.ok()) co_await detail::Fail(answered.failure());
}

}  // namespace twinloop
