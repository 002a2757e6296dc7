// Bodies of multipart/form-data (RFC 7578, RFC 2046 §5.1), piece by piece.
#include <algorithm>

#include "twinloop/httputil.h"

namespace twinloop {
namespace {

Failure malformed(const char* what) { return {Errc::protocol, std::string("multipart/form-data: ") + what}; }

// A header's value as "form-data; name=\"a\"; filename*=UTF-8''b": the value, then its parameters one by one.
class Parameters {
 public:
  explicit Parameters(std::string_view header) noexcept : rest_(header) { value_ = take_until(";"); }

  std::string_view value() const noexcept { return value_; }

  bool next() {
    while (!rest_.empty()) {
      rest_.remove_prefix(1);  // the semicolon
      name_ = take_until("=;");
      if (!rest_.starts_with('=')) continue;
      rest_.remove_prefix(1);
      rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t"), rest_.size()));
      argument_ = rest_.starts_with('"') ? take_quoted() : std::string(take_until(";"));
      return true;
    }
    return false;
  }
  std::string_view name() const noexcept { return name_; }
  std::string& argument() noexcept { return argument_; }

 private:
  std::string_view take_until(const char* ends) noexcept {
    const std::size_t end = std::min(rest_.find_first_of(ends), rest_.size());
    const std::string_view text = trim_http_space(rest_.substr(0, end));
    rest_.remove_prefix(end);
    return text;
  }

  std::string take_quoted() {
    std::string text;
    std::size_t i = 1;
    for (; i < rest_.size() && rest_[i] != '"'; ++i) {
      // Only \" and \\ are escapes: old browsers send C:\path\file as it is.
      const bool escape = rest_[i] == '\\' && i + 1 < rest_.size() && (rest_[i + 1] == '"' || rest_[i + 1] == '\\');
      if (escape) ++i;
      text += rest_[i];
    }
    rest_.remove_prefix(std::min(i + 1, rest_.size()));
    take_until(";");
    return text;
  }

  std::string_view rest_;
  std::string_view value_;
  std::string_view name_;
  std::string argument_;
};

// "UTF-8'en'a%20b" (RFC 8187); the text as it is where it has another form.
std::string decode_extended(std::string_view text) {
  const std::size_t charset = text.find('\'');
  const std::size_t language = charset == std::string_view::npos ? charset : text.find('\'', charset + 1);
  if (language == std::string_view::npos) return std::string(text);
  return url_unescape(text.substr(language + 1), false);
}

struct Disposition {
  std::optional<std::string> name;
  std::optional<std::string> filename;
};

std::optional<Disposition> parse_disposition(std::string_view header) {
  Parameters parameters(header);
  if (!equal_ignoring_case(parameters.value(), "form-data")) return std::nullopt;
  Disposition disposition;
  bool extended = false;
  while (parameters.next()) {
    if (equal_ignoring_case(parameters.name(), "name")) {
      disposition.name = std::move(parameters.argument());
    } else if (equal_ignoring_case(parameters.name(), "filename*")) {
      disposition.filename = decode_extended(parameters.argument());
      extended = true;
    } else if (equal_ignoring_case(parameters.name(), "filename") && !extended) {
      disposition.filename = std::move(parameters.argument());
    }
  }
  return disposition;
}

std::optional<std::string> find_boundary(std::string_view content_type) {
  Parameters parameters(content_type);
  if (!equal_ignoring_case(parameters.value(), "multipart/form-data")) return std::nullopt;
  while (parameters.next()) {
    std::string& boundary = parameters.argument();
    if (!equal_ignoring_case(parameters.name(), "boundary")) continue;
    if (boundary.empty() || boundary.size() > 70) return std::nullopt;
    return std::move(boundary);
  }
  return std::nullopt;
}

constexpr std::size_t kMostHeaders = 1024 * 1024;
constexpr std::size_t kMaxPadding = 64;  // behind a boundary (RFC 2046 §5.1.1); what has more of it is content

std::optional<Failure> read_headers(MultipartPart& part, std::string_view block) {
  Result<HTTPHeaders> headers = HTTPHeaders::parse(block);
  if (!headers.ok()) return headers.failure();
  std::optional<Disposition> disposition = parse_disposition(headers->get("Content-Disposition"));
  if (!disposition) return malformed("a part whose Content-Disposition is not form-data");
  if (!disposition->name) return malformed("a part without a name");
  part.name = std::move(*disposition->name);
  part.filename = std::move(disposition->filename);
  part.content_type = headers->get("Content-Type", "application/unknown");
  part.headers = std::move(*headers);
  return std::nullopt;
}

void add_part(MultipartForm& form, MultipartPart& part, std::string content) {
  if (!part.filename) return form.arguments.add(std::move(part.name), std::move(content));
  HTTPFile file{std::move(*part.filename), std::move(part.content_type), std::move(content)};
  form.files.emplace_back(std::move(part.name), std::move(file));
}

}  // namespace

MultipartParser::MultipartParser(std::string_view content_type, const MultipartLimits& limits) : limits_(limits) {
  limits_.max_part_header_size = std::min(limits_.max_part_header_size, kMostHeaders);
  const std::optional<std::string> boundary = find_boundary(content_type);
  if (!boundary) {
    fail(malformed("no boundary in the content type"));
    return;
  }
  mark_.append("\r\n--").append(*boundary);
  expect_delimiter(State::preamble);
}

MultipartParser::Step MultipartParser::fail(Failure failure) {
  state_ = State::broken;
  failure_ = std::move(failure);
  return {Event::error, 0, {}};
}

MultipartParser::Step MultipartParser::next(std::string_view input) {
  std::size_t taken = 0;
  for (;;) {
    Step step = advance(input.substr(taken));
    taken += step.consumed;
    step.consumed = taken;
    if (step.event != Event::more) return step;
    if (taken == input.size() && state_ != State::ending) return step;
  }
}

// `more` also where this is only one step of several.
MultipartParser::Step MultipartParser::advance(std::string_view input) {
  switch (state_) {
    case State::headers:
      return take_headers(input);
    case State::preamble:
    case State::content:
      return held_.empty() ? take_content(input) : take_held(input);
    case State::ending:
      state_ = State::epilogue;
      return {Event::end, 0, {}};
    case State::epilogue:
      return {Event::more, input.size(), {}};
    case State::broken:
      break;
  }
  return {Event::error, 0, {}};
}

MultipartParser::Step MultipartParser::finish() {
  switch (state_) {
    case State::preamble:
      return fail(malformed("no boundary in the body"));
    case State::headers:
      return fail(malformed("a part without headers"));
    case State::content:
      return fail(malformed("no boundary at the end of a part"));
    case State::ending:
    case State::epilogue:
      return advance({});
    case State::broken:
      break;
  }
  return {Event::error, 0, {}};
}

// ---- boundaries

// How far a text goes along a delimiter.  A boundary that only begins as ours does is content.
MultipartParser::Delimiter MultipartParser::match(std::string_view text) const noexcept {
  const std::size_t common = std::min(text.size(), mark_.size());
  if (text.substr(0, common) != std::string_view(mark_).substr(0, common)) return {};
  std::string_view behind = text.substr(common);
  if (behind.starts_with("--")) return {Match::last, mark_.size() + 2};
  if (text.size() <= mark_.size() || behind == "-") return {Match::begun, 0};
  const std::size_t padding = std::min(behind.find_first_not_of(" \t"), behind.size());
  if (padding > kMaxPadding) return {};
  behind.remove_prefix(padding);
  if (behind.starts_with("\r\n")) return {Match::part, mark_.size() + padding + 2};
  return {behind.empty() || behind == "\r" ? Match::begun : Match::none, 0};
}

// The first that is there or may be beginning; the text's size when there is none.
std::size_t MultipartParser::find_delimiter(std::string_view text) const noexcept {
  std::size_t at = text.find('\r');
  while (at != std::string_view::npos && match(text.substr(at)).match == Match::none) at = text.find('\r', at + 1);
  return std::min(at, text.size());
}

// Right here, as if the end of a line stood in front.
void MultipartParser::expect_delimiter(State state) {
  state_ = state;
  held_ = "\r\n";
  unreal_ = held_.size();
}

MultipartParser::Step MultipartParser::take_content(std::string_view input) {
  if (input.empty()) return {};
  const std::size_t at = find_delimiter(input);
  if (at > 0) return give(input.substr(0, at), at);
  const Delimiter delimiter = match(input);
  if (delimiter.match != Match::begun) return pass(delimiter, delimiter.size);
  held_ = input;
  return {Event::more, input.size(), {}};
}

// What was held and what comes now may be a delimiter together.  If they are not, none begins within what was held: a "\r" stands
// only at a delimiter's beginning and in its last two characters.
MultipartParser::Step MultipartParser::take_held(std::string_view input) {
  const std::size_t before = held_.size();
  held_.append(input.substr(0, mark_.size() + kMaxPadding + 2));
  const Delimiter delimiter = match(held_);
  if (delimiter.match == Match::begun) return {Event::more, held_.size() - before, {}};
  const std::size_t unreal = std::exchange(unreal_, 0);
  if (delimiter.match == Match::none) {
    given_ = held_.substr(unreal, before - unreal);
    held_.clear();
    return given_.empty() ? Step() : give(given_, 0);
  }
  if (unreal > 0 && state_ == State::content) return fail(malformed("a part without an empty line behind its headers"));
  return pass(delimiter, delimiter.size - before);
}

MultipartParser::Step MultipartParser::give(std::string_view data, std::size_t consumed) {
  if (state_ == State::preamble) return {Event::more, consumed, {}};
  if (data.size() > limits_.max_part_size - size_) {
    const std::string most = std::to_string(limits_.max_part_size);
    return fail(Failure(Errc::overflow, "multipart/form-data: a part of more than " + most + " bytes"));
  }
  size_ += data.size();
  return {Event::data, consumed, data};
}

MultipartParser::Step MultipartParser::pass(const Delimiter& delimiter, std::size_t consumed) {
  const bool in_part = state_ == State::content;
  held_.clear();
  state_ = delimiter.match == Match::last ? State::ending : State::headers;
  return {in_part ? Event::part_end : Event::more, consumed, {}};
}

// ---- headers

MultipartParser::Step MultipartParser::take_headers(std::string_view input) {
  const std::size_t most = limits_.max_part_header_size + 4;  // with the empty line
  const std::size_t before = held_.size();
  held_.append(input.substr(0, most - before));
  if (held_.starts_with("\r\n")) return fail(malformed("a part without headers"));
  const std::size_t end = held_.find("\r\n\r\n", std::max<std::size_t>(before, 3) - 3);
  if (end != std::string::npos) {
    held_.resize(end + 2);
    return begin_part(end + 4 - before);
  }
  if (held_.size() < most) return {Event::more, held_.size() - before, {}};
  return fail(Failure(Errc::limit, "multipart/form-data: the headers of a part are too long"));
}

MultipartParser::Step MultipartParser::begin_part(std::size_t consumed) {
  if (parts_ == limits_.max_parts) {
    return fail(Failure(Errc::limit, "multipart/form-data: more than " + std::to_string(limits_.max_parts) + " parts"));
  }
  ++parts_;
  size_ = 0;
  part_ = MultipartPart();
  if (std::optional<Failure> failure = read_headers(part_, held_)) return fail(std::move(*failure));
  expect_delimiter(State::content);
  return {Event::part, consumed, {}};
}

// ---- all at once

Result<MultipartForm> parse_multipart(std::string_view body, std::string_view content_type,
                                      const MultipartLimits& limits) {
  MultipartParser parser(content_type, limits);
  MultipartForm form;
  std::string content;
  for (;;) {
    const MultipartParser::Step step = body.empty() ? parser.finish() : parser.next(body);
    body.remove_prefix(step.consumed);
    switch (step.event) {
      case MultipartParser::Event::data:
        content += step.data;
        break;
      case MultipartParser::Event::part_end:
        add_part(form, parser.part(), std::exchange(content, {}));
        break;
      case MultipartParser::Event::end:
        return form;
      case MultipartParser::Event::error:
        return parser.why();
      case MultipartParser::Event::part:
      case MultipartParser::Event::more:
        break;
    }
  }
}

}  // namespace twinloop
