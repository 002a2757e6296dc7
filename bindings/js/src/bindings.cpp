// What the npm package's JavaScript calls.  A stream and an operation are small numbers; an operation settles exactly once, by
// `Module['twinloop']['settle']`, unless it is cancelled before.  Nothing here throws into JavaScript.
//
// It stands on the browser backend directly: the table of backends and the scheme table of connect() would be a fifth of the
// module, for a package that speaks WebSocket only.
#include <emscripten.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backends/browser/browser_backend.h"
#include "backends/browser/browser_websocket.h"
#include "twinloop/net.h"

// clang-format off
EM_JS(void, twinloop_settle, (int operation, int status, const char* bytes, int size, int number), {
  try {
    Module['twinloop']['settle'](operation, status, HEAPU8.slice(bytes, bytes + size), number);
  } catch (error) {
    console.error(error);
  }
});
// clang-format on

namespace {

using namespace twinloop;

// Things by number.  There are few at a time.
template <class T>
class Table {
 public:
  T* find(int number) noexcept {
    const auto found = position(number);
    return found == entries_.end() ? nullptr : &found->item;
  }
  void put(int number, T item) { entries_.push_back({number, std::move(item)}); }
  T take(int number) {
    const auto found = position(number);
    if (found == entries_.end()) return T();
    T item = std::move(found->item);
    if (found != entries_.end() - 1) *found = std::move(entries_.back());
    entries_.pop_back();
    return item;
  }

 private:
  struct Entry {
    int number;
    T item;
  };
  auto position(int number) noexcept {
    return std::find_if(entries_.begin(), entries_.end(), [number](const Entry& e) { return e.number == number; });
  }
  std::vector<Entry> entries_;
};

struct Session {
  IOLoop loop{std::make_unique<detail::BrowserBackend>(nullptr)};  // no network: its streams are made right here
  std::string buffer;                                              // where JavaScript puts what a call takes
  Table<IOStream> streams;
  Table<Future<void>> operations;
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

// An operation that has settled is dropped by the loop, not by itself.
void forget(int operation) {
  session->loop.add_callback([operation] { Future<void> over = session->operations.take(operation); });
}

Future<void> run_connect(int operation, std::unique_ptr<detail::BrowserWebSocket> socket, ConnectOptions options) {
  const Result<void> opened = co_await as_result(socket->open(options));
  if (opened.ok()) {
    const int stream = session->next_stream++;
    session->streams.put(stream, IOStream(std::move(socket), options.stream));
    settle(operation, {}, stream);
  } else {
    settle_failure(operation, opened.failure());
  }
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

Future<void> run_write(int operation, Future<void> work) {
  const Result<void> result = co_await as_result(std::move(work));
  if (result.ok()) {
    settle(operation, {});
  } else {
    settle_failure(operation, result.failure());
  }
  forget(operation);
}

// Settles with the reason's name.  A stream that is gone was closed here.
Future<void> run_watch(int operation, int stream, Future<void> ended) {
  const Result<void> result = co_await as_result(std::move(ended));
  const IOStream* found = session->streams.find(stream);
  settle(operation, name(found == nullptr || !result.ok() ? Errc::local : reason_of(found->error())));
  forget(operation);
}

void keep(int operation, Future<void> work) {
  if (!work.done()) session->operations.put(operation, std::move(work));
}

IOStream* find(int operation, int stream) {
  IOStream* found = session->streams.find(stream);
  if (found == nullptr) settle_failure(operation, Errc::local);
  return found;
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
      return stream.write(std::exchange(session->buffer, {}));
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

EMSCRIPTEN_KEEPALIVE void twinloop_js_connect(int operation, double max_buffer) noexcept {
  const Call call;
  const std::string& text = session->buffer;  // the URL, then a line for each subprotocol
  std::size_t end = std::min(text.find('\n'), text.size());
  auto socket = std::make_unique<detail::BrowserWebSocket>(text.substr(0, end));
  ConnectOptions options;
  options.stream.max_buffer_size(as_size(max_buffer));
  while (end < text.size()) {
    const std::size_t begin = end + 1;
    end = std::min(text.find('\n', begin), text.size());
    options.protocols.push_back(text.substr(begin, end - begin));
  }
  keep(operation, run_connect(operation, std::move(socket), std::move(options)));
}

EMSCRIPTEN_KEEPALIVE void twinloop_js_read(int operation, int stream, int kind, double count) noexcept {
  const Call call;
  if (IOStream* found = find(operation, stream)) {
    keep(operation, run_read(operation, start_read(*found, kind, as_size(count))));
  }
}

EMSCRIPTEN_KEEPALIVE void twinloop_js_write(int operation, int stream, int kind, double milliseconds) noexcept {
  const Call call;
  if (IOStream* found = find(operation, stream)) {
    keep(operation, run_write(operation, start_write(*found, kind, milliseconds)));
  }
}

EMSCRIPTEN_KEEPALIVE void twinloop_js_watch_close(int operation, int stream) noexcept {
  const Call call;
  if (IOStream* found = find(operation, stream)) keep(operation, run_watch(operation, stream, found->peer_ended()));
}

EMSCRIPTEN_KEEPALIVE void twinloop_js_close(int stream, int hard) noexcept {
  const Call call;
  IOStream closing = session->streams.take(stream);
  if (closing && hard != 0) closing.abort();
}

EMSCRIPTEN_KEEPALIVE void twinloop_js_cancel(int operation) noexcept {
  const Call call;
  Future<void> withdrawn = session->operations.take(operation);
}
}
