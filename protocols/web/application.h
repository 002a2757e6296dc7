// What an Application is made of, and what its requests keep alive: routes, settings, the way of a request through its handler.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "protocols/web/handler_state.h"
#include "protocols/web/path_pattern.h"
#include "protocols/web/static_url.h"
#include "twinloop/web.h"

namespace twinloop::detail {

class ApplicationCore {
 public:
  explicit ApplicationCore(ApplicationSettings settings);

  RouteEntry& add_route(std::size_t host, std::string pattern, RouteEntry entry);
  std::size_t add_host(std::string pattern);
  // Its index; 0 stands for any host.
  void set_default(RouteEntry entry) { default_ = std::move(entry); }

  std::string reverse_url(const RouteCall& call) const;
  const ApplicationSettings& settings() const noexcept { return settings_; }
  StaticVersions& static_versions() noexcept { return static_versions_; }

  static Future<void> serve(std::shared_ptr<ApplicationCore> core, HTTPServerRequest& request);
  // Its frame keeps the handler, and the core.
  static void set_sent_callback(HTTPServerRequest& request, Function<void()> callback) {
    request.set_sent_function(std::move(callback));
  }
  void tell_drain() noexcept;
  void log_end(RequestHandler& handler) noexcept;

 private:
  struct PatternRoute {
    PathPattern pattern;
    RouteEntry entry;
  };
  struct Host {
    std::optional<PathPattern> pattern;  // none: any host
    std::deque<PatternRoute> routes;     // references to entries are given out
  };
  struct Match {
    const PatternRoute* route = nullptr;
    std::vector<std::string> groups;
  };

  Match find(const HTTPServerRequest& request) const;
  bool find_in(const Host& host, std::string_view path, Match& match) const;
  bool find_for(std::string_view host_name, std::string_view path, Match& match) const;
  std::unique_ptr<RequestHandler> make_handler(HTTPServerRequest& request);
  static void tell_drain(HandlerState& state) noexcept;
  void begin(RequestHandler& handler, HTTPServerRequest& request, const RouteEntry& entry, Match match);

  ApplicationSettings settings_;
  std::deque<Host> hosts_;
  RouteEntry default_;
  StaticVersions static_versions_;
  List<HandlerState> draining_;  // who wants to know
};

}  // namespace twinloop::detail
