#include "pair.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "twinloop/detail/handoff.h"
#include "twinloop/ioloop.h"
#include "twinloop/net.h"

namespace twinloop {
namespace detail {
namespace {

constexpr std::size_t kCapacity = 64 * 1024;  // each way

// One end.  What the other end wrote lies here until it is read; notices come in the next turn, as a network's would.
class PairEnd final : public Transport, public TurnHook {
 public:
  PairEnd() : loop_(&IOLoop::current()) {}
  ~PairEnd() override { leave(Errc::local); }

  static void join(PairEnd& a, PairEnd& b) noexcept {
    a.peer_ = &b;
    b.peer_ = &a;
  }

  IoResult read(Bytes into) override {
    if (!inbox_.empty()) {
      const std::size_t count = std::min(into.size(), inbox_.size() - taken_);
      std::memcpy(into.data(), inbox_.data() + taken_, count);
      taken_ += count;
      if (taken_ == inbox_.size() || taken_ >= kCapacity) {  // it may never be empty
        inbox_.erase(0, taken_);
        taken_ = 0;
      }
      if (peer_ != nullptr) peer_->arrange();
      return IoResult::done(count);
    }
    if (failure_) return IoResult::failed(failure_);
    return input_ended_ ? IoResult::end() : IoResult::would_block();
  }

  IoResult write(std::span<const ConstBytes> pieces) override {
    if (failure_) return IoResult::failed(failure_);
    if (peer_ == nullptr || shut_) return IoResult::failed(Errc::reset);
    std::size_t count = 0;
    for (const ConstBytes piece : pieces) {
      const std::size_t part = std::min(piece.size(), peer_->room());
      peer_->inbox_.append(reinterpret_cast<const char*>(piece.data()), part);
      count += part;
      if (part < piece.size()) break;
    }
    if (count == 0) return IoResult::would_block();
    peer_->arrange();
    return IoResult::done(count);
  }

  IoResult shutdown_write() override {
    if (failure_) return IoResult::failed(failure_);
    shut_ = true;
    if (peer_ != nullptr) peer_->end_input();
    return IoResult::done();
  }

  void close(std::error_code reason) noexcept override { leave(reason); }

  void want(bool read, bool write) override {
    want_read_ = read;
    want_write_ = write;
    arrange();
  }

  void set_listener(TransportListener* listener) noexcept override {
    listener_ = listener;
    arrange();
  }

  bool reports_end_early() const noexcept override { return true; }
  bool close_may_lose_output() const noexcept override { return false; }
  std::string description() const override { return "pair:"; }

  void on_turn() override {
    TransportListener* listener = listener_;
    if (listener == nullptr) return;
    if (failure_ && !std::exchange(failure_told_, true)) return listener->on_failure(failure_);
    if (input_ended_ && !std::exchange(end_told_, true)) {
      arrange();
      return listener->on_peer_end();
    }
    const bool read = readable();
    const bool write = writable();
    if (read || write) listener->on_ready(read, write);
  }

 private:
  std::size_t room() const noexcept { return kCapacity - std::min(kCapacity, inbox_.size() - taken_); }
  bool readable() const noexcept { return want_read_ && (!inbox_.empty() || input_ended_ || failure_); }
  bool writable() const noexcept { return want_write_ && (peer_ == nullptr || peer_->room() > 0); }

  void arrange() noexcept {
    if (listener_ == nullptr) return;
    if (readable() || writable() || (failure_ && !failure_told_) || (input_ended_ && !end_told_))
      loop_->add_hook(*this);
  }

  void end_input() noexcept {
    input_ended_ = true;
    arrange();
  }

  void leave(std::error_code reason) noexcept {
    unlink();
    listener_ = nullptr;
    PairEnd* peer = std::exchange(peer_, nullptr);
    if (peer == nullptr) return;
    peer->peer_ = nullptr;
    if (reason_of(reason) == Errc::local || shut_) return peer->end_input();
    peer->failure_ = Errc::reset;
    peer->arrange();
  }

  IOLoop* loop_;
  PairEnd* peer_ = nullptr;
  TransportListener* listener_ = nullptr;
  std::string inbox_;
  std::size_t taken_ = 0;
  std::error_code failure_;
  bool input_ended_ = false;
  bool shut_ = false;
  bool end_told_ = false;
  bool failure_told_ = false;
  bool want_read_ = false;
  bool want_write_ = false;
};

// A list with nothing to destroy: the loop that instance() makes, and acceptors in it, go after most other objects of their thread.
class PairAcceptor;
constinit thread_local PairAcceptor* first_acceptor = nullptr;

class PairAcceptor final : public Acceptor {
 public:
  explicit PairAcceptor(Url url) : url_(std::move(url)) { next_ = std::exchange(first_acceptor, this); }
  ~PairAcceptor() override { close(); }

  Future<std::unique_ptr<Transport>> accept() override { return incoming_.take(); }
  Url url() const override { return url_; }
  void close() noexcept override {
    unlist();
    incoming_.clear();
    incoming_.close(Errc::local);
  }
  void put(std::unique_ptr<Transport> transport) { incoming_.put(std::move(transport)); }

  static PairAcceptor* find(std::string_view name) noexcept {
    PairAcceptor* each = first_acceptor;
    while (each != nullptr && each->url_.path != name) each = each->next_;
    return each;
  }

 private:
  void unlist() noexcept {
    PairAcceptor** each = &first_acceptor;
    while (*each != nullptr && *each != this) each = &(*each)->next_;
    if (*each == this) *each = next_;
  }

  Url url_;
  PairAcceptor* next_ = nullptr;
  Handoff<std::unique_ptr<Transport>> incoming_;
};

}  // namespace

Future<std::unique_ptr<Transport>> connect_pair(Url url) {
  PairAcceptor* acceptor = PairAcceptor::find(url.path);
  if (acceptor == nullptr)
    throw Error(Errc::refused, "connect " + url.to_string() + ": nobody in this thread listens there");
  auto [mine, theirs] = make_pair_transports();
  acceptor->put(std::move(theirs));
  co_return std::move(mine);
}

std::unique_ptr<Acceptor> listen_pair(Url url) {
  if (PairAcceptor::find(url.path) != nullptr) throw Error(Errc::in_use, "listen " + url.to_string());
  return std::make_unique<PairAcceptor>(std::move(url));
}

}  // namespace detail

std::pair<std::unique_ptr<Transport>, std::unique_ptr<Transport>> make_pair_transports() {
  auto a = std::make_unique<detail::PairEnd>();
  auto b = std::make_unique<detail::PairEnd>();
  detail::PairEnd::join(*a, *b);
  return {std::move(a), std::move(b)};
}

std::pair<IOStream, IOStream> make_pair_streams(const StreamOptions& options) {
  auto [a, b] = make_pair_transports();
  return {IOStream(std::move(a), options), IOStream(std::move(b), options)};
}

}  // namespace twinloop
