// What the npm package's JavaScript calls.  A stream and an operation are small numbers; an operation settles exactly once, by
// `Module['twinloop']['settle']`, unless it is cancelled before.  Nothing here throws into JavaScript.
#include <emscripten.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>

#include "twinloop/net.h"

// clang-format off
EM_JS(void, twinloop_settle, (int operation, int status, const char* bytes, int size, int number), {
  Module['twinloop']['settle'](operation, status, HEAPU8.slice(bytes, bytes + size), number);
});
// clang-format on

namespace {

using namespace twinloop;

struct Session {
  IOLoop loop;
  std::string buffer;  // where JavaScript puts what a call takes
  std::map<int, IOStream> streams;
  std::map<int, Future<void>> operations;
  int next_stream = 1;
};

Session* session = nullptr;

// Whatever a call started gets its turn from the host.
struct Call {
  Call() = default;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() { session->loop.arrange_turn(); }
};

void settle(int operation, std::string_view bytes, int number = 0) {
  twinloop_settle(operation, 0, bytes.data(), static_cast<int>(bytes.size()), number);
}

// "code\nmessage": the code is the reason's name.
void settle_failure(int operation, const Failure& failure) {
  std::string text(name(reason_of(failure.code())));
  text += '\n';
  text += failure.message();
  twinloop_settle(operation, 1, text.data(), static_cast<int>(text.size()), 0);
}

void settle_result(int operation, const Result<void>& result) {
  if (!result.ok()) return settle_failure(operation, result.failure());
  settle(operation, {});
}

// An operation that has settled is dropped by the loop, not by itself.
void forget(int operation) {
  session->loop.add_callback([operation] { session->operations.erase(operation); });
}

Future<void> run_void(int operation, Future<void> work) {
  const Result<void> result = co_await as_result(std::move(work));
  settle_result(operation, result);
  forget(operation);
}

Future<void> run_read(int operation, Future<std::string> work) {
  const Result<std::string> result = co_await as_result(std::move(work));
  if (result.ok()) {
    settle(operation, result.peek());
  } else {
    settle_failure(operation, result.failure());
  }
  forget(operation);
}

Future<void> run_connect(int operation, Future<IOStream> work) {
  Result<IOStream> result = co_await as_result(std::move(work));
  if (result.ok()) {
    const int stream = session->next_stream++;
    session->streams.emplace(stream, std::move(*result));
    settle(operation, {}, stream);
  } else {
    settle_failure(operation, result.failure());
  }
  forget(operation);
}

void keep(int operation, Future<void> work) {
  if (!work.done()) session->operations.insert_or_assign(operation, std::move(work));
}

IOStream* find(int operation, int stream) {
  const auto found = session->streams.find(stream);
  if (found != session->streams.end()) return &found->second;
  settle_failure(operation, Failure(Errc::local));
  return nullptr;
}

enum Read { kUntil, kBytes, kSome, kUntilClose };

Future<std::string> start_read(IOStream& stream, int kind, std::size_t count) {
  switch (kind) {
    case kUntil:
      return stream.read_until(session->buffer, count);
    case kBytes:
      return stream.read_bytes(count);
    case kSome:
      return stream.read_some(count);
    default:
      return stream.read_until_close(count);
  }
}

enum Write { kWrite, kFlush, kFinish };

Future<void> start_write(IOStream& stream, int kind, double milliseconds) {
  switch (kind) {
    case kWrite:
      return stream.write(std::string_view(session->buffer));
    case kFlush:
      return stream.flush();
    default:
      return stream.finish(std::chrono::milliseconds(static_cast<std::int64_t>(milliseconds)));
  }
}

std::size_t as_size(double number) { return number < 0 || number > 2e9 ? kNoLimit : static_cast<std::size_t>(number); }

}  // namespace

extern "C" {

EMSCRIPTEN_KEEPALIVE void twinloop_js_start() noexcept { session = new Session; }

EMSCRIPTEN_KEEPALIVE char* twinloop_js_buffer(int size) noexcept {
  session->buffer.resize(static_cast<std::size_t>(size));
  return session->buffer.data();
}
// Where JavaScript writes the bytes or text of the next call.

EMSCRIPTEN_KEEPALIVE void twinloop_js_connect(int operation, double timeout, double max_buffer) noexcept {
  const Call call;
  const std::string& text = session->buffer;  // the URL, then a line for each subprotocol
  std::size_t end = std::min(text.find('\n'), text.size());
  const std::string url = text.substr(0, end);
  ConnectOptions options;
  options.stream.max_buffer_size(as_size(max_buffer));
  options.timeout = std::chrono::milliseconds(static_cast<std::int64_t>(timeout));
  while (end < text.size()) {
    const std::size_t begin = end + 1;
    end = std::min(text.find('\n', begin), text.size());
    options.protocols.push_back(text.substr(begin, end - begin));
  }
  keep(operation, run_connect(operation, connect(url, std::move(options))));
}

EMSCRIPTEN_KEEPALIVE void twinloop_js_read(int operation, int stream, int kind, double count) noexcept {
  const Call call;
  if (IOStream* found = find(operation, stream))
    keep(operation, run_read(operation, start_read(*found, kind, as_size(count))));
}

EMSCRIPTEN_KEEPALIVE void twinloop_js_write(int operation, int stream, int kind, double milliseconds) noexcept {
  const Call call;
  if (IOStream* found = find(operation, stream))
    keep(operation, run_void(operation, start_write(*found, kind, milliseconds)));
}

EMSCRIPTEN_KEEPALIVE void twinloop_js_watch_close(int operation, int stream) noexcept {
  const Call call;
  if (IOStream* found = find(operation, stream)) keep(operation, run_void(operation, found->peer_ended()));
}

EMSCRIPTEN_KEEPALIVE void twinloop_js_reason(int operation, int stream) noexcept {
  const IOStream* found = find(operation, stream);
  if (found == nullptr) return;
  const std::error_code reason = found->error();
  settle(operation, reason ? name(reason_of(reason)) : std::string_view());
}

EMSCRIPTEN_KEEPALIVE void twinloop_js_close(int stream, int hard) noexcept {
  const Call call;
  const auto found = session->streams.find(stream);
  if (found == session->streams.end()) return;
  if (hard != 0) {
    found->second.abort();
  } else {
    found->second.close();
  }
  session->streams.erase(found);
}

EMSCRIPTEN_KEEPALIVE void twinloop_js_cancel(int operation) noexcept {
  const Call call;
  session->operations.erase(operation);
}
}
