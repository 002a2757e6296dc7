// The opening handshakes of both sides, on streams.  Their rules alone are in websocket_frame_test.cpp.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <string>
#include <utility>

#include "twinloop/net.h"
#include "twinloop/timing.h"
#include "twinloop/websocket.h"
#include "websocket_fixtures.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::websocket_test;
using namespace std::string_literals;
using Catch::Matchers::ContainsSubstring;

namespace {

const std::string kRequest =
    "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const std::string kAnswer =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

// What the server does with a request that arrives in two parts.
Future<std::string> answer_to(std::string first, std::string second) {
  auto [client, lower] = make_pair_streams();
  const ListenOptions options;
  RequestHead head;
  Future<RequestHead> reading = read_request_head(lower);
  co_await client.write(std::move(first));
  co_await sleep_for(std::chrono::milliseconds(1));
  co_await client.write(std::move(second));
  Result<RequestHead> request = co_await as_result(std::move(reading));
  if (request.ok()) {
    const Result<IOStream> stream =
        co_await as_result(accept_websocket(std::move(lower), std::move(*request), options));
    client.shutdown_write().ignore();
    if (stream.ok()) co_return co_await client.read_bytes(kAnswer.size());
  }
  lower = IOStream();
  co_return co_await client.read_until_close();
}

// What a client makes of a server that answers with this and ends.
Future<std::string> complaint_about(std::string answer, ConnectOptions options = {}) {
  auto [lower, server] = make_pair_streams();
  const Url url = Url::parse("ws://host:81/path").value();
  Future<IOStream> connecting = connect_websocket(std::move(lower), url, options);
  if (!answer.empty()) co_await server.write(std::move(answer));
  co_await server.shutdown_write();
  const Result<IOStream> stream = co_await as_result(std::move(connecting));
  if (stream.ok()) co_return "";
  co_return std::string(name(stream.reason())) + " " + stream.failure().message();
}

}  // namespace

TEST_CASE("a server answers RFC 6455's example as it says, at every split") {
  run([]() -> Future<void> {
    for (std::size_t at = 0; at < kRequest.size(); ++at) {
      const std::string answer = co_await answer_to(kRequest.substr(0, at), kRequest.substr(at));
      REQUIRE(answer == kAnswer);
    }
  });
}

TEST_CASE("a request that is none is answered at its first line") {
  run([]() -> Future<void> {
    const std::string garbage = co_await answer_to("\x16\x03\x01 TLS\n", "");
    CHECK(garbage.starts_with("HTTP/1.1 400 "));
    const std::string bare = co_await answer_to("GET / HTTP/1.1\n", "\n");
    CHECK(bare.starts_with("HTTP/1.1 400 "));
    const std::string folded = co_await answer_to("GET / HTTP/1.1\r\nA: b\r\n", " c\r\n\r\n");
    CHECK(folded.starts_with("HTTP/1.1 400 "));
    std::string many = "GET / HTTP/1.1\r\n";
    for (int i = 0; i < 1000; ++i) many += "Header: value\r\n";
    const std::string large = co_await answer_to(many, "\r\n");
    CHECK(large.starts_with("HTTP/1.1 431 "));
    const std::string foreign =
        co_await answer_to(kRequest.substr(0, kRequest.size() - 2), "Origin: http://evil\r\n\r\n");
    CHECK(foreign.starts_with("HTTP/1.1 403 "));
    CHECK_THAT(foreign, ContainsSubstring("http://evil"));
    const std::string plain = co_await answer_to("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "");
    CHECK(plain.starts_with("HTTP/1.1 426 "));
  });
}

TEST_CASE("a request cut in the middle is truncated, and none at all is an end") {
  run([]() -> Future<void> {
    auto [client, lower] = make_pair_streams();
    co_await send_and_end(client, "GET / HT");
    const Result<RequestHead> cut = co_await as_result(read_request_head(lower));
    CHECK(cut.reason() == Errc::truncated);
    auto [silent, other] = make_pair_streams();
    silent.close();
    const Result<RequestHead> none = co_await as_result(read_request_head(other));
    CHECK(none.reason() == Errc::end);
  });
}

TEST_CASE("a client says what the server answered instead of an upgrade") {
  run([]() -> Future<void> {
    const std::string missing = co_await complaint_about("HTTP/1.1 404 Not Found\r\n\r\n");
    CHECK(missing.starts_with(
        "protocol ws://host:81/path: the server answered 'HTTP/1.1 404 Not Found' instead of an upgrade"));
    const std::string ssh = co_await complaint_about("SSH-2.0-OpenSSH_9.2\r\n");
    CHECK(ssh.starts_with(
        "protocol ws://host:81/path: the server did not speak HTTP: it began with 'SSH-2.0-OpenSSH_9.2'"));
    const std::string tls = co_await complaint_about("\x15\x03\x01\0\x02\x02\x16"s);
    CHECK_THAT(tls, ContainsSubstring("try wss://"));
    const std::string left = co_await complaint_about("");
    CHECK(left.starts_with("truncated ws://host:81/path: the server left without an answer"));
    const std::string cut = co_await complaint_about("HTTP/1.1 101 Sw");
    CHECK(cut.starts_with("truncated "));
    const std::string wrong_key = co_await complaint_about(kAnswer);
    CHECK_THAT(wrong_key, ContainsSubstring("Sec-WebSocket-Accept"));
    const std::string malformed = co_await complaint_about("HTTP/1.1 101 Switching\r\nno header\r\n\r\n");
    CHECK(malformed.starts_with("protocol "));
  });
}

TEST_CASE("both ends agree on the server's favourite among the subprotocols, and on none as a failure") {
  run([]() -> Future<void> {
    auto [a, b] = make_pair_streams();
    const Url url = Url::parse("ws://host/").value();
    const ConnectOptions offer = ConnectOptions().add_protocol("chess").add_protocol("go");
    ListenOptions spoken;
    spoken.protocols = {"go", "chess"};
    Future<IOStream> connecting = connect_websocket(std::move(a), url, offer);
    RequestHead head = co_await read_request_head(b);
    CHECK(*head.find("Sec-WebSocket-Protocol") == "chess, go");
    IOStream server = co_await accept_websocket(std::move(b), std::move(head), spoken);
    IOStream client = co_await std::move(connecting);

    auto [c, d] = make_pair_streams();
    const ListenOptions none;
    Future<IOStream> failing = connect_websocket(std::move(c), url, offer);
    head = co_await read_request_head(d);
    IOStream other = co_await accept_websocket(std::move(d), std::move(head), none);
    const Result<IOStream> refused = co_await as_result(std::move(failing));
    CHECK_THAT(refused.failure().message(), ContainsSubstring("none of the subprotocols"));
  });
}

TEST_CASE("either end asks a silent peer when its options say so") {
  run([]() -> Future<void> {
    auto [a, b] = make_pair_streams();
    const Url url = Url::parse("ws://host/").value();
    const ConnectOptions asking = ConnectOptions().set_websocket_ping(30s);
    const ListenOptions patient = ListenOptions().set_websocket_ping(std::chrono::minutes(10));
    Future<IOStream> connecting = connect_websocket(std::move(a), url, asking);
    RequestHead head = co_await read_request_head(b);
    IOStream server = co_await accept_websocket(std::move(b), std::move(head), patient);
    IOStream client = co_await std::move(connecting);
    co_await sleep_for(std::chrono::hours(1));  // the other end answers every time
    CHECK_FALSE(client.is_closed());
    CHECK_FALSE(server.is_closed());
  });
  run([]() -> Future<void> {
    auto [client, lower] = make_pair_streams();
    const ListenOptions options = ListenOptions().set_websocket_ping(30s);
    co_await client.write(kRequest);
    RequestHead head = co_await read_request_head(lower);
    const IOStream server = co_await accept_websocket(std::move(lower), std::move(head), options);
    const std::string answer = co_await client.read_until("\r\n\r\n");
    const std::string ping = co_await client.read_bytes(2);
    CHECK(ping == std::string_view("\x89\x00", 2));
  });
}

TEST_CASE("bytes right behind the handshake belong to the stream") {
  run([]() -> Future<void> {
    auto [client, lower] = make_pair_streams();
    const ListenOptions options;
    co_await client.write(kRequest + frame(0x82, "early ") + frame(0x82, "bird"));
    RequestHead head = co_await read_request_head(lower);
    IOStream server = co_await accept_websocket(std::move(lower), std::move(head), options);
    const std::string text = co_await server.read_bytes(10);
    CHECK(text == "early bird");
    co_await client.write(frame(0x82, "later"));
    const std::string later = co_await server.read_bytes(5);
    CHECK(later == "later");
  });
}
