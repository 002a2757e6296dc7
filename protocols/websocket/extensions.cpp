#include "protocols/websocket/extensions.h"

#include <algorithm>

#include "protocols/websocket/head.h"

namespace twinloop::detail {
namespace {

constexpr std::string_view kDeflate = "permessage-deflate";
constexpr std::string_view kServerForgets = "server_no_context_takeover";
constexpr std::string_view kClientForgets = "client_no_context_takeover";
constexpr std::string_view kServerBits = "server_max_window_bits";
constexpr std::string_view kClientBits = "client_max_window_bits";
constexpr int kLeastBits = 8;
constexpr int kMostBits = 15;

// ---- the grammar: extension *( "," extension ), extension = token *( ";" token [ "=" ( token / quoted token ) ] )

class Scanner {
 public:
  explicit Scanner(std::string_view text) noexcept : rest_(text) { skip_space(); }

  bool done() const noexcept { return rest_.empty(); }

  bool take(char mark) noexcept {
    if (!rest_.starts_with(mark)) return false;
    rest_.remove_prefix(1);
    skip_space();
    return true;
  }

  std::string token() {
    std::size_t length = 0;
    while (length < rest_.size() && is_token(rest_.substr(length, 1))) ++length;
    std::string found(rest_.substr(0, length));
    rest_.remove_prefix(length);
    skip_space();
    return found;
  }

  // What is quoted must be a token once it is unquoted.
  std::string value() {
    if (!rest_.starts_with('"')) return token();
    rest_.remove_prefix(1);
    const std::size_t end = rest_.find('"');
    if (end == std::string_view::npos || !is_token(rest_.substr(0, end))) return {};
    std::string found(rest_.substr(0, end));
    rest_.remove_prefix(end + 1);
    skip_space();
    return found;
  }

 private:
  void skip_space() noexcept {
    while (rest_.starts_with(' ') || rest_.starts_with('\t')) rest_.remove_prefix(1);
  }
  std::string_view rest_;
};

bool scan_parameter(Scanner& text, Extension& extension) {
  auto& [name, value] = extension.parameters.emplace_back();
  name = text.token();
  if (name.empty()) return false;
  if (!text.take('=')) return true;
  value = text.value();
  return !value->empty();
}

bool scan_list(Scanner& text, std::vector<Extension>& list) {
  while (text.take(',')) {  // empty items are allowed in a list (RFC 9110 §5.6.1)
  }
  while (!text.done()) {
    Extension& extension = list.emplace_back();
    extension.name = text.token();
    if (extension.name.empty()) return false;
    while (text.take(';')) {
      if (!scan_parameter(text, extension)) return false;
    }
    if (!text.done() && !text.take(',')) return false;
    while (text.take(',')) {
    }
  }
  return true;
}

// ---- the parameters

int window_bits(const std::optional<std::string>& text) noexcept {
  if (!text || text->empty() || text->size() > 2 || text->front() == '0') return 0;
  int bits = 0;
  for (const char digit : *text) {
    if (digit < '0' || digit > '9') return 0;
    bits = bits * 10 + (digit - '0');
  }
  return bits >= kLeastBits && bits <= kMostBits ? bits : 0;
}

// What an offer or an answer says, each word known, at most once and with a value that fits.
struct Words {
  bool server_forgets = false;
  bool client_forgets = false;
  int server_bits = 0;  // 0: not named
  int client_bits = 0;
  bool client_bits_named = false;
};

enum class Side { offer, answer };

bool read_parameter(const std::string& name, const std::optional<std::string>& value, Side side, Words& words) {
  if (name == kServerForgets) return !value && !std::exchange(words.server_forgets, true);
  if (name == kClientForgets) return !value && !std::exchange(words.client_forgets, true);
  if (name == kServerBits) return words.server_bits == 0 && (words.server_bits = window_bits(value)) != 0;
  if (name != kClientBits || std::exchange(words.client_bits_named, true)) return false;
  if (!value) return side == Side::offer;  // "choose as you like"
  return (words.client_bits = window_bits(value)) != 0;
}

std::optional<Words> read_words(const Extension& extension, Side side) {
  Words words;
  if (extension.name != kDeflate) return std::nullopt;
  for (const auto& [name, value] : extension.parameters) {
    if (!read_parameter(name, value, side, words)) return std::nullopt;
  }
  return words;
}

void append_word(std::string& text, std::string_view name) { text.append("; ").append(name); }
void append_bits(std::string& text, std::string_view name, int bits) {
  text.append("; ").append(name).append("=").append(std::to_string(bits));
}

int or_most(int bits) noexcept { return bits == 0 ? kMostBits : bits; }

}  // namespace

std::optional<std::vector<Extension>> parse_extensions(const RequestHead& head) {
  std::vector<Extension> list;
  for (const auto& [name, value] : head.headers) {
    if (!same_ignoring_case(name, "Sec-WebSocket-Extensions")) continue;
    Scanner text(value);
    if (!scan_list(text, list)) return std::nullopt;
  }
  return list;
}

std::string deflate_offer(const WebSocketCompression& wish) {
  std::string offer(kDeflate);
  if (wish.server_no_context_takeover()) append_word(offer, kServerForgets);
  if (wish.client_no_context_takeover()) append_word(offer, kClientForgets);
  if (wish.server_max_window_bits() < kMostBits) append_bits(offer, kServerBits, wish.server_max_window_bits());
  if (wish.client_max_window_bits() < kMostBits) {
    append_bits(offer, kClientBits, wish.client_max_window_bits());
  } else {
    append_word(offer, kClientBits);
  }
  return offer;
}

std::optional<DeflateAgreement> accept_offer(const std::vector<Extension>& offers, const WebSocketCompression& wish,
                                             std::string& answer) {
  for (const Extension& each : offers) {
    const std::optional<Words> offer = read_words(each, Side::offer);
    if (!offer) continue;
    DeflateAgreement agreed;
    agreed.server_no_context_takeover = offer->server_forgets || wish.server_no_context_takeover();
    agreed.client_no_context_takeover = offer->client_forgets || wish.client_no_context_takeover();
    agreed.server_max_window_bits = std::min(or_most(offer->server_bits), wish.server_max_window_bits());
    if (offer->client_bits_named) {
      agreed.client_max_window_bits = std::min(or_most(offer->client_bits), wish.client_max_window_bits());
    }
    answer = kDeflate;
    if (agreed.server_no_context_takeover) append_word(answer, kServerForgets);
    if (agreed.client_no_context_takeover) append_word(answer, kClientForgets);
    if (offer->server_bits != 0 || agreed.server_max_window_bits < kMostBits) {
      append_bits(answer, kServerBits, agreed.server_max_window_bits);
    }
    if (agreed.client_max_window_bits < kMostBits) append_bits(answer, kClientBits, agreed.client_max_window_bits);
    return agreed;
  }
  return std::nullopt;
}

std::optional<DeflateAgreement> accept_answer(const std::vector<Extension>& answer, const WebSocketCompression& wish) {
  if (answer.size() != 1) return std::nullopt;
  const std::optional<Words> words = read_words(answer.front(), Side::answer);
  if (!words) return std::nullopt;
  if (wish.server_no_context_takeover() && !words->server_forgets) return std::nullopt;
  if (or_most(words->server_bits) > wish.server_max_window_bits()) return std::nullopt;
  DeflateAgreement agreed;
  agreed.server_no_context_takeover = words->server_forgets;
  agreed.client_no_context_takeover = words->client_forgets || wish.client_no_context_takeover();
  agreed.server_max_window_bits = or_most(words->server_bits);
  agreed.client_max_window_bits = std::min(or_most(words->client_bits), wish.client_max_window_bits());
  return agreed;
}

}  // namespace twinloop::detail
