// IOStream: a connection as a stream of bytes (Tornado's).  Reads end where the program wants them to (a delimiter, a count, the
// end), writes are gathered and leave once a turn, and every ending is specified.  What carries the bytes is a Transport; the
// stream never asks which.
//
// A stream is open, then input_ended (the peer ended its sending side: what it sent stays readable, writing goes on), then closed
// (by this end, or by a failure).  It may be open and closed without input_ended between.  Every closed stream has a reason.
//
// An IOStream is one pointer: moving it is legal at any time, also with operations pending.  It belongs to its loop's thread.
// Bytes are char here, as in std::string; they mean bytes, not text.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "twinloop/backend.h"
#include "twinloop/detail/function.h"
#include "twinloop/future.h"
#include "twinloop/regex.h"
#include "twinloop/socket_options.h"
#include "twinloop/transport.h"

namespace twinloop {

class IOStream;

namespace detail {
class OpenFile;
class SharedStreamOptions;
class StreamImpl;
Future<void> send_file(IOStream& stream, std::shared_ptr<OpenFile> file, std::uint64_t offset, std::uint64_t size);
}  // namespace detail

inline constexpr std::size_t kNoLimit = static_cast<std::size_t>(-1);

// What a stream may hold and how long it lingers.  One object is shared by all streams of a listener.
class StreamOptions {
 public:
  StreamOptions& max_buffer_size(std::size_t bytes) { return max_buffer_ = bytes, *this; }
  // Received and not yet read, in the stream and the transports below it together: a read that it cannot satisfy within them fails,
  // and so does the stream, with overflow.  TLS may hold two of its records (33 KiB) more, for it can take nothing less.  100 MiB.
  StreamOptions& max_write_buffer_size(std::size_t bytes) { return max_write_buffer_ = bytes, *this; }
  // Accepted and not yet handed down.  A write beyond it fails with limit and writes nothing; the stream stays usable.  No limit.
  StreamOptions& high_water_mark(std::size_t bytes) { return high_water_ = bytes, *this; }
  // write() waits while more than this is unsent, until half of it is.  64 KiB.
  StreamOptions& read_ahead(std::size_t bytes) { return read_ahead_ = bytes, *this; }
  // Read while nobody asks, where only reading shows that the peer has gone.  16 KiB.
  StreamOptions& linger_timeout(Duration time) { return linger_ = time, *this; }
  // How long close() goes on sending what was accepted.  5 s.
  StreamOptions& idle_timeout(Duration time) { return idle_ = time, *this; }
  // As IOStream::set_idle_timeout, from the beginning.  None.

  std::size_t max_buffer_size() const noexcept { return max_buffer_; }
  std::size_t max_write_buffer_size() const noexcept { return max_write_buffer_; }
  std::size_t high_water_mark() const noexcept { return high_water_; }
  std::size_t read_ahead() const noexcept { return read_ahead_; }
  Duration linger_timeout() const noexcept { return linger_; }
  Duration idle_timeout() const noexcept { return idle_; }

 private:
  std::size_t max_buffer_ = 100 * 1024 * 1024;
  std::size_t max_write_buffer_ = kNoLimit;
  std::size_t high_water_ = 64 * 1024;
  std::size_t read_ahead_ = 16 * 1024;
  Duration linger_ = std::chrono::seconds(5);
  Duration idle_ = Duration::zero();
};

namespace detail {

// The options of all streams of a listener.  One pointer, because idle connections pay for it.
class SharedStreamOptions {
 public:
  SharedStreamOptions() noexcept = default;  // the usual ones
  explicit SharedStreamOptions(const StreamOptions& options) : shared_(new Shared(options)) {}
  SharedStreamOptions(const SharedStreamOptions& other) noexcept : shared_(other.shared_) {
    if (shared_ != nullptr) shared_->references.fetch_add(1, std::memory_order_relaxed);
  }
  SharedStreamOptions(SharedStreamOptions&& other) noexcept : shared_(std::exchange(other.shared_, nullptr)) {}
  SharedStreamOptions& operator=(SharedStreamOptions other) noexcept {
    std::swap(shared_, other.shared_);
    return *this;
  }
  ~SharedStreamOptions() {
    if (shared_ != nullptr && shared_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete shared_;
  }

  const StreamOptions* operator->() const noexcept { return shared_ != nullptr ? &shared_->options : &kUsual; }

 private:
  struct Shared {
    explicit Shared(const StreamOptions& o) : options(o) {}
    const StreamOptions options;
    std::atomic<unsigned> references = 1;
  };
  static const StreamOptions kUsual;

  Shared* shared_ = nullptr;
};

}  // namespace detail

class IOStream {
 public:
  IOStream() noexcept;
  // No stream; operator bool is false and nothing else is legal.

  explicit IOStream(std::unique_ptr<Transport> transport);
  IOStream(std::unique_ptr<Transport> transport, const StreamOptions& options);
  // On the thread's current loop.

  IOStream(std::unique_ptr<Transport> transport, detail::SharedStreamOptions options);

  IOStream(IOStream&&) noexcept;
  IOStream& operator=(IOStream&&) noexcept;
  ~IOStream();
  // As close(): what was accepted still goes out.

  explicit operator bool() const noexcept { return impl_ != nullptr; }

  // ---- reading: one read at a time; a second one fails with busy.  Dropping a read withdraws it, and its bytes stay for the
  // next.  A read that what is buffered satisfies succeeds in every state; otherwise it fails with StreamClosedError: `end` after
  // the peer's end, or the reason of the close.

  Future<std::string> read_bytes(std::size_t count);
  // Exactly `count` bytes.

  Future<std::string> read_some(std::size_t max_bytes = 64 * 1024);
  // What there is, at least one byte.

  Future<std::string> peek(std::size_t count);
  // The next `count` bytes without taking them: the next read gets them again.  Fewer only at the peer's end.

  Future<std::size_t> read_into(std::span<char> memory);
  // Fills `memory`, which must live until the future is done or dropped; gives its size.
  Future<std::size_t> read_some_into(std::span<char> memory);
  // At least one byte.

  Future<std::string> read_until(std::string_view delimiter, std::size_t max_bytes = kNoLimit);
  // Everything up to and including `delimiter`.  Bytes behind it stay for the next read.
  //
  // When `max_bytes` bytes were seen without it the stream is closed with `unsatisfiable_read`, because no later read could make
  // sense of it either.

  Future<std::string> read_until_regex(const Regex& pattern, std::size_t max_bytes = kNoLimit);
  // Everything up to the end of the first match in what has arrived.  A pattern that could go on, as `\n+`, ends with what is here:
  // let it end in something definite.  `^` is where this read begins, `$` where the bytes end that have arrived.  When the first
  // `max_bytes` bytes contain no match the stream is closed with `unsatisfiable_read`.
  //
  // Where matches have a longest length (`\r?\n\r?\n`: 4) each byte is searched once, and so much again for each piece that arrives.
  // Where they have none (`a.*b`) all of this read's bytes are searched again whenever they have doubled, and when all that was
  // there is read: a peer that sends single bytes makes n bytes cost n²/2, so give those a `max_bytes` of some KiB.
  //
  //   static const Regex kBlankLine("\r?\n\r?\n");
  //   std::string head = co_await stream.read_until_regex(kBlankLine, 16 * 1024);

  Future<std::string> read_until_close(std::size_t max_bytes = kNoLimit);
  // Everything up to the peer's end; empty when there is nothing more.  Never fails at an orderly end.

  Future<std::optional<std::string>> next_line(std::size_t max_bytes = 64 * 1024);
  // The next line without its "\n" or "\r\n"; empty (no value) at the end.  A last line without a newline counts.
  //
  //   while (auto line = co_await stream.next_line()) …

  Future<std::optional<std::string>> next_until(std::string_view delimiter, std::size_t max_bytes = 64 * 1024);
  // The next record without its delimiter; no value at an end behind a whole record.  An end within a record fails with
  // `truncated`, and the piece stays readable.

  // The same without a copy: the bytes stay in the stream's buffer, and the view is valid until the next read on this stream starts
  // or the stream is destroyed.  Closing the stream does not end it.
  Future<std::string_view> read_bytes_view(std::size_t count);
  Future<std::string_view> read_some_view(std::size_t max_bytes = 64 * 1024);
  Future<std::string_view> read_until_view(std::string_view delimiter, std::size_t max_bytes = kNoLimit);
  Future<std::string_view> read_until_regex_view(const Regex& pattern, std::size_t max_bytes = kNoLimit);
  Future<std::string_view> read_until_close_view(std::size_t max_bytes = kNoLimit);
  Future<std::optional<std::string_view>> next_until_view(std::string_view delimiter,
                                                          std::size_t max_bytes = 64 * 1024);
  Future<std::optional<std::string_view>> next_line_view(std::size_t max_bytes = 64 * 1024);

  // ---- writing

  Future<void> write(std::string_view bytes);
  Future<void> write(std::string&& bytes);
  Future<void> write(const char* text) { return write(std::string_view(text)); }
  // Accepts the bytes (copied, or taken over) and completes at once while little is unsent, else when the unsent bytes have
  // fallen to half the high-water mark: awaiting it is back-pressure.  Accepted bytes leave together, just before the loop
  // polls; 8 KiB or more that are copied and wait behind nothing are handed down at once.  Dropping the future takes nothing back.  (Tornado's write completes on hand-over to the kernel: that is flush().)

  Future<void> write(std::span<const std::string_view> pieces);
  // All of them, one behind the other.

  Future<void> write(std::shared_ptr<const std::string> bytes);
  // Without a copy, except of a few bytes: many streams can be given the same ones, and the last that has sent them frees them.

  Future<void> write_borrowed(std::string_view bytes);
  // Without a copy: the memory must live until the future is done (the bytes were handed over, or the stream is closed) or dropped;
  // what is then unsent is copied.  Worth it from some KiB on.

  std::size_t try_write(std::string_view bytes);
  // Accepts what a write() would take without making anybody wait, and says how many of the bytes that were: none when the high-water
  // mark is reached or nothing can be written any more.

  Future<void> flush();
  // Completes when everything accepted before it was handed to the operating system or the browser.

  Future<void> shutdown_write();
  // flush(), then ends the sending side; reading goes on.  Fails with not_supported where there is no half-close (a browser's
  // WebSocket): end in-band, or use finish().

  Future<void> finish(Duration deadline = std::chrono::seconds(10));
  // Hands everything over, ends the sending side, waits for the peer's end while discarding what it still sends, and closes.
  // Fails with timeout when the peer does not end by then; the stream is then closed anyway.

  // ---- ending

  void close() noexcept;
  // Ends both sides for this program: pending operations fail with `local`.  What was accepted goes on being sent by the loop,
  // for at most linger_timeout.
  void abort() noexcept;
  // The hard form: unsent bytes are thrown away, a TCP peer sees a reset.

  template <class F>
  void set_close_callback(F&& callback, bool half_open = false) {
    static_assert(!ReturnsFuture<F>, "this callback is a coroutine and would be cancelled at once: use spawn");
    set_close_function(detail::Function<void()>(std::forward<F>(callback)), half_open);
  }
  // Runs once, as a callback of the loop, at the first of the peer's end, a failure, a local close; with half_open only when the
  // stream is closed.  Set after that, it runs in the next turn.

  Future<void> peer_ended();
  // Completes when the peer's end, a failure or a local close is known, whether or not anyone reads.
  Future<void> closed();
  // Completes when the stream is closed.

  // ---- peers that vanish, and the socket below

  void set_idle_timeout(Duration time);
  // Closes the stream with `idle_timeout` once no byte has moved in either direction for that long, from now on; zero: never.  What
  // counts is bytes that the transport moves: a program that neither reads nor writes for longer is idle, too, so take it off
  // while you compute.  One operation's own limit is with_timeout(time, stream.read_until(…)), which leaves the stream open.

  Result<> set_socket_options(const SocketOptions& options);
  // Fails with not_supported where there is no socket (`pair:`, a browser), or one without that option (TCP's on a unix socket), and
  // with the reason of a stream that is closed.  An option that fails leaves those before it set.
  Result<SocketOptions> socket_options() const;
  // What is in force.

  // ---- state

  bool is_closed() const noexcept;
  bool input_ended() const noexcept;
  // The peer ended its sending side; buffered bytes may still be there.
  bool reading() const noexcept;
  bool writing() const noexcept;
  // A read is pending; accepted bytes are unsent.
  std::error_code error() const noexcept;
  // Why it is closed, or `end` after the peer's end; no error while open.

  std::size_t buffered() const noexcept;
  // Bytes received and not read.
  std::size_t unsent() const noexcept;
  std::string description() const;
  // For messages: "tcp://127.0.0.1:4711".
  std::string local_address() const;
  std::string peer_address() const;
  // Of the socket below: "tcp://127.0.0.1:4711", "unix:/run/app.sock".  Empty where there is no socket, and once the stream is closed.
  int native_handle() const noexcept;
  // The descriptor of that socket, to set an option of it; -1 where there is none.  It stays the stream's.
  const TlsSession* tls() const noexcept;
  // What was agreed where the bytes go over TLS (twinloop/tls.h), else nullptr.  Lives until the stream is closed.
  const WebSocketSession* websocket() const noexcept;
  // What the other end asked for or answered, and what was agreed, where the bytes go inside a WebSocket (twinloop/websocket.h), else
  // nullptr, as always in a browser.  Lives until the stream is closed.

  std::unique_ptr<Transport> detach(std::string& leftover);
  // Takes the transport out, to build another on top of it; what was received and not read goes to `leftover`.  Only while open
  // and with nothing pending or unsent; the stream is empty afterwards.

 private:
  friend Future<std::uint64_t> pump(IOStream& from, IOStream& to);
  friend Future<void> detail::send_file(IOStream&, std::shared_ptr<detail::OpenFile>, std::uint64_t, std::uint64_t);
  void set_close_function(detail::Function<void()> callback, bool half_open);
  std::unique_ptr<detail::StreamImpl> impl_;
};

Future<std::uint64_t> pump(IOStream& from, IOStream& to);
// Writes to `to` what comes from `from`, not faster than it is taken, until the peer's end; gives how many bytes that were.  Neither
// stream is closed.  Both must outlive it; dropping it loses no byte: what was read is written.
//
// On Linux much of what goes from socket to socket (or pipe) with no filter in between never comes here: the system moves it.
// SIGPIPE is then ignored in this process, unless it has a handler.

}  // namespace twinloop
