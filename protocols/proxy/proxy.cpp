// The handshake as a coroutine.
#include "protocols/proxy/header.h"
#include "protocols/proxy/proxied_transport.h"
#include "protocols/proxy/scheme.h"

namespace twinloop::detail {
namespace {

bool begins_one(std::string_view bytes, std::string_view start) noexcept {
  return start.substr(0, bytes.size()) == bytes.substr(0, start.size());
}

[[noreturn]] void refuse(const IOStream& stream, std::string_view bytes) {
  const bool cut = begins_one(bytes, kProxyLine) || begins_one(bytes, kProxySignature);
  throw Error(cut ? Errc::truncated : Errc::protocol,
              stream.description() + (cut ? " left within its PROXY header" : " sent no PROXY header"));
}

Failure within_header(const Failure& failure) {
  switch (reason_of(failure.code())) {
    case Errc::end:
      return {Errc::truncated, "it left within its PROXY header"};
    case Errc::unsatisfiable_read:
      return {Errc::protocol, "the line of its PROXY header does not end"};
    default:
      return failure;
  }
}

Future<ProxyHeader> read_line(IOStream& stream) {
  Result<std::string> line = co_await as_result(stream.read_until("\r\n", kMaxProxyLine));
  if (!line.ok()) co_return within_header(line.failure());
  co_return parse_proxy_line(*line).value();
}

Future<ProxyHeader> read_binary(IOStream& stream) {
  Result<std::string> prefix = co_await as_result(stream.peek(kProxyPrefix));
  if (!prefix.ok()) co_return within_header(prefix.failure());
  if (prefix->size() < kProxyPrefix) refuse(stream, *prefix);
  const std::size_t size = kProxyPrefix + proxy_rest(*prefix).value();
  Result<std::string> header = co_await as_result(stream.read_bytes(size));
  if (!header.ok()) co_return within_header(header.failure());
  co_return parse_proxy_binary(*header).value();
}

Future<ProxyHeader> read_header(IOStream& stream) {
  Result<std::string> start = co_await as_result(stream.peek(kProxyRecognised));
  if (!start.ok()) co_return within_header(start.failure());
  if (start->starts_with(kProxySignature)) co_return co_await read_binary(stream);
  if (start->size() == kProxyRecognised && start->starts_with(kProxyLine)) co_return co_await read_line(stream);
  refuse(stream, *start);
}

}  // namespace

Future<IOStream> accept_proxied(IOStream lower, const Url&, const ListenOptions& options) {
  ProxyHeader header = co_await read_header(lower);
  if (lower.is_closed()) throw_error(lower.error(), lower.description());
  std::string behind;
  std::unique_ptr<Transport> transport = lower.detach(behind);
  auto proxied = std::make_unique<ProxiedTransport>(std::move(transport), std::move(header), std::move(behind));
  co_return IOStream(std::move(proxied), options.stream);
}

}  // namespace twinloop::detail
