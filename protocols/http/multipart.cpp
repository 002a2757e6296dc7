// Bodies of multipart/form-data (RFC 7578, RFC 2046 §5.1), in one pass.
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

// The parts of a body, one after the other.
class Parts {
 public:
  Parts(std::string_view body, std::string_view boundary) : rest_(body), mark_("\r\n--") { mark_ += boundary; }

  enum class Step : unsigned char { part, end, broken };

  bool begin() noexcept {
    const std::string_view first = std::string_view(mark_).substr(2);  // nothing need stand in front of it
    if (rest_.starts_with(first) && ends_a_part(rest_.substr(first.size()))) {
      rest_.remove_prefix(first.size());
      return true;
    }
    const std::size_t at = find_mark();
    if (at == std::string_view::npos) return false;
    rest_.remove_prefix(at + mark_.size());
    return true;
  }

  Step next(std::string_view& part) noexcept {
    if (rest_.starts_with("--")) return Step::end;
    rest_.remove_prefix(std::min(rest_.find("\r\n"), rest_.size()));
    const std::size_t end = find_mark();
    if (end == std::string_view::npos) return Step::broken;
    part = end < 2 ? std::string_view() : rest_.substr(2, end - 2);
    rest_.remove_prefix(end + mark_.size());
    return Step::part;
  }

 private:
  // A boundary that only begins as ours does is content.
  std::size_t find_mark() const noexcept {
    std::size_t at = rest_.find(mark_);
    while (at != std::string_view::npos && !ends_a_part(rest_.substr(at + mark_.size())))
      at = rest_.find(mark_, at + 1);
    return at;
  }

  static bool ends_a_part(std::string_view behind) noexcept {
    if (behind.starts_with("--")) return true;
    behind.remove_prefix(std::min(behind.find_first_not_of(" \t"), behind.size()));
    return behind.starts_with("\r\n");
  }

  std::string_view rest_;
  std::string mark_;
};

std::optional<Failure> add_part(MultipartForm& form, std::string_view part, const MultipartLimits& limits) {
  const std::size_t end = part.find("\r\n\r\n");
  if (end == std::string_view::npos) return malformed("a part without headers");
  if (end > limits.max_part_header_size) {
    return Failure(Errc::limit, "multipart/form-data: the headers of a part are too long");
  }
  Result<HTTPHeaders> headers = HTTPHeaders::parse(part.substr(0, end + 2));
  if (!headers.ok()) return headers.failure();
  std::optional<Disposition> disposition = parse_disposition(headers->get("Content-Disposition"));
  if (!disposition) return malformed("a part whose Content-Disposition is not form-data");
  if (!disposition->name) return malformed("a part without a name");
  std::string value(part.substr(end + 4));
  if (!disposition->filename) {
    form.arguments.add(std::move(*disposition->name), std::move(value));
    return std::nullopt;
  }
  HTTPFile file{std::move(*disposition->filename), std::string(headers->get("Content-Type", "application/unknown")),
                std::move(value)};
  form.files.emplace_back(std::move(*disposition->name), std::move(file));
  return std::nullopt;
}

}  // namespace

Result<MultipartForm> parse_multipart(std::string_view body, std::string_view content_type,
                                      const MultipartLimits& limits) {
  const std::optional<std::string> boundary = find_boundary(content_type);
  if (!boundary) return malformed("no boundary in the content type");
  Parts parts(body, *boundary);
  if (!parts.begin()) return malformed("no boundary in the body");
  MultipartForm form;
  for (;;) {
    std::string_view part;
    const Parts::Step step = parts.next(part);
    if (step == Parts::Step::end) return form;
    if (step == Parts::Step::broken) return malformed("no boundary at the end of a part");
    if (form.arguments.size() + form.files.size() == limits.max_parts) {
      return Failure(Errc::limit, "multipart/form-data: more than " + std::to_string(limits.max_parts) + " parts");
    }
    if (std::optional<Failure> failure = add_part(form, part, limits)) return *failure;
  }
}

}  // namespace twinloop
