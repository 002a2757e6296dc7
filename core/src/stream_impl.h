// What an IOStream points at: the buffers, the one pending read, the waiting writes and the closing rules.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "buffers.h"
#include "twinloop/ioloop.h"
#include "twinloop/iostream.h"

namespace twinloop::detail {

enum class ReadKind { none, bytes, some, into, some_into, until, until_close, line, record };

// The pending read, or one that is done but not yet taken by its coroutine: then `length_` bytes are set aside at the front of
// the buffer, and stay there if the future is dropped.
class ReadOperation final : public OperationBase {
 public:
  explicit ReadOperation(StreamImpl& stream) noexcept : OperationBase(&kHooks), stream_(stream) {}

 private:
  friend class StreamImpl;
  static void on_dropped(OperationBase& operation) noexcept;
  static void on_deliver(OperationBase& operation, FutureBase& future);
  static constexpr Hooks kHooks{&ReadOperation::on_dropped, &ReadOperation::on_deliver};

  StreamImpl& stream_;
  ReadKind kind_ = ReadKind::none;
  bool at_end_ = false;      // line, record: there is no more
  std::size_t count_ = 0;    // bytes wanted, or max_bytes
  std::size_t length_ = 0;   // once done: bytes set aside
  std::size_t scanned_ = 0;  // bytes known not to begin a delimiter
  std::string delimiter_;
  char* memory_ = nullptr;
};

class StreamImpl final : public TransportListener {
 public:
  StreamImpl(std::unique_ptr<Transport> transport, std::shared_ptr<const StreamOptions> options);
  ~StreamImpl();

  template <class T>
  Future<T> read(ReadKind kind, std::size_t count, std::string_view delimiter = {}, char* memory = nullptr);

  template <class Bytes>
  Future<void> write(Bytes&& bytes);
  Future<void> flush();
  Future<void> shutdown_write();
  Future<void> drain_input();
  // Discards what arrives; completes at the peer's end.
  Future<void> peer_ended();
  Future<void> closed();
  void close(std::error_code reason) noexcept;
  void abort() noexcept;
  void set_close_function(Function<void()> callback, bool half_open);
  std::unique_ptr<Transport> detach(std::string& leftover);

  bool is_closed() const noexcept { return transport_ == nullptr; }
  bool input_ended() const noexcept { return peer_end_known_; }
  bool reading() const noexcept { return read_.pending(); }
  std::error_code error() const noexcept { return reason_; }
  std::size_t buffered() const noexcept { return input_.size(); }
  std::size_t unsent() const noexcept { return output_.size() + (transport_ ? transport_->pending_output() : 0); }
  std::string description() const { return transport_ ? transport_->description() : std::string(); }

  void on_ready(bool readable, bool writable) override;
  void on_peer_end() override;
  void on_failure(std::error_code error) override;

 private:
  friend class ReadOperation;

  enum class Awaited : unsigned char { room, flushed, shut_down, input_end };

  // Someone who waits for the output to get somewhere.
  struct OutputWaiter {
    Promise<void> promise;
    Awaited awaited;
    std::uint64_t position;  // flushed: bytes of the whole stream that must have left
  };

  class Flusher final : public TurnHook {
   public:
    explicit Flusher(StreamImpl& stream) noexcept : stream_(stream) {}
    void on_turn() override { stream_.send_output(); }

   private:
    StreamImpl& stream_;
  };

  class LoopWatch final : public CloseHook {
   public:
    explicit LoopWatch(StreamImpl& stream) noexcept : stream_(stream) {}
    void on_loop_close() noexcept override { stream_.lose_loop(); }

   private:
    StreamImpl& stream_;
  };

  bool settle_read();
  bool settle_delimited();
  bool settle_at_end();
  void complete_read(std::size_t length, bool at_end = false);
  void begin_read(ReadKind kind, std::size_t count, std::string_view delimiter, char* memory);
  void fill_input();
  bool receive_once();
  void receive_all();
  void withdraw_read() noexcept;
  void deliver(FutureBase& future);
  bool wants_input() const noexcept {
    if (is_closed() || input_exhausted_) return false;
    return read_.pending() || discarding_ || (reads_ahead_ && wants_more_ahead());
  }
  bool wants_more_ahead() const noexcept;

  std::error_code write_refusal(std::size_t count) const noexcept;
  Future<void> after_append(std::size_t count);
  void send_output();
  void end_output();
  void settle_output();
  void fail_output(std::error_code reason);
  Future<void> wait_output(Awaited awaited);

  void note_peer_end();
  void end(std::error_code reason, bool transport_usable);
  void queue_close_function();
  void lose_loop() noexcept;
  void update_interest();

  IOLoop* loop_;
  std::unique_ptr<Transport> transport_;  // null once closed
  std::shared_ptr<const StreamOptions> options_;
  InputBuffer input_;
  OutputQueue output_;
  std::uint64_t accepted_ = 0;  // bytes of all writes so far
  std::error_code reason_;
  ReadOperation read_{*this};
  std::vector<OutputWaiter> waiters_;
  std::vector<Promise<void>> ended_watchers_;
  std::vector<Promise<void>> closed_watchers_;
  Function<void()> close_function_;
  Flusher flusher_{*this};
  LoopWatch loop_watch_{*this};
  bool reads_ahead_ = false;      // only reading shows that the peer has gone
  bool peer_end_known_ = false;   // the fact
  bool input_exhausted_ = false;  // the transport said `end`: nothing more to read
  bool discarding_ = false;
  bool shutdown_wanted_ = false;
  bool shutdown_done_ = false;
  bool write_blocked_ = false;
  bool close_function_half_open_ = false;
};

void let_go(IOLoop* loop, std::unique_ptr<Transport> transport, std::error_code reason) noexcept;
// Closes the transport at once and frees it after the events of this turn.

void linger(IOLoop& loop, std::unique_ptr<Transport> transport, OutputQueue output, Duration timeout) noexcept;
// Goes on sending `output`, ends the sending side, waits for the peer's end, within the timeout.

}  // namespace twinloop::detail
