// Whose certificates TLS accepts, and what it says of the others.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <string>
#include <utility>

#include "tls_streams.h"
#include "twinloop/log.h"

using namespace twinloop;
using namespace twinloop::tls_test;
using Catch::Matchers::ContainsSubstring;

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
