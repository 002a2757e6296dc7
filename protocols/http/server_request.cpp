// HTTPServerRequest is a face of its connection.
#include "protocols/http/server_connection.h"

namespace twinloop {

const std::string& HTTPServerRequest::method() const noexcept { return connection_.head().method; }
const std::string& HTTPServerRequest::uri() const noexcept { return connection_.head().target; }

std::string_view HTTPServerRequest::path() const noexcept {
  std::string_view target = uri();
  if (const std::size_t scheme = target.starts_with('/') ? std::string_view::npos : target.find("://");
      scheme != std::string_view::npos) {
    target.remove_prefix(std::min(target.find_first_of("/?", scheme + 3), target.size()));
    if (!target.starts_with('/')) return "/";
  }
  return target.substr(0, target.find('?'));
}

std::string_view HTTPServerRequest::query() const noexcept {
  const std::string_view target = uri();
  const std::size_t question = target.find('?');
  return question == std::string_view::npos ? std::string_view() : target.substr(question + 1);
}

int HTTPServerRequest::minor_version() const noexcept { return connection_.head().minor_version; }
const HTTPHeaders& HTTPServerRequest::headers() const noexcept { return connection_.head().headers; }
std::string_view HTTPServerRequest::host() const noexcept { return connection_.host(); }
std::string HTTPServerRequest::remote_ip() const { return connection_.remote_ip(); }
std::string HTTPServerRequest::protocol() const { return connection_.protocol(); }

std::string HTTPServerRequest::full_url() const {
  if (!uri().starts_with('/')) return uri();
  return protocol() + "://" + std::string(host()) + uri();
}

const HTTPArguments& HTTPServerRequest::query_arguments() { return connection_.query_arguments(); }
const std::string* HTTPServerRequest::cookie(std::string_view name) { return connection_.cookie(name); }
Duration HTTPServerRequest::request_time() const noexcept { return connection_.request_time(); }
const TlsSession* HTTPServerRequest::tls() const noexcept {
  return connection_.stream() ? connection_.stream().tls() : nullptr;
}

Future<std::string> HTTPServerRequest::body() { return connection_.body(); }
Future<std::optional<std::string_view>> HTTPServerRequest::next_chunk() { return connection_.next_chunk(); }
bool HTTPServerRequest::body_ended() const noexcept { return connection_.body_ended(); }
const HTTPHeaders& HTTPServerRequest::trailers() const noexcept { return connection_.trailers(); }
void HTTPServerRequest::set_max_body_size(std::size_t bytes) noexcept { connection_.set_max_body_size(bytes); }
void HTTPServerRequest::set_body_timeout(Duration time) noexcept { connection_.set_body_timeout(time); }

Future<void> HTTPServerRequest::respond(int status, const HTTPHeaders& headers, std::string body) {
  return connection_.respond(status, headers, std::move(body));
}
Future<void> HTTPServerRequest::write_headers(int status, const HTTPHeaders& headers, std::string_view reason) {
  return connection_.write_headers(status, headers, reason);
}
Future<void> HTTPServerRequest::write(std::string_view bytes) { return connection_.write(bytes); }
Future<void> HTTPServerRequest::write_file(std::shared_ptr<detail::OpenFile> file, std::uint64_t offset,
                                           std::uint64_t size) {
  return connection_.write_file(std::move(file), offset, size);
}
void HTTPServerRequest::add_trailer(std::string_view name, std::string_view value) {
  connection_.add_trailer(name, value);
}
Future<void> HTTPServerRequest::flush() { return connection_.flush(); }
Future<void> HTTPServerRequest::finish() { return connection_.finish(); }
void HTTPServerRequest::write_continue() { connection_.write_continue(); }
bool HTTPServerRequest::headers_written() const noexcept { return connection_.headers_written(); }
bool HTTPServerRequest::finished() const noexcept { return connection_.finished(); }

void HTTPServerRequest::set_close_function(detail::Function<void()> callback) {
  connection_.set_close_function(std::move(callback));
}
void HTTPServerRequest::set_sent_function(detail::Function<void()> callback) {
  connection_.set_sent_function(std::move(callback));
}
bool HTTPServerRequest::server_drains() const noexcept { return connection_.server_drains(); }
void HTTPServerRequest::cancel_when_client_goes() { connection_.cancel_when_client_goes(); }
bool HTTPServerRequest::client_gone() const noexcept { return connection_.client_gone(); }
std::error_code HTTPServerRequest::close_reason() const noexcept { return connection_.close_reason(); }

IOStream HTTPServerRequest::detach(std::string& leftover) { return connection_.detach(leftover); }
IOStream& HTTPServerRequest::stream() noexcept { return connection_.stream(); }

}  // namespace twinloop
