// What the tests of TLS do with streams: two ends, a wire between them that can be cut, a handshake, an exchange.
#pragma once

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <memory>
#include <string>
#include <utility>

#include "tls_fixtures.h"
#include "twinloop/ioloop.h"
#include "twinloop/net.h"
#include "twinloop/testing.h"
#include "twinloop/tls.h"

namespace twinloop::tls_test {

struct Ends {
  Ends(IOStream one, IOStream other) noexcept : client(std::move(one)), server(std::move(other)) {}
  IOStream client;
  IOStream server;
};

inline Ends make_pipe() {
  auto [a, b] = make_pair_streams();
  return {std::move(a), std::move(b)};
}

// What goes over the wire between two ends passes here, and can be cut.
class Wire {
 public:
  Wire() : Wire(make_pipe(), make_pipe()) {}
  Wire(Ends left, Ends right) : left_(std::move(left)), right_(std::move(right)) {
    there_ = copy(left_.server, right_.client, sent_there);
    back_ = copy(right_.client, left_.server, sent_back);
  }
  Ends ends() { return {std::move(left_.client), std::move(right_.server)}; }

  void cut() {
    stop();
    left_.server.close();
    right_.client.close();
  }
  void stop() {
    there_ = Future<void>();
    back_ = Future<void>();
  }
  IOStream& to_client() { return left_.server; }

  std::string sent_there;
  std::string sent_back;

 private:
  static Future<void> copy(IOStream& from, IOStream& to, std::string& record) {
    for (;;) {
      Result<std::string> bytes = co_await as_result(from.read_some());
      if (!bytes.ok()) co_return;
      record += *bytes;
      co_await to.write(std::move(*bytes));
    }
  }

  Ends left_;
  Ends right_;
  Future<void> there_;
  Future<void> back_;
};

inline std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + i / 251);
  return text;
}

// A hang is an error at once: this loop refuses to sleep for ever.
inline void run(Future<void> (*work)()) {
  IOLoop loop(std::make_unique<twinloop::testing::ManualBackend>());
  loop.run_sync(work);
  loop.wind_down(std::chrono::seconds(30));
}

inline Future<Ends> shake_hands(Ends below, TlsClientContext client, TlsServerContext server,
                                std::string host = "localhost") {
  Future<IOStream> accepting = start_tls(std::move(below.server), server);
  IOStream connected = co_await start_tls(std::move(below.client), client, host);
  IOStream accepted = co_await std::move(accepting);
  co_return Ends(std::move(connected), std::move(accepted));
}

inline Future<Ends> make_ends() {
  return shake_hands(make_pipe(), TlsClientContext(client_options()), TlsServerContext(server_options()));
}

struct Outcome {
  Result<IOStream> client;
  Result<IOStream> server;
};

// A handshake that one end refuses.
inline Future<Outcome> try_handshake(TlsOptions client, TlsOptions server, std::string host = "localhost") {
  Ends below = make_pipe();
  Future<IOStream> accepting = start_tls(std::move(below.server), TlsServerContext(server));
  Future<IOStream> connecting = start_tls(std::move(below.client), TlsClientContext(client), host);
  Result<IOStream> connected = co_await as_result(std::move(connecting));
  Result<IOStream> accepted = co_await as_result(std::move(accepting));
  co_return Outcome{std::move(connected), std::move(accepted)};
}

inline void check_failed(const Result<IOStream>& end, Errc reason, const std::string& words) {
  REQUIRE_FALSE(end.ok());
  CHECK(name(end.reason()) == name(reason));
  CHECK_THAT(end.failure().message(), Catch::Matchers::ContainsSubstring(words));
}

inline void check_open(const Outcome& outcome) {
  INFO((outcome.client.ok() ? "" : outcome.client.failure().message()));
  INFO((outcome.server.ok() ? "" : outcome.server.failure().message()));
  REQUIRE(outcome.client.ok());
  REQUIRE(outcome.server.ok());
}

inline Future<void> send_and_end(IOStream& stream, std::string bytes) {
  co_await stream.write(std::move(bytes));
  co_await stream.shutdown_write();
}

inline Future<void> exchange(Ends& ends, std::size_t size) {
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

inline Future<void> shake_hands_and_exchange(Ends below) {
  const TlsClientContext client(client_options());
  Ends ends = co_await shake_hands(std::move(below), client, TlsServerContext(server_options()));
  co_await exchange(ends, 100'000);
}

inline Future<void> turns(int count) {
  for (int i = 0; i < count; ++i) co_await moment();
}

}  // namespace twinloop::tls_test
