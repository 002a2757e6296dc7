// Static files: what is there, what is not, and parts of it.
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "fixtures.h"
#include "twinloop/static_files.h"
#include "web_fixtures.h"

using namespace std::chrono_literals;
using namespace twinloop;
using namespace twinloop::testing;
namespace fs = std::filesystem;

namespace {

const std::string kUrl = "pair:files";
constexpr Needs kFiles = Needs::threads | Needs::fds;
constexpr Needs kNetwork = kFiles | Needs::tcp | Needs::listen;

// A folder of its own, which goes with it.
class Site {
 public:
  Site() : path_(fs::temp_directory_path() / ("twinloop-site-" + std::to_string(std::random_device()()))) {
    write("robots.txt", "0123456789");
    write("docs/index.html", "<p>docs</p>");
    write("empty.css", "");
    fs::create_directories(path_ / "plain");
    std::ofstream(path_ / "secret") << "secret";
    std::ofstream(path_ / "www_secret") << "secret";
    fs::create_symlink("../secret", path_ / "www/out");
    fs::create_symlink("robots.txt", path_ / "www/within");
    app.add<StaticFileHandler>("/static/(.*)", folder());
    app.add<StaticFileHandler>("/site/(.*)", folder(), std::string("index.html"));
  }
  ~Site() { fs::remove_all(path_); }
  Site(const Site&) = delete;
  Site& operator=(const Site&) = delete;

  std::string folder() const { return (path_ / "www").string(); }
  void write(const std::string& name, std::string_view text) const {
    fs::create_directories((path_ / "www" / name).parent_path());
    std::ofstream(path_ / "www" / name, std::ios::binary) << text;
  }

  Application app;

 private:
  fs::path path_;
};

Future<WebReply> get_from(std::string target, std::string headers = {}) {
  std::string text = request("GET", target, headers);
  return fetch(kUrl, std::move(text));
}

// What GET answers, once HEAD was seen to say the same of the content.
Future<WebReply> get_and_head(std::string target, std::string headers = {}) {
  std::string head_text = request("HEAD", target, headers);
  const WebReply head = co_await fetch(kUrl, std::move(head_text));
  WebReply reply = co_await get_from(target, headers);
  expect_equal(head.status, reply.status);
  for (const char* name : {"Content-Length", "Content-Type", "Content-Range", "Content-Encoding", "ETag"}) {
    expect_equal(head.header(name), reply.header(name));
  }
  co_return reply;
}

// Answers with the URL of a file, versioned and whole as the query says.
class Names : public RequestHandler {
  Future<void> get() override {
    StaticUrlOptions options;
    options.set_version(get_argument("version", "yes") == "yes").set_host(get_argument("host", "no") == "yes");
    write(co_await static_url(path_argument("path"), options));
  }
};

std::string pattern_of(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + i / 4096);
  return text;
}

}  // namespace

BEHAVIOUR("a file is served with its type, its validators and its length", kFiles) {
  const RecordedLog log;
  Site site;
  co_await site.app.listen(kUrl);
  const WebReply reply = co_await get_from("/static/robots.txt");
  expect_equal(reply.status, 200);
  expect_equal(reply.body, "0123456789");
  expect_equal(reply.header("Content-Type"), "text/plain; charset=utf-8");
  expect_equal(reply.header("Accept-Ranges"), "bytes");
  expect(reply.headers.contains("ETag") && reply.headers.contains("Last-Modified"), "validators");
  expect(!reply.headers.contains("Cache-Control"), "not for years");
  const WebReply versioned = co_await get_from("/static/robots.txt?v=1234");
  expect_equal(versioned.header("Cache-Control"), "max-age=315360000");
  expect(parse_timestamp(versioned.header("Expires")) > std::chrono::system_clock::now() + 24h * 365, "for years");
  const WebReply linked = co_await get_from("/static/within");
  expect_equal(linked.body, "0123456789");
  const WebReply empty = co_await get_from("/static/empty.css");
  expect_equal(empty.status, 200);
  expect_equal(empty.header("Content-Length"), "0");
}

BEHAVIOUR("HEAD of a file says what GET would, without the body", kFiles) {
  Site site;
  co_await site.app.listen(kUrl);
  const WebReply head = co_await fetch(kUrl, request("HEAD", "/static/robots.txt"));
  expect_equal(head.status, 200);
  expect_equal(head.header("Content-Length"), "10");
  const WebReply whole = co_await get_from("/static/robots.txt");
  expect_equal(head.header("ETag"), whole.header("ETag"));
  const WebReply part = co_await fetch(kUrl, request("HEAD", "/static/robots.txt", "Range: bytes=1-4\r\n"));
  expect_equal(part.status, 206);
  expect_equal(part.header("Content-Length"), "4");
  expect_equal(part.header("Content-Range"), "bytes 1-4/10");
  expect_equal(part.header("ETag"), whole.header("ETag"));
}

BEHAVIOUR("a client that has a file gets 304", kFiles) {
  Site site;
  co_await site.app.listen(kUrl);
  const WebReply reply = co_await get_from("/static/robots.txt");
  const std::string etag(reply.header("ETag"));
  const std::string modified(reply.header("Last-Modified"));
  const auto status = [](std::string headers) -> Future<int> {
    const WebReply answer = co_await get_and_head("/static/robots.txt", headers);
    const bool describes = !answer.body.empty() || answer.headers.contains("Content-Length");
    expect(answer.status == 200 || !describes, "304 has no body, and no length of one");
    co_return answer.status;
  };
  const int by_etag = co_await status("If-None-Match: " + etag + "\r\n");
  const int by_date = co_await status("If-Modified-Since: " + modified + "\r\n");
  const int by_other_etag = co_await status("If-None-Match: \"x\"\r\nIf-Modified-Since: " + modified + "\r\n");
  const int by_old_date = co_await status("If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT\r\n");
  const int by_nonsense = co_await status("If-Modified-Since: yesterday\r\n");
  const int before_the_epoch = co_await status("If-Modified-Since: Fri, 01 Jan 1960 00:00:00 GMT\r\n");
  const std::string a_second_ago = format_timestamp(parse_timestamp(modified).value() - 1s);
  const int by_the_second_before = co_await status("If-Modified-Since: " + a_second_ago + "\r\n");
  const std::string in_a_second = format_timestamp(parse_timestamp(modified).value() + 1s);
  const int by_the_second_after = co_await status("If-Modified-Since: " + in_a_second + "\r\n");
  const int by_etag_of_a_part = co_await status("Range: bytes=1-4\r\nIf-None-Match: " + etag + "\r\n");
  expect_equal(by_etag, 304);
  expect_equal(by_date, 304);
  expect_equal(by_other_etag, 200);
  expect_equal(by_old_date, 200);
  expect_equal(by_nonsense, 200);
  expect_equal(before_the_epoch, 200);
  expect_equal(by_the_second_before, 200);
  expect_equal(by_the_second_after, 304);
  expect_equal(by_etag_of_a_part, 304);
}

BEHAVIOUR("a file that changes has another ETag", kFiles) {
  Site site;
  co_await site.app.listen(kUrl);
  const WebReply before = co_await get_from("/static/robots.txt");
  const WebReply unchanged = co_await get_from("/static/robots.txt");
  expect_equal(unchanged.header("ETag"), before.header("ETag"));
  site.write("robots.txt", "9876543210");
  const WebReply after =
      co_await get_from("/static/robots.txt", "If-None-Match: " + std::string(before.header("ETag")) + "\r\n");
  expect_equal(after.status, 200);
  expect_equal(after.body, "9876543210");
  expect(before.header("ETag") != after.header("ETag"), "another one");
}

BEHAVIOUR("a range of a file is 206, one beyond it 416, and what makes no sense is ignored", kFiles) {
  const RecordedLog log;
  Site site;
  co_await site.app.listen(kUrl);
  const WebReply file = co_await get_from("/static/robots.txt");
  const auto range = [](std::string value) { return get_and_head("/static/robots.txt", "Range: " + value + "\r\n"); };
  struct Part {
    const char* asked;
    const char* bytes;
    const char* said;
  };
  for (const Part& part : {Part{"bytes=0-3", "0123", "bytes 0-3/10"}, Part{"bytes=7-", "789", "bytes 7-9/10"},
                           Part{"bytes=-2", "89", "bytes 8-9/10"}, Part{"bytes=5-100", "56789", "bytes 5-9/10"}}) {
    const WebReply reply = co_await range(part.asked);
    expect_equal(reply.status, 206);
    expect_equal(reply.body, part.bytes);
    expect_equal(reply.header("Content-Range"), part.said);
    expect_equal(reply.header("ETag"), file.header("ETag"));
  }
  for (const char* value : {"bytes=10-", "bytes=-0"}) {
    const WebReply beyond = co_await range(value);
    expect_equal(beyond.status, 416);
    expect_equal(beyond.header("Content-Range"), "bytes */10");
  }
  for (const char* value : {"bytes=0-", "bytes=0-100", "bytes=-100", "bytes=x", "bytes=10", "bytes=4-2", "lines=1-2",
                            "asdf", "bytes=0-1,3-4"}) {
    const WebReply whole = co_await range(value);
    expect_equal(whole.status, 200);
    expect_equal(whole.body, "0123456789");
    expect(!whole.headers.contains("Content-Range"), "no part");
  }
}

BEHAVIOUR("If-Range gives a part of the same file and the whole of another one", kFiles) {
  Site site;
  co_await site.app.listen(kUrl);
  const WebReply reply = co_await get_from("/static/robots.txt");
  const std::string range = "Range: bytes=0-3\r\nIf-Range: ";
  const WebReply same = co_await get_from("/static/robots.txt", range + std::string(reply.header("ETag")) + "\r\n");
  expect_equal(same.status, 206);
  const WebReply same_date =
      co_await get_from("/static/robots.txt", range + std::string(reply.header("Last-Modified")) + "\r\n");
  expect_equal(same_date.status, 206);
  const WebReply other = co_await get_from("/static/robots.txt", range + "\"other\"\r\n");
  expect_equal(other.status, 200);
  expect_equal(other.body, "0123456789");
}

BEHAVIOUR("nothing outside of the folder is served, however it is asked for", kFiles) {
  const RecordedLog log;
  Site site;
  co_await site.app.listen(kUrl);
  for (const char* target : {"/static/../../secret", "/static/%2e%2e/secret", "/static/..%2fsecret", "/static/out",
                             "/static/docs/../../secret", "/static/../www_secret", "/static/plain/", "/static/"}) {
    const WebReply reply = co_await get_and_head(target);
    expect(reply.status == 403 || reply.status == 404, std::string(target) + " is " + std::to_string(reply.status));
    expect(reply.body.find("secret") == std::string::npos, target);
  }
  for (const char* target :
       {"/static/nothing", "/static/robots.txt/x", "/static/robots.txt%00.html", "/static//etc/passwd"}) {
    const WebReply reply = co_await get_and_head(target);
    expect_equal(reply.status, 404);
  }
  const WebReply sibling = co_await get_from("/static/../www_secret");
  expect_equal(sibling.status, 403);
}

BEHAVIOUR("a folder may be the root of all files, whose paths are then whole", kFiles) {
  Site site;
  Application app;
  app.add<StaticFileHandler>("/all/(.*)", std::string("/"));
  co_await app.listen(kUrl);
  const WebReply reply = co_await get_and_head("/all" + site.folder() + "/robots.txt");
  expect_equal(reply.status, 200);
  expect_equal(reply.body, "0123456789");
}

BEHAVIOUR("a folder's redirection never leads to another host", kFiles) {
  const RecordedLog log;
  Site site;
  Application app;
  app.add<StaticFileHandler>("/(.*)", site.folder(), std::string("index.html"));
  co_await app.listen(kUrl);
  for (const std::string& target : {std::string("//docs"), "//example.org/.." + site.folder() + "/docs"}) {
    const WebReply reply = co_await get_and_head(target);
    expect(reply.status == 403 || reply.status == 404, std::to_string(reply.status));
    expect(!reply.headers.contains("Location"), reply.header("Location"));
  }
}

BEHAVIOUR("a directory is its default file, behind a slash", kFiles) {
  const RecordedLog log;
  Site site;
  co_await site.app.listen(kUrl);
  const WebReply with_slash = co_await get_from("/site/docs/");
  expect_equal(with_slash.body, "<p>docs</p>");
  site.write("index.html", "<p>root</p>");
  const WebReply root = co_await get_from("/site/");
  expect_equal(root.body, "<p>root</p>");
  const WebReply without = co_await get_from("/site/docs");
  expect_equal(without.status, 301);
  expect_equal(without.header("Location"), "/site/docs/");
  const WebReply none = co_await get_from("/site/plain/");
  expect_equal(none.status, 404);
  const WebReply forbidden = co_await get_from("/static/docs");
  expect_equal(forbidden.status, 403);
}

BEHAVIOUR("a large file arrives whole, and so does a range of it", kFiles) {
  Site site;
  const std::string content = pattern_of(1'000'003);
  site.write("large.bin", content);
  co_await site.app.listen(kUrl);
  const WebReply whole = co_await get_from("/static/large.bin");
  expect_equal(whole.header("Content-Length"), "1000003");
  expect(whole.body == content, "every byte");
  const WebReply part = co_await get_from("/static/large.bin", "Range: bytes=65535-200000\r\n");
  expect_equal(part.status, 206);
  expect(part.body == content.substr(65535, 200000 - 65535 + 1), "every byte of the range");
}

BEHAVIOUR("a large file is read no faster than its client takes it", kFiles) {
  Site site;
  site.write("large.bin", pattern_of(4'000'000));
  co_await site.app.listen(kUrl);
  IOStream client = co_await connect(kUrl);
  co_await client.write(request("GET", "/static/large.bin"));
  co_await client.read_until("\r\n\r\n");
  co_await sleep_for(30ms);
  expect(client.buffered() < 1'000'000, "most of it is still on the disk");
  client.close();
  while (site.app.server().stats().active > 0) co_await sleep_for(1ms);
}

BEHAVIOUR("a file that becomes shorter while it is sent is not taken for a whole one", kFiles) {
  const RecordedLog log;
  Site site;
  site.write("large.bin", pattern_of(4'000'000));
  co_await site.app.listen(kUrl);
  IOStream client = co_await connect(kUrl);
  co_await client.write(request("GET", "/static/large.bin"));
  co_await client.read_until("\r\n\r\n");
  fs::resize_file(site.folder() + "/large.bin", 1000);
  const Result<std::string> body = co_await as_result(client.read_bytes(4'000'000));
  expect(!body.ok(), "the connection is cut");
  expect(log.mentions("became shorter"), log.text());
}

BEHAVIOUR("a large file arrives whole over TCP, where the system may send it, and so does a range, on one connection",
          kNetwork) {
  Site site;
  const std::string content = pattern_of(3'000'003);
  site.write("large.bin", content);
  IOStream client = co_await connect(stream_url(co_await site.app.listen("http://127.0.0.1:0")));
  for (int i = 0; i < 2; ++i) {
    const WebReply whole = co_await ask(client, request("GET", "/static/large.bin"));
    expect_equal(whole.header("Content-Length"), "3000003");
    expect(whole.body == content, "every byte");
    const WebReply head = co_await ask(client, request("HEAD", "/static/large.bin"));
    expect_equal(head.header("Content-Length"), "3000003");
    const WebReply part = co_await ask(client, request("GET", "/static/large.bin", "Range: bytes=65535-2000000\r\n"));
    expect_equal(part.status, 206);
    expect(part.body == content.substr(65535, 2000000 - 65535 + 1), "every byte of the range");
    const WebReply last = co_await ask(client, request("GET", "/static/large.bin", "Range: bytes=-1\r\n"));
    expect_equal(last.body, content.substr(content.size() - 1));
  }
}

BEHAVIOUR("a large file to a client that goes over TCP ends there, and the next client gets it", kNetwork) {
  const RecordedLog log;
  Site site;
  const std::string content = pattern_of(30'000'000);
  site.write("large.bin", content);
  const std::string url = stream_url(co_await site.app.listen("http://127.0.0.1:0"));
  for (const bool reset : {false, true}) {
    IOStream client = co_await connect(url);
    co_await client.write(request("GET", "/static/large.bin"));
    const std::string first = co_await client.read_bytes(200'000);
    if (reset)
      client.abort();
    else
      client.close();
    while (site.app.server().stats().active > 0) co_await sleep_for(1ms);
  }
  expect_equal(log.count(LogLevel::error), 0);
  const WebReply whole = co_await fetch(url, request("GET", "/static/large.bin"));
  expect(whole.body == content, "every byte");
}

BEHAVIOUR("a file that becomes shorter while it is sent over TCP is not taken for a whole one", kNetwork) {
  const RecordedLog log;
  Site site;
  site.write("large.bin", pattern_of(30'000'000));
  IOStream client = co_await connect(stream_url(co_await site.app.listen("http://127.0.0.1:0")));
  co_await client.write(request("GET", "/static/large.bin"));
  co_await client.read_until("\r\n\r\n");
  fs::resize_file(site.folder() + "/large.bin", 1000);
  const Result<std::string> body = co_await as_result(client.read_bytes(30'000'000));
  expect(!body.ok(), "the connection is cut");
  expect(log.mentions("became shorter"), log.text());
}

BEHAVIOUR("a static file's URL has its version, which changes with the file", kFiles) {
  const RecordedLog log;
  Site site;
  site.write("a b.css", pattern_of(200'000));
  Application app(ApplicationSettings().set_static_path(site.folder(), "/st.tic/"));
  app.add<Names>("/name/(?P<path>.*)");
  co_await app.listen(kUrl);
  const WebReply first = co_await get_from("/name/a%20b.css");
  expect(first.body.starts_with("/st.tic/a%20b.css?v=") && first.body.size() == 60, first.body);
  const WebReply again = co_await get_from("/name/a%20b.css");
  expect_equal(again.body, first.body);
  const WebReply file = co_await get_from(first.body);
  expect(file.body == pattern_of(200'000), "that URL is served");
  expect_equal(file.header("Cache-Control"), "max-age=315360000");
  const WebReply other_prefix = co_await get_from("/static/a%20b.css");
  expect_equal(other_prefix.status, 404);
  std::string changed = pattern_of(200'000);
  changed[150'000] ^= 1;
  site.write("a b.css", changed);
  const WebReply second = co_await get_from("/name/a%20b.css");
  expect(second.body != first.body && second.body.size() == first.body.size(), "another version");
  site.write("a b.css", pattern_of(200'000));
  const WebReply third = co_await get_from("/name/a%20b.css");
  expect_equal(third.body, first.body);
  expect(!log.mentions("static_url"), log.text());
}

BEHAVIOUR("a static URL may be whole, or without its version", kFiles) {
  Site site;
  Application app(ApplicationSettings().set_static_path(site.folder()));
  app.add<Names>("/name/(?P<path>.*)");
  co_await app.listen(kUrl);
  const auto expect_url = [](std::string query, std::string_view begin, std::size_t size) -> Future<void> {
    const WebReply reply = co_await get_from("/name/robots.txt" + query);
    expect(reply.body.starts_with(begin), reply.body);
    expect_equal(reply.body.size(), begin.size() + size);
  };
  co_await expect_url("", "/static/robots.txt?v=", 40);
  co_await expect_url("?version=no", "/static/robots.txt", 0);
  co_await expect_url("?host=yes", "http://example.org/static/robots.txt?v=", 40);
  co_await expect_url("?host=yes&version=no", "http://example.org/static/robots.txt", 0);
}

BEHAVIOUR("a file that is not there is named without a version, and one outside of the folder, too", kFiles) {
  const RecordedLog log;
  Site site;
  Application app(ApplicationSettings().set_static_path(site.folder()));
  app.add<Names>("/name/(?P<path>.*)");
  co_await app.listen(kUrl);
  for (const char* path : {"nothing.css", "docs", "../secret", "out"}) {
    const WebReply reply = co_await get_from(std::string("/name/") + path);
    expect_equal(reply.body, std::string("/static/") + path);
    expect(log.mentions("static_url: '" + std::string(path) + "'"), log.text());
  }
}

BEHAVIOUR("without a static path there are no static URLs, and the error says so", kFiles) {
  const RecordedLog log;
  Application app;
  app.add<Names>("/name/(?P<path>.*)");
  co_await app.listen(kUrl);
  const WebReply reply = co_await get_from("/name/robots.txt");
  expect_equal(reply.status, 500);
  expect(log.mentions("have no static path"), log.text());
}

BEHAVIOUR("a text file is compressed where the application compresses", kFiles) {
  Application app(ApplicationSettings().set_compress_response(true));
  Site site;
  site.write("page.html", std::string(5000, 'x'));
  site.write("long.html", std::string(200'000, 'x'));
  app.add<StaticFileHandler>("/(.*)", site.folder());
  co_await app.listen(kUrl);
  for (const char* target : {"/page.html", "/long.html"}) {
    const WebReply reply = co_await get_from(target, "Accept-Encoding: gzip\r\n");
    expect_equal(reply.header("Content-Encoding"), "gzip");
    expect_equal(reply.header("Vary"), "Accept-Encoding");
    expect(reply.body.size() < 1000, "it is small");
    const WebReply part = co_await get_from(target, "Accept-Encoding: gzip\r\nRange: bytes=0-99\r\n");
    expect_equal(part.status, 206);
    expect(!part.headers.contains("Content-Encoding"), "a range is of the file itself");
    expect_equal(part.body.size(), 100u);
  }
}
