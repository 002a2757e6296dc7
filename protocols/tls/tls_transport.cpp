#include "protocols/tls/tls_transport.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "protocols/tls/tls_failure.h"
#include "twinloop/iostream.h"
#include "twinloop/log.h"

namespace twinloop::detail {

// What OpenSSL reads from and writes to.
struct TlsBio {
  static BIO* make(TlsTransport& transport) {
    static BIO_METHOD* const method = make_method();
    BIO* bio = BIO_new(method);
    if (bio == nullptr) throw std::bad_alloc();
    BIO_set_data(bio, &transport);
    BIO_set_init(bio, 1);
    return bio;
  }

 private:
  static BIO_METHOD* make_method() {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "twinloop");
    BIO_meth_set_read_ex(method, &TlsBio::read);
    BIO_meth_set_write_ex(method, &TlsBio::write);
    BIO_meth_set_ctrl(method, &TlsBio::control);
    return method;
  }

  static TlsTransport& transport(BIO* bio) { return *static_cast<TlsTransport*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* into, std::size_t size, std::size_t* count) {
    BIO_clear_retry_flags(bio);
    const IoResult result = transport(bio).receive(std::as_writable_bytes(std::span(into, size)));
    *count = result.count;
    if (result.count > 0) return 1;
    BIO_set_retry_read(bio);
    return -1;
  }

  static int write(BIO* bio, const char* from, std::size_t size, std::size_t* count) {
    BIO_clear_retry_flags(bio);
    transport(bio).send(std::as_bytes(std::span(from, size)));
    *count = size;
    return 1;
  }

  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }
};

namespace {

constexpr std::size_t kMaxRecord = SSL3_RT_MAX_PLAIN_LENGTH;
constexpr std::size_t kMaxHeld = 256 * 1024;  // a peer that never reads and makes us answer
constexpr std::size_t kKeptMemory = 1024;     // of a drained output buffer
constexpr std::uint8_t kReadsAtOnce = 8;      // without giving the reader a byte; then other streams have their turn
constexpr unsigned kHandshakesPerTurn = 5;
constexpr Duration kLeaveTimeout = std::chrono::seconds(2);

// Handshakes keep the processor long, and a crowd of new connections must not stop the established ones.  The clock, which is
// frozen for a turn, tells one turn from another.
bool may_shake_hands(const IOLoop& loop) {
  struct Turn {
    const IOLoop* loop;
    TimePoint began;
    unsigned left;
  };
  static thread_local Turn turn{};
  if (turn.loop != &loop || turn.began != loop.time()) turn = {&loop, loop.time(), kHandshakesPerTurn};
  if (turn.left == 0) return false;
  --turn.left;
  return true;
}

ConstBytes as_bytes(std::string_view text) noexcept { return std::as_bytes(std::span(text)); }

bool is_address(const std::string& host) noexcept {
  ASN1_OCTET_STRING* address = a2i_IPADDRESS(host.c_str());
  ASN1_OCTET_STRING_free(address);
  return address != nullptr;
}

// The bytes of the next record: those of the first piece where they fill it, else all that fit, joined.
ConstBytes next_record(std::span<const ConstBytes> pieces, std::array<std::byte, kMaxRecord>& memory) {
  while (!pieces.empty() && pieces.front().empty()) pieces = pieces.subspan(1);
  if (pieces.empty()) return {};
  if (pieces.size() == 1 || pieces.front().size() >= kMaxRecord) {
    return pieces.front().first(std::min(pieces.front().size(), kMaxRecord));
  }
  std::size_t size = 0;
  for (const ConstBytes piece : pieces) {
    const std::size_t part = std::min(piece.size(), memory.size() - size);
    if (part > 0) std::memcpy(memory.data() + size, piece.data(), part);
    size += part;
  }
  return ConstBytes(memory).first(size);
}

}  // namespace

TlsTransport::TlsTransport(std::unique_ptr<Transport> lower, TlsSetup setup)
    : loop_(IOLoop::current()),
      state_(std::move(setup.state)),
      material_(state_->material()),
      lower_(std::move(lower)),
      ssl_(SSL_new(material_->context.get())),
      session_(ssl_.get()),
      description_(std::move(setup.description)),
      initial_input_(std::move(setup.initial_input)) {
  if (!ssl_) throw std::bad_alloc();
  BIO* bio = TlsBio::make(*this);
  SSL_set_bio(ssl_.get(), bio, bio);
  if (state_->role() == TlsRole::client) {
    SSL_set_connect_state(ssl_.get());
    prepare_client(setup.host, setup.port);
  } else {
    SSL_set_accept_state(ssl_.get());
  }
  lower_->set_listener(this);
}

TlsTransport::~TlsTransport() { close(Errc::local); }

void TlsTransport::prepare_client(const std::string& host, std::uint16_t port) {
  SSL* ssl = ssl_.get();
  const bool address = is_address(host);
  if (!address && !host.empty()) SSL_set_tlsext_host_name(ssl, host.c_str());
  if (state_->verifies_host()) {
    X509_VERIFY_PARAM* rules = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    const int set = address ? X509_VERIFY_PARAM_set1_ip_asc(rules, host.c_str())
                            : X509_VERIFY_PARAM_set1_host(rules, host.data(), host.size());
    if (set != 1 || host.empty()) throw Error(Errc::bad_certificate, description_ + ": there is no host to verify");
  }
  slot_ = {&state_->sessions(), host + ":" + std::to_string(port)};
  SSL_set_app_data(ssl, &slot_);
  if (const SslSessionPtr session = slot_.cache->take(slot_.server)) SSL_set_session(ssl, session.get());
}

// ---- the handshake

Future<void> TlsTransport::handshake() {
  if (state_->role() == TlsRole::client || unread() > 0) loop_.add_hook(*this);
  update_interest();
  return handshake_.get_future();
}

void TlsTransport::advance_handshake() {
  if (broken_) return;
  if (!may_shake_hands(loop_)) return loop_.add_hook(*this);
  ERR_clear_error();
  reads_left_ = kReadsAtOnce;
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) {
    established_ = true;
    stalled_ = false;
  } else {
    note_unread(result);
    if (!stalled_ && !input_over()) loop_.add_hook(*this);
  }
  update_interest();
  if (established_) {
    handshake_.set_value();
    arrange();
  } else if (failure() || input_ended_) {
    fail_handshake();
  }
}

void TlsTransport::fail_handshake() {
  const std::error_code error = failure() ? failure() : make_error_code(Errc::truncated);
  std::string text = description_ + ": the connection ended during the TLS handshake";
  if (reason_of(error) == Errc::io) text += ": " + error.message();
  handshake_.set_error(Failure(reason_of(error), std::move(text)));
}

// ---- reading

IoResult TlsTransport::read(Bytes into) {
  if (closed_) return IoResult::failed(Errc::local);
  if (!established_) return IoResult::would_block();
  std::size_t count = 0;
  if (!input_over()) {
    ERR_clear_error();
    reads_left_ = kReadsAtOnce;
    const int result = SSL_read_ex(ssl_.get(), into.data(), into.size(), &count);
    if (result != 1) note_unread(result);
    write_needs_read_ = false;
    update_interest();
    arrange();
  }
  if (count > 0) return IoResult::done(count);
  if (input_failure_) {
    failure_told_ = true;
    return IoResult::failed(input_failure_);
  }
  if (!input_ended_) return IoResult::would_block();
  end_told_ = true;
  return IoResult::end();
}

// A call that wanted input gave none.
void TlsTransport::note_unread(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_ZERO_RETURN:
      input_ended_ = true;
      return;
    case SSL_ERROR_WANT_READ:
      if (lower_error_ && stalled_) input_failure_ = lower_error_;
      if (lower_ended_ && !input_failure_ && stalled_) end_without_goodbye();
      return;
    default:
      return fail();
  }
}

void TlsTransport::end_without_goodbye() {
  const bool within_record = SSL_has_pending(ssl_.get()) == 1;
  if (established_ && state_->allows_truncated_end() && !within_record) {
    input_ended_ = true;
  } else {
    input_failure_ = Errc::truncated;
  }
}

// OpenSSL gave up; it has told the peer why, and nothing more goes either way.
void TlsTransport::fail() {
  const TlsFailure failure = take_tls_failure(ssl_.get());
  std::string text = description_ + ": " + failure.words;
  broken_ = true;
  input_failure_ = output_failure_ = failure.reason;
  if (established_) {
    log(LogLevel::info, text);
  } else {
    handshake_.set_error(Failure(failure.reason, std::move(text)));
  }
}

IoResult TlsTransport::receive(Bytes into) {
  if (unread() > 0) {
    const std::size_t count = std::min(into.size(), unread());
    std::memcpy(into.data(), initial_input_.data() + initial_taken_, count);
    initial_taken_ += count;
    if (unread() == 0) initial_input_ = std::string();
    if (initial_input_.empty()) initial_taken_ = 0;
    return IoResult::done(count);
  }
  if (reads_left_ == 0) {
    stalled_ = false;
    return IoResult::would_block();
  }
  --reads_left_;
  const IoResult result = lower_->read(into);
  stalled_ = result.status != IoStatus::ok;
  lower_ended_ = lower_ended_ || result.status == IoStatus::end;
  if (result.status == IoStatus::error) lower_error_ = result.error;
  return result;
}

// ---- writing

IoResult TlsTransport::write(std::span<const ConstBytes> pieces) {
  if (closed_ || said_goodbye()) return IoResult::failed(Errc::local);
  if (!established_) return IoResult::would_block();
  const IoResult earlier = send_held();
  if (earlier.status != IoStatus::ok) return earlier;
  std::array<std::byte, kMaxRecord> memory;
  const ConstBytes record = next_record(pieces, memory);
  if (record.empty()) return IoResult::done();
  ERR_clear_error();
  std::size_t count = 0;
  const int result = SSL_write_ex(ssl_.get(), record.data(), record.size(), &count);
  if (result != 1 && SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ) return wait_for_input();
  if (result != 1 && !output_failure_) fail();
  if (output_failure_) return IoResult::failed(output_failure_);
  if (held() > 0) update_interest();
  return IoResult::done(count);
}

// In the middle of a message that came in several records, a ticket perhaps, OpenSSL sends nothing before it has the rest.
IoResult TlsTransport::wait_for_input() {
  write_needs_read_ = true;
  update_interest();
  return IoResult::would_block();
}

// Once the output has failed it goes nowhere, but the input may go on.
void TlsTransport::send(ConstBytes bytes) {
  if (held() == 0 && !output_failure_) {
    const IoResult result = lower_->write(std::span(&bytes, 1));
    if (result.status == IoStatus::error) output_failure_ = result.error;
    if (result.status == IoStatus::ok) bytes = bytes.subspan(result.count);
  }
  if (held() + bytes.size() > kMaxHeld) output_failure_ = Errc::limit;
  if (!output_failure_) held_output_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

IoResult TlsTransport::send_held() {
  while (held() > 0 && !output_failure_) {
    const ConstBytes rest = as_bytes(std::string_view(held_output_).substr(held_sent_));
    const IoResult result = lower_->write(std::span(&rest, 1));
    if (result.status == IoStatus::error) {
      output_failure_ = result.error;
    } else if (result.status != IoStatus::ok || result.count == 0) {
      return IoResult::would_block();
    }
    held_sent_ += result.count;
  }
  held_output_.clear();
  held_sent_ = 0;
  if (held_output_.capacity() > kKeptMemory) held_output_ = std::string();
  return output_failure_ ? IoResult::failed(output_failure_) : IoResult::done();
}

IoResult TlsTransport::flush() {
  if (closed_) return IoResult::done();
  const IoResult result = send_held();
  update_interest();
  return result.status == IoStatus::ok ? lower_->flush() : result;
}

IoResult TlsTransport::shutdown_write() {
  if (closed_) return IoResult::failed(Errc::local);
  if (!established_) return IoResult::would_block();
  if (!said_goodbye() && !broken_) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    if (!said_goodbye()) return wait_for_input();
  }
  const IoResult result = flush();
  const bool needs_none = input_ended_ && result.status == IoStatus::error && !broken_;
  return needs_none ? IoResult::done() : result;
}

std::size_t TlsTransport::pending_input() const noexcept {
  const std::size_t decoded = established_ ? static_cast<std::size_t>(SSL_pending(ssl_.get())) : 0;
  return unread() + decoded + (lower_ != nullptr ? lower_->pending_input() : 0);
}

std::size_t TlsTransport::pending_output() const noexcept {
  return held() + (lower_ != nullptr ? lower_->pending_output() : 0);
}

// ---- interest

void TlsTransport::want(bool read, bool write) {
  if (closed_) return;
  want_read_ = read;
  want_write_ = write;
  update_interest();
  arrange();
}

bool TlsTransport::readable_here() const noexcept {
  return input_over() || unread() > 0 || (!stalled_ && SSL_has_pending(ssl_.get()) == 1);
}

void TlsTransport::update_interest() {
  if (closed_) return;
  const bool open = !lower_ended_ && !lower_error_ && !input_over();
  const bool read = open && (!established_ || write_needs_read_ || (want_read_ && !readable_here()));
  const bool room = established_ && want_write_ && !write_needs_read_;
  lower_->want(read, !output_failure_ && (held() > 0 || room));
}

void TlsTransport::set_listener(TransportListener* listener) noexcept {
  listener_ = listener;
  end_told_ = failure_told_ = false;
  arrange();
}

void TlsTransport::arrange() noexcept {
  if (listener_ == nullptr || !established_) return;
  const bool due = (failure() && !failure_told_) || (input_ended_ && !end_told_);
  if (due || (want_read_ && readable_here())) loop_.add_hook(*this);
}

// ---- notices; the listener may close or destroy this transport, so it is called last

void TlsTransport::on_turn() {
  if (!established_) return advance_handshake();
  if (listener_ == nullptr) return;
  if (failure() && !failure_told_) {
    failure_told_ = true;
    return listener_->on_failure(failure());
  }
  if (input_ended_ && !end_told_) {
    end_told_ = true;
    arrange();
    return listener_->on_peer_end();
  }
  if (want_read_ && readable_here()) listener_->on_ready(true, false);
}

void TlsTransport::on_ready(bool readable, bool writable) {
  if (writable && held() > 0) send_held();
  if (readable) stalled_ = write_needs_read_ = false;
  update_interest();
  if (!established_) {
    if (readable) loop_.add_hook(*this);
    return;
  }
  arrange();
  const bool read = readable && want_read_;
  const bool write = writable && want_write_ && held() == 0;
  if (listener_ != nullptr && (read || write)) listener_->on_ready(read, write);
}

// Only a hint: what was sent before that end, a close_notify perhaps, is still to be read.
void TlsTransport::on_peer_end() { on_ready(true, false); }

void TlsTransport::on_failure(std::error_code error) {
  if (input_ended_ && said_goodbye()) return;  // nothing is lost
  if (!output_failure_) output_failure_ = error;
  held_output_ = std::string();
  held_sent_ = 0;
  if (!established_) return on_ready(true, false);
  if (listener_ == nullptr || failure_told_) return;
  failure_told_ = true;
  listener_->on_failure(failure());
}

// ---- closing

void TlsTransport::close(std::error_code reason) noexcept {
  if (closed_) return;
  closed_ = true;
  unlink();
  listener_ = nullptr;
  handshake_.set_error(reason);
  lower_->set_listener(nullptr);
  if (broken_ && !lower_error_ && loop_is_there()) return leave();
  lower_->close(reason);
}

// Gives the transport below to the loop: it sends what is held and lets go when the peer has ended, or soon.
void TlsTransport::leave() noexcept {
  StreamOptions options;
  options.linger_timeout(kLeaveTimeout);
  IOStream lower(std::move(lower_), options);
  if (held() > 0) lower.write(std::string_view(held_output_).substr(held_sent_)).ignore();
  held_output_ = std::string();
  held_sent_ = 0;
}

}  // namespace twinloop::detail
