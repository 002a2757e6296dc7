// Whatever text comes, what reads it neither crashes nor takes for ever, and what is written can be read again.
#include <string>

#include "fuzz.h"
#include "twinloop/httputil.h"

using namespace twinloop;

namespace {

void check_escapes(const std::string& text) {
  fuzz::require(url_unescape(url_escape(text)) == text, "escaping is undone");
  fuzz::require(url_unescape(url_escape(text, false), false) == text, "escaping a path is undone");
  HTTPArguments arguments;
  arguments.add(text, text);
  const std::string url = url_concat("/", arguments);
  const HTTPArguments read = parse_query(std::string_view(url).substr(2));
  fuzz::require(read.size() == 1 && *read.find(text) == text, "an argument comes back");
}

void check_queries(std::string_view text) {
  try {
    fuzz::require(parse_query(text, 100).size() <= 100, "no more fields than allowed");
  } catch (const Error& error) {
    fuzz::require(error.reason() == Errc::limit, "too many fields are the only fault");
  }
}

void check_headers(std::string_view text) {
  const Result<HTTPHeaders> headers = HTTPHeaders::parse(text);
  if (!headers.ok()) return;
  for (const auto& [name, value] : headers.peek()) {
    fuzz::require(is_http_token(name) && is_http_field_value(value), "a header cannot break out of its line");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text(data, size);
  check_escapes(std::string(text));
  check_queries(text);
  check_headers(text);
  parse_cookies(text);
  if (const auto when = parse_timestamp(text)) {
    fuzz::require(parse_timestamp(format_timestamp(*when)) == when, "a date comes back");
  }
  const Result<MultipartForm> form = parse_multipart(text, "multipart/form-data; boundary=b");
  if (form.ok())
    fuzz::require(form.peek().arguments.size() + form.peek().files.size() <= 100, "no more parts than allowed");
  return 0;
}
