#include <arpa/inet.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <random>
#include <string>

#include "twinloop/ip_address.h"

using twinloop::IpAddress;
using twinloop::is_valid_ip;

TEST_CASE("is_valid_ip takes addresses and nothing around them") {
  using namespace std::string_literals;
  for (const char* text :
       {"127.0.0.1", "4.4.4.4", "0.0.0.0", "255.255.255.255", "::1", "::", "2620:0:1cfe:face:b00c::3",
        "1::", "::ffff:1.2.3.4", "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:8", "::2:3:4:5:6:7:8", "1:2:3:4:5:6:1.2.3.4"}) {
    INFO(text);
    CHECK(is_valid_ip(text));
  }
  for (const std::string& text : {"www.google.com"s,
                                  "localhost"s,
                                  "4.4.4.4<"s,
                                  " 127.0.0.1"s,
                                  "127.0.0.1 "s,
                                  ""s,
                                  " "s,
                                  "\n"s,
                                  "\0"s,
                                  std::string(100, 'x'),
                                  "127.0.0.1\0"s,
                                  "1.2.3"s,
                                  "1.2.3.4.5"s,
                                  "1.2.3.256"s,
                                  "01.2.3.4"s,
                                  "1..3.4"s,
                                  "0x7f.0.0.1"s,
                                  "1.2.3.4."s,
                                  "[::1]"s,
                                  "::1%lo"s,
                                  ":1"s,
                                  "1:"s,
                                  "1:::2"s,
                                  "1::2::3"s,
                                  ":::"s,
                                  "1:2:3:4:5:6:7"s,
                                  "1:2:3:4:5:6:7:8:9"s,
                                  "1:2:3:4::5:6:7:8"s,
                                  "12345::"s,
                                  "g::"s,
                                  "::1.2.3"s,
                                  "::1.2.3.4:5"s,
                                  "1:2:3:4:5:6:7:1.2.3.4"s,
                                  "+1::"s,
                                  "-1.2.3.4"s}) {
    INFO(text);
    CHECK_FALSE(is_valid_ip(text));
  }
}

TEST_CASE("an address is written as the system writes it") {
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::array<std::uint8_t, 16> bytes{};
    for (std::size_t j = 0; j < bytes.size(); j += 2) {
      if (random() % 2 == 0) continue;  // runs of zeros of every length and place
      bytes[j] = static_cast<std::uint8_t>(random() % 3 == 0 ? 0 : random());
      bytes[j + 1] = static_cast<std::uint8_t>(random());
    }
    if (bytes[0] == 0 && bytes[1] == 0 && bytes[2] == 0 && bytes[3] == 0)
      bytes[0] = 1;  // ::1.2.3.4 is the system's own habit
    char text[INET6_ADDRSTRLEN];
    REQUIRE(::inet_ntop(AF_INET6, bytes.data(), text, sizeof text) != nullptr);
    REQUIRE(IpAddress::v6(bytes).to_string() == text);
    REQUIRE(IpAddress::parse(text) == IpAddress::v6(bytes));
  }
  CHECK(IpAddress::parse("2001:DB8:0:0:0:0:0:1")->to_string() == "2001:db8::1");
  CHECK(IpAddress::parse("::ffff:c000:0201")->to_string() == "::ffff:192.0.2.1");
  CHECK(IpAddress::parse("192.0.2.1")->to_string() == "192.0.2.1");
  CHECK(IpAddress::parse("::")->to_string() == "::");
  CHECK_FALSE(IpAddress::parse("::1") == IpAddress::parse("::2"));
}
