#include "twinloop/static_files.h"

#include <algorithm>
#include <utility>

#include "protocols/web/conditional.h"
#include "protocols/web/crypto.h"
#include "protocols/web/text.h"
#include "twinloop/detail/files.h"
#include "twinloop/executor.h"
#include "twinloop/httputil.h"

namespace twinloop {
namespace {

using detail::ByteRange;
using detail::FileKind;
using detail::OpenFile;
using File = std::shared_ptr<OpenFile>;

constexpr std::uint64_t kPiece = 64 * 1024;
constexpr std::chrono::seconds kForYears = std::chrono::hours(24 * 365 * 10);

// A file and, where it is short and was wanted at once, what is in it.
class Opened {
 public:
  explicit Opened(File file) noexcept : file_(std::move(file)) {}
  const File& file() const noexcept { return file_; }
  std::string& content() noexcept { return content_; }

 private:
  File file_;
  std::string content_;
};

// ---- in the executor

Result<Opened> open_file(const std::string& folder, const std::string& path, bool read_short_ones) {
  Result<std::unique_ptr<OpenFile>> file = detail::platform_open_beneath(folder, path);
  if (!file.ok()) return file.failure();
  Opened opened(std::move(*file));
  const detail::FileFacts& facts = opened.file()->facts();
  if (!read_short_ones || facts.kind != FileKind::regular || facts.size > kPiece) return opened;
  Result<std::string> content = detail::read_piece(*opened.file(), 0, facts.size);
  if (!content.ok()) return content.failure();
  opened.content() = std::move(*content);
  return opened;
}

// ---- on the loop

int status_for(const Failure& failure) noexcept {
  switch (reason_of(failure.code())) {
    case Errc::not_found:
      return 404;
    case Errc::denied:
      return 403;
    case Errc::descriptors_exhausted:
      return 503;
    default:
      return 500;
  }
}

std::string hexadecimal(std::uint64_t number) {
  std::string text;
  for (; number != 0; number >>= 4U) text.insert(text.begin(), "0123456789abcdef"[number & 15U]);
  return text.empty() ? "0" : text;
}

// Other content has another time or another size: the system's clock is finer than two writes of a file are close.
std::string etag_of(const OpenFile& file) {
  const auto time = file.facts().modified.time_since_epoch().count();
  return '"' + hexadecimal(static_cast<std::uint64_t>(time)) + '-' + hexadecimal(file.facts().size) + '"';
}

std::string content_range(const ByteRange& range, std::uint64_t size) {
  return "bytes " + std::to_string(range.first) + "-" + std::to_string(range.first + range.size - 1) + "/" +
         std::to_string(size);
}

}  // namespace

StaticFileHandler::StaticFileHandler(std::string folder, std::string default_filename)
    : folder_(std::move(folder)), default_filename_(std::move(default_filename)) {}

std::string StaticFileHandler::get_content_type(std::string_view path) const {
  return std::string(content_type_of(path));
}

std::chrono::seconds StaticFileHandler::get_cache_time(std::string_view) {
  return get_query_arguments("v").empty() ? std::chrono::seconds(0) : kForYears;
}

void StaticFileHandler::set_extra_headers(std::string_view) {}

// Whether it takes more than the whole file to answer this request.
bool StaticFileHandler::answers_with_a_part() const {
  const HTTPHeaders& asked = request().headers();
  return request().method() != "GET" || asked.contains("Range") || asked.contains("If-None-Match") ||
         asked.contains("If-Modified-Since");
}

Future<void> StaticFileHandler::get() {
  std::string path = path_args().empty() ? std::string() : path_args().front();
  if (path.ends_with('/') || (path.empty() && request().path().ends_with('/'))) {
    if (default_filename_.empty()) co_return co_await send_error(403);
    path += default_filename_;
  }
  Result<Opened> opened = co_await IOLoop::current().run_in_executor(&open_file, folder_, path, !answers_with_a_part());
  if (!opened.ok()) {
    const int status = status_for(opened.failure());
    if (status >= 500) throw HTTPError(status, opened.failure().message());
    co_return co_await send_error(status);
  }
  switch (opened->file()->facts().kind) {
    case FileKind::regular:
      co_return co_await serve(path, opened->file(), std::move(opened->content()));
    case FileKind::directory:
      co_return co_await serve_directory(path);
    case FileKind::other:
      co_return co_await send_error(403);
  }
}

// "/docs" becomes "/docs/".  A path that begins with two slashes would be another host to the client.
Future<void> StaticFileHandler::serve_directory(const std::string& path) {
  const std::string_view asked = request().path();
  if (default_filename_.empty() || asked.starts_with("//")) return send_error(403);
  if (path.empty() && asked.ends_with('/')) return send_error(403);
  return redirect(std::string(asked) + "/", true);
}

void StaticFileHandler::set_validators(const OpenFile& file, std::string_view path) {
  set_header("ETag", etag_of(file));
  set_header("Last-Modified", format_timestamp(file.facts().modified));
  set_header("Accept-Ranges", "bytes");
  set_header("Content-Type", get_content_type(path));
  if (const std::chrono::seconds age = get_cache_time(path); age.count() > 0) {
    set_header("Cache-Control", "max-age=" + std::to_string(age.count()));
    set_header("Expires", format_timestamp(std::chrono::system_clock::now() + age));
  }
  set_extra_headers(path);
}

bool StaticFileHandler::client_has_it(const OpenFile& file) const {
  const HTTPHeaders& asked = request().headers();
  if (asked.contains("If-None-Match")) return check_etag_header();
  return detail::is_unmodified_since(asked.get("If-Modified-Since"), file.facts().modified);
}

Future<void> StaticFileHandler::serve(const std::string& path, File file, std::string content) {
  const std::uint64_t size = file->facts().size;
  set_validators(*file, path);
  if (client_has_it(*file)) {
    set_status(304);
    co_return co_await finish();
  }
  const HTTPHeaders& asked = request().headers();
  detail::RangeAnswer answer = detail::parse_range(asked.get("Range"), size);
  if (!detail::range_applies(asked.get("If-Range"), headers().get("ETag"), file->facts().modified)) answer = {};
  if (answer.kind == detail::RangeKind::unsatisfiable) {
    set_status(416);
    set_header("Content-Type", "text/plain");
    set_header("Content-Range", "bytes */" + std::to_string(size));
    co_return co_await finish();
  }
  if (answer.kind == detail::RangeKind::part && answer.range.size != size) {
    set_status(206);
    set_header("Content-Range", content_range(answer.range, size));
  } else {
    answer.range.first = 0;
    answer.range.size = size;
  }
  if (content.size() == size && answer.range.size == size && request().method() == "GET") {
    write(std::move(content));
    co_return co_await finish();
  }
  set_header("Content-Length", answer.range.size);
  if (request().method() == "HEAD") co_return co_await finish();
  co_await send(std::move(file), answer.range);
}

Future<void> StaticFileHandler::send(File file, const ByteRange& range) {
  co_await flush();
  if (headers().contains("Content-Length")) {
    co_await request().write_file(std::move(file), range.first, range.size);
  } else {
    co_await send_compressed(std::move(file), range);
  }
  co_await finish();
}

// The next piece is read while the one before it goes out.
Future<void> StaticFileHandler::send_compressed(File file, const ByteRange& range) {
  const std::uint64_t end = range.first + range.size;
  const auto read_later = [&file, end](std::uint64_t at) {
    const auto read = [](const File& from, std::uint64_t offset, std::uint64_t size) {
      return detail::read_piece(*from, offset, size);
    };
    return IOLoop::current().run_in_executor(read, file, at, std::min(kPiece, end - at));
  };
  std::uint64_t at = range.first;
  Future<Result<std::string>> next = read_later(at);
  while (at < end) {
    Result<std::string> piece = co_await std::move(next);
    if (!piece.ok()) co_await detail::Fail(piece.failure());
    at += piece->size();
    next = Future<Result<std::string>>();
    if (at < end) next = read_later(at);
    write(std::move(*piece));
    co_await flush();
  }
}

}  // namespace twinloop
