// What a RequestHandler keeps of its request and of its answer.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocols/web/gzip.h"
#include "protocols/web/path_pattern.h"
#include "protocols/web/xsrf.h"
#include "twinloop/detail/list.h"
#include "twinloop/detail/pool.h"
#include "twinloop/request_handler.h"
#include "twinloop/web.h"

namespace twinloop::detail {

class ApplicationCore;

// The handlers that are told of a drain are in their application's list.
struct HandlerState : Pooled, ListNode {
  HandlerState(ApplicationCore& core, HTTPServerRequest& r, const RouteEntry& entry) noexcept
      : application(core), request(r), route(entry) {}

  // What is wrong with a call that comes when there is no answer to give any more; empty: nothing is.
  std::string too_late_for(const char* call) const {
    if (detached) return std::string(call) + "() after the connection was taken over";
    if (finished) return std::string(call) + "() after the request was finished";
    return {};
  }
  void expect_attached(const char* call) const {
    if (detached) throw Error(Errc::protocol, too_late_for(call));
  }

  ApplicationCore& application;
  HTTPServerRequest& request;
  const RouteEntry& route;
  const PathPattern* pattern = nullptr;  // null: no route matched
  RequestHandler* handler = nullptr;
  std::vector<std::string> path_args;

  std::string body;
  std::unique_ptr<MultipartForm> form;  // once somebody asked for it
  std::optional<std::optional<std::string>> user;
  std::optional<XsrfToken> xsrf;
  std::string xsrf_text;

  int status = 200;
  std::string reason;
  HTTPHeaders headers;
  std::vector<std::pair<std::string, std::string>> cookies;  // by name, for Set-Cookie
  std::string output;
  std::unique_ptr<GzipEncoder> gzip;

  bool headers_written = false;
  bool finished = false;
  bool detached = false;
  bool cancels = false;  // when the client goes
  bool ended = false;    // on_finish or on_connection_close was called
};

}  // namespace twinloop::detail
