// What HTTP messages are made of: headers, queries and forms, cookies, dates (Tornado's httputil).  No I/O here, and nothing that
// waits; everything is a value.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "twinloop/result.h"

namespace twinloop {

// Header fields in the order in which they came; names are compared without regard to case (RFC 9110 §5).
class HTTPHeaders {
 public:
  struct Field {
    std::string name;
    std::string value;
  };

  HTTPHeaders() noexcept = default;
  HTTPHeaders(const HTTPHeaders& other) : fields_(other.begin(), other.end()), size_(other.size_) {}
  HTTPHeaders(HTTPHeaders&& other) noexcept : fields_(std::move(other.fields_)), size_(std::exchange(other.size_, 0)) {}
  HTTPHeaders& operator=(HTTPHeaders other) noexcept {
    fields_.swap(other.fields_);
    std::swap(size_, other.size_);
    return *this;
  }

  HTTPHeaders& add(std::string_view name, std::string_view value) &;
  HTTPHeaders&& add(std::string_view name, std::string_view value) && { return std::move(add(name, value)); }
  // One more field, besides those of the same name.  Throws Error(protocol) for a name that is no token and for a value with a
  // control character in it (RFC 9110 §5.5): what a program passes on cannot break out of its header.
  HTTPHeaders& set(std::string_view name, std::string_view value) &;
  HTTPHeaders&& set(std::string_view name, std::string_view value) && { return std::move(set(name, value)); }
  // In place of all fields of that name.
  void erase(std::string_view name) noexcept;
  void clear() noexcept { size_ = 0; }
  // The memory stays, for the headers that are added next.

  const std::string* find(std::string_view name) const noexcept;
  // The first of that name; nullptr when there is none.
  std::string_view get(std::string_view name, std::string_view otherwise = {}) const noexcept;
  std::string joined(std::string_view name) const;
  // All values of that name with ", " between them, which means the same (RFC 9110 §5.3); not for Set-Cookie.
  std::vector<std::string_view> all(std::string_view name) const;
  std::size_t count(std::string_view name) const noexcept;
  bool contains(std::string_view name) const noexcept { return find(name) != nullptr; }
  bool has_token(std::string_view name, std::string_view token) const noexcept;
  // Whether that comma-separated header names the token, whatever its case: has_token("Connection", "close").

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  const Field* begin() const noexcept { return fields_.data(); }
  const Field* end() const noexcept { return fields_.data() + size_; }

  static Result<HTTPHeaders> parse(std::string_view block);
  // "Name: value\r\n…", as between a start line and the empty line.  Fails with protocol.  For parts of multipart bodies, which may
  // fold lines; a connection's own headers are read by its parser.

  Field& append_unchecked();
  // One more field, empty, in memory that clear() kept.  For parsers, which look themselves.

 private:
  std::vector<Field> fields_;  // the first size_ are there, the others are memory
  std::size_t size_ = 0;
};

// ---- the grammar of headers

bool is_http_token(std::string_view text) noexcept;
// A name, a method (RFC 9110 §5.6.2); not empty.
bool is_http_field_value(std::string_view text) noexcept;
// No control character but the tab.
bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept;
// Of ASCII letters.
std::string_view trim_http_space(std::string_view text) noexcept;
// Without spaces and tabs at both ends.

// ---- queries and forms

// Names with their values, in order; a name may stand there more than once.
class HTTPArguments {
 public:
  void add(std::string name, std::string value) { pairs_.emplace_back(std::move(name), std::move(value)); }
  const std::string* find(std::string_view name) const noexcept;
  // The last of that name (Tornado's get_argument); nullptr when there is none.
  std::vector<std::string_view> all(std::string_view name) const;
  std::size_t size() const noexcept { return pairs_.size(); }
  auto begin() const noexcept { return pairs_.begin(); }
  auto end() const noexcept { return pairs_.end(); }

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
};

HTTPArguments parse_query(std::string_view text, std::size_t max_fields = 1000);
// "a=1&b=%20": + and %XX are decoded, an escape that is none stays as it is.  Throws Error(limit) beyond max_fields.

std::string url_escape(std::string_view text, bool plus = true);
// With `plus` for a query (a space becomes +), without for a path (%20, and slashes stay).
std::string url_unescape(std::string_view text, bool plus = true);
std::string url_concat(std::string_view url, const HTTPArguments& arguments);
// Adds arguments to an URL that may have some already, in front of its fragment.

struct HTTPFile {
  std::string filename;
  std::string content_type;
  std::string body;
};

struct MultipartForm {
  HTTPArguments arguments;
  std::vector<std::pair<std::string, HTTPFile>> files;  // by field name
};

struct MultipartLimits {
  std::size_t max_parts = 100;
  std::size_t max_part_header_size = 10 * 1024;
  std::size_t max_part_size = static_cast<std::size_t>(-1);
};

// What a part of a form says of itself.
struct MultipartPart {
  std::string name;
  std::optional<std::string> filename;  // a file's
  std::string content_type = "application/unknown";
  HTTPHeaders headers;
};

// A form of multipart/form-data (RFC 7578) piece by piece, as it arrives: it holds a part's headers, or the few bytes that may turn out
// to be a boundary, and nothing else.  Fed as HTTP bodies are, it tells one thing at a time:
//
//   MultipartParser::Step step = parser.next(bytes);   // bytes.remove_prefix(step.consumed) …
class MultipartParser {
 public:
  enum class Event : unsigned char {
    more,      // all input was taken; feed more
    part,      // part() begins
    data,      // `data` is a piece of it, valid until the next call and as long as the input
    part_end,  // it was complete
    end,       // so is the form; what may come behind it is taken and ignored
    error      // why() says what is wrong; nothing can follow
  };
  struct Step {
    Event event = Event::more;
    std::size_t consumed = 0;
    std::string_view data;
  };

  explicit MultipartParser(std::string_view content_type, const MultipartLimits& limits = {});
  // Which has the boundary; where it has none, the first step is an error.

  Step next(std::string_view input);
  Step finish();
  // There is no more input: an error unless the form has ended.

  MultipartPart& part() noexcept { return part_; }
  const Failure& why() const noexcept { return failure_; }
  // protocol; limit for too many parts or too long headers of one; overflow for a part beyond max_part_size.

 private:
  enum class State : unsigned char { preamble, headers, content, ending, epilogue, broken };
  enum class Match : unsigned char { none, begun, part, last };
  struct Delimiter {
    Match match = Match::none;
    std::size_t size = 0;
  };

  Delimiter match(std::string_view text) const noexcept;
  std::size_t find_delimiter(std::string_view text) const noexcept;
  void expect_delimiter(State state);
  Step advance(std::string_view input);
  Step take_held(std::string_view input);
  Step take_content(std::string_view input);
  Step take_headers(std::string_view input);
  Step begin_part(std::size_t consumed);
  Step give(std::string_view data, std::size_t consumed);
  Step pass(const Delimiter& delimiter, std::size_t consumed);
  Step fail(Failure failure);

  MultipartLimits limits_;
  std::string mark_;  // "\r\n--" and the boundary
  State state_ = State::preamble;
  std::string held_;        // headers, or what may begin a delimiter
  std::size_t unreal_ = 0;  // bytes in front of held_ that nobody sent
  std::string given_;       // what was held and is content
  MultipartPart part_;
  std::size_t parts_ = 0;
  std::size_t size_ = 0;  // of the part's content so far
  Failure failure_;
};

Result<MultipartForm> parse_multipart(std::string_view body, std::string_view content_type,
                                      const MultipartLimits& limits = {});
// All of it at once.  Fails as MultipartParser does.

// ---- cookies and dates

std::vector<std::pair<std::string, std::string>> parse_cookies(std::string_view header);
// Of a request's Cookie header (RFC 6265 §5.4), in order, quotes removed.  A name may stand there more than once; a piece without "="
// is a value without a name.

std::string format_timestamp(std::chrono::system_clock::time_point when);
// "Sun, 27 Jan 2013 18:43:20 GMT" (RFC 9110 §5.6.7).
std::optional<std::chrono::system_clock::time_point> parse_timestamp(std::string_view text);
// That form, and the two obsolete ones that a server must accept.

std::string_view reason_phrase(int status) noexcept;
// "Not Found" for 404; "Unknown" for codes that RFC 9110 does not name.

}  // namespace twinloop
