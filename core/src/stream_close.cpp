// How a stream ends: the peer's end, failures, close and abort, and lingering.
#include <array>

#include "durations.h"
#include "stream_impl.h"

namespace twinloop::detail {

StreamImpl::StreamImpl(std::unique_ptr<Transport> transport, SharedStreamOptions options)
    : OperationBase(&kReadHooks),
      loop_(&IOLoop::current()),
      transport_(std::move(transport)),
      options_(std::move(options)) {
  loop_->add_closer(*this);
  transport_->set_listener(this);
  reads_ahead_ = !transport_->reports_end_early();
  set_idle_timeout(options_->idle_timeout());
  update_interest();
}

StreamImpl::~StreamImpl() {
  end(Errc::local, true);
  deliver_now();
}

// ---- notices

void StreamImpl::on_ready(bool readable, bool writable) {
  if (writable && !is_closed()) send_output();
  if (readable && !is_closed()) fill_input();
  if (!pending() && !reserved()) input_.shrink();
  if (!is_closed()) update_interest();
}

void StreamImpl::on_peer_end() {
  if (is_closed()) return;
  note_peer_end();
  fill_input();
  if (is_closed()) return;
  tell_peer_end();
  update_interest();
}

void StreamImpl::on_failure(std::error_code error) {
  if (is_closed()) return;
  receive_all();
  end(error, false);
}

void StreamImpl::update_interest() {
  if (is_closed()) return;
  const bool write = write_blocked_ && (output_ || waiters_ || (shutdown_wanted_ && !shutdown_done_));
  transport_->want(wants_input(), write);
}

void StreamImpl::note_peer_end() noexcept {
  peer_end_known_ = true;
  if (!reason_) reason_ = make_error_code(Errc::end);
}

// After the read: it comes first.
void StreamImpl::tell_peer_end() {
  if (!waiters_) return;
  for (Promise<void>& watcher : std::exchange(waiters_->peer_ended, {})) watcher.set_value();
  if (!waiters_->half_open) queue_close_function();
  forget_waiters();
}

// ---- who waits

StreamWaiters& StreamImpl::waiters() {
  if (!waiters_) waiters_ = std::make_unique<StreamWaiters>();
  return *waiters_;
}

void StreamImpl::forget_waiters() noexcept {
  if (waiters_ && waiters_->empty()) waiters_.reset();
}

// ---- ending

void StreamImpl::close(std::error_code reason) noexcept {
  if (is_closed()) return;
  if (output_ && !write_blocked_) send_output();
  end(reason, true);
}

void StreamImpl::abort() noexcept {
  output_.reset();
  end(Errc::local, false);
}

// The order is the rule: the read, the writes, then peer_ended and closed, then the close callback in a later turn.
void StreamImpl::end(std::error_code reason, bool transport_usable) {
  if (is_closed()) return;
  std::unique_ptr<Transport> transport = std::move(transport_);
  reason_ = reason;
  CloseHook::unlink();
  if (output_) output_->unlink();
  settle_read();
  if (waiters_) {
    waiters_->idle.reset();
    for (OutputWaiter& waiter : std::exchange(waiters_->output, {})) waiter.promise.set_error(reason);
    while (!waiters_->lent.empty()) {
      LentWrite& write = waiters_->lent.front();
      if (transport_usable) copy_lent(write);
      write.fail(reason);
    }
    for (Promise<void>& watcher : std::exchange(waiters_->peer_ended, {})) watcher.set_value();
    for (Promise<void>& watcher : std::exchange(waiters_->closed, {})) watcher.set_value();
    queue_close_function();
    forget_waiters();
  }
  if (transport_usable && loop_ != nullptr && !done_with(*transport)) {
    linger(*loop_, std::move(transport), std::move(output_), options_->linger_timeout(), reason);
  } else {
    output_.reset();
    let_go(loop_, std::move(transport), transport_usable ? reason : make_error_code(Errc::cancelled));
  }
}

// Whether close() is all that is left: it ends the sending side of a plain descriptor, and with the peer's end read it resets nothing.
bool StreamImpl::done_with(const Transport& transport) const noexcept {
  const bool close_is_enough = transport.plain_descriptor() >= 0 && reason_of(reason_.code()) == Errc::local;
  return !output_ && input_exhausted_ && (shutdown_done_ || close_is_enough);
}

void StreamImpl::lose_loop() noexcept {
  IOLoop* loop = std::exchange(loop_, nullptr);
  (void)loop;
  end(Errc::loop_closed, true);
}

void StreamImpl::queue_close_function() {
  if (!waiters_->close_function || loop_ == nullptr) return;
  loop_->add_callback(std::exchange(waiters_->close_function, {}));
}

void StreamImpl::set_close_function(Function<void()> callback, bool half_open) {
  waiters().close_function = std::move(callback);
  waiters_->half_open = half_open;
  if (is_closed() || (peer_end_known_ && !half_open)) queue_close_function();
  forget_waiters();
}

Future<void> StreamImpl::peer_ended() {
  if (is_closed() || peer_end_known_) return Future<void>::ready();
  return waiters().peer_ended.emplace_back().get_future();
}

Future<void> StreamImpl::closed() {
  if (is_closed()) return Future<void>::ready();
  return waiters().closed.emplace_back().get_future();
}

std::unique_ptr<Transport> StreamImpl::detach(std::string& leftover) {
  assert(!is_closed() && !pending() && !output_);
  deliver_now();
  leftover = input_.view();
  input_.clear();
  set_idle_timeout(Duration::zero());
  CloseHook::unlink();
  transport_->set_listener(nullptr);
  transport_->want(false, false);
  return std::move(transport_);
}

// ---- peers that vanish

IdleWatch::IdleWatch(StreamImpl& stream, Duration limit)
    : stream_(stream), loop_(IOLoop::current()), limit_(limit), last_(loop_.clock()) {
  loop_.add_timer(*this, later(last_, limit_));
}

IdleWatch::~IdleWatch() {
  if (scheduled()) loop_.remove_timer(*this);
}

void IdleWatch::fire() {
  const TimePoint due = later(last_, limit_);
  if (due <= loop_.clock()) return stream_.end_idle();  // destroys this
  loop_.add_timer(*this, due);
}

void StreamImpl::set_idle_timeout(Duration time) {
  if (is_closed()) return;
  if (waiters_) waiters_->idle.reset();
  if (time > Duration::zero()) waiters().idle = std::make_unique<IdleWatch>(*this, time);
  forget_waiters();
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
  Linger(IOLoop& loop, std::unique_ptr<Transport> transport, std::unique_ptr<StreamOutput> output) noexcept
      : loop_(loop), transport_(std::move(transport)), output_(std::move(output)) {
    loop_.count_lingering(1);
  }
  ~Linger() { loop_.count_lingering(-1); }

  void begin(Duration timeout) {
    loop_.add_closer(*this);
    loop_.add_timer(*this, timeout);
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
    while (output_ && !output_->queue.empty()) {
      const IoResult result = transport_->write(std::span(pieces).first(output_->queue.gather(pieces)));
      if (result.status == IoStatus::error) return false;
      if (result.status != IoStatus::ok) return blocked = true;
      output_->queue.consume(result.count);
    }
    output_.reset();
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
  std::unique_ptr<StreamOutput> output_;
  std::size_t discarded_ = 0;
  bool shut_down_ = false;
  bool input_ended_ = false;
};

}  // namespace

void linger(IOLoop& loop, std::unique_ptr<Transport> transport, std::unique_ptr<StreamOutput> output, Duration timeout,
            std::error_code reason) noexcept {
  if (reason_of(reason) != Errc::local) transport->explain_end(reason);
  auto* lingering = new Linger(loop, std::move(transport), std::move(output));
  lingering->begin(timeout);
}

}  // namespace twinloop::detail
