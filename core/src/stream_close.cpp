// How a stream ends: the peer's end, failures, close and abort, and lingering.
#include <array>

#include "stream_impl.h"

namespace twinloop::detail {

StreamImpl::StreamImpl(std::unique_ptr<Transport> transport, std::shared_ptr<const StreamOptions> options)
    : loop_(&IOLoop::current()), transport_(std::move(transport)), options_(std::move(options)) {
  loop_->add_closer(loop_watch_);
  transport_->set_listener(this);
  reads_ahead_ = !transport_->reports_end_early();
  update_interest();
}

StreamImpl::~StreamImpl() {
  end(Errc::local, true);
  read_.deliver_now();
}

// ---- notices

void StreamImpl::on_ready(bool readable, bool writable) {
  if (writable && !is_closed()) send_output();
  if (readable && !is_closed()) fill_input();
  if (!read_.pending() && !read_.reserved()) input_.shrink();
  if (!is_closed()) update_interest();
}

void StreamImpl::on_peer_end() {
  if (is_closed()) return;
  note_peer_end();
  fill_input();
  if (!is_closed()) update_interest();
}

void StreamImpl::on_failure(std::error_code error) {
  if (is_closed()) return;
  receive_all();
  end(error, false);
}

void StreamImpl::update_interest() {
  if (is_closed()) return;
  const bool write = write_blocked_ && (!output_.empty() || (shutdown_wanted_ && !shutdown_done_) || !waiters_.empty());
  transport_->want(wants_input(), write);
}

void StreamImpl::note_peer_end() {
  if (std::exchange(peer_end_known_, true)) return;
  if (!reason_) reason_ = Errc::end;
  for (Promise<void>& watcher : std::exchange(ended_watchers_, {})) watcher.set_value();
  if (!close_function_half_open_) queue_close_function();
}

// ---- ending

void StreamImpl::close(std::error_code reason) noexcept {
  if (is_closed()) return;
  if (!output_.empty() && !write_blocked_) send_output();
  end(reason, true);
}

void StreamImpl::abort() noexcept {
  output_.clear();
  end(Errc::local, false);
}

// The order is the rule: the read, the writes, then peer_ended and closed, then the close callback in a later turn.
void StreamImpl::end(std::error_code reason, bool transport_usable) {
  if (is_closed()) return;
  std::unique_ptr<Transport> transport = std::move(transport_);
  reason_ = reason;
  flusher_.unlink();
  loop_watch_.unlink();
  settle_read();
  fail_output(reason);
  for (Promise<void>& watcher : std::exchange(ended_watchers_, {})) watcher.set_value();
  for (Promise<void>& watcher : std::exchange(closed_watchers_, {})) watcher.set_value();
  queue_close_function();
  if (transport_usable && loop_ != nullptr && !(output_.empty() && input_exhausted_ && shutdown_done_)) {
    linger(*loop_, std::move(transport), std::exchange(output_, {}), options_->linger_timeout());
  } else {
    output_.clear();
    let_go(loop_, std::move(transport), transport_usable ? reason : make_error_code(Errc::cancelled));
  }
}

void StreamImpl::lose_loop() noexcept {
  IOLoop* loop = std::exchange(loop_, nullptr);
  (void)loop;
  end(Errc::loop_closed, true);
}

void StreamImpl::queue_close_function() {
  if (!close_function_ || loop_ == nullptr) return;
  loop_->add_callback(std::exchange(close_function_, {}));
}

void StreamImpl::set_close_function(Function<void()> callback, bool half_open) {
  close_function_ = std::move(callback);
  close_function_half_open_ = half_open;
  if (is_closed() || (peer_end_known_ && !half_open)) queue_close_function();
}

Future<void> StreamImpl::peer_ended() {
  if (is_closed() || peer_end_known_) return Future<void>::ready();
  return ended_watchers_.emplace_back().get_future();
}

Future<void> StreamImpl::closed() {
  if (is_closed()) return Future<void>::ready();
  return closed_watchers_.emplace_back().get_future();
}

std::unique_ptr<Transport> StreamImpl::detach(std::string& leftover) {
  assert(!is_closed() && !read_.pending() && output_.empty());
  read_.deliver_now();
  leftover = input_.view();
  input_.clear();
  flusher_.unlink();
  loop_watch_.unlink();
  transport_->set_listener(nullptr);
  transport_->want(false, false);
  return std::move(transport_);
}

// ---- letting go

void let_go(IOLoop* loop, std::unique_ptr<Transport> transport, std::error_code reason) noexcept {
  transport->set_listener(nullptr);
  transport->close(reason);
  if (loop != nullptr) loop->add_callback([freed = std::move(transport)] {});
}

namespace {

// A closed stream that still has bytes to deliver.  Closing a socket with unread input would reset the connection and lose what
// was already handed over, so input is discarded until the peer ends.
class Linger final : public Pooled, public TransportListener, public CloseHook, public Timer {
 public:
  Linger(IOLoop& loop, std::unique_ptr<Transport> transport, OutputQueue output) noexcept
      : loop_(loop), transport_(std::move(transport)), output_(std::move(output)) {
    loop_.count_lingering(1);
  }
  ~Linger() { loop_.count_lingering(-1); }

  void begin(Duration timeout) {
    loop_.add_closer(*this);
    loop_.add_timer(*this, loop_.clock() + timeout);
    transport_->set_listener(this);
    advance();
  }

  void on_ready(bool, bool) override { advance(); }
  void on_peer_end() override { advance(); }
  void on_failure(std::error_code) override { finish(); }
  void on_loop_close() noexcept override {
    transport_->close(Errc::loop_closed);
    loop_.remove_timer(*this);
    delete this;
  }
  void fire() override { finish(); }
  void expire() noexcept override { delete this; }

 private:
  static constexpr std::size_t kDiscarded = 8 * 1024 * 1024;

  // Deletes itself at the end.
  void advance() {
    bool blocked = false;
    if (!send(blocked)) return finish();
    if (shut_down_ && !transport_->close_may_lose_output()) return finish();
    if (!discard()) return finish();
    if (shut_down_ && input_ended_) return finish();
    transport_->want(!input_ended_, blocked);
  }

  bool send(bool& blocked) {
    std::array<ConstBytes, 16> pieces;
    while (!output_.empty()) {
      const IoResult result = transport_->write(std::span(pieces).first(output_.gather(pieces)));
      if (result.status == IoStatus::error) return false;
      if (result.status != IoStatus::ok) return blocked = true;
      output_.consume(result.count);
    }
    if (shut_down_) return true;
    const IoResult result = transport_->shutdown_write();
    if (result.status == IoStatus::would_block) return blocked = true;
    shut_down_ = result.status == IoStatus::ok;
    return shut_down_;
  }

  bool discard() {
    std::array<std::byte, 4096> memory;
    for (unsigned chunk = 0; chunk < 64 && !input_ended_; ++chunk) {
      const IoResult result = transport_->read(memory);
      if (result.status == IoStatus::would_block) return true;
      if (result.status == IoStatus::error) return false;
      input_ended_ = result.status == IoStatus::end;
      discarded_ += result.count;
      if (discarded_ > kDiscarded) return false;
    }
    return true;
  }

  void finish() noexcept {
    loop_.remove_timer(*this);
    let_go(&loop_, std::move(transport_), Errc::local);
    delete this;
  }

  IOLoop& loop_;
  std::unique_ptr<Transport> transport_;
  OutputQueue output_;
  std::size_t discarded_ = 0;
  bool shut_down_ = false;
  bool input_ended_ = false;
};

}  // namespace

void linger(IOLoop& loop, std::unique_ptr<Transport> transport, OutputQueue output, Duration timeout) noexcept {
  auto* lingering = new Linger(loop, std::move(transport), std::move(output));
  lingering->begin(timeout);
}

}  // namespace twinloop::detail
