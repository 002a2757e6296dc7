// TLS over in-process pipes and a clock that jumps: bytes both ways, every ending, every refusal.
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <string>
#include <utility>
#include <vector>

#include "protocols/tls/tls_transport.h"
#include "tls_fixtures.h"
#include "twinloop/log.h"
#include "twinloop/net.h"
#include "twinloop/testing.h"
#include "twinloop/timing.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::tls_test;
using Catch::Matchers::ContainsSubstring;
using detail::TlsSetup;
using detail::TlsTransport;
using twinloop::testing::Faults;

namespace {

// A hang is an error at once: this loop refuses to sleep for ever.
void run(Future<void> (*work)()) {
  IOLoop loop(std::make_unique<twinloop::testing::ManualBackend>());
  loop.run_sync(work);
  loop.wind_down(30s);
}

Future<Ends> shake_hands(Ends below, TlsClientContext client, TlsServerContext server, std::string host = "localhost") {
  Future<IOStream> accepting = start_tls(std::move(below.server), server);
  IOStream connected = co_await start_tls(std::move(below.client), client, host);
  IOStream accepted = co_await std::move(accepting);
  co_return Ends(std::move(connected), std::move(accepted));
}

Future<Ends> make_ends() {
  return shake_hands(make_pipe(), TlsClientContext(client_options()), TlsServerContext(server_options()));
}

struct Outcome {
  Result<IOStream> client;
  Result<IOStream> server;
};

// A handshake that one end refuses.
Future<Outcome> try_handshake(TlsOptions client, TlsOptions server, std::string host = "localhost") {
  Ends below = make_pipe();
  Future<IOStream> accepting = start_tls(std::move(below.server), TlsServerContext(server));
  Future<IOStream> connecting = start_tls(std::move(below.client), TlsClientContext(client), host);
  Result<IOStream> connected = co_await as_result(std::move(connecting));
  Result<IOStream> accepted = co_await as_result(std::move(accepting));
  co_return Outcome{std::move(connected), std::move(accepted)};
}

void check_failed(const Result<IOStream>& end, Errc reason, const std::string& words) {
  REQUIRE_FALSE(end.ok());
  CHECK(name(end.reason()) == name(reason));
  CHECK_THAT(end.failure().message(), ContainsSubstring(words));
}

void check_open(const Outcome& outcome) {
  INFO((outcome.client.ok() ? "" : outcome.client.failure().message()));
  INFO((outcome.server.ok() ? "" : outcome.server.failure().message()));
  REQUIRE(outcome.client.ok());
  REQUIRE(outcome.server.ok());
}

Future<void> send_and_end(IOStream& stream, std::string bytes) {
  co_await stream.write(std::move(bytes));
  co_await stream.shutdown_write();
}

Future<void> exchange(Ends& ends, std::size_t size) {
  const std::string bytes = pattern(size);
  Future<void> up = send_and_end(ends.client, bytes);
  Future<void> down = send_and_end(ends.server, bytes);
  Future<std::string> received = ends.client.read_until_close();
  const std::string above = co_await ends.server.read_until_close();
  const std::string below = co_await std::move(received);
  co_await std::move(up);
  co_await std::move(down);
  CHECK(above == bytes);
  CHECK(below == bytes);
}

Future<void> shake_hands_and_exchange(Ends below) {
  const TlsClientContext client(client_options());
  Ends ends = co_await shake_hands(std::move(below), client, TlsServerContext(server_options()));
  co_await exchange(ends, 100'000);
}

Future<void> turns(int count) {
  for (int i = 0; i < count; ++i) co_await moment();
}

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

// ---- handshakes that fail

TEST_CASE("tls: a server that is sent something else says so and lets go") {
  run([]() -> Future<void> {
    Ends below = make_pipe();
    Future<IOStream> accepting = start_tls(std::move(below.server), TlsServerContext(server_options()));
    co_await below.client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    const Result<IOStream> accepted = co_await as_result(std::move(accepting));
    check_failed(accepted, Errc::protocol, "does not speak TLS (http request)");
    const std::string heard = co_await below.client.read_until_close();
    CHECK(heard.empty());
  });
}

TEST_CASE("tls: a client that is answered by something else says so") {
  run([]() -> Future<void> {
    Ends below = make_pipe();
    Future<IOStream> connecting = start_tls(std::move(below.client), TlsClientContext(client_options()), "localhost");
    co_await below.server.write("220 mail.example ESMTP\r\n");
    const Result<IOStream> connected = co_await as_result(std::move(connecting));
    check_failed(connected, Errc::protocol, "does not speak TLS");
  });
}

TEST_CASE("tls: a peer that stays silent, or falls silent in the middle, is given up at the deadline") {
  run([]() -> Future<void> {
    for (const std::size_t sent : {std::size_t{0}, std::size_t{100}}) {
      Wire wire;
      Ends ends = wire.ends();
      Future<IOStream> connecting = start_tls(std::move(ends.client), TlsClientContext(client_options()), "localhost");
      co_await turns(10);
      Ends below = make_pipe();
      const TimePoint began = IOLoop::current().clock();
      Future<IOStream> accepting = start_tls(std::move(below.server), TlsServerContext(server_options()));
      REQUIRE(wire.sent_there.size() > sent);
      co_await below.client.write(wire.sent_there.substr(0, sent));
      const Result<IOStream> accepted = co_await as_result(std::move(accepting));
      check_failed(accepted, Errc::timeout, "the TLS handshake");
      CHECK(IOLoop::current().clock() - began >= 10s);
      const Result<IOStream> connected = co_await as_result(std::move(connecting));
      check_failed(connected, Errc::timeout, "the TLS handshake");
    }
  });
}

TEST_CASE("tls: a peer that leaves in the middle of the handshake is truncated at once") {
  run([]() -> Future<void> {
    Ends below = make_pipe();
    const TimePoint began = IOLoop::current().clock();
    Future<IOStream> accepting = start_tls(std::move(below.server), TlsServerContext(server_options()));
    co_await below.client.write("\x16\x03\x01");
    below.client.close();
    const Result<IOStream> accepted = co_await as_result(std::move(accepting));
    check_failed(accepted, Errc::truncated, "during the TLS handshake");
    CHECK(IOLoop::current().clock() - began < 1s);
  });
}

TEST_CASE("tls: a dropped handshake ends the connection") {
  run([]() -> Future<void> {
    Ends below = make_pipe();
    {
      Future<IOStream> connecting = start_tls(std::move(below.client), TlsClientContext(client_options()), "localhost");
      co_await turns(3);
    }
    co_await below.server.peer_ended();
  });
}

// ---- certificates

TEST_CASE("tls: an unknown authority is refused by the client, and the server hears of it") {
  run([]() -> Future<void> {
    const Issued foreign = other_authority().issue(Wish("localhost").hosts("DNS:localhost"));
    const Outcome outcome = co_await try_handshake(client_options(), TlsOptions().identity(foreign.identity()));
    check_failed(outcome.client, Errc::bad_certificate, "unable to get local issuer certificate");
    check_failed(outcome.server, Errc::bad_certificate, "the peer refused: unknown CA");
  });
}

TEST_CASE("tls: without own authorities only the system's are trusted") {
  run([]() -> Future<void> {
    const Outcome outcome = co_await try_handshake(TlsOptions(), server_options());
    check_failed(outcome.client, Errc::bad_certificate, "certificate verify failed");
  });
}

TEST_CASE("tls: an expired certificate is refused, and one that is not valid yet") {
  run([]() -> Future<void> {
    const Issued old = authority().issue(Wish("localhost").hosts("DNS:localhost").valid(-20, -10));
    const Outcome expired = co_await try_handshake(client_options(), TlsOptions().identity(old.identity()));
    check_failed(expired.client, Errc::bad_certificate, "certificate has expired");
    const Issued early = authority().issue(Wish("localhost").hosts("DNS:localhost").valid(10, 20));
    const Outcome not_yet = co_await try_handshake(client_options(), TlsOptions().identity(early.identity()));
    check_failed(not_yet.client, Errc::bad_certificate, "not yet valid");
  });
}

TEST_CASE("tls: the certificate must be for the host that was asked for, a name or an address") {
  run([]() -> Future<void> {
    const Outcome elsewhere = co_await try_handshake(client_options(), server_options(), "example.org");
    check_failed(elsewhere.client, Errc::bad_certificate, "hostname mismatch");
    const Outcome address = co_await try_handshake(client_options(), server_options(), "127.0.0.2");
    check_failed(address.client, Errc::bad_certificate, "IP address mismatch");
    check_open(co_await try_handshake(client_options(), server_options(), "127.0.0.1"));
    check_open(co_await try_handshake(client_options(), server_options(), "::1"));
    check_open(co_await try_handshake(client_options(), server_options(), "localhost."));
    const Outcome nobody = co_await try_handshake(client_options(), server_options(), "");
    check_failed(nobody.client, Errc::bad_certificate, "no host");
  });
}

TEST_CASE("tls: a common name is no host name") {
  run([]() -> Future<void> {
    const Issued nameless = authority().issue(Wish("localhost"));
    const Outcome outcome = co_await try_handshake(client_options(), TlsOptions().identity(nameless.identity()));
    check_failed(outcome.client, Errc::bad_certificate, "hostname mismatch");
  });
}

TEST_CASE("tls: the checks can be switched off, and the name be another one") {
  run([]() -> Future<void> {
    const Issued foreign = other_authority().issue(Wish("localhost").hosts("DNS:localhost"));
    const TlsOptions server = TlsOptions().identity(foreign.identity());
    check_open(co_await try_handshake(TlsOptions().verify(TlsVerify::none), server, "example.org"));
    check_open(co_await try_handshake(client_options().verify_host(false), server_options(), "example.org"));
    check_open(co_await try_handshake(client_options().server_name("localhost"), server_options(), "example.org"));
  });
}

TEST_CASE("tls: a server that requires certificates refuses clients without, and foreign ones") {
  run([]() -> Future<void> {
    TlsOptions strict = server_options().add_authority(authority().certificate()).verify(TlsVerify::required);
    const Outcome without = co_await try_handshake(client_options(), strict);
    check_failed(without.server, Errc::bad_certificate, "peer did not return a certificate");
    const Issued foreign = other_authority().issue(Wish("mallory"));
    const Outcome mallory = co_await try_handshake(client_options().identity(foreign.identity()), strict);
    check_failed(mallory.server, Errc::bad_certificate, "unable to get local issuer certificate");

    const Issued alice = authority().issue(Wish("alice"));
    Outcome good = co_await try_handshake(client_options().identity(alice.identity()), strict);
    check_open(good);
    CHECK(good.server->tls()->peer_certificate()->subject == "CN=alice");
    CHECK(good.server->tls()->peer_certificate()->issuer == "CN=Test authority");
  });
}

TEST_CASE("tls: a client whose certificate is refused learns it at its first read") {
  run([]() -> Future<void> {
    const TlsOptions strict = server_options().add_authority(authority().certificate()).verify(TlsVerify::required);
    Outcome outcome = co_await try_handshake(client_options(), strict);
    REQUIRE(outcome.client.ok());
    const LogHandler former = set_log_handler([](LogLevel, std::string_view, const Location&) {});
    co_await twinloop::testing::expect_failure(outcome.client->read_bytes(1), Errc::bad_certificate);
    set_log_handler(former);
  });
}

TEST_CASE("tls: an optional certificate may be missing but not bad") {
  run([]() -> Future<void> {
    const TlsOptions curious = server_options().add_authority(authority().certificate()).verify(TlsVerify::optional);
    Outcome without = co_await try_handshake(client_options(), curious);
    check_open(without);
    CHECK_FALSE(without.server->tls()->peer_certificate());
    const Issued foreign = other_authority().issue(Wish("mallory"));
    const Outcome mallory = co_await try_handshake(client_options().identity(foreign.identity()), curious);
    check_failed(mallory.server, Errc::bad_certificate, "unable to get local issuer certificate");
  });
}

TEST_CASE("tls: certificates and keys that cannot be used are refused when the context is made") {
  const Folder folder;
  const auto refuse = [](const TlsOptions& options, const std::string& words) {
    try {
      const TlsServerContext context(options);
      FAIL("it was made");
    } catch (const Error& error) {
      CHECK(name(error.reason()) == "bad_certificate");
      CHECK_THAT(error.what(), ContainsSubstring(words));
    }
  };
  const Issued other = authority().issue(Wish("other"));
  refuse(TlsOptions(), "needs a certificate");
  refuse(TlsOptions().identity(TlsIdentity::pem("nonsense", localhost().key)), "no start line");
  refuse(TlsOptions().identity(TlsIdentity::pem(localhost().certificate, "nonsense")),
         "the private key (PEM in memory)");
  refuse(TlsOptions().identity(TlsIdentity::pem(localhost().certificate, other.key)), "key values mismatch");
  refuse(TlsOptions().identity(TlsIdentity::files(folder.path("absent.pem"), folder.path("key.pem"))),
         "absent.pem: No such file or directory");
  refuse(server_options().add_authority("nonsense"), "no start line");
  refuse(server_options().verify(TlsVerify::required), "add_authority");
}

TEST_CASE("tls: an encrypted key needs its password") {
  const KeyPtr key(EVP_EC_gen("P-256"));
  const std::string encrypted = encrypted_pem_of(key.get(), "secret");
  const BioPtr memory(BIO_new_mem_buf(localhost().key.data(), static_cast<int>(localhost().key.size())));
  const KeyPtr own(PEM_read_bio_PrivateKey(memory.get(), nullptr, nullptr, nullptr));
  const std::string locked = encrypted_pem_of(own.get(), "secret");
  CHECK_NOTHROW(TlsServerContext(TlsOptions().identity(TlsIdentity::pem(localhost().certificate, locked, "secret"))));
  CHECK_THROWS_AS(TlsServerContext(TlsOptions().identity(TlsIdentity::pem(localhost().certificate, locked, "wrong"))),
                  Error);
  CHECK_THROWS_AS(TlsServerContext(TlsOptions().identity(TlsIdentity::pem(localhost().certificate, locked))), Error);
}

// ---- what is agreed

TEST_CASE("tls: a stream tells what was agreed and who the peer is") {
  run([]() -> Future<void> {
    Ends ends = co_await make_ends();
    const TlsSession* session = ends.client.tls();
    REQUIRE(session != nullptr);
    CHECK(session->version() == "TLSv1.3");
    CHECK(session->cipher().starts_with("TLS_"));
    CHECK(session->protocol().empty());
    CHECK_FALSE(session->resumed());
    const std::optional<TlsCertificate> peer = session->peer_certificate();
    REQUIRE(peer);
    CHECK(peer->subject == "CN=localhost");
    CHECK(peer->names == std::vector<std::string>{"localhost", "127.0.0.1", "0:0:0:0:0:0:0:1"});
    CHECK(peer->pem == localhost().certificate);
    CHECK_FALSE(ends.server.tls()->peer_certificate());
    CHECK(ends.server.tls()->server_name() == "localhost");
    CHECK(make_pipe().client.tls() == nullptr);
  });
}

TEST_CASE("tls: of the protocols that the client offers the server takes its own first one") {
  run([]() -> Future<void> {
    const TlsOptions client = client_options().add_protocol("http/1.1").add_protocol("h2");
    Outcome both = co_await try_handshake(client, server_options().add_protocol("h2").add_protocol("http/1.1"));
    check_open(both);
    CHECK(both.client->tls()->protocol() == "h2");
    CHECK(both.server->tls()->protocol() == "h2");
    Outcome deaf = co_await try_handshake(client, server_options());
    check_open(deaf);
    CHECK(deaf.client->tls()->protocol().empty());
    const Outcome none = co_await try_handshake(client, server_options().add_protocol("smtp"));
    check_failed(none.client, Errc::protocol, "no application protocol");
  });
}

TEST_CASE("tls: a server shows the certificate of the host that it is asked for") {
  run([]() -> Future<void> {
    const Issued exact = authority().issue(Wish("exact").hosts("DNS:www.example.org"));
    const Issued any = authority().issue(Wish("any").hosts("DNS:*.example.org"));
    const TlsOptions server = server_options()
                                  .add_identity("www.Example.org", exact.identity())
                                  .add_identity("*.example.org", any.identity());
    Outcome www = co_await try_handshake(client_options(), server, "www.example.org");
    check_open(www);
    CHECK(www.client->tls()->peer_certificate()->subject == "CN=exact");
    CHECK(www.server->tls()->server_name() == "www.example.org");
    Outcome ftp = co_await try_handshake(client_options(), server, "ftp.example.org");
    check_open(ftp);
    CHECK(ftp.client->tls()->peer_certificate()->subject == "CN=any");
    check_open(co_await try_handshake(client_options(), server, "localhost"));
    const Outcome deeper = co_await try_handshake(client_options(), server, "a.b.example.org");
    check_failed(deeper.client, Errc::bad_certificate, "hostname mismatch");
  });
}

TEST_CASE("tls: a client that comes again resumes its session, each ticket once, and not with another host") {
  run([]() -> Future<void> {
    const TlsClientContext client(client_options());
    const TlsServerContext server(server_options());
    for (const bool resumed : {false, true, true}) {
      Ends ends = co_await shake_hands(make_pipe(), client, server);
      CHECK(ends.client.tls()->resumed() == resumed);
      CHECK(ends.server.tls()->resumed() == resumed);
      CHECK(ends.client.tls()->peer_certificate()->subject == "CN=localhost");
      co_await exchange(ends, 10);
    }
    Ends elsewhere = co_await shake_hands(make_pipe(), client, server, "127.0.0.1");
    CHECK_FALSE(elsewhere.client.tls()->resumed());
  });
}

TEST_CASE("tls: of the sessions kept the newest is given, one of TLS 1.3 once, and the oldest makes room") {
  const auto make = [](int version, char id) {
    detail::SslSessionPtr session(SSL_SESSION_new());
    SSL_SESSION_set_protocol_version(session.get(), version);
    const auto byte = static_cast<unsigned char>(id);
    SSL_SESSION_set1_id(session.get(), &byte, 1);
    return session;
  };
  const auto id = [](const detail::SslSessionPtr& session) {
    unsigned size = 0;
    return session ? static_cast<char>(*SSL_SESSION_get_id(session.get(), &size)) : '-';
  };
  detail::TlsSessionCache cache(3);
  cache.put("a:1", make(TLS1_3_VERSION, 'x'));
  cache.put("a:1", make(TLS1_3_VERSION, 'y'));
  cache.put("b:1", make(TLS1_2_VERSION, 'z'));
  CHECK(id(cache.take("c:1")) == '-');
  CHECK(id(cache.take("a:1")) == 'y');
  CHECK(id(cache.take("a:1")) == 'x');
  CHECK(id(cache.take("a:1")) == '-');
  CHECK(id(cache.take("b:1")) == 'z');
  CHECK(id(cache.take("b:1")) == 'z');
  for (const char next : {'1', '2', '3'}) cache.put("a:1", make(TLS1_3_VERSION, next));
  CHECK(id(cache.take("b:1")) == '-');
  CHECK(id(cache.take("a:1")) == '3');
  cache.clear();
  CHECK(id(cache.take("a:1")) == '-');
}

TEST_CASE("tls: a client with max_sessions(0) resumes nothing") {
  run([]() -> Future<void> {
    const TlsClientContext client(client_options().max_sessions(0));
    const TlsServerContext server(server_options());
    for (int i = 0; i < 2; ++i) {
      Ends ends = co_await shake_hands(make_pipe(), client, server);
      CHECK_FALSE(ends.client.tls()->resumed());
      co_await exchange(ends, 10);
    }
  });
}

TEST_CASE("tls: a reloaded certificate is for new connections, and old sessions are still resumed") {
  run([]() -> Future<void> {
    const Folder folder;
    folder.put("chain.pem", localhost().certificate);
    folder.put("key.pem", localhost().key);
    TlsServerContext server(
        TlsOptions().identity(TlsIdentity::files(folder.path("chain.pem"), folder.path("key.pem"))));
    const TlsClientContext client(client_options());
    Ends before = co_await shake_hands(make_pipe(), client, server);
    co_await before.server.write("x");
    co_await before.client.read_bytes(1);

    const Issued renewed = authority().issue(Wish("renewed").hosts("DNS:localhost"));
    folder.put("chain.pem", renewed.certificate);
    CHECK_THROWS_AS(server.reload(), Error);  // the key is still the old one
    folder.put("key.pem", renewed.key);
    server.reload();
    Ends resumed = co_await shake_hands(make_pipe(), client, server);
    CHECK(resumed.client.tls()->resumed());
    Ends after = co_await shake_hands(make_pipe(), TlsClientContext(client_options()), server);
    CHECK(after.client.tls()->peer_certificate()->subject == "CN=renewed");
    CHECK(before.client.tls()->peer_certificate()->subject == "CN=localhost");
    co_await exchange(before, 1000);

    server.replace_identity(localhost().identity());
    Ends last = co_await shake_hands(make_pipe(), TlsClientContext(client_options()), server);
    CHECK(last.client.tls()->peer_certificate()->subject == "CN=localhost");
  });
}

TEST_CASE("tls: the secrets of a connection go to the key log") {
  run([]() -> Future<void> {
    const Folder folder;
    const TlsClientContext client(client_options().key_log_file(folder.path("keys")));
    Ends ends = co_await shake_hands(make_pipe(), client, TlsServerContext(server_options()));
    const std::string log = folder.get("keys");
    CHECK_THAT(log, ContainsSubstring("CLIENT_TRAFFIC_SECRET_0 "));
    CHECK_THAT(log, ContainsSubstring("SERVER_TRAFFIC_SECRET_0 "));
    CHECK(log.ends_with('\n'));
  });
}

TEST_CASE("tls: SSLKEYLOGFILE names the key log of contexts that name none") {
  const Folder folder;
  ::setenv("SSLKEYLOGFILE", folder.path("keys").c_str(), 1);
  const TlsClientContext client(client_options());
  ::unsetenv("SSLKEYLOGFILE");
  CHECK(std::filesystem::exists(folder.path("keys")));
}

TEST_CASE("tls: a handshake, an exchange and the ends can be cancelled at every point") {
  IOLoop loop;
  loop.run_sync([]() -> Future<void> {
    const std::size_t points = co_await twinloop::testing::cancel_everywhere([]() -> Future<void> {
      Ends ends = co_await make_ends();
      co_await exchange(ends, 50'000);
      co_await ends.client.finish();
    });
    CHECK(points > 5);
  });
}

TEST_CASE("tls: at most five handshakes go on in a turn") {
  run([]() -> Future<void> {
    const TlsClientContext client(client_options().max_sessions(0));
    const TlsServerContext server(server_options());
    std::vector<Future<Ends>> all;
    for (int i = 0; i < 30; ++i) all.push_back(shake_hands(make_pipe(), client, server));
    std::size_t done = 0;
    int turns_taken = 0;
    while (done < all.size()) {
      co_await moment();
      ++turns_taken;
      std::size_t now_done = 0;
      for (const Future<Ends>& each : all) now_done += each.done() ? 1 : 0;
      CHECK(now_done - done <= 5);
      done = now_done;
      REQUIRE(turns_taken < 1000);
    }
    CHECK(turns_taken >= 30 * 4 / 5);  // four steps each: ClientHello, answer, check, Finished
  });
}

// ---- STARTTLS

TEST_CASE("start_tls: a dialogue in the clear goes on in TLS") {
  run([]() -> Future<void> {
    Ends ends = make_pipe();
    co_await ends.client.write("STARTTLS\r\n");
    co_await ends.server.read_until("\r\n");
    ends.server.write("220 go ahead\r\n").ignore();
    Future<IOStream> accepting = start_tls(std::move(ends.server), TlsServerContext(server_options()));
    co_await ends.client.read_until("\r\n");
    IOStream client = co_await start_tls(std::move(ends.client), TlsClientContext(client_options()), "localhost");
    IOStream server = co_await std::move(accepting);
    co_await client.write("EHLO");
    const std::string said = co_await server.read_bytes(4);
    CHECK(said == "EHLO");
  });
}

TEST_CASE("start_tls: a client's first message may be in the server's buffer already") {
  run([]() -> Future<void> {
    Ends ends = make_pipe();
    co_await ends.client.write("STARTTLS\r\n");
    Future<IOStream> connecting = start_tls(std::move(ends.client), TlsClientContext(client_options()), "localhost");
    co_await turns(5);
    co_await ends.server.read_until("\r\n");
    REQUIRE(ends.server.buffered() > 100);
    IOStream server = co_await start_tls(std::move(ends.server), TlsServerContext(server_options()));
    IOStream client = co_await std::move(connecting);
    Ends tls(std::move(client), std::move(server));
    co_await exchange(tls, 1000);
  });
}

TEST_CASE("start_tls: what is left over in the clear refuses it, in the stream or held below") {
  run([]() -> Future<void> {
    for (const bool at_client : {true, false}) {
      for (const bool held_below : {false, true}) {
        auto [a, b] = make_pair_transports();
        const Faults holding = Faults().hold_input(100).max_read(held_below ? 4 : 100);
        IOStream near(twinloop::testing::make_faulty_transport(std::move(a), holding));
        IOStream far(std::move(b));
        co_await far.write("220\nRCPT TO: <mallory>\n");
        co_await near.read_until("\n");
        CHECK((near.buffered() == 0) == held_below);
        Future<IOStream> starting = at_client
                                        ? start_tls(std::move(near), TlsClientContext(client_options()), "localhost")
                                        : start_tls(std::move(near), TlsServerContext(server_options()));
        const Result<IOStream> started = co_await as_result(std::move(starting));
        check_failed(started, Errc::plaintext_before_tls, "before TLS began");
      }
    }
  });
}

TEST_CASE("start_tls: a pending read refuses it") {
  run([]() -> Future<void> {
    Ends ends = make_pipe();
    Future<std::string> read = ends.client.read_bytes(1);
    const Result<IOStream> started =
        co_await as_result(start_tls(std::move(ends.client), TlsClientContext(client_options()), "localhost"));
    check_failed(started, Errc::busy, "a read is pending");
  });
}

TEST_CASE("start_tls: tls goes over tls") {
  run([]() -> Future<void> {
    Ends outer = co_await make_ends();
    Ends inner =
        co_await shake_hands(std::move(outer), TlsClientContext(client_options()), TlsServerContext(server_options()));
    co_await exchange(inner, 100'000);
  });
}
