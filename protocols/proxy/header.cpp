#include "protocols/proxy/header.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <optional>

#include "twinloop/ip_address.h"

namespace twinloop::detail {
namespace {

constexpr std::uint8_t kLocal = 0x20;  // version 2 in the upper half, the command in the lower
constexpr std::uint8_t kProxied = 0x21;
constexpr std::size_t kUnixPath = 108;

Failure malformed(const char* what) { return {Errc::protocol, std::string("the PROXY header ") + what}; }

std::string tcp_url(const IpAddress& address, unsigned port) {
  const std::string host = address.to_string();
  return "tcp://" + (address.is_v4() ? host : "[" + host + "]") + ":" + std::to_string(port);
}

// ---- version 1

// The words between single spaces; empty when the text has another number of them, or an empty one.
template <std::size_t Count>
std::optional<std::array<std::string_view, Count>> words_of(std::string_view text) {
  std::array<std::string_view, Count> words;
  for (std::size_t i = 0; i < Count; ++i) {
    words[i] = text.substr(0, text.find(' '));
    text.remove_prefix(words[i].size());
    if (words[i].empty() || text.empty() != (i + 1 == Count)) return std::nullopt;
    if (!text.empty()) text.remove_prefix(1);
  }
  return words;
}

std::optional<std::uint16_t> port_of(std::string_view digits) noexcept {
  std::uint16_t port = 0;
  const auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  const bool shortest = digits.size() < 2 || digits.front() != '0';
  if (error != std::errc() || rest != digits.data() + digits.size() || !shortest) return std::nullopt;
  return port;
}

std::optional<std::string> url_of(std::string_view host, std::string_view digits, bool v4) {
  const std::optional<IpAddress> address = IpAddress::parse(host);
  const std::optional<std::uint16_t> port = port_of(digits);
  if (!address || !port || address->is_v4() != v4) return std::nullopt;
  return tcp_url(*address, *port);
}

// ---- version 2

std::uint8_t byte_at(std::string_view bytes, std::size_t i) noexcept { return static_cast<std::uint8_t>(bytes[i]); }

std::uint16_t number_at(std::string_view bytes, std::size_t i) noexcept {
  return static_cast<std::uint16_t>(byte_at(bytes, i) << 8 | byte_at(bytes, i + 1));
}

template <std::size_t Size>
std::array<std::uint8_t, Size> bytes_at(std::string_view bytes, std::size_t begin) noexcept {
  std::array<std::uint8_t, Size> copy;
  for (std::size_t i = 0; i < Size; ++i) copy[i] = byte_at(bytes, begin + i);
  return copy;
}

ProxyHeader v4_addresses(std::string_view bytes) {
  return {tcp_url(IpAddress::v4(bytes_at<4>(bytes, 0)), number_at(bytes, 8)),
          tcp_url(IpAddress::v4(bytes_at<4>(bytes, 4)), number_at(bytes, 10))};
}

ProxyHeader v6_addresses(std::string_view bytes) {
  return {tcp_url(IpAddress::v6(bytes_at<16>(bytes, 0)), number_at(bytes, 32)),
          tcp_url(IpAddress::v6(bytes_at<16>(bytes, 16)), number_at(bytes, 34))};
}

// The path up to its first NUL; an abstract name begins with one.
std::string unix_url(std::string_view path) {
  if (path.front() != '\0') return "unix:" + std::string(path.substr(0, path.find('\0')));
  const std::string_view name = path.substr(1, path.find('\0', 1) - 1);
  return name.empty() ? "unix:" : "unix:@" + std::string(name);
}

ProxyHeader unix_addresses(std::string_view bytes) {
  return {unix_url(bytes.substr(0, kUnixPath)), unix_url(bytes.substr(kUnixPath, kUnixPath))};
}

ProxyHeader no_addresses(std::string_view) { return {}; }

// What the byte behind the command says: who speaks (upper half), and by streams (1) or datagrams (2).
struct Family {
  std::uint8_t code;
  std::size_t size;
  ProxyHeader (*read)(std::string_view);
};
constexpr Family kFamilies[] = {{0x00, 0, &no_addresses},
                                {0x11, 12, &v4_addresses},
                                {0x12, 12, &no_addresses},
                                {0x21, 36, &v6_addresses},
                                {0x22, 36, &no_addresses},
                                {0x31, 2 * kUnixPath, &unix_addresses},
                                {0x32, 2 * kUnixPath, &no_addresses}};

const Family* family_of(std::uint8_t code) noexcept {
  for (const Family& family : kFamilies) {
    if (family.code == code) return &family;
  }
  return nullptr;
}

bool is_list_of_tlvs(std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    if (bytes.size() < 3) return false;
    const std::size_t size = 3U + number_at(bytes, 1);
    if (bytes.size() < size) return false;
    bytes.remove_prefix(size);
  }
  return true;
}

}  // namespace

Result<ProxyHeader> parse_proxy_line(std::string_view line) {
  if (!line.starts_with(kProxyLine) || !line.ends_with("\r\n")) return malformed("is no line of version 1");
  std::string_view rest = line.substr(kProxyLine.size(), line.size() - kProxyLine.size() - 2);
  if (rest == "UNKNOWN" || rest.starts_with("UNKNOWN ")) return ProxyHeader();
  const bool v4 = rest.starts_with("TCP4 ");
  if (!v4 && !rest.starts_with("TCP6 ")) return malformed("names neither TCP4, TCP6 nor UNKNOWN");
  rest.remove_prefix(5);
  const auto words = words_of<4>(rest);
  if (!words) return malformed("has not two addresses and two ports");
  const std::optional<std::string> source = url_of((*words)[0], (*words)[2], v4);
  const std::optional<std::string> destination = url_of((*words)[1], (*words)[3], v4);
  if (!source || !destination) return malformed("has an address or a port that is none");
  return ProxyHeader{*source, *destination};
}

Result<std::size_t> proxy_rest(std::string_view prefix) {
  const std::size_t rest = number_at(prefix, kProxyPrefix - 2);
  if (rest > kMaxProxyRest) return malformed("is longer than 4 KiB");
  return rest;
}

Result<ProxyHeader> parse_proxy_binary(std::string_view header) {
  if (header.size() < kProxyPrefix || !header.starts_with(kProxySignature)) return malformed("is none of version 2");
  const std::uint8_t command = byte_at(header, 12);
  if (command != kLocal && command != kProxied) return malformed("has a version or a command that there is not");
  const Family* family = family_of(byte_at(header, 13));
  if (family == nullptr) return malformed("has an address family that there is not");
  const std::string_view rest = header.substr(kProxyPrefix);
  if (rest.size() != number_at(header, kProxyPrefix - 2)) return malformed("has not the length that it says");
  if (command == kLocal) return ProxyHeader();
  if (rest.size() < family->size) return malformed("is shorter than its addresses");
  if (!is_list_of_tlvs(rest.substr(family->size)))
    return malformed("has something behind its addresses that is no TLV");
  return family->read(rest);
}

}  // namespace twinloop::detail
