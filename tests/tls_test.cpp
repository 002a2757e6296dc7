// TLS over in-process pipes and a clock that jumps: bytes both ways, and every ending.
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <string>
#include <utility>
#include <vector>

#include "protocols/tls/context.h"
#include "tls_streams.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::tls_test;
using twinloop::testing::Faults;

namespace {

// The records of application data among what was sent: their lengths on the wire.
std::vector<std::size_t> record_sizes(std::string_view bytes) {
  std::vector<std::size_t> sizes;
  while (bytes.size() >= 5) {
    const std::size_t size = static_cast<unsigned char>(bytes[3]) * 256u + static_cast<unsigned char>(bytes[4]);
    sizes.push_back(size);
    bytes.remove_prefix(std::min(bytes.size(), 5 + size));
  }
  return sizes;
}

// A carrier that counts what is taken from it.
class Counting final : public Transport {
 public:
  Counting(std::unique_ptr<Transport> below, std::shared_ptr<std::size_t> taken)
      : below_(std::move(below)), taken_(std::move(taken)) {}

  IoResult read(Bytes into) override {
    const IoResult result = below_->read(into);
    *taken_ += result.count;
    return result;
  }
  IoResult write(std::span<const ConstBytes> pieces) override { return below_->write(pieces); }
  IoResult shutdown_write() override { return below_->shutdown_write(); }
  void close(std::error_code reason) noexcept override { below_->close(reason); }
  void want(bool read, bool write) override { below_->want(read, write); }
  void set_listener(TransportListener* listener) noexcept override { below_->set_listener(listener); }

 private:
  std::unique_ptr<Transport> below_;
  std::shared_ptr<std::size_t> taken_;  // it may linger
};

}  // namespace

// ---- bytes

TEST_CASE("tls: a megabyte goes both ways at once, and both halves end") {
  run([]() -> Future<void> {
    Ends ends = co_await make_ends();
    co_await exchange(ends, 1 << 20);
  });
}

TEST_CASE("tls: a carrier that moves a few bytes at a time, and often none, carries the same") {
  run([]() -> Future<void> {
    for (unsigned seed = 1; seed <= 6; ++seed) {
      auto [a, b] = make_pair_transports();
      const Faults slow =
          Faults().seed(seed).max_read(seed).max_write(seed * 7).would_block(30).hold_input(seed % 2 * 50);
      Ends below(IOStream(twinloop::testing::make_faulty_transport(std::move(a), slow)),
                 IOStream(twinloop::testing::make_faulty_transport(std::move(b), slow)));
      Ends ends = co_await shake_hands(std::move(below), TlsClientContext(client_options()),
                                       TlsServerContext(server_options()));
      co_await exchange(ends, 40'000);
    }
  });
}

TEST_CASE("tls: a ticket that comes in pieces holds up the writes in between, and breaks nothing") {
  run([]() -> Future<void> {
    const Issued alice = authority().issue(Wish("alice"));
    const TlsServerContext server(
        server_options().add_authority(authority().certificate()).verify(TlsVerify::required));
    SSL_CTX_set_max_send_fragment(server.state()->material()->context.get(), 512);  // a ticket holds the certificate
    for (unsigned seed = 1; seed <= 6; ++seed) {
      auto [a, b] = make_pair_transports();
      const Faults slow = Faults().seed(seed).max_read(3).would_block(30);
      Ends below(IOStream(twinloop::testing::make_faulty_transport(std::move(a), slow)), IOStream(std::move(b)));
      Ends ends =
          co_await shake_hands(std::move(below), TlsClientContext(client_options().identity(alice.identity())), server);
      std::string said;
      while (said.size() < 400) {
        co_await ends.client.write("x");
        co_await ends.client.flush();
        said += co_await ends.server.read_some();
      }
      co_await exchange(ends, 10'000);
    }
  });
}

TEST_CASE("tls: what is written in one turn is one record, and 16 KiB are the most") {
  run([]() -> Future<void> {
    Wire wire;
    Ends ends =
        co_await shake_hands(wire.ends(), TlsClientContext(client_options()), TlsServerContext(server_options()));
    co_await ends.client.write("hello");
    co_await ends.server.read_bytes(5);
    wire.sent_there.clear();
    co_await ends.client.write("one ");
    co_await ends.client.write("two");
    co_await ends.server.read_bytes(7);
    CHECK(record_sizes(wire.sent_there) == std::vector<std::size_t>{7 + 17});
    wire.sent_there.clear();
    Future<void> writing = ends.client.write(std::string(40'000, 'x'));
    co_await ends.server.read_bytes(40'000);
    co_await std::move(writing);
    CHECK(record_sizes(wire.sent_there) == std::vector<std::size_t>{16384 + 17, 16384 + 17, 7232 + 17});
  });
}

TEST_CASE("tls: a peer that does not read is given no more than the carrier takes and one record") {
  run([]() -> Future<void> {
    Ends ends = co_await make_ends();
    std::string leftover;
    const std::unique_ptr<Transport> transport = ends.client.detach(leftover);
    const std::string bytes = pattern(16'384);
    const ConstBytes piece = std::as_bytes(std::span(bytes));
    std::size_t taken = 0;
    for (IoResult result; (result = transport->write(std::span(&piece, 1))).status == IoStatus::ok;)
      taken += result.count;
    CHECK(taken <= (64 + 16) * 1024);
    CHECK(transport->pending_output() <= 16'384 + 100);
    const std::string received = co_await ends.server.read_bytes(taken);
    CHECK(received.size() == taken);
    CHECK(transport->pending_output() == 0);
  });
}

TEST_CASE(
    "tls: a peer that does not stop gets rid of two records more than max_buffer_size, or read_ahead while nobody "
    "reads") {
  run([]() -> Future<void> {
    constexpr std::size_t kMost = 50'000;
    constexpr std::size_t kReadAhead = 5'000;
    constexpr std::size_t kTwoRecords = 33 * 1024;
    for (const bool asked : {false, true}) {
      const auto taken = std::make_shared<std::size_t>(0);
      auto [a, b] = make_pair_transports();
      Ends below(IOStream(std::move(a)), IOStream(std::make_unique<Counting>(std::move(b), taken)));
      Future<IOStream> accepting = start_tls(std::move(below.server), TlsServerContext(server_options()),
                                             StreamOptions().max_buffer_size(kMost).read_ahead(kReadAhead));
      IOStream client = co_await start_tls(std::move(below.client), TlsClientContext(client_options()), "localhost");
      IOStream server = co_await std::move(accepting);
      const std::size_t before = *taken;
      client.write(std::string(1'000'000, 'x')).ignore();
      Future<std::string> line;
      if (asked) line = server.read_until("\n");
      std::size_t held = 0;  // what a closed stream discards is not
      for (int turn = 0; turn < 100 && !server.is_closed(); ++turn) {
        held = *taken - before;
        co_await moment();
      }
      CHECK(server.is_closed() == asked);
      CHECK(held > 16'384);
      CHECK(held <= (asked ? kMost : kReadAhead) + kTwoRecords);
      if (asked) co_await twinloop::testing::expect_failure(std::move(line), Errc::overflow);
    }
  });
}

TEST_CASE("tls: a transport tells of decoded input while that is wanted, and of the peer's end once and unasked") {
  struct Notices final : TransportListener {
    void on_ready(bool readable, bool) override { told += readable ? "r" : "w"; }
    void on_peer_end() override { told += "e"; }
    void on_failure(std::error_code) override { told += "f"; }
    std::string told;
  };
  run([]() -> Future<void> {
    Ends ends = co_await make_ends();
    co_await send_and_end(ends.server, "held");
    std::string leftover;
    const std::unique_ptr<Transport> transport = ends.client.detach(leftover);
    REQUIRE(leftover.empty());
    Notices notices;
    transport->set_listener(&notices);
    transport->want(true, false);
    co_await sleep_for(1ms);
    CHECK(notices.told.starts_with("r"));
    std::array<std::byte, 2> memory;
    CHECK(transport->read(memory).count == 2);
    CHECK(transport->pending_input() == 2);
    notices.told.clear();
    co_await sleep_for(1ms);
    CHECK(notices.told.starts_with("r"));
    CHECK(transport->read(memory).count == 2);
    CHECK(transport->read(memory).status == IoStatus::end);
    notices.told.clear();
    co_await sleep_for(1ms);
    CHECK(notices.told.find('e') == std::string::npos);
  });
}

// ---- endings

TEST_CASE("tls: close_notify is the end of the input, and writing goes on after it") {
  run([]() -> Future<void> {
    Ends ends = co_await make_ends();
    co_await send_and_end(ends.client, "request");
    const std::string request = co_await ends.server.read_until_close();
    CHECK(request == "request");
    CHECK(ends.server.error() == make_error_code(Errc::end));
    co_await ends.server.write(pattern(100'000));
    const std::string answer = co_await ends.client.read_bytes(100'000);
    CHECK(answer == pattern(100'000));
    co_await ends.server.finish();
    co_await ends.client.finish();
  });
}

TEST_CASE("tls: a connection that ends without close_notify is truncated, and what came before is readable") {
  run([]() -> Future<void> {
    Wire wire;
    Ends ends =
        co_await shake_hands(wire.ends(), TlsClientContext(client_options()), TlsServerContext(server_options()));
    co_await ends.server.write("all of it?");
    co_await ends.server.flush();
    co_await ends.client.read_bytes(6);
    wire.cut();
    co_await ends.client.closed();
    CHECK(ends.client.error() == make_error_code(Errc::truncated));
    const std::string rest = co_await ends.client.read_bytes(4);
    CHECK(rest == " it?");
    co_await twinloop::testing::expect_failure(ends.client.read_bytes(1), Errc::truncated);
  });
}

TEST_CASE("tls: allow_truncated_end takes a connection's end for an end, but not within a record") {
  run([]() -> Future<void> {
    for (const bool within : {false, true}) {
      Wire wire;
      const TlsOptions lenient = client_options().allow_truncated_end(true);
      Ends ends = co_await shake_hands(wire.ends(), TlsClientContext(lenient), TlsServerContext(server_options()));
      co_await ends.server.write("whole");
      co_await ends.client.read_bytes(5);
      if (within) {
        wire.stop();
        co_await wire.to_client().write(std::string("\x17\x03\x03\x00\x40half", 9));
      }
      wire.cut();
      co_await ends.client.peer_ended();
      CHECK(ends.client.error() == make_error_code(within ? Errc::truncated : Errc::end));
    }
  });
}

TEST_CASE("tls: a stream that is closed delivers what was accepted and says close_notify") {
  run([]() -> Future<void> {
    Ends ends = co_await make_ends();
    ends.server.write(std::string(300'000, 'x')).ignore();
    ends.server.close();
    const std::string all = co_await ends.client.read_until_close();
    CHECK(all.size() == 300'000);
    CHECK(ends.client.error() == make_error_code(Errc::end));
  });
}

TEST_CASE("tls: an aborted stream says no close_notify, and the peer sees a reset") {
  run([]() -> Future<void> {
    Ends ends = co_await make_ends();
    ends.client.abort();
    co_await ends.server.closed();
    CHECK(ends.server.error() == make_error_code(Errc::reset));
  });
}

TEST_CASE("tls: a changed byte fails the stream with protocol, and the peer hears of it") {
  run([]() -> Future<void> {
    Wire wire;
    Ends ends =
        co_await shake_hands(wire.ends(), TlsClientContext(client_options()), TlsServerContext(server_options()));
    co_await ends.server.write("whole");
    co_await ends.client.read_bytes(5);
    wire.stop();
    co_await wire.to_client().write(std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x'));
    co_await ends.client.closed();
    CHECK(ends.client.error() == make_error_code(Errc::protocol));
    const std::string alert = co_await wire.to_client().read_until_close();
    CHECK(!alert.empty());
  });
}

TEST_CASE("tls: an error below at any call is a reset, and nothing hangs") {
  run([]() -> Future<void> {
    std::size_t survived = 0;
    for (std::size_t call = 1; call <= 60; ++call) {
      auto [a, b] = make_pair_transports();
      const Faults faults = call % 2 == 0 ? Faults().fail_read_at(call / 2) : Faults().fail_write_at(call / 2 + 1);
      Ends below(IOStream(twinloop::testing::make_faulty_transport(std::move(a), faults)), IOStream(std::move(b)));
      const Result<void> done = co_await as_result(shake_hands_and_exchange(std::move(below)));
      INFO("call " << call << ": " << (done.ok() ? "" : done.failure().message()));
      CHECK((done.ok() || done.reason() == Errc::reset || done.reason() == Errc::truncated));
      survived += done.ok() ? 1 : 0;
    }
    CHECK(survived > 0);
    CHECK(survived < 60);
  });
}

TEST_CASE("tls: the peer's end is noticed while nobody reads, behind unread bytes") {
  run([]() -> Future<void> {
    Ends ends = co_await make_ends();
    co_await ends.client.write("nobody reads this");
    ends.client.close();
    co_await ends.server.peer_ended();
    CHECK(ends.server.buffered() == 17);
  });
}

TEST_CASE("tls: session tickets are no input") {
  run([]() -> Future<void> {
    Ends ends = co_await make_ends();
    Future<std::string> read = ends.client.read_some();
    co_await turns(20);
    CHECK_FALSE(read.done());
    CHECK(ends.client.buffered() == 0);
  });
}
