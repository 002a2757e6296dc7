// What an IOStream points at: the buffers, the one pending read, the waiting writes and the closing rules.
//
// There may be many idle streams, so what an idle one does not need is not in it: bytes received, bytes accepted, and who waits for
// something other than the read are each behind a pointer that is null while there is nothing of the kind.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "buffers.h"
#include "small_error.h"
#include "twinloop/detail/compiled_regex.h"
#include "twinloop/ioloop.h"
#include "twinloop/iostream.h"

namespace twinloop::detail {

class StreamImpl;

enum class ReadKind : unsigned char {
  none,
  bytes,
  some,
  peek,
  into,
  some_into,
  until,
  until_regex,
  until_close,
  line,
  record,
  nothing_more  // a line or record that is done because there is none
};

// What a read is given besides its count: a delimiter, mostly so short that it needs no memory of its own, or memory to fill.
class ReadArgument {
 public:
  ReadArgument() noexcept = default;
  ReadArgument(const ReadArgument&) = delete;
  ReadArgument& operator=(const ReadArgument&) = delete;
  ~ReadArgument() { forget(); }

  void set_delimiter(std::string_view text) {
    forget();
    if (text.size() > sizeof short_) long_ = new std::string(text);
    size_ = static_cast<std::uint8_t>(std::min(text.size(), kLong));
    if (!is_long()) text.copy(short_, size_);
  }
  void set_memory(char* memory) noexcept {
    forget();
    memory_ = memory;
  }

  std::string_view delimiter() const noexcept {
    return is_long() ? std::string_view(*long_) : std::string_view(short_, size_);
  }
  char* memory() const noexcept { return memory_; }

 private:
  static constexpr std::size_t kLong = sizeof(char*) + 1;
  bool is_long() const noexcept { return size_ == kLong; }
  void forget() noexcept {
    if (is_long()) delete long_;
    size_ = 0;
  }

  union {
    char short_[sizeof(char*)];
    std::string* long_;
    char* memory_;
  };
  std::uint8_t size_ = 0;
};

enum class Awaited : unsigned char { room, flushed, shut_down, input_end };

// Someone who waits for the output to get somewhere.
struct OutputWaiter {
  Promise<void> promise;
  Awaited awaited;
  std::uint64_t position;  // flushed: when StreamWaiters::sent has come so far
};

// A write of memory that its caller lends until the future is done or dropped.
class LentWrite final : public Pooled, public ListNode, public OperationBase {
 public:
  LentWrite(StreamImpl& stream, std::string_view bytes, std::uint64_t position) noexcept
      : OperationBase(&kHooks), stream_(stream), bytes_(bytes), position_(position) {}

  std::string_view bytes() const noexcept { return bytes_; }
  std::uint64_t position() const noexcept { return position_; }
  // In StreamWaiters::sent, of its last byte.
  void complete();
  void fail(std::error_code reason);
  // Both delete it.

 private:
  static void on_dropped(OperationBase& operation) noexcept;
  static constexpr Hooks kHooks{&LentWrite::on_dropped, nullptr};

  StreamImpl& stream_;
  std::string_view bytes_;
  std::uint64_t position_;
};

// Ends a stream over which nothing has gone for too long.  No byte moves the timer: when it fires, it looks.
class IdleWatch final : public Pooled, private Timer {
 public:
  IdleWatch(StreamImpl& stream, Duration limit);
  ~IdleWatch();
  void note_bytes() noexcept { last_ = loop_.clock(); }

 private:
  void fire() override;
  void expire() noexcept override {}

  StreamImpl& stream_;
  IOLoop& loop_;
  Duration limit_;
  TimePoint last_;
};

// Who waits for something other than the pending read.
struct StreamWaiters : Pooled {
  std::vector<OutputWaiter> output;
  List<LentWrite> lent;
  std::vector<Promise<void>> peer_ended;
  std::vector<Promise<void>> closed;
  Function<void()> close_function;
  std::unique_ptr<IdleWatch> idle;
  std::shared_ptr<const CompiledRegex> regex;  // of the pending read
  std::uint64_t sent = 0;                      // bytes that have left since this was made
  bool half_open = false;                      // of close_function

  bool empty() const noexcept {
    return output.empty() && lent.empty() && peer_ended.empty() && closed.empty() && !close_function && !idle && !regex;
  }
};

// What was accepted and has not left, and its place among what the loop sends before it polls.
struct StreamOutput final : Pooled, TurnHook {
  explicit StreamOutput(StreamImpl& s) noexcept : stream(s) {}
  void on_turn() override;  // frees this when all is sent

  StreamImpl& stream;
  OutputQueue queue;
};
static_assert(sizeof(StreamOutput) <= Pool::kLargest);

// Its OperationBase is the pending read, or one that is done but not yet taken by its coroutine: then `progress_` bytes are set
// aside at the front of the input, and stay there if the future is dropped.
class StreamImpl final : public Pooled, public TransportListener, private OperationBase, private CloseHook {
 public:
  StreamImpl(std::unique_ptr<Transport> transport, SharedStreamOptions options);
  ~StreamImpl();

  template <class T>
  Future<T> read(ReadKind kind, std::size_t count, std::string_view delimiter = {}, char* memory = nullptr);

  template <class T>
  Future<T> read_until_regex(const Regex& regex, std::size_t max_bytes);

  Future<void> write(std::string_view bytes);
  Future<void> write(std::string&& bytes);
  Future<void> write_shared(std::shared_ptr<const std::string> bytes);
  Future<void> write_pieces(std::span<const std::string_view> pieces);
  Future<void> write_borrowed(std::string_view bytes);
  std::size_t try_write(std::string_view bytes);
  Future<void> flush();
  Future<void> shutdown_write();
  std::size_t move_to(StreamImpl& to, std::size_t most);
  // Bytes that have arrived and are not here yet, as far as the platform can, without waiting.  What `to` has no room for it has
  // accepted.
  IoResult send_file(OpenFile& file, std::uint64_t offset, std::size_t most);
  // As Transport::write_file(), once all that was accepted before has left; would_block until then.
  Future<void> may_send();
  // Completes when what was accepted has left and the transport takes more.
  Future<void> drain_input();
  // Discards what arrives; completes at the peer's end.
  Future<void> peer_ended();
  Future<void> closed();
  void close(std::error_code reason) noexcept;
  void abort() noexcept;
  void set_close_function(Function<void()> callback, bool half_open);
  void set_idle_timeout(Duration time);
  void end_idle() { end(Errc::idle_timeout, true); }
  std::unique_ptr<Transport> detach(std::string& leftover);

  bool is_closed() const noexcept { return transport_ == nullptr; }
  bool input_ended() const noexcept { return peer_end_known_; }
  bool reading() const noexcept { return pending(); }
  std::error_code error() const noexcept { return reason_.code(); }
  std::size_t unsent() const noexcept { return queued() + (transport_ ? transport_->pending_output() : 0); }
  std::string description() const { return transport_ ? transport_->description() : std::string(); }
  std::string address(Transport::End end) const { return transport_ ? transport_->address(end) : std::string(); }
  int native_handle() const noexcept { return transport_ ? transport_->native_handle() : -1; }
  const TlsSession* tls() const noexcept { return transport_ ? transport_->tls() : nullptr; }
  const WebSocketSession* websocket() const noexcept { return transport_ ? transport_->websocket() : nullptr; }

  void on_ready(bool readable, bool writable) override;
  void on_peer_end() override;
  void on_failure(std::error_code error) override;
  std::size_t buffered() const noexcept override { return input_.size(); }

  void send_output();
  void copy_lent(const LentWrite& write);

 private:
  void on_loop_close() noexcept override { lose_loop(); }
  static void on_dropped(OperationBase& operation) noexcept;
  static void on_deliver(OperationBase& operation, FutureBase& future);
  static constexpr Hooks kReadHooks{&StreamImpl::on_dropped, &StreamImpl::on_deliver};

  bool settle_read();
  bool settle_delimited();
  enum class Search { sparing, thorough };
  bool settle_regex(Search search);
  void forget_regex() noexcept;
  bool settle_at_end();
  void complete_read(std::size_t length);
  void begin_read(ReadKind kind, std::size_t count, std::string_view delimiter, char* memory);
  void fill_input();
  bool receive_once(std::size_t limit);
  void receive_all();
  void deliver(FutureBase& future);
  bool wants_input() const noexcept {
    if (is_closed() || input_exhausted_) return false;
    return pending() || discarding_ || (reads_ahead_ && wants_more_ahead());
  }
  std::size_t most_ahead() const noexcept;
  bool wants_more_ahead() const noexcept;

  std::size_t queued() const noexcept { return output_ ? output_->queue.size() : 0; }
  OutputQueue& queue();
  std::error_code write_refusal(std::size_t count, std::size_t held) const noexcept;
  Future<void> after_append(std::size_t held);
  bool hand_down();
  bool done_with(const Transport& transport) const noexcept;
  std::size_t send_ahead(std::string_view bytes);
  IoResult write_down();
  void settle_lent();
  void end_output();
  void settle_output();
  Future<void> wait_output(Awaited awaited);

  StreamWaiters& waiters();
  void forget_waiters() noexcept;
  void note_bytes() noexcept {
    if (waiters_ && waiters_->idle) waiters_->idle->note_bytes();
  }
  void note_peer_end() noexcept;
  void tell_peer_end();
  void end(std::error_code reason, bool transport_usable);
  void queue_close_function();
  void lose_loop() noexcept;
  void update_interest();

  IOLoop* loop_;
  std::unique_ptr<Transport> transport_;  // null once closed
  SharedStreamOptions options_;
  InputBuffer input_;
  std::unique_ptr<StreamOutput> output_;    // null while nothing is unsent
  std::unique_ptr<StreamWaiters> waiters_;  // null while there are none

  std::size_t count_ = 0;                        // of the read: bytes wanted, or max_bytes
  std::size_t progress_ = 0;                     // bytes known not to begin a delimiter; once done, bytes set aside
  [[no_unique_address]] ReadArgument argument_;  // what follows lies in the rest of its last word
  ReadKind kind_ = ReadKind::none;
  bool as_view_ : 1 = false;          // the result stays in the buffer
  bool reads_ahead_ : 1 = false;      // only reading shows that the peer has gone
  bool peer_end_known_ : 1 = false;   // the fact
  bool input_exhausted_ : 1 = false;  // the transport said `end`: nothing more to read
  bool discarding_ : 1 = false;
  bool shutdown_wanted_ : 1 = false;
  bool shutdown_done_ : 1 = false;
  bool write_blocked_ : 1 = false;
  SmallError reason_;
};

void let_go(IOLoop* loop, std::unique_ptr<Transport> transport, std::error_code reason) noexcept;
// Closes the transport at once and frees it after the events of this turn.

void linger(IOLoop& loop, std::unique_ptr<Transport> transport, std::unique_ptr<StreamOutput> output, Duration timeout,
            std::error_code reason) noexcept;
// Tells the peer the reason, where it can be told; goes on sending the output, if any, ends the sending side, waits for the peer's end, within the timeout.

}  // namespace twinloop::detail
