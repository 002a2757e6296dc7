// What of protocols/websocket needs no loop: hashes, masks, frames, close codes, heads and the handshake's rules.
#include <catch2/catch_test_macros.hpp>
#include <string>
#include <utility>
#include <vector>

#include "protocols/websocket/close_code.h"
#include "protocols/websocket/frame.h"
#include "protocols/websocket/handshake.h"
#include "protocols/websocket/mask_source.h"
#include "protocols/websocket/sha1.h"

using namespace twinloop;
using namespace twinloop::detail;
using namespace std::string_literals;

namespace {

constexpr Mask kMask = {'\x37', '\xfa', '\x21', '\x3d'};  // of RFC 6455's examples

std::string hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += {kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return text;
}

std::string digest(std::string_view text) {
  const auto bytes = sha1(text);
  return hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::string header_bytes(const FrameHeader& header) {
  std::array<char, kMaxFrameHeader> bytes;
  return {bytes.data(), write_frame_header(bytes, header)};
}

std::string frame(int first, std::string payload, bool masked = true) {
  FrameHeader header;
  header.opcode = static_cast<Opcode>(first & 15);
  header.final = (first & 0x80) != 0;
  header.masked = masked;
  header.mask = kMask;
  header.length = payload.size();
  if (masked) apply_mask(payload.data(), payload.size(), kMask, 0);
  return header_bytes(header) + payload;
}

// What a parser makes of the parts, in words.
std::string story(const std::vector<std::string>& parts, Role receiver = Role::server) {
  FrameParser parser(receiver);
  std::string told;
  for (std::string part : parts) {
    std::span<char> rest(part);
    while (!rest.empty()) {
      const FrameStep step = parser.next(rest);
      rest = rest.subspan(step.consumed);
      if (step.event == FrameStep::Event::malformed)
        return told.append("<").append(std::to_string(parser.error_code())).append(">");
      if (step.event == FrameStep::Event::control) {
        told.append("<").append(std::to_string(static_cast<int>(parser.control()))).append(":");
        told.append(parser.control_payload()).append(">");
      }
      told.append(step.payload.data(), step.payload.size());
      if (step.ends_empty_message) told += "<empty>";
    }
  }
  return told;
}

RequestHead request(const std::string& text) {
  RequestHead head;
  REQUIRE(parse_request_head(text, head));
  return head;
}

const std::string kRequest =
    "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

std::string refusal(const std::string& text, const ListenOptions& options = {}) {
  return refusal_of(request(text + "\r\n"), options).status.substr(0, 3);
}

std::string replaced(std::string text, const std::string& old, const std::string& by) {
  return text.replace(text.find(old), old.size(), by);
}

}  // namespace

TEST_CASE("SHA-1 gives the digests of FIPS 180") {
  CHECK(digest("") == "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  CHECK(digest("abc") == "a9993e364706816aba3e25717850c26c9cd0d89d");
  CHECK(digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  CHECK(digest(std::string(1'000'000, 'a')) == "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

TEST_CASE("base64 gives the examples of RFC 4648") {
  const std::vector<std::pair<std::string, std::string>> kExamples = {{"", ""},
                                                                      {"f", "Zg=="},
                                                                      {"fo", "Zm8="},
                                                                      {"foo", "Zm9v"},
                                                                      {"foob", "Zm9vYg=="},
                                                                      {"fooba", "Zm9vYmE="},
                                                                      {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : kExamples) CHECK(base64(bytes) == text);
}

TEST_CASE("the accept key is that of RFC 6455's example") {
  CHECK(websocket_accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST_CASE("masks are the key stream of RFC 8439's example") {
  std::array<std::uint32_t, 12> input{};
  for (std::uint32_t i = 0; i < 8; ++i) input[i] = 0x03020100 + i * 0x04040404;
  input[8] = 1;
  input[9] = 0x09000000;
  input[10] = 0x4a000000;
  MaskSource masks(input);
  std::string stream;
  for (int i = 0; i < 16; ++i) {
    const Mask mask = masks.next();
    stream.append(mask.data(), mask.size());
  }
  CHECK(hex(stream).substr(0, 32) == "10f1e7e4d13b5915500fdd1fa32071c4");
  CHECK(hex(stream).substr(96) == "b5129cd1de164eb9cbd083e8a2503c4e");
  CHECK(MaskSource().next() != MaskSource().next());
}

TEST_CASE("masking word by word is masking byte by byte, at every offset and length") {
  for (std::size_t offset = 0; offset < 9; ++offset) {
    for (std::size_t length = 0; length < 40; ++length) {
      std::string bytes;
      for (std::size_t i = 0; i < length; ++i) bytes += static_cast<char>(i * 7 + 3);
      std::string expected = bytes;
      for (std::size_t i = 0; i < length; ++i) expected[i] = static_cast<char>(expected[i] ^ kMask[(offset + i) % 4]);
      apply_mask(bytes.data(), bytes.size(), kMask, offset);
      REQUIRE(bytes == expected);
    }
  }
}

TEST_CASE("frame headers are those of RFC 6455's examples") {
  CHECK(hex(frame(0x81, "Hello", false)) == "810548656c6c6f");
  CHECK(hex(frame(0x81, "Hello")) == "818537fa213d7f9f4d5158");
  CHECK(hex(frame(0x01, "Hel", false) + frame(0x80, "lo", false)) == "010348656c80026c6f");
  CHECK(hex(frame(0x89, "Hello", false)) == "890548656c6c6f");
  CHECK(hex(frame(0x8a, "Hello")) == "8a8537fa213d7f9f4d5158");
  CHECK(hex(frame(0x82, std::string(256, 'x'), false)).substr(0, 8) == "827e0100");
  CHECK(hex(frame(0x82, std::string(65536, 'x'), false)).substr(0, 20) == "827f0000000000010000");
}

TEST_CASE("payload streams past, whatever the messages and fragments") {
  CHECK(story({frame(0x82, "one ") + frame(0x82, "two ") + frame(0x02, "th") + frame(0x00, "re") + frame(0x80, "e")}) ==
        "one two three");
  CHECK(story({frame(0x82, "server", false)}, Role::client) == "server");
  CHECK(story({frame(0x02, "a") + frame(0x89, "ping") + frame(0x80, "b")}) == "a<9:ping>b");
  CHECK(story({frame(0x82, "")}) == "<empty>");
  CHECK(story({frame(0x02, "") + frame(0x80, "")}) == "<empty>");
  CHECK(story({frame(0x02, "") + frame(0x80, "x")}) == "x");
}

TEST_CASE("a frame of 2^40 bytes is no larger than what has arrived of it") {
  const std::string header = "\x82\x7f\0\0\x01\0\0\0\0\0"s;
  CHECK(story({header + "begin", " goes on"}, Role::client) == "begin goes on");
}

TEST_CASE("a sequence of frames means the same at every split") {
  const std::string bytes = frame(0x82, "Hello") + frame(0x02, "frag") + frame(0x89, "are you there") +
                            frame(0x80, "mented") + frame(0x82, "") + frame(0x82, std::string(300, 'x')) +
                            frame(0x88, "\x03\xe8");
  const std::string expected = story({bytes});
  std::vector<std::string> single;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    REQUIRE(story({bytes.substr(0, at), bytes.substr(at)}) == expected);
    single.push_back(bytes.substr(at, 1));
  }
  CHECK(story(single) == expected);
}

TEST_CASE("malformed frames are found out, at the byte that shows it") {
  const std::vector<std::pair<std::string, std::string>> kBad = {
      {"a reserved bit", "\xc2"s},
      {"another reserved bit", "\x92"s},
      {"a reserved opcode", "\x83"s},
      {"a reserved control opcode", "\x8b"s},
      {"an unmasked frame from a client", "\x82\x05"s},
      {"a fragmented ping", "\x09\x80"s},
      {"a ping of 126 bytes", "\x89\xfe"s},
      {"a Close of 126 bytes", "\x88\xfe"s},
      {"125 bytes in two bytes of length", "\x82\xfe\0\x7d"s},
      {"65535 bytes in eight bytes of length", "\x82\xff\0\0\0\0\0\0\xff\xff"s},
      {"a length with its highest bit set", "\x82\xff\x80\0\0\0\0\0\0\0"s},
      {"a continuation of nothing", "\x80\x80\0\0\0\0"s},
      {"a message within a message", frame(0x02, "") + "\x82\x80\0\0\0\0"s},
      {"a continuation of what has ended", frame(0x02, "") + frame(0x80, "") + "\x80\x80\0\0\0\0"s},
  };
  for (const auto& [what, bytes] : kBad) {
    INFO(what);
    CHECK(story({bytes}).ends_with("<1002>"));
    std::vector<std::string> single;
    for (const char byte : bytes) single.emplace_back(1, byte);
    CHECK(story(single).ends_with("<1002>"));
  }
  CHECK(story({"\x82\x85"s}, Role::client) == "<1002>");
  CHECK(story({frame(0x81, "text")}) == "<1003>");
}

TEST_CASE("a Close says what RFC 6455 lets it say") {
  CHECK(parse_close("").code == 1005);
  CHECK(parse_close("\x03\xe8").code == 1000);
  CHECK(parse_close("\x0b\xc1gr\xc3\xbc\xc3\x9f dich").text == "gr\xc3\xbc\xc3\x9f dich");
  CHECK_FALSE(parse_close("\x03").valid);
  for (const unsigned code : {0U, 999U, 1004U, 1005U, 1006U, 1015U, 1016U, 2999U, 5000U, 65535U}) {
    CHECK_FALSE(parse_close(close_payload(static_cast<std::uint16_t>(code))).valid);
  }
  for (const char* text :
       {"\x80", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xc3"}) {
    const CloseFrame close = parse_close("\x03\xe8"s + text);
    CHECK_FALSE(close.valid);
    CHECK(close.code == 1007);
  }
}

TEST_CASE("close codes and reasons translate into each other") {
  for (const unsigned code : {1000U, 1001U, 1005U})
    CHECK(reason_of_close(static_cast<std::uint16_t>(code)) == Errc::end);
  for (const unsigned code : {1002U, 1003U, 1007U})
    CHECK(reason_of_close(static_cast<std::uint16_t>(code)) == Errc::protocol);
  for (const unsigned code : {1009U, 1011U, 3009U, 4000U})
    CHECK(reason_of_close(static_cast<std::uint16_t>(code)) == Errc::reset);
  CHECK(close_code_of(Errc::local) == 1000);
  CHECK(close_code_of(Errc::loop_closed) == 1001);
  CHECK(close_code_of(Errc::protocol) == 1002);
  CHECK(close_code_of(Errc::limit) == 1009);
  CHECK(close_code_of(Errc::overflow) == 3009);
}

TEST_CASE("a request's head is read strictly") {
  const RequestHead head = request("GET /a?b=c HTTP/1.1\r\nHost:  x \r\nempty:\r\nHOST: y\r\n\r\n");
  CHECK(head.method == "GET");
  CHECK(head.target == "/a?b=c");
  CHECK(head.version == "HTTP/1.1");
  CHECK(*head.find("host") == "x");
  CHECK(head.find("Empty")->empty());
  CHECK(head.count("Host") == 2);
  CHECK(head.find("nothing") == nullptr);
  for (const char* bad :
       {"", "GET /\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n", "G@T / HTTP/1.1\r\n\r\n",
        "GET /\x01 HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n", "GET / HTTP/1.1\r\nspace : x\r\n\r\n",
        "GET / HTTP/1.1\r\nA: x\r\n folded\r\n\r\n", "GET / HTTP/1.1\r\nA: \x01\r\n\r\n",
        "GET / HTTP/1.1\r\nA: a\nb\r\n\r\n", "GET / HTTP/1.1\r\n: x\r\n\r\n"}) {
    INFO(bad);
    RequestHead none;
    CHECK_FALSE(parse_request_head(bad, none));
  }
}

TEST_CASE("a server upgrades exactly the requests that RFC 6455 allows") {
  CHECK(refusal(kRequest).empty());
  CHECK(refusal(replaced(kRequest, "GET", "POST")) == "405");
  CHECK(refusal(replaced(kRequest, "HTTP/1.1", "HTTP/1.0")) == "505");
  CHECK(refusal(replaced(kRequest, "Host: server.example.com\r\n", "")) == "400");
  CHECK(refusal(kRequest + "Host: another\r\n") == "400");
  CHECK(refusal(replaced(kRequest, "/chat", "http://x/")) == "400");
  CHECK(refusal(kRequest + "Content-Length: 5\r\n") == "400");
  CHECK(refusal(kRequest + "Transfer-Encoding: chunked\r\n") == "400");
  CHECK(refusal(replaced(kRequest, "Upgrade: websocket", "Upgrade: h2c")) == "426");
  CHECK(refusal(replaced(kRequest, ", Upgrade", "")) == "400");
  CHECK(refusal(replaced(kRequest, "Version: 13", "Version: 8")) == "426");
  CHECK(refusal(replaced(kRequest, "ZQ==", "ZQ=")) == "400");
  CHECK(refusal(replaced(kRequest, "ZQ==", "Z!==")) == "400");
  CHECK(refusal(kRequest + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n") == "400");
}

TEST_CASE("a server lets in its own pages, the origins it names, and programs") {
  CHECK(refusal(kRequest + "Origin: https://server.example.com\r\n").empty());
  CHECK(refusal(kRequest + "Origin: HTTP://Server.Example.com\r\n").empty());
  CHECK(
      refusal(replaced(kRequest, "example.com", "example.com:443") + "Origin: https://server.example.com\r\n").empty());
  CHECK(refusal(replaced(kRequest, "example.com", "example.com:8000") + "Origin: https://server.example.com\r\n") ==
        "403");
  CHECK(refusal(kRequest + "Origin: https://evil.example.com\r\n") == "403");
  CHECK(refusal(kRequest + "Origin: https://server.example.com.evil.com\r\n") == "403");
  CHECK(refusal(kRequest + "Origin: http://subtenant.server.example.com\r\n") == "403");
  CHECK(refusal(kRequest + "Origin: server.example.com\r\n") == "403");
  CHECK(refusal(kRequest + "Origin: http://server.example.com/something\r\n") == "403");  // no origin: it has a path
  CHECK(refusal(kRequest + "Origin: null\r\n") == "403");
  ListenOptions options;
  options.add_origin("https://app.example.org");
  CHECK(refusal(kRequest + "Origin: https://app.example.org\r\n", options).empty());
  CHECK(refusal(kRequest + "Origin: http://app.example.org\r\n", options) == "403");
  CHECK(refusal(kRequest + "Origin: null\r\n", ListenOptions().add_origin("*")).empty());
}

TEST_CASE("a client asks for an upgrade, and sends nothing that would break its request") {
  const Url url = Url::parse("ws://[::1]:80?room=1").value();
  const std::string text =
      upgrade_request(url, ConnectOptions().add_protocol("a").add_protocol("b").add_header("Cookie", "x=y"), "KEY");
  CHECK(
      text ==
      "GET /?room=1 HTTP/1.1\r\nHost: [::1]\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: KEY\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: a, b\r\nCookie: x=y\r\n\r\n");
  CHECK(upgrade_request(Url::parse("wss://h:80/").value(), {}, "KEY").find("Host: h:80\r\n") != std::string::npos);
  CHECK_THROWS_AS(upgrade_request(url, ConnectOptions().add_header("A", "x\r\nB: y"), "KEY"), Error);
  CHECK_THROWS_AS(upgrade_request(url, ConnectOptions().add_header("A B", "x"), "KEY"), Error);
  CHECK_THROWS_AS(upgrade_request(url, ConnectOptions().add_protocol("a, b"), "KEY"), Error);
}
