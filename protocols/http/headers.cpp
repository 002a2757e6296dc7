#include <algorithm>
#include <array>

#include "twinloop/httputil.h"

namespace twinloop {
namespace {

constexpr std::array<bool, 256> make_token_table() {
  std::array<bool, 256> table{};
  for (unsigned char c = '0'; c <= '9'; ++c) table[c] = true;
  for (unsigned char c = 'a'; c <= 'z'; ++c) table[c] = true;
  for (unsigned char c = 'A'; c <= 'Z'; ++c) table[c] = true;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<unsigned char>(c)] = true;
  return table;
}
constexpr std::array<bool, 256> kToken = make_token_table();

constexpr std::size_t kUsually = 8;  // fields

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

void check(std::string_view name, std::string_view value) {
  if (!is_http_token(name)) throw_error(Errc::protocol, "'" + std::string(name) + "' is no name of a header");
  if (!is_http_field_value(value)) {
    throw_error(Errc::protocol, "the value of the header '" + std::string(name) + "' has a control character in it");
  }
}

Failure malformed(std::string_view line) {
  return {Errc::protocol, "'" + std::string(line.substr(0, 80)) + "' is no header line"};
}

// Takes the next line off, without its end.
std::string_view take_line(std::string_view& block) {
  const std::size_t end = std::min(block.find('\n'), block.size());
  std::string_view line = block.substr(0, end);
  block.remove_prefix(std::min(end + 1, block.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

bool is_http_token(std::string_view text) noexcept {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return kToken[static_cast<unsigned char>(c)]; });
}

bool is_http_field_value(std::string_view text) noexcept {
  return std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < ' ' && c != '\t') || byte == 0x7f;
  });
}

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return x == y || lower(x) == lower(y); });
}

std::string_view trim_http_space(std::string_view text) noexcept {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

HTTPHeaders::Field& HTTPHeaders::append_unchecked() {
  if (fields_.capacity() == 0) fields_.reserve(kUsually);
  if (size_ == fields_.size()) fields_.emplace_back();
  Field& field = fields_[size_++];
  field.name.clear();
  field.value.clear();
  return field;
}

HTTPHeaders& HTTPHeaders::add(std::string_view name, std::string_view value) & {
  value = trim_http_space(value);
  check(name, value);
  Field& field = append_unchecked();
  field.name = name;
  field.value = value;
  return *this;
}

HTTPHeaders& HTTPHeaders::set(std::string_view name, std::string_view value) & {
  value = trim_http_space(value);
  check(name, value);
  for (std::size_t i = 0; i < size_; ++i) {
    if (!equal_ignoring_case(fields_[i].name, name)) continue;
    fields_[i].value = value;
    const auto behind = fields_.begin() + static_cast<std::ptrdiff_t>(i) + 1;
    const auto last = fields_.begin() + static_cast<std::ptrdiff_t>(size_);
    const auto kept =
        std::remove_if(behind, last, [name](const Field& field) { return equal_ignoring_case(field.name, name); });
    size_ -= static_cast<std::size_t>(last - kept);
    return *this;
  }
  return add(name, value);
}

void HTTPHeaders::erase(std::string_view name) noexcept {
  const auto last = fields_.begin() + static_cast<std::ptrdiff_t>(size_);
  const auto kept = std::remove_if(fields_.begin(), last,
                                   [name](const Field& field) { return equal_ignoring_case(field.name, name); });
  size_ -= static_cast<std::size_t>(last - kept);
}

const std::string* HTTPHeaders::find(std::string_view name) const noexcept {
  for (const Field& field : *this) {
    if (equal_ignoring_case(field.name, name)) return &field.value;
  }
  return nullptr;
}

std::string_view HTTPHeaders::get(std::string_view name, std::string_view otherwise) const noexcept {
  const std::string* value = find(name);
  return value != nullptr ? std::string_view(*value) : otherwise;
}

std::string HTTPHeaders::joined(std::string_view name) const {
  std::string text;
  bool first = true;
  for (const Field& field : *this) {
    if (!equal_ignoring_case(field.name, name)) continue;
    if (!std::exchange(first, false)) text += ", ";
    text += field.value;
  }
  return text;
}

std::vector<std::string_view> HTTPHeaders::all(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const Field& field : *this) {
    if (equal_ignoring_case(field.name, name)) values.emplace_back(field.value);
  }
  return values;
}

std::size_t HTTPHeaders::count(std::string_view name) const noexcept {
  return static_cast<std::size_t>(
      std::count_if(begin(), end(), [name](const Field& field) { return equal_ignoring_case(field.name, name); }));
}

bool HTTPHeaders::has_token(std::string_view name, std::string_view token) const noexcept {
  for (const Field& field : *this) {
    if (!equal_ignoring_case(field.name, name)) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      if (equal_ignoring_case(trim_http_space(rest.substr(0, comma)), token)) return true;
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  return false;
}

Result<HTTPHeaders> HTTPHeaders::parse(std::string_view block) {
  HTTPHeaders headers;
  while (!block.empty()) {
    const std::string_view line = take_line(block);
    if (line.empty()) {
      if (block.empty()) break;
      return malformed(line);
    }
    if (!is_http_field_value(line)) return malformed(line);
    if (line.front() == ' ' || line.front() == '\t') {  // goes on with the line before
      if (headers.empty()) return malformed(line);
      headers.fields_[headers.size_ - 1].value.append(" ").append(trim_http_space(line));
      continue;
    }
    const std::size_t colon = std::min(line.find(':'), line.size());
    if (colon == line.size() || !is_http_token(line.substr(0, colon))) return malformed(line);
    headers.add(line.substr(0, colon), line.substr(colon + 1));
  }
  return headers;
}

}  // namespace twinloop
