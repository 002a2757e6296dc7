#include "twinloop/testing.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <random>

#include "twinloop/ioloop.h"
#include "twinloop/timing.h"

namespace twinloop::testing {

// ---- ManualBackend

namespace {

class NoNetwork final : public Network {
 public:
  bool carries(std::string_view) const noexcept override { return false; }
  Future<std::unique_ptr<Transport>> connect(Url, const ConnectOptions&) override {
    return Future<std::unique_ptr<Transport>>::failed(Errc::not_supported);
  }
  Future<std::unique_ptr<Acceptor>> listen(Url, const ListenOptions&) override {
    return Future<std::unique_ptr<Acceptor>>::failed(Errc::not_supported);
  }
  std::string_view alternatives() const noexcept override { return "a manual loop has only pair:"; }
};

}  // namespace

constexpr Duration kTurn = std::chrono::microseconds(10);  // what a turn with work in it takes

Network& ManualBackend::network() {
  static NoNetwork none;
  return none;
}

void ManualBackend::wait(TimePoint deadline) {
  if (std::exchange(woken_, false)) deadline = kAlready;
  if (deadline == kNever) throw Error(Errc::not_supported, "a manual loop with nothing left to wait for");
  now_ = deadline == kAlready ? now_ + kTurn : std::max(now_, deadline);
  if (deadline != kAlready) loop_->awake();
}

// ---- FaultyTransport

class FaultyTransport final : public Transport, public TransportListener, public twinloop::detail::TurnHook {
 public:
  FaultyTransport(std::unique_ptr<Transport> below, const Faults& faults)
      : loop_(IOLoop::current()), below_(std::move(below)), faults_(faults), random_(faults.seed_) {
    below_->set_listener(this);
  }

  IoResult read(Bytes into) override {
    if (broken_ || ++reads_ == faults_.fail_read_) return fail();
    if (held_.empty() && faults_.hold_input_ > 0) hold();
    if (pretends_to_block()) return IoResult::would_block();
    const Bytes part = into.first(std::min(into.size(), faults_.max_read_));
    if (held_.empty()) return below_->read(part);
    const std::size_t count = std::min(part.size(), held_.size());
    std::memcpy(part.data(), held_.data(), count);
    held_.erase(0, count);
    return IoResult::done(count);
  }

  IoResult write(std::span<const ConstBytes> pieces) override {
    if (broken_ || ++writes_ == faults_.fail_write_) return fail();
    if (pretends_to_block()) return IoResult::would_block();
    const ConstBytes first = pieces.front().first(std::min(pieces.front().size(), faults_.max_write_));
    return below_->write(std::span(&first, 1));
  }

  IoResult flush() override { return broken_ ? fail() : below_->flush(); }
  std::size_t pending_input() const noexcept override { return held_.size() + below_->pending_input(); }
  std::size_t pending_output() const noexcept override { return below_->pending_output(); }
  IoResult shutdown_write() override { return broken_ ? fail() : below_->shutdown_write(); }
  void close(std::error_code reason) noexcept override {
    unlink();
    listener_ = nullptr;
    below_->close(reason);
  }

  void want(bool read, bool write) override {
    want_read_ = read;
    want_write_ = write;
    below_->want(read, write);
    if ((read && !held_.empty()) || (denied_ && (read || write))) loop_.add_hook(*this);
  }

  void set_listener(TransportListener* listener) noexcept override { listener_ = listener; }
  bool reports_end_early() const noexcept override { return below_->reports_end_early(); }
  int native_handle() const noexcept override { return below_->native_handle(); }
  std::string description() const override { return "faulty " + below_->description(); }
  const TlsSession* tls() const noexcept override { return below_->tls(); }
  const WebSocketSession* websocket() const noexcept override { return below_->websocket(); }
  std::string address(End end) const override { return below_->address(end); }

  void on_turn() override {
    denied_ = false;
    if (listener_ != nullptr && (want_read_ || want_write_)) listener_->on_ready(want_read_, want_write_);
  }
  void on_ready(bool readable, bool writable) override {
    if (listener_ != nullptr) listener_->on_ready(readable, writable);
  }
  void on_peer_end() override {
    if (listener_ != nullptr) listener_->on_peer_end();
  }
  void on_failure(std::error_code error) override {
    if (listener_ != nullptr) listener_->on_failure(error);
  }

 private:
  IoResult fail() {
    broken_ = true;
    return IoResult::failed(Errc::reset);
  }

  void hold() {
    std::array<std::byte, 4096> memory;
    const IoResult result = below_->read(Bytes(memory).first(std::min(memory.size(), faults_.hold_input_)));
    if (result.status == IoStatus::ok) held_.assign(reinterpret_cast<const char*>(memory.data()), result.count);
  }

  bool pretends_to_block() {
    if (faults_.would_block_ == 0 || random_() % 100 >= faults_.would_block_) return false;
    denied_ = true;
    loop_.add_hook(*this);
    return true;
  }

  IOLoop& loop_;
  std::unique_ptr<Transport> below_;
  Faults faults_;
  std::minstd_rand random_;
  TransportListener* listener_ = nullptr;
  std::string held_;
  std::size_t reads_ = 0;
  std::size_t writes_ = 0;
  bool broken_ = false;
  bool denied_ = false;
  bool want_read_ = false;
  bool want_write_ = false;
};

std::unique_ptr<Transport> make_faulty_transport(std::unique_ptr<Transport> below, const Faults& faults) {
  return std::make_unique<FaultyTransport>(std::move(below), faults);
}

// ---- behaviours

namespace {

std::vector<Behaviour>& table() {
  static std::vector<Behaviour> all;
  return all;
}

std::string_view file_name(const char* path) noexcept {
  const std::string_view text(path);
  const std::size_t slash = text.rfind('/');
  return slash == std::string_view::npos ? text : text.substr(slash + 1);
}

}  // namespace

std::string words(Needs needs, std::string_view between) {
  static constexpr std::pair<Needs, const char*> kWords[] = {
      {Needs::tcp, "tcp"},         {Needs::listen, "listen"},   {Needs::fds, "fds"},
      {Needs::threads, "threads"}, {Needs::signals, "signals"}, {Needs::stop_token, "std::stop_token"},
      {Needs::http, "http"}};
  std::string text;
  for (const auto& [need, word] : kWords) {
    if (covers(needs, need)) text.append(text.empty() ? "" : between).append(word);
  }
  return text;
}

const std::vector<Behaviour>& behaviours() { return table(); }

Registration::Registration(std::string name, Needs needs, std::function<Future<void>()> run) {
  table().push_back({std::move(name), needs, std::move(run)});
}

ExpectationFailed::ExpectationFailed(std::string_view what, const Location& where)
    : Error(Errc::protocol, std::string(file_name(where.file_name())) + ":" + std::to_string(where.line()) + ": " +
                                std::string(what)) {}

void expect(bool condition, std::string_view what, const Location& where) {
  if (!condition) throw ExpectationFailed(what, where);
}

std::string detail::shown(std::string_view text) {
  constexpr std::size_t kShown = 200;
  std::string quoted = "\"";
  quoted.append(text.substr(0, kShown)).append("\"");
  return text.size() <= kShown ? quoted : quoted + "… (" + std::to_string(text.size()) + " bytes)";
}

Future<int> run_behaviours(Needs have, std::string_view filter, void (*print)(std::string_view line)) {
  std::vector<const Behaviour*> chosen;
  for (const Behaviour& behaviour : table()) {
    if (behaviour.name.find(filter) != std::string_view::npos) chosen.push_back(&behaviour);
  }
  print("1.." + std::to_string(chosen.size()));
  int status = 0;
  std::size_t number = 0;
  for (const Behaviour* behaviour : chosen) {
    const std::string title = std::to_string(++number) + " - " + behaviour->name;
    if (!covers(have, behaviour->needs)) {
      print("ok " + title + " # SKIP this platform has no " + words(behaviour->needs - have, ", "));
      continue;
    }
    const Result<void> result = co_await as_result(with_timeout(std::chrono::seconds(60), behaviour->run()));
    print((result.ok() ? "ok " : "not ok ") + title);
    if (result.ok()) continue;
    print("# " + result.failure().message());
    status = 1;
  }
  co_return status;
}

}  // namespace twinloop::testing
