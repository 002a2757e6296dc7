// TLS handshakes over in-process pipes and a clock that jumps: how they fail, what they agree on, and STARTTLS.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "protocols/tls/session_cache.h"
#include "tls_streams.h"
#include "twinloop/timing.h"
#include "twinloop/websocket.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::tls_test;
using Catch::Matchers::ContainsSubstring;
using twinloop::testing::Faults;

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
  run([]() -> Future<void> {
    const Folder folder;
    ::setenv("SSLKEYLOGFILE", folder.path("keys").c_str(), 1);
    const TlsClientContext client(client_options());
    ::unsetenv("SSLKEYLOGFILE");
    Ends ends = co_await shake_hands(make_pipe(), client, TlsServerContext(server_options()));
    CHECK_THAT(folder.get("keys"), ContainsSubstring("CLIENT_TRAFFIC_SECRET_0 "));
  });
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

TEST_CASE("start_tls: tls goes over a WebSocket, and tells of both") {
  run([]() -> Future<void> {
    Ends below = make_pipe();
    const Url url = Url::parse("ws://localhost/inner").value();
    const ConnectOptions connecting;
    const ListenOptions listening;
    Future<IOStream> upgrading = connect_websocket(std::move(below.client), url, connecting);
    RequestHead head = co_await read_request_head(below.server);
    IOStream server = co_await accept_websocket(std::move(below.server), std::move(head), listening);
    IOStream client = co_await std::move(upgrading);
    Ends ends = co_await shake_hands(Ends(std::move(client), std::move(server)), TlsClientContext(client_options()),
                                     TlsServerContext(server_options()));
    REQUIRE(ends.server.websocket() != nullptr);
    CHECK(ends.server.websocket()->target() == "/inner");
    CHECK(ends.server.tls()->server_name() == "localhost");
    co_await exchange(ends, 100'000);
  });
}
