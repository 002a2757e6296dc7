#include "twinloop/iostream.h"

#include <algorithm>

#include "stream_impl.h"
#include "twinloop/detail/builtin.h"
#include "twinloop/timing.h"

namespace twinloop {

using detail::ReadKind;

namespace {

// The stream may be destroyed while this waits: then what it waits for fails, and the stream is not touched again.
Future<void> finish_stream(detail::StreamImpl& stream, Duration deadline) {
  const TimePoint until = IOLoop::current().clock() + deadline;
  const Result<void> shut = co_await as_result(with_deadline(until, stream.shutdown_write()));
  if (!shut.ok() && shut.reason() != Errc::not_supported) {
    if (shut.reason() == Errc::timeout) stream.close(Errc::timeout);
    co_await detail::Fail(shut.failure());
  }
  Future<void> rest =
      shut.ok() ? stream.drain_input() : stream.flush();  // inside the co_await gcc 12 would copy its bytes
  const Result<void> ended = co_await as_result(with_deadline(until, std::move(rest)));
  if (!ended.ok() && ended.reason() != Errc::timeout) co_await detail::Fail(ended.failure());
  stream.close(ended.ok() ? Errc::local : Errc::timeout);
  if (!ended.ok()) co_await detail::Fail(ended.failure());
}

constexpr std::size_t kMuch = 32 * 1024;  // a piece of that size has more behind it
constexpr std::size_t kLeastStep = 64 * 1024;
constexpr std::size_t kLongestStep = 1024 * 1024;

}  // namespace

// After each piece that is large the system moves what has come behind it, if it can.
Future<std::uint64_t> pump(IOStream& from, IOStream& to) {
  std::uint64_t moved = 0;
  std::size_t step = kLeastStep;
  for (;;) {
    Result<std::string_view> bytes = co_await as_result(from.read_some_view());
    if (!bytes.ok() && from.input_ended() && !from.is_closed()) co_return moved;
    if (!bytes.ok()) co_return bytes.failure();
    const Result<void> written = co_await as_result(to.write_borrowed(*bytes));
    if (!written.ok()) co_return written.failure();
    moved += bytes->size();
    if (bytes->size() < kMuch) continue;
    moved += from.impl_->move_to(*to.impl_, step);
    step = to.unsent() > 0 ? kLeastStep : std::min(2 * step, kLongestStep);
  }
}

IOStream::IOStream() noexcept = default;
IOStream::IOStream(IOStream&&) noexcept = default;
IOStream& IOStream::operator=(IOStream&&) noexcept = default;
IOStream::~IOStream() = default;

const StreamOptions detail::SharedStreamOptions::kUsual;

IOStream::IOStream(std::unique_ptr<Transport> transport, detail::SharedStreamOptions options)
    : impl_(std::make_unique<detail::StreamImpl>(std::move(transport), std::move(options))) {}

IOStream::IOStream(std::unique_ptr<Transport> transport, const StreamOptions& options)
    : IOStream(std::move(transport), detail::SharedStreamOptions(options)) {}

IOStream::IOStream(std::unique_ptr<Transport> transport)
    : IOStream(std::move(transport), detail::SharedStreamOptions()) {}

Future<std::string> IOStream::read_bytes(std::size_t count) { return impl_->read<std::string>(ReadKind::bytes, count); }
Future<std::string> IOStream::read_some(std::size_t max_bytes) {
  return impl_->read<std::string>(ReadKind::some, max_bytes);
}
Future<std::string_view> IOStream::read_bytes_view(std::size_t count) {
  return impl_->read<std::string_view>(ReadKind::bytes, count);
}
Future<std::string_view> IOStream::read_some_view(std::size_t max_bytes) {
  return impl_->read<std::string_view>(ReadKind::some, max_bytes);
}
Future<std::string> IOStream::peek(std::size_t count) { return impl_->read<std::string>(ReadKind::peek, count); }
Future<std::size_t> IOStream::read_into(std::span<char> memory) {
  return impl_->read<std::size_t>(ReadKind::into, memory.size(), {}, memory.data());
}
Future<std::size_t> IOStream::read_some_into(std::span<char> memory) {
  return impl_->read<std::size_t>(ReadKind::some_into, memory.size(), {}, memory.data());
}
Future<std::string> IOStream::read_until(std::string_view delimiter, std::size_t max_bytes) {
  assert(!delimiter.empty());
  return impl_->read<std::string>(ReadKind::until, max_bytes, delimiter);
}
Future<std::string_view> IOStream::read_until_view(std::string_view delimiter, std::size_t max_bytes) {
  assert(!delimiter.empty());
  return impl_->read<std::string_view>(ReadKind::until, max_bytes, delimiter);
}
Future<std::string> IOStream::read_until_regex(const Regex& pattern, std::size_t max_bytes) {
  return impl_->read_until_regex<std::string>(pattern, max_bytes);
}
Future<std::string_view> IOStream::read_until_regex_view(const Regex& pattern, std::size_t max_bytes) {
  return impl_->read_until_regex<std::string_view>(pattern, max_bytes);
}
Future<std::string> IOStream::read_until_close(std::size_t max_bytes) {
  return impl_->read<std::string>(ReadKind::until_close, max_bytes);
}
Future<std::optional<std::string>> IOStream::next_line(std::size_t max_bytes) {
  return impl_->read<std::optional<std::string>>(ReadKind::line, max_bytes, "\n");
}
Future<std::optional<std::string_view>> IOStream::next_line_view(std::size_t max_bytes) {
  return impl_->read<std::optional<std::string_view>>(ReadKind::line, max_bytes, "\n");
}
Future<std::optional<std::string>> IOStream::next_until(std::string_view delimiter, std::size_t max_bytes) {
  assert(!delimiter.empty());
  return impl_->read<std::optional<std::string>>(ReadKind::record, max_bytes, delimiter);
}

Future<std::optional<std::string_view>> IOStream::next_until_view(std::string_view delimiter, std::size_t max_bytes) {
  assert(!delimiter.empty());
  return impl_->read<std::optional<std::string_view>>(ReadKind::record, max_bytes, delimiter);
}
Future<std::string_view> IOStream::read_until_close_view(std::size_t max_bytes) {
  return impl_->read<std::string_view>(ReadKind::until_close, max_bytes);
}

Future<void> IOStream::write(std::string_view bytes) { return impl_->write(bytes); }
Future<void> IOStream::write(std::string&& bytes) { return impl_->write(std::move(bytes)); }
Future<void> IOStream::write(std::span<const std::string_view> pieces) { return impl_->write_pieces(pieces); }
Future<void> IOStream::write(std::shared_ptr<const std::string> bytes) { return impl_->write_shared(std::move(bytes)); }
Future<void> IOStream::write_borrowed(std::string_view bytes) { return impl_->write_borrowed(bytes); }
std::size_t IOStream::try_write(std::string_view bytes) { return impl_->try_write(bytes); }
Future<void> IOStream::flush() { return impl_->flush(); }
Future<void> IOStream::shutdown_write() { return impl_->shutdown_write(); }
Future<void> IOStream::finish(Duration deadline) { return finish_stream(*impl_, deadline); }

void IOStream::close() noexcept { impl_->close(Errc::local); }
void IOStream::abort() noexcept { impl_->abort(); }
void IOStream::set_close_function(detail::Function<void()> callback, bool half_open) {
  impl_->set_close_function(std::move(callback), half_open);
}
Future<void> IOStream::peer_ended() { return impl_->peer_ended(); }
Future<void> IOStream::closed() { return impl_->closed(); }

void IOStream::set_idle_timeout(Duration time) { impl_->set_idle_timeout(time); }
Result<> IOStream::set_socket_options(const SocketOptions& options) {
  if (is_closed()) return Failure(error());
  return detail::platform_set_socket_options(native_handle(), options);
}
Result<SocketOptions> IOStream::socket_options() const {
  if (is_closed()) return Failure(error());
  return detail::platform_socket_options(native_handle());
}

bool IOStream::is_closed() const noexcept { return impl_->is_closed(); }
bool IOStream::input_ended() const noexcept { return impl_->input_ended(); }
bool IOStream::reading() const noexcept { return impl_->reading(); }
bool IOStream::writing() const noexcept { return impl_->unsent() > 0; }
std::error_code IOStream::error() const noexcept { return impl_->error(); }
std::size_t IOStream::buffered() const noexcept { return impl_->buffered(); }
std::size_t IOStream::unsent() const noexcept { return impl_->unsent(); }
std::string IOStream::description() const { return impl_->description(); }
std::string IOStream::local_address() const { return impl_->address(Transport::End::local); }
std::string IOStream::peer_address() const { return impl_->address(Transport::End::peer); }
int IOStream::native_handle() const noexcept { return impl_->native_handle(); }
const TlsSession* IOStream::tls() const noexcept { return impl_->tls(); }
const WebSocketSession* IOStream::websocket() const noexcept { return impl_->websocket(); }

std::unique_ptr<Transport> IOStream::detach(std::string& leftover) {
  std::unique_ptr<Transport> transport = impl_->detach(leftover);
  impl_.reset();
  return transport;
}

}  // namespace twinloop
