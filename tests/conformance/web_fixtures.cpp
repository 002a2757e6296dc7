#include "web_fixtures.h"

#include <zlib.h>

#include <charconv>

namespace twinloop::testing {
namespace {

std::size_t number(std::string_view text, int base) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  expect(error == std::errc() && end != text.data(), "a number, not '" + std::string(text) + "'");
  return value;
}

Future<std::string> read_chunks(IOStream& stream) {
  std::string body;
  for (;;) {
    const std::string line = co_await stream.read_until("\r\n");
    const std::size_t size = number(line, 16);
    const std::string chunk = co_await stream.read_bytes(size + 2);
    if (size == 0) co_return body;
    body.append(chunk, 0, size);
  }
}

}  // namespace

std::string request(std::string_view method, std::string_view target, std::string_view headers, std::string_view body) {
  std::string text = std::string(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: example.org\r\n");
  text.append(headers);
  if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return text.append("\r\n").append(body);
}

Future<WebReply> read_reply(IOStream& stream, bool has_body) {
  const std::string head = co_await stream.read_until("\r\n\r\n", 64 * 1024);
  const std::size_t line = head.find("\r\n");
  expect(head.starts_with("HTTP/1.1 ") && line > 12, head);
  WebReply reply;
  reply.status = static_cast<int>(number(std::string_view(head).substr(9, 3), 10));
  reply.reason = head.substr(13, line - 13);
  reply.headers = HTTPHeaders::parse(std::string_view(head).substr(line + 2)).value();
  if (!has_body || reply.status == 204 || reply.status == 304 || reply.status < 200) co_return reply;
  if (reply.headers.has_token("Transfer-Encoding", "chunked")) {
    reply.body = co_await read_chunks(stream);
  } else if (const std::string* length = reply.headers.find("Content-Length"); length != nullptr) {
    reply.body = co_await stream.read_bytes(number(*length, 10));
  } else {
    reply.body = co_await stream.read_until_close();
  }
  co_return reply;
}

Future<WebReply> ask(IOStream& stream, std::string text) {
  const bool has_body = !text.starts_with("HEAD ");
  co_await stream.write(std::move(text));
  co_return co_await read_reply(stream, has_body);
}

Future<WebReply> fetch(std::string url, std::string text) {
  IOStream stream = co_await connect(std::move(url));
  co_return co_await ask(stream, std::move(text));
}

std::string stream_url(std::string_view url) {
  if (url.starts_with("http://")) return "tcp" + std::string(url.substr(4));
  if (url.starts_with("https://")) return "tls" + std::string(url.substr(5));
  return std::string(url);
}

std::string gzipped(std::string_view text) {
  z_stream z{};
  expect(::deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK, "zlib");
  std::string bytes(text.size() + 100, '\0');
  z.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(bytes.data());
  z.avail_out = static_cast<uInt>(bytes.size());
  const int status = ::deflate(&z, Z_FINISH);
  bytes.resize(z.total_out);
  ::deflateEnd(&z);
  expect(status == Z_STREAM_END, "all of it");
  return bytes;
}

std::string inflated(const std::string& bytes) {
  z_stream z{};
  expect(::inflateInit2(&z, 15 + 16) == Z_OK, "zlib");
  std::string text(256 * 1024, '\0');
  z.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = reinterpret_cast<Bytef*>(text.data());
  z.avail_out = static_cast<uInt>(text.size());
  const int status = ::inflate(&z, Z_FINISH);
  text.resize(z.total_out);
  ::inflateEnd(&z);
  expect(status == Z_STREAM_END, "a whole gzip stream");
  return text;
}

}  // namespace twinloop::testing
