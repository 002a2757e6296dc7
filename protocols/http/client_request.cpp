#include "protocols/http/client_request.h"

#include <array>

#include "protocols/http/client_check.h"
#include "protocols/http/content_decoder.h"
#include "protocols/websocket/sha1.h"

namespace twinloop::detail {
namespace {

// Headers that describe a body, and go with it.
constexpr std::array<std::string_view, 7> kBodyHeaders = {
    "Content-Length", "Content-Type", "Content-Encoding", "Content-Language", "Content-Location", "Expect", "Trailer"};
constexpr std::array<std::string_view, 4> kPrivateHeaders = {"Authorization", "Cookie", "Host", "Proxy-Authorization"};

bool announces_body(const HTTPRequest& request, const HTTPHop& hop) noexcept {
  return hop.with_body && request.has_body();
}

HTTPHeaders headers_for(const HTTPRequest& request, const HTTPHop& hop) {
  HTTPHeaders headers = request.headers();
  if (!hop.with_body) {
    for (const std::string_view name : kBodyHeaders) headers.erase(name);
  }
  if (!hop.at_home) {
    for (const std::string_view name : kPrivateHeaders) headers.erase(name);
  }
  return headers;
}

const std::pair<std::string, std::string>* credentials_for(const HTTPRequest& request, const HTTPHop& hop) noexcept {
  if (hop.url.credentials) return &*hop.url.credentials;
  return hop.at_home && request.basic_auth() ? &*request.basic_auth() : nullptr;
}

void add_missing(HTTPHeaders& headers, std::string_view name, std::string_view value) {
  if (!value.empty() && !headers.contains(name)) headers.add(name, value);
}

void add_framing(HTTPHeaders& headers, const HTTPRequest& request, const HTTPHop& hop) {
  if (!announces_body(request, hop)) return;
  if (is_chunked(request, hop)) {
    headers.set("Transfer-Encoding", "chunked");
  } else if (request.body() != nullptr) {
    headers.set("Content-Length", std::to_string(request.body()->size()));
  }
  if (request.expect_100_continue()) headers.set("Expect", "100-continue");
}

void write_field(std::string& text, std::string_view name, std::string_view value) {
  text.append(name).append(": ").append(value).append("\r\n");
}

}  // namespace

HTTPHop first_hop(const HTTPRequest& request) {
  return {HTTPUrl::parse(request.url()).value(), request.method(), true, true};
}

bool is_redirect(int status) noexcept {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

Result<HTTPHop> next_hop(const HTTPHop& hop, int status, std::string_view location) {
  Result<HTTPUrl> url = hop.url.resolve(location);
  if (!url.ok()) return url.failure();
  HTTPHop next{std::move(*url), hop.method, hop.with_body, true};
  next.at_home = hop.at_home && next.url.has_origin_of(hop.url);
  if (next.at_home && !next.url.credentials) next.url.credentials = hop.url.credentials;
  const bool becomes_get =
      status == 303 ? hop.method != "HEAD" : (status == 301 || status == 302) && hop.method == "POST";
  if (becomes_get) {
    next.method = "GET";
    next.with_body = false;
  }
  return next;
}

std::string request_head(const HTTPRequest& request, const HTTPHop& hop, const HTTPClientOptions& options,
                         const HTTPProxyWish& proxy) {
  HTTPHeaders headers = headers_for(request, hop);
  const auto* credentials = credentials_for(request, hop);
  if (credentials != nullptr) {
    headers.set("Authorization", basic_authorization(credentials->first, credentials->second));
  }
  add_missing(headers, "User-Agent", request.user_agent().value_or(options.user_agent()));
  if (request.decompress_response()) add_missing(headers, "Accept-Encoding", ContentDecoder::encodings());
  add_framing(headers, request, hop);
  if (!proxy.authorization.empty()) headers.set("Proxy-Authorization", proxy.authorization);

  std::string text = hop.method + " " + (proxy.whole_url ? hop.url.to_string() : hop.url.target) + " HTTP/1.1\r\n";
  const std::string own_host(headers.get("Host"));
  write_field(text, "Host", own_host.empty() ? hop.url.authority() : own_host);
  headers.erase("Host");
  for (const HTTPHeaders::Field& field : headers) write_field(text, field.name, field.value);
  return text += "\r\n";
}

bool is_chunked(const HTTPRequest& request, const HTTPHop& hop) noexcept {
  return hop.with_body && request.body_producer() != nullptr && !announced_length(request);
}

bool is_repeatable(const HTTPRequest& request, const HTTPHop& hop) noexcept {
  if (hop.with_body && request.body_producer() != nullptr) return false;
  return hop.method == "GET" || hop.method == "HEAD" || hop.method == "PUT" || hop.method == "DELETE" ||
         hop.method == "OPTIONS";
}

std::string basic_authorization(std::string_view user, std::string_view password) {
  return "Basic " + base64(std::string(user).append(":").append(password));
}

}  // namespace twinloop::detail
