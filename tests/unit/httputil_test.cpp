// What HTTP messages are made of: headers, queries, forms, cookies and dates.
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <string>

#include "protocols/http/date_line.h"
#include "twinloop/httputil.h"

using namespace twinloop;

namespace {

std::string shown(const HTTPHeaders& headers) {
  std::string text;
  for (const auto& [name, value] : headers) text.append(name).append("=").append(value).append(";");
  return text;
}

std::string shown(const HTTPArguments& arguments) {
  std::string text;
  for (const auto& [name, value] : arguments) text.append(name).append("=").append(value).append(";");
  return text;
}

Errc reason_of_failure(const auto& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.reason();
  }
  return Errc{};
}

HTTPArguments one(std::string name, std::string value) {
  HTTPArguments arguments;
  arguments.add(std::move(name), std::move(value));
  return arguments;
}

}  // namespace

// ---- headers

TEST_CASE("httputil: headers are found whatever the case of their names, and keep their order") {
  HTTPHeaders headers;
  headers.add("Set-Cookie", "a=b").add("Content-Type", "text/plain").add("set-cookie", "c=d");
  CHECK(headers.get("CONTENT-TYPE") == "text/plain");
  CHECK(headers.get("absent", "otherwise") == "otherwise");
  CHECK(headers.find("absent") == nullptr);
  CHECK(*headers.find("Set-Cookie") == "a=b");
  CHECK(headers.all("Set-Cookie") == std::vector<std::string_view>{"a=b", "c=d"});
  CHECK(headers.count("SET-COOKIE") == 2);
  CHECK(headers.joined("set-cookie") == "a=b, c=d");
  CHECK(shown(headers) == "Set-Cookie=a=b;Content-Type=text/plain;set-cookie=c=d;");
}

TEST_CASE("httputil: set replaces all headers of that name where the first one stood") {
  HTTPHeaders headers;
  headers.add("A", "1").add("B", "2").add("a", "3").add("C", "4");
  headers.set("a", "5");
  CHECK(shown(headers) == "A=5;B=2;C=4;");
  headers.set("D", "6");
  headers.erase("b");
  CHECK(shown(headers) == "A=5;C=4;D=6;");
}

TEST_CASE("httputil: headers that were cleared are gone, and what is added then is new") {
  HTTPHeaders headers;
  headers.add("A", "a long value that does not fit into a string itself").add("B", "2");
  headers.clear();
  CHECK(headers.empty());
  CHECK(headers.find("A") == nullptr);
  headers.add("C", "3");
  CHECK(shown(headers) == "C=3;");
  const HTTPHeaders copy = headers;
  CHECK(shown(copy) == "C=3;");
  const HTTPHeaders moved = std::move(headers);
  CHECK(shown(moved) == "C=3;");
  CHECK(headers.empty());  // NOLINT(bugprone-use-after-move)
}

TEST_CASE("httputil: a header cannot break out of its line") {
  for (const char* value : {"a\r\nX: y", "a\nb", "a\rb", "a\x01", "a\x7f"}) {
    CHECK(reason_of_failure([&] { HTTPHeaders().add("A", value); }) == Errc::protocol);
    CHECK(reason_of_failure([&] { HTTPHeaders().set("A", value); }) == Errc::protocol);
  }
  CHECK(reason_of_failure([] { HTTPHeaders().add("A", std::string_view("a\0b", 3)); }) == Errc::protocol);
  for (const char* name : {"", "a b", "a\tb", "a\nb", "a ", " a", "a:", "a\r\n", "caf\xc3\xa9"}) {
    CHECK(reason_of_failure([&] { HTTPHeaders().add(name, "a"); }) == Errc::protocol);
  }
  CHECK(reason_of_failure([] { HTTPHeaders().add(std::string_view("a\0b", 3), "a"); }) == Errc::protocol);
  CHECK(HTTPHeaders().add("A", " caf\xc3\xa9\tau lait ").get("A") == "caf\xc3\xa9\tau lait");
}

TEST_CASE("httputil: a token of a list is found whatever its case, and only whole") {
  HTTPHeaders headers;
  headers.add("Connection", "keep-alive , Upgrade").add("Connection", "x");
  CHECK(headers.has_token("connection", "upgrade"));
  CHECK(headers.has_token("connection", "X"));
  CHECK_FALSE(headers.has_token("connection", "keep"));
  CHECK_FALSE(headers.has_token("other", "x"));
}

TEST_CASE("httputil: a block of headers is parsed, with folded lines and with line feeds alone") {
  const auto parsed = [](std::string_view block) {
    Result<HTTPHeaders> headers = HTTPHeaders::parse(block);
    return headers.ok() ? shown(*headers) : std::string(name(headers.reason()));
  };
  CHECK(parsed("Foo: bar\r\nBaz:qux\r\n") == "Foo=bar;Baz=qux;");
  CHECK(parsed("Foo: bar\r\nFoo: even\r\n  more\r\n\tlines\r\nBaz:\r\n\r\n") == "Foo=bar;Foo=even more lines;Baz=;");
  CHECK(parsed("Foo: bar\nBaz: qux\n") == "Foo=bar;Baz=qux;");
  CHECK(parsed("Foo: bar") == "Foo=bar;");
  CHECK(parsed("") == "");
  CHECK(parsed("Foo bar\r\n") == "protocol");
  CHECK(parsed(": bar\r\n") == "protocol");
  CHECK(parsed("Foo : bar\r\n") == "protocol");
  CHECK(parsed(" Foo: bar\r\n") == "protocol");
  CHECK(parsed("Foo: bar\r\n\tasdf") == "Foo=bar asdf;");
  CHECK(parsed("Foo: bar\r\n\fasdf") == "protocol");
  CHECK(parsed("Foo: bar\r\nCR: cr\rMore: more\r\n") == "protocol");
  CHECK(parsed("Foo: bar\r\n\r\nBaz: qux\r\n") == "protocol");
}

TEST_CASE("httputil: of all bytes only control characters are refused in a header, and none but CRLF and LF ends it") {
  for (int byte = 0; byte < 256; ++byte) {
    INFO(byte);
    const std::string value = std::string("bar") + static_cast<char>(byte) + "baz";
    Result<HTTPHeaders> headers = HTTPHeaders::parse("Foo: " + value + "\r\n");
    const bool control = (byte < ' ' && byte != '\t') || byte == 0x7f;
    CHECK(headers.ok() == !control);
    if (headers.ok()) CHECK(headers->get("Foo") == value);
  }
  for (const char* line : {"\x85", "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9"}) {  // lines and paragraphs of Unicode
    Result<HTTPHeaders> headers = HTTPHeaders::parse(std::string("Cookie: foo=") + line + "bar");
    REQUIRE(headers.ok());
    CHECK(shown(*headers) == std::string("Cookie=foo=") + line + "bar;");
  }
}

TEST_CASE("httputil: spaces and tabs around a header's value are not of it, other white space is") {
  const auto value_of = [](const std::string& line) {
    return std::string(HTTPHeaders::parse(line).value().get("Transfer-Encoding"));
  };
  CHECK(value_of("Transfer-Encoding: \t chunked \t") == "chunked");
  CHECK(value_of("Transfer-Encoding: \xa0"
                 "chunked") ==
        "\xa0"
        "chunked");
  CHECK(value_of("Transfer-Encoding: \xc2\x85"
                 "chunked") ==
        "\xc2\x85"
        "chunked");
}

TEST_CASE("httputil: ten thousand headers take no more than linear time") {
  std::string block;
  for (int i = 0; i < 10'000; ++i) block += "X-" + std::to_string(i) + ": value\r\n";
  const auto start = std::chrono::steady_clock::now();
  Result<HTTPHeaders> headers = HTTPHeaders::parse(block);
  REQUIRE(headers.ok());
  CHECK(headers->size() == 10'000);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(2));
}

// ---- queries

TEST_CASE("httputil: a query is decoded, and what is no escape stays") {
  CHECK(shown(parse_query("a=1&b=%20+%C3%A9&a=2")) == "a=1;b=  \xc3\xa9;a=2;");
  CHECK(shown(parse_query("a&b=&=c&&d=1=2")) == "a=;b=;=c;d=1=2;");
  CHECK(shown(parse_query("a=%&b=%4&c=%zz&%61=%25")) == "a=%;b=%4;c=%zz;a=%;");
  CHECK(shown(parse_query("data=\xe5\xbc\xa0\xe4\xb8\x89&x=\xd5\xc5")) == "data=\xe5\xbc\xa0\xe4\xb8\x89;x=\xd5\xc5;");
  CHECK(shown(parse_query("")) == "");
  const HTTPArguments arguments = parse_query("a=1&a=2&b=3");
  CHECK(*arguments.find("a") == "2");
  CHECK(arguments.find("c") == nullptr);
  CHECK(arguments.all("a") == std::vector<std::string_view>{"1", "2"});
}

TEST_CASE("httputil: a query of too many fields is refused") {
  CHECK(reason_of_failure([] { parse_query("a&b&c&d", 3); }) == Errc::limit);
  CHECK(parse_query("a&b&c", 3).size() == 3);
}

TEST_CASE("httputil: escaping and its reverse") {
  CHECK(url_escape("a b/c?d=\xc3\xa9~") == "a+b%2Fc%3Fd%3D%C3%A9~");
  CHECK(url_escape("a b/c?", false) == "a%20b/c%3F");
  CHECK(url_unescape("a+b%20c") == "a b c");
  CHECK(url_unescape("a+b%20c", false) == "a+b c");
}

TEST_CASE("httputil: arguments are added to URLs of all forms") {
  HTTPArguments two = one("y", "y");
  two.add("z", "z z");
  CHECK(url_concat("https://localhost/path", two) == "https://localhost/path?y=y&z=z+z");
  CHECK(url_concat("https://localhost/path?", two) == "https://localhost/path?y=y&z=z+z");
  CHECK(url_concat("https://localhost/path?x", two) == "https://localhost/path?x&y=y&z=z+z");
  CHECK(url_concat("https://localhost/path?x&", two) == "https://localhost/path?x&y=y&z=z+z");
  CHECK(url_concat("https://localhost/path?a=1&b=2", two) == "https://localhost/path?a=1&b=2&y=y&z=z+z");
  CHECK(url_concat("https://localhost/path#tab", two) == "https://localhost/path?y=y&z=z+z#tab");
  CHECK(url_concat("https://localhost/path?a=1#tab?x", two) == "https://localhost/path?a=1&y=y&z=z+z#tab?x");
  CHECK(url_concat("https://localhost/path?r=1&t=2", {}) == "https://localhost/path?r=1&t=2");
  CHECK(url_concat("/", one("&", "=")) == "/?%26=%3D");
  CHECK(url_concat("https://localhost/path", one("y", "/y")) == "https://localhost/path?y=%2Fy");
  HTTPArguments same = one("y", "y1");
  same.add("y", "y2");
  CHECK(url_concat("https://localhost/path", same) == "https://localhost/path?y=y1&y=y2");
  CHECK(url_concat("https://localhost/path?r=1&r=2", one("y", "y")) == "https://localhost/path?r=1&r=2&y=y");
}

// ---- multipart

namespace {

constexpr const char* kMultipart = "multipart/form-data; boundary=1234";

std::string form(std::string_view part) { return "--1234\r\n" + std::string(part) + "\r\n--1234--\r\n"; }

std::string shown_form(std::string_view body, std::string_view type = kMultipart, const MultipartLimits& limits = {}) {
  Result<MultipartForm> result = parse_multipart(body, type, limits);
  if (!result.ok()) return std::string(name(result.reason()));
  std::string text = shown(result->arguments);
  for (const auto& [field, file] : result->files) {
    text += field + ":" + file.filename + "[" + file.content_type + "]" + file.body + ";";
  }
  return text;
}

}  // namespace

TEST_CASE("httputil: a form of several parts is parsed, files apart") {
  const std::string body =
      "preamble\r\n--1234\r\n"
      "Content-Disposition: form-data; name=\"text\"\r\n\r\nvalue\r\n--1234  \r\n"
      "Content-Disposition: form-data; name=\"files\"; filename=\"ab.txt\"\r\nContent-Type: "
      "text/x\r\n\r\nFoo\r\n\r\n--1234\r\n"
      "content-disposition: Form-Data; name=empty\r\n\r\n\r\n--1234--\r\nepilogue";
  CHECK(shown_form(body) == "text=value;empty=;files:ab.txt[text/x]Foo\r\n;");
  CHECK(shown_form(body, "Multipart/Form-Data; charset=x; boundary=\"1234\"") ==
        "text=value;empty=;files:ab.txt[text/x]Foo\r\n;");
}

TEST_CASE("httputil: names in a form may be quoted, bare, escaped or of RFC 8187") {
  const auto file = [](std::string_view parameters) {
    return shown_form(form("Content-Disposition: form-data; " + std::string(parameters) + "\r\n\r\nFoo"));
  };
  CHECK(file("name=files; filename=ab.txt") == "files:ab.txt[application/unknown]Foo;");
  CHECK(file("name=\"f\"; filename=\"a\\\"b.txt\"") == "f:a\"b.txt[application/unknown]Foo;");
  CHECK(file("name=\"f\"; filename=\"a;b.txt\"") == "f:a;b.txt[application/unknown]Foo;");
  CHECK(file("name=\"f\"; filename=\"C:\\x\\y.txt\"") == "f:C:\\x\\y.txt[application/unknown]Foo;");
  CHECK(file("name=\"f\"; filename=\"a\\\\b.txt\"") == "f:a\\b.txt[application/unknown]Foo;");
  CHECK(file("name=f; filename=\"old\"; filename*=UTF-8''%C3%A1b.txt") ==
        "f:\xc3\xa1"
        "b.txt[application/unknown]Foo;");
  CHECK(file("name=f; filename*=UTF-8''new; filename=old") == "f:new[application/unknown]Foo;");
}

TEST_CASE("httputil: a file in a form may have any name but one with control characters, as it came") {
  const auto named = [](std::string_view name) {
    std::string quoted;
    for (const char c : name) quoted += c == '\\' || c == '"' ? std::string("\\") + c : std::string(1, c);
    return parse_multipart(form("Content-Disposition: form-data; name=\"f\"; filename=\"" + quoted + "\"\r\n\r\nFoo"),
                           kMultipart);
  };
  for (const char* name : {"a;b.txt", "a\"b.txt", "a\";b.txt", "a;\"b.txt", "a\";\";.txt", "a\\\"b.txt", "a\\b.txt",
                           "a b.txt", "a\tb.txt", "\xe6\xb5\x8b\xe8\xaf\x95.txt"}) {
    INFO(name);
    Result<MultipartForm> result = named(name);
    REQUIRE(result.ok());
    CHECK(result->files.at(0).second.filename == name);
    CHECK(result->files.at(0).second.body == "Foo");
  }
  for (const std::string_view name :
       {std::string_view("a\rb.txt"), std::string_view("a\0b.txt", 7), std::string_view("a\bb.txt")}) {
    CHECK(named(name).reason() == Errc::protocol);
  }
}

TEST_CASE("httputil: a disposition of many semicolons takes linear time") {
  MultipartLimits limits;
  limits.max_part_header_size = 1'000'000;
  const std::string quoted(500'000, ';');
  const auto start = std::chrono::steady_clock::now();
  CHECK(shown_form(form("Content-Disposition: form-data; x=\"" + quoted + "\"; name=f; filename=a.txt\r\n\r\nFoo"),
                   kMultipart, limits) == "f:a.txt[application/unknown]Foo;");
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(2));
}

TEST_CASE("httputil: a boundary that goes on is content") {
  CHECK(shown_form(form("Content-Disposition: form-data; name=a\r\n\r\nx\r\n--12345\r\n--1234x")) ==
        "a=x\r\n--12345\r\n--1234x;");
}

TEST_CASE("httputil: malformed forms are refused") {
  const std::string part = "Content-Disposition: form-data; name=a\r\n\r\nvalue";
  CHECK(shown_form(form(part)) == "a=value;");
  CHECK(shown_form("--1234--\r\n") == "");
  CHECK(shown_form("--1234\r\n" + part + "\r\n--1234\r\n") == "protocol");  // no boundary at the end
  CHECK(shown_form("--1234\r\n" + part + "--1234--\r\n") == "protocol");    // no line of its own for the boundary
  CHECK(shown_form(form("value")) == "protocol");                           // no headers
  CHECK(shown_form(form("X: y\r\n\r\nvalue")) == "protocol");               // no disposition
  CHECK(shown_form(form("Content-Disposition: attachment; name=a\r\n\r\nvalue")) == "protocol");
  CHECK(shown_form(form("Content-Disposition: form-data; filename=a\r\n\r\nvalue")) == "protocol");  // no name
  CHECK(shown_form(form("Content Disposition: form-data; name=a\r\n\r\nvalue")) == "protocol");
  CHECK(shown_form("no boundary") == "protocol");
  CHECK(shown_form("") == "protocol");
  CHECK(shown_form(form(part), "multipart/form-data") == "protocol");
  CHECK(shown_form(form(part), "multipart/form-data; boundary=") == "protocol");
  CHECK(shown_form(form(part), "text/plain; boundary=1234") == "protocol");
}

TEST_CASE("httputil: forms have limits") {
  const std::string part = "--1234\r\nContent-Disposition: form-data; name=a\r\n\r\nvalue\r\n";
  MultipartLimits limits;
  limits.max_parts = 0;
  CHECK(shown_form(part + "--1234--", kMultipart, limits) == "limit");
  limits.max_parts = 2;
  CHECK(shown_form(part + part + "--1234--", kMultipart, limits) == "a=value;a=value;");
  CHECK(shown_form(part + part + part + "--1234--", kMultipart, limits) == "limit");
  limits.max_part_header_size = 20;
  CHECK(shown_form(part + "--1234--", kMultipart, limits) == "limit");
}

TEST_CASE("httputil: a form of many bytes that look like boundaries takes linear time") {
  std::string content;
  for (int i = 0; i < 200'000; ++i) content += "\r\n--123";
  const auto start = std::chrono::steady_clock::now();
  CHECK(shown_form(form("Content-Disposition: form-data; name=a\r\n\r\n" + content)) == "a=" + content + ";");
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(2));
}

namespace {

// What a parser tells that gets the body in pieces cut at these places: "<a f=x.txt text/x>bytes</a>", "." for the form's end.
std::string told(std::string_view body, std::initializer_list<std::size_t> cuts, const MultipartLimits& limits = {}) {
  MultipartParser parser(kMultipart, limits);
  std::string story;
  std::size_t at = 0;
  const auto feed = [&](std::string_view piece) {
    for (;;) {
      const MultipartParser::Step step = piece.data() != nullptr ? parser.next(piece) : parser.finish();
      if (step.consumed > piece.size()) FAIL("more was taken than there is");
      piece.remove_prefix(step.consumed);
      const MultipartPart& part = parser.part();
      switch (step.event) {
        case MultipartParser::Event::more:
          if (!piece.empty()) FAIL("'more' was said when not all was taken");
          return true;
        case MultipartParser::Event::part:
          story += "<" + part.name + (part.filename ? " f=" + *part.filename : "") + " " + part.content_type + ">";
          break;
        case MultipartParser::Event::data:
          if (step.data.empty()) FAIL("data of no bytes");
          story += step.data;
          break;
        case MultipartParser::Event::part_end:
          story += "</" + part.name + ">";
          break;
        case MultipartParser::Event::end:
          story += ".";
          break;
        case MultipartParser::Event::error:
          story += std::string("!") + std::string(name(reason_of(parser.why().code())));
          CHECK(parser.next("more").event == MultipartParser::Event::error);
          return false;
      }
    }
  };
  for (const std::size_t cut : cuts) {
    if (!feed(body.substr(at, cut - at))) return story;
    at = cut;
  }
  if (feed(body.substr(at))) feed(std::string_view());
  return story;
}

// Has what may be taken for a boundary, or for the beginning of one, at many places.
const std::string kManyParts =
    "preamble\r\n--12345\r\n--1234\r\n"
    "Content-Disposition: form-data; name=a\r\n\r\n\r\r\n--123\r\n--1234 x\r\n-\r\n--1234 \t\r\n"
    "Content-Disposition: form-data; name=b; filename=x.txt\r\nContent-Type: text/x\r\n\r\n\r\n--1234\r\n"
    "Content-Disposition: form-data; name=c\r\n\r\n\r\n\r\n--1234-\r\n--1234--epilogue\r\n--1234\r\n";
constexpr const char* kToldParts =
    "<a application/unknown>\r\r\n--123\r\n--1234 x\r\n-</a><b f=x.txt text/x></b><c "
    "application/unknown>\r\n\r\n--1234-</c>.";

}  // namespace

TEST_CASE("httputil: a form that is cut anywhere tells the same") {
  CHECK(told(kManyParts, {}) == kToldParts);
  for (std::size_t i = 0; i <= kManyParts.size(); ++i) {
    for (std::size_t j = i; j <= kManyParts.size(); ++j) {
      if (told(kManyParts, {i, j}) != kToldParts) FAIL("cut at " << i << " and " << j);
    }
  }
}

TEST_CASE("httputil: a form that ends early is refused, wherever it ends") {
  const std::size_t whole = kManyParts.find("--1234--") + 8;
  for (std::size_t size = 0; size < whole; ++size) {
    INFO(size);
    const std::string story = told(std::string_view(kManyParts).substr(0, size), {});
    CHECK(story.ends_with("!protocol"));
  }
  CHECK(told(std::string_view(kManyParts).substr(0, whole), {}) == kToldParts);
}

TEST_CASE("httputil: what is wrong with a form in pieces is told where it is") {
  const std::string head = "--1234\r\nContent-Disposition: form-data; name=a\r\n\r\n";
  CHECK(told(head + "x", {}) == "<a application/unknown>x!protocol");
  CHECK(told(head + "--1234--", {}) == "<a application/unknown>!protocol");  // the empty line is the headers'
  CHECK(told("--1234\r\n\r\nx\r\n--1234--", {}) == "!protocol");
  CHECK(told("--1234" + std::string(64, ' ') + "\r\n\r\n", {}) == "!protocol");  // a boundary, and no headers
  CHECK(told(head + "\r\n--1234" + std::string(65, ' ') + "\r\n\r\n--1234--", {}) ==
        "<a application/unknown>\r\n--1234" + std::string(65, ' ') + "\r\n</a>.");
}

TEST_CASE("httputil: limits of a form in pieces hold however it is cut") {
  const std::string part = "--1234\r\nContent-Disposition: form-data; name=a\r\n\r\n12345\r\n";
  const std::string body = part + part + "--1234--";
  MultipartLimits limits;
  for (std::size_t cut = 0; cut <= body.size(); ++cut) {
    INFO(cut);
    limits = {};
    limits.max_part_size = 5;
    CHECK(told(body, {cut}, limits) == "<a application/unknown>12345</a><a application/unknown>12345</a>.");
    limits.max_part_size = 4;
    CHECK(told(body, {cut}, limits).ends_with("!overflow"));
    limits = {};
    limits.max_parts = 1;
    CHECK(told(body, {cut}, limits) == "<a application/unknown>12345</a>!limit");
    limits = {};
    limits.max_part_header_size = 38;
    CHECK(told(body, {cut}, limits) == "<a application/unknown>12345</a><a application/unknown>12345</a>.");
    limits.max_part_header_size = 37;
    CHECK(told(body, {cut}, limits) == "!limit");
  }
}

// ---- cookies, dates, reasons

TEST_CASE("httputil: cookies are parsed as browsers send them") {
  const auto parsed = [](std::string_view header) {
    std::string text;
    for (const auto& [name, value] : parse_cookies(header)) text.append(name).append("=").append(value).append("|");
    return text;
  };
  CHECK(parsed("chips=ahoy; vienna=finger") == "chips=ahoy|vienna=finger|");
  CHECK(parsed("a=b; h=i; a=c") == "a=b|h=i|a=c|");
  CHECK(parsed("keebler=\"E=mc2; L=\\\"Loves\\\"; fudge=;\"") == "keebler=\"E=mc2|L=\\\"Loves\\\"|fudge=|=\"|");
  CHECK(parsed("a=\"\\\"x\\\\y\\\" \\012\\054\"") == "a=\"x\\y\" \n,|");
  CHECK(parsed("a=b=c; d = e ;f") == "a=b=c|d=e|=f|");
  CHECK(parsed(" ; =; ;") == "");
  CHECK(parsed("a=\"") == "a=\"|");
  CHECK(parsed("a=\"\\\"") == "a=\\|");
  CHECK(parsed("keebler=E=mc2; key:term=value:term; c=[") == "keebler=E=mc2|key:term=value:term|c=[|");
  CHECK(parsed("abc=def; unnamed; x=\\012; \"; c=d") == "abc=def|=unnamed|x=\\012|=\"|c=d|");
  CHECK(parsed("a b c=d e = f; gh=i") == "a b c=d e = f|gh=i|");
  CHECK(parsed("a   b,c<>@:/[]?{}=d  \"  =e,f g") == "a   b,c<>@:/[]?{}=d  \"  =e,f g|");
  CHECK(parsed("saint=Andr\xc3\xa9 Bessette") == "saint=Andr\xc3\xa9 Bessette|");
  CHECK(parsed("  =  b  ;  ;  =  ;   c  =  ;  ") == "=b|c=|");
}

TEST_CASE("httputil: a quoted cookie means what Python's http.cookies means by it, however long it is") {
  const auto unquoted = [](const std::string& text) { return parse_cookies("a=\"" + text + "\"").at(0).second; };
  CHECK(unquoted(R"(b=\")") == "b=\"");
  CHECK(unquoted(R"(b=\\)") == "b=\\");
  CHECK(unquoted(R"(b=\=)") == "b==");
  CHECK(unquoted(R"(b=\n)") == "b=n");
  CHECK(unquoted(R"(b=\042)") == "b=\"");
  CHECK(unquoted(R"(b=\134)") == "b=\\");
  CHECK(unquoted(R"(b=\377)") == "b=\xff");
  CHECK(unquoted(R"(b=\400)") == "b=400");
  CHECK(unquoted(R"(b=\42)") == "b=42");
  CHECK(unquoted(R"(b=\\042)") == "b=\\042");
  CHECK(unquoted(R"(b=\\\")") == "b=\\\"");
  CHECK(unquoted(R"(b=\\\042)") == "b=\\\"");
  CHECK(unquoted(R"(b=\134\")") == "b=\\\"");
  CHECK(unquoted(R"(b=\134\042)") == "b=\\\"");
  const auto start = std::chrono::steady_clock::now();
  for (const char* escape : {R"(\\)", R"(\134)"}) {
    std::string text = "b=";
    for (int i = 0; i < 100'000; ++i) text += escape;
    CHECK(unquoted(text) == "b=" + std::string(100'000, '\\'));
  }
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(1));
}

TEST_CASE("httputil: dates are written as RFC 9110 says") {
  const auto at = [](std::int64_t seconds) {
    return format_timestamp(std::chrono::system_clock::time_point(std::chrono::seconds(seconds)));
  };
  CHECK(at(1'359'312'200) == "Sun, 27 Jan 2013 18:43:20 GMT");
  const std::chrono::system_clock::time_point late_in_it{std::chrono::milliseconds(1'359'312'200'999)};
  CHECK(format_timestamp(late_in_it) == "Sun, 27 Jan 2013 18:43:20 GMT");
  CHECK(at(0) == "Thu, 01 Jan 1970 00:00:00 GMT");
  CHECK(at(951'827'696) == "Tue, 29 Feb 2000 12:34:56 GMT");
  CHECK(at(4'102'444'799) == "Thu, 31 Dec 2099 23:59:59 GMT");
}

TEST_CASE("httputil: dates are read in all three forms, and what is none is refused") {
  const auto parsed = [](std::string_view text) -> std::string {
    const auto when = parse_timestamp(text);
    return when ? format_timestamp(*when) : "none";
  };
  const std::string expected = "Sun, 06 Nov 1994 08:49:37 GMT";
  CHECK(parsed("Sun, 06 Nov 1994 08:49:37 GMT") == expected);
  CHECK(parsed("Sunday, 06-Nov-94 08:49:37 GMT") == expected);
  CHECK(parsed("Sun Nov  6 08:49:37 1994") == expected);
  CHECK(parsed("Wed Nov 16 08:49:37 1994") == "Wed, 16 Nov 1994 08:49:37 GMT");
  for (const char* text :
       {"", "yesterday", "Sun, 06 Nov 1994 08:49:37", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994",
        "Sun Nov  6 15:49:37 3994", "Fri, 01 Jan 1500 00:00:00 GMT", "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT and more", "Sun, +6 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z"}) {
    INFO(text);
    CHECK(parsed(text) == "none");
  }
}

TEST_CASE("httputil: the Date of answers is made anew when the wall's second is over, and not before") {
  using namespace std::chrono_literals;
  static std::chrono::system_clock::time_point wall;
  const auto date_at = [](TimePoint now) { return std::string(detail::date_line(now, [] { return wall; })); };
  const TimePoint start(-1000h);  // before any loop's time
  wall = std::chrono::sys_days(1994y / 11 / 6) + 8h + 49min + 37s + 250ms;
  CHECK(date_at(start) == "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
  wall += 1s;
  CHECK(date_at(start + 749ms) == "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
  CHECK(date_at(start + 750ms) == "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n");
}

TEST_CASE("httputil: statuses have their phrases") {
  CHECK(reason_phrase(200) == "OK");
  CHECK(reason_phrase(404) == "Not Found");
  CHECK(reason_phrase(431) == "Request Header Fields Too Large");
  CHECK(reason_phrase(799) == "Unknown");
}
