#include "protocols/http/parser.h"

#include <llhttp.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

namespace twinloop::detail {
namespace {

constexpr std::size_t kMaxChunkLine = 256;  // a chunk's size and extensions, with the line end of the chunk before

// Watches that lines end in CRLF and nothing else does (RFC 9112 §2.2 lets a recipient take a bare LF; two recipients that differ in
// it are what smuggling needs), and that no line goes on in the next (§5.2).
class LineWatch {
 public:
  void begin() noexcept {
    first_line_size_ = 0;
    lines_ = 0;
    after_return_ = false;
    at_line_start_ = true;
  }
  void begin_after_body() noexcept {
    after_return_ = false;
    at_line_start_ = false;
  }

  // Null when all is well, else what is wrong.
  const char* look(std::string_view bytes, bool may_fold) {
    while (!bytes.empty()) {
      if (std::exchange(at_line_start_, false) && lines_ > 0 && !may_fold && (bytes[0] == ' ' || bytes[0] == '\t')) {
        return "a folded header line";
      }
      const std::size_t size = find_line_end(bytes);
      if (after_return_ && (size > 0 || bytes[0] != '\n')) return "a carriage return that ends no line";
      if (lines_ == 0) note_first_line(bytes.substr(0, size));
      bytes.remove_prefix(size);
      if (bytes.starts_with("\r\n")) {
        end_line();
        bytes.remove_prefix(2);
        continue;
      }
      if (bytes.empty()) return nullptr;
      if (bytes[0] == '\n') {
        if (!std::exchange(after_return_, false)) return "a line feed without a carriage return";
        end_line();
      } else {
        after_return_ = true;
      }
      bytes.remove_prefix(1);
    }
    return nullptr;
  }

  std::size_t first_line_size() const noexcept { return first_line_size_; }
  std::string_view first_line_end() const noexcept {
    return std::string_view(first_line_end_.data(), std::min(first_line_size_, kVersion));
  }

 private:
  // Where the first carriage return or line feed is.  Nothing else in a head is less than 0x0e but a tab, so that eight bytes are
  // looked at together.
  static std::size_t find_line_end(std::string_view bytes) noexcept {
    constexpr std::uint64_t kOnes = 0x0101010101010101;
    std::size_t at = 0;
    for (; at + 8 <= bytes.size(); at += 8) {
      std::uint64_t eight;
      std::memcpy(&eight, bytes.data() + at, 8);
      const std::uint64_t small = (eight - kOnes * 0x0e) & ~eight & (kOnes * 0x80);
      if (small == 0) continue;
      // The lowest bit is exact; those above it may be there by a borrow.
      std::size_t i = at;
      if constexpr (std::endian::native == std::endian::little)
        i += static_cast<std::size_t>(std::countr_zero(small)) / 8;
      for (; i < at + 8; ++i) {
        if (bytes[i] == '\r' || bytes[i] == '\n') return i;
      }
    }
    while (at < bytes.size() && bytes[at] != '\r' && bytes[at] != '\n') ++at;
    return at;
  }

  void end_line() noexcept {
    if (first_line_size_ > 0) ++lines_;  // empty lines in front of a message do not count
    at_line_start_ = true;
  }

  void note_first_line(std::string_view piece) noexcept {
    if (piece.size() >= kVersion) {
      std::memcpy(first_line_end_.data(), piece.data() + piece.size() - kVersion, kVersion);
    } else if (!piece.empty()) {
      const std::size_t held = std::min(first_line_size_, kVersion);
      const std::size_t kept = std::min(held, kVersion - piece.size());
      std::memmove(first_line_end_.data(), first_line_end_.data() + held - kept, kept);
      piece.copy(first_line_end_.data() + kept, piece.size());
    }
    first_line_size_ += piece.size();
  }

  static constexpr std::size_t kVersion = 8;  // "HTTP/1.1"
  std::size_t first_line_size_ = 0;
  std::array<char, kVersion> first_line_end_{};  // its last bytes
  std::size_t lines_ = 0;
  bool after_return_ = false;
  bool at_line_start_ = true;
};

constexpr std::array<bool, 256> make_host_table() {
  std::array<bool, 256> table{};
  for (unsigned char c = '!'; c < 0x7f; ++c) table[c] = true;
  for (const char c : std::string_view("\"#,/:<>?@[\\]^`{|}")) table[static_cast<unsigned char>(c)] = false;
  return table;
}
constexpr std::array<bool, 256> kHostCharacter = make_host_table();

bool is_port(std::string_view port) noexcept {
  return port.size() <= 5 && std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Host = uri-host [":" port], also empty (RFC 9110 §7.2).
bool is_host(std::string_view host) noexcept {
  std::size_t end = 0;  // of the name
  if (host.starts_with('[')) {
    end = host.find(']');
    if (end == std::string_view::npos) return false;
    for (const char c : host.substr(1, end - 1)) {
      if (!kHostCharacter[static_cast<unsigned char>(c)] && c != ':') return false;
    }
    ++end;
  } else {
    while (end < host.size() && kHostCharacter[static_cast<unsigned char>(host[end])]) ++end;
  }
  return end == host.size() || (host[end] == ':' && is_port(host.substr(end + 1)));
}

bool starts_with_ignoring_case(std::string_view text, std::string_view beginning) noexcept {
  return equal_ignoring_case(text.substr(0, beginning.size()), beginning);
}

// Digits and nothing else; a sign, a list, a space or more than 2^63 is none.
std::optional<std::uint64_t> parse_length(std::string_view text) noexcept {
  if (text.empty() || text.size() > 18) return std::nullopt;
  std::uint64_t length = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    length = length * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return length;
}

struct Connection {
  bool close = false;
  bool keep_alive = false;
  bool upgrade = false;

  void add(std::string_view value) noexcept {
    while (!value.empty()) {
      const std::size_t comma = std::min(value.find(','), value.size());
      const std::string_view token = trim_http_space(value.substr(0, comma));
      close |= equal_ignoring_case(token, "close");
      keep_alive |= equal_ignoring_case(token, "keep-alive");
      upgrade |= equal_ignoring_case(token, "upgrade");
      value.remove_prefix(std::min(comma + 1, value.size()));
    }
  }
};

}  // namespace

struct HTTP1Parser::State {
  enum class Phase : unsigned char { between, head, body, failed };

  State(MessageKind k, const ParserLimits& l) : kind(k), limits(l) {
    llhttp_init(&engine, kind == MessageKind::request ? HTTP_REQUEST : HTTP_RESPONSE, &settings());
    engine.data = this;
  }

  static State& of(llhttp_t* engine) noexcept { return *static_cast<State*>(engine->data); }
  static const llhttp_settings_t& settings();
  static llhttp_settings_t make_settings();

  bool is_request() const noexcept { return kind == MessageKind::request; }

  Step next(std::string_view input);
  Step finish();
  Step read_head(std::string_view input);
  Step read_body(std::string_view input);
  Step end_message(std::size_t consumed);
  Step tell(Event event, std::size_t consumed = 0, std::string_view body = {}) const { return {event, consumed, body}; }
  Step refuse(int code, const char* reason);
  Step refuse_engine(std::string_view input);
  Step refuse_method(std::string_view input);
  llhttp_errno_t run(std::string_view input, std::size_t& consumed);

  void begin();
  int add_field(std::string_view name);
  int add_to_value(std::string_view value);
  int end_field();
  int fail(int code, const char* reason) noexcept;
  int complete_head();
  bool check_framing(const Connection& connection);
  bool check_request();
  bool check_target();
  bool check_first_line();
  bool has_no_body() const noexcept;

  llhttp_t engine;
  MessageKind kind;
  ParserLimits limits;
  MessageHead head;
  HTTPHeaders trailers;
  HTTPHeaders::Field* field = nullptr;  // that is being read
  LineWatch lines;
  std::size_t overhead = 0;  // bytes of the head, of the trailers, or between two pieces of a chunked body
  std::string_view piece;    // of the body, just found
  const char* why = "";
  int status = 0;
  Phase phase = Phase::between;
  bool started = false;        // a byte of it has come
  bool head_complete = false;  // llhttp has seen it
  bool complete = false;       // llhttp has seen the message's end, which is still to be told
  bool until_close = false;    // the body ends with the connection
  bool answers_head = false;
  bool in_trailers = false;
  bool method_lost = false;  // llhttp knows no such method
};

// ---- what llhttp finds

llhttp_settings_t HTTP1Parser::State::make_settings() {
  llhttp_settings_t all;
  llhttp_settings_init(&all);
  all.on_message_begin = [](llhttp_t* engine) {
    of(engine).started = true;
    return 0;
  };
  all.on_method = [](llhttp_t* engine, const char* at, std::size_t size) {
    of(engine).head.method.append(at, size);
    return 0;
  };
  all.on_url = [](llhttp_t* engine, const char* at, std::size_t size) {
    of(engine).head.target.append(at, size);
    return 0;
  };
  all.on_status = [](llhttp_t* engine, const char* at, std::size_t size) {
    of(engine).head.reason.append(at, size);
    return 0;
  };
  all.on_header_field = [](llhttp_t* engine, const char* at, std::size_t size) {
    return of(engine).add_field({at, size});
  };
  all.on_header_value = [](llhttp_t* engine, const char* at, std::size_t size) {
    return of(engine).add_to_value({at, size});
  };
  all.on_header_value_complete = [](llhttp_t* engine) { return of(engine).end_field(); };
  all.on_headers_complete = [](llhttp_t* engine) { return of(engine).complete_head(); };
  all.on_body = [](llhttp_t* engine, const char* at, std::size_t size) -> int {
    of(engine).piece = {at, size};
    return size > 0 ? HPE_PAUSED : HPE_OK;
  };
  all.on_message_complete = [](llhttp_t* engine) -> int {
    of(engine).complete = true;
    return HPE_PAUSED;
  };
  return all;
}

const llhttp_settings_t& HTTP1Parser::State::settings() {
  static const llhttp_settings_t all = make_settings();
  return all;
}

int HTTP1Parser::State::fail(int code, const char* reason) noexcept {
  status = code;
  why = reason;
  return HPE_USER;
}

int HTTP1Parser::State::add_field(std::string_view name) {
  HTTPHeaders& fields = phase == Phase::head ? head.headers : trailers;
  in_trailers = phase != Phase::head;
  if (field == nullptr) {
    if (fields.size() == limits.max_header_count) return fail(431, "too many headers");
    field = &fields.append_unchecked();
  }
  field->name.append(name);
  return 0;
}

int HTTP1Parser::State::add_to_value(std::string_view value) {
  if (field == nullptr) return fail(400, "a header without a name");
  field->value.append(value);
  return 0;
}

int HTTP1Parser::State::end_field() {
  if (field == nullptr || field->name.empty()) return fail(400, "a header without a name");
  const std::size_t end = field->value.find_last_not_of(" \t\r\n");
  field->value.resize(end == std::string::npos ? 0 : end + 1);
  field = nullptr;
  return 0;
}

// ---- what a head says

int HTTP1Parser::State::complete_head() {
  head_complete = true;
  head.minor_version = llhttp_get_http_minor(&engine);
  if (llhttp_get_http_major(&engine) != 1) return fail(505, "a version other than HTTP/1");
  head.status = is_request() ? 0 : llhttp_get_status_code(&engine);
  Connection connection;
  for (const HTTPHeaders::Field& each : head.headers) {
    if (each.name.size() == 10 && equal_ignoring_case(each.name, "Connection")) connection.add(each.value);
  }
  if (!check_framing(connection)) return HPE_USER;
  if (is_request() && !check_request()) return HPE_USER;
  if (has_no_body()) return is_request() ? 0 : 1;
  return HPE_PAUSED;
}

bool HTTP1Parser::State::check_framing(const Connection& connection) {
  bool upgrade_named = false;
  for (const HTTPHeaders::Field& each : head.headers) {
    switch (each.name.size()) {
      case 7:
        upgrade_named |= equal_ignoring_case(each.name, "Upgrade");
        break;
      case 14:
        if (!equal_ignoring_case(each.name, "Content-Length")) break;
        if (head.content_length) return fail(400, "more than one Content-Length"), false;
        head.content_length = parse_length(each.value);
        if (!head.content_length) return fail(400, "a Content-Length that is no number"), false;
        break;
      case 17:
        if (!equal_ignoring_case(each.name, "Transfer-Encoding")) break;
        if (head.chunked) return fail(400, "more than one Transfer-Encoding"), false;
        if (!equal_ignoring_case(each.value, "chunked")) {
          const bool somewhere = each.value.find_first_of(" ,\t") != std::string::npos || each.value.empty();
          return fail(somewhere ? 400 : 501, "a Transfer-Encoding other than chunked"), false;
        }
        head.chunked = true;
        break;
      default:
        break;
    }
  }
  if (head.chunked && head.content_length) return fail(400, "both Content-Length and Transfer-Encoding"), false;
  if (head.chunked && head.minor_version == 0) return fail(400, "a Transfer-Encoding in HTTP/1.0"), false;
  head.keep_alive = !connection.close && (head.minor_version > 0 || connection.keep_alive);
  head.upgrade = is_request() ? head.method == "CONNECT" || (connection.upgrade && upgrade_named) : head.status == 101;
  until_close = !is_request() && !has_no_body() && !head.chunked && !head.content_length;
  if (until_close) head.keep_alive = false;
  return true;
}

bool HTTP1Parser::State::has_no_body() const noexcept {
  if (!is_request()) {
    if (answers_head || head.status < 200 || head.status == 204 || head.status == 304) return true;
    return head.content_length == 0U;
  }
  return !head.chunked && head.content_length.value_or(0) == 0;
}

bool HTTP1Parser::State::check_request() {
  const std::string* host = nullptr;
  for (const HTTPHeaders::Field& each : head.headers) {
    if (each.name.size() != 4 || !equal_ignoring_case(each.name, "Host")) continue;
    if (host != nullptr) return fail(400, "more than one Host"), false;
    host = &each.value;
  }
  if (host == nullptr && head.minor_version > 0) return fail(400, "no Host"), false;
  if (host != nullptr && !is_host(*host)) return fail(400, "a Host that is none"), false;
  if (!check_target()) return false;
  // A proxy may have gone by one of the two, so they may not differ (RFC 9112 §3.2.2).
  const std::size_t scheme = head.target.starts_with('/') ? std::string::npos : head.target.find("://");
  if (scheme == std::string::npos || host == nullptr) return true;
  const std::string_view rest = std::string_view(head.target).substr(scheme + 3);
  if (!equal_ignoring_case(rest.substr(0, rest.find_first_of("/?")), *host)) {
    return fail(400, "a Host other than the target's"), false;
  }
  return true;
}

bool HTTP1Parser::State::check_target() {
  const std::string_view target = head.target;
  const char* const wrong = "a target that is none";
  if (head.method == "CONNECT") {
    const bool named = is_host(target) && target.find(':') != std::string_view::npos;
    return named || (fail(400, wrong), false);
  }
  if (target.find('#') != std::string_view::npos) return fail(400, wrong), false;
  if (target.starts_with('/')) return true;
  if (target == "*") return head.method == "OPTIONS" || (fail(400, wrong), false);
  const bool absolute = starts_with_ignoring_case(target, "http://") || starts_with_ignoring_case(target, "https://");
  const std::string_view rest = absolute ? target.substr(target.find("//") + 2) : std::string_view();
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  return (!authority.empty() && is_host(authority)) || (fail(400, wrong), false);
}

// "METHOD SP target SP HTTP/1.x" and nothing more: llhttp would take more spaces, and RTSP.
bool HTTP1Parser::State::check_first_line() {
  const std::string_view version = lines.first_line_end();
  const std::size_t size = head.method.size() + 1 + head.target.size() + 1 + version.size();
  if (lines.first_line_size() != size) return fail(400, "a request line with too many spaces"), false;
  if (!version.starts_with("HTTP/1.")) return fail(400, "another protocol than HTTP"), false;
  return true;
}

// ---- step by step

void HTTP1Parser::State::begin() {
  llhttp_reset(&engine);
  head.method.clear();
  head.target.clear();
  head.reason.clear();
  head.headers.clear();
  head.content_length.reset();
  head.chunked = false;
  trailers.clear();
  field = nullptr;
  lines.begin();
  overhead = 0;
  phase = Phase::head;
  started = head_complete = complete = until_close = in_trailers = method_lost = false;
}

HTTP1Parser::Step HTTP1Parser::State::next(std::string_view input) {
  if (phase == Phase::failed) return tell(Event::error);
  if (complete) return end_message(0);
  if (phase == Phase::between) {
    if (input.empty()) return tell(Event::more);
    begin();
  }
  return phase == Phase::head ? read_head(input) : read_body(input);
}

llhttp_errno_t HTTP1Parser::State::run(std::string_view input, std::size_t& consumed) {
  const llhttp_errno_t result = llhttp_execute(&engine, input.data(), input.size());
  consumed = input.size();
  if (result == HPE_OK) return result;
  if (const char* at = llhttp_get_error_pos(&engine)) consumed = static_cast<std::size_t>(at - input.data());
  if (result == HPE_PAUSED) llhttp_resume(&engine);
  return result;
}

HTTP1Parser::Step HTTP1Parser::State::read_head(std::string_view input) {
  if (method_lost) return refuse_method(input);
  const std::string_view allowed = input.substr(0, limits.max_header_size - overhead);
  std::size_t consumed = 0;
  const llhttp_errno_t result = run(allowed, consumed);
  if (result != HPE_OK && result != HPE_PAUSED) return refuse_engine(allowed);
  overhead += consumed;
  if (const char* wrong = lines.look(allowed.substr(0, consumed), !is_request())) return refuse(400, wrong);
  if (head_complete) {
    if (is_request() && !check_first_line()) return refuse(status, why);
    phase = Phase::body;
    overhead = 0;
    return tell(Event::headers, consumed);
  }
  if (overhead == limits.max_header_size) {
    const bool in_first_line = head.headers.empty() && field == nullptr;
    return in_first_line && is_request() ? refuse(414, "a request line that is too long")
                                         : refuse(431, "headers that are too long");
  }
  return tell(Event::more, consumed);
}

HTTP1Parser::Step HTTP1Parser::State::read_body(std::string_view input) {
  piece = {};
  std::size_t consumed = 0;
  const llhttp_errno_t result = run(input, consumed);
  if (result != HPE_OK && result != HPE_PAUSED) return refuse_engine(input);
  const std::size_t framing = piece.empty() ? consumed : static_cast<std::size_t>(piece.data() - input.data());
  if (head.chunked) {
    overhead += framing;
    if (const char* wrong = lines.look(input.substr(0, framing), false)) return refuse(400, wrong);
    if (!in_trailers && overhead > kMaxChunkLine) return refuse(400, "chunk extensions that are too long");
    if (overhead > limits.max_header_size) return refuse(431, "trailers that are too long");
  }
  if (!piece.empty()) {
    overhead = 0;
    lines.begin_after_body();
    return tell(Event::body, consumed, piece);
  }
  return complete ? end_message(consumed) : tell(Event::more, consumed);
}

HTTP1Parser::Step HTTP1Parser::State::end_message(std::size_t consumed) {
  const bool interim = !is_request() && head.status < 200;
  complete = false;
  answers_head = answers_head && interim;
  phase = Phase::between;
  return tell(Event::end, consumed);
}

HTTP1Parser::Step HTTP1Parser::State::finish() {
  if (phase == Phase::failed) return tell(Event::error);
  if (complete) return end_message(0);
  if (phase == Phase::between || !started) return tell(Event::more);
  if (phase != Phase::body || !until_close) return refuse(400, "the connection ended within a message");
  return end_message(0);
}

// ---- what is wrong

HTTP1Parser::Step HTTP1Parser::State::refuse(int code, const char* reason) {
  status = code;
  why = reason;
  phase = Phase::failed;
  return tell(Event::error);
}

HTTP1Parser::Step HTTP1Parser::State::refuse_engine(std::string_view input) {
  if (status != 0) return refuse(status, why);  // one of the functions above found it
  const bool known_version = llhttp_get_http_major(&engine) == 1 && llhttp_get_http_minor(&engine) <= 1;
  switch (llhttp_get_errno(&engine)) {
    case HPE_INVALID_METHOD:
      return refuse_method(input);
    case HPE_INVALID_VERSION:
      return known_version ? refuse(400, "a request line with more behind it")
                           : refuse(505, "a version other than HTTP/1");
    case HPE_PAUSED_H2_UPGRADE:
      return refuse(505, "a version other than HTTP/1");
    default:
      return refuse(400, llhttp_get_error_reason(&engine));
  }
}

// A method that could be one is merely not allowed, so that its end has to be seen.
HTTP1Parser::Step HTTP1Parser::State::refuse_method(std::string_view input) {
  const std::size_t all = input.size();
  if (!method_lost) input.remove_prefix(std::min(input.find_first_not_of("\r\n"), input.size()));
  const auto end = std::find_if_not(input.begin(), input.end(), [](char c) { return is_http_token({&c, 1}); });
  const bool empty = !method_lost && end == input.begin() && head.method.empty() && overhead == 0;
  method_lost = true;
  overhead += static_cast<std::size_t>(end - input.begin());
  if (end != input.end())
    return *end == ' ' && !empty ? refuse(405, "a method that nobody knows") : refuse(400, "no request");
  if (overhead >= limits.max_header_size) return refuse(414, "a request line that is too long");
  return tell(Event::more, all);
}

// ---- the face

HTTP1Parser::HTTP1Parser(MessageKind kind, const ParserLimits& limits)
    : state_(std::make_unique<State>(kind, limits)) {}
HTTP1Parser::~HTTP1Parser() = default;

HTTP1Parser::Step HTTP1Parser::next(std::string_view input) { return state_->next(input); }
HTTP1Parser::Step HTTP1Parser::finish() { return state_->finish(); }
void HTTP1Parser::expect_no_body() noexcept { state_->answers_head = true; }
MessageHead& HTTP1Parser::head() noexcept { return state_->head; }
HTTPHeaders& HTTP1Parser::trailers() noexcept { return state_->trailers; }
bool HTTP1Parser::in_message() const noexcept {
  return state_->started && state_->phase != State::Phase::between && state_->phase != State::Phase::failed;
}
int HTTP1Parser::status() const noexcept { return state_->status; }
std::string_view HTTP1Parser::why() const noexcept { return state_->why; }

}  // namespace twinloop::detail
