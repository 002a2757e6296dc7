#include "protocols/web/static_url.h"

#include <algorithm>
#include <utility>

#include "protocols/web/application.h"
#include "protocols/web/crypto.h"
#include "protocols/web/handler_state.h"
#include "protocols/web/text.h"
#include "twinloop/detail/files.h"
#include "twinloop/executor.h"
#include "twinloop/httputil.h"
#include "twinloop/log.h"
#include "twinloop/request_handler.h"

namespace twinloop {
namespace detail {
namespace {

using Version = StaticVersions::Version;

constexpr std::uint64_t kPiece = 64 * 1024;
constexpr std::size_t kMostVersions = 10'000;  // a program that asks for more names than that begins anew

// ---- in the executor

// Of the pieces' hashes, so that no more of the file than one is held.
Result<std::string> hash_of(OpenFile& file) {
  std::string digests;
  for (std::uint64_t at = 0; at < file.facts().size; at += kPiece) {
    Result<std::string> piece = read_piece(file, at, std::min(kPiece, file.facts().size - at));
    if (!piece.ok()) return piece.failure();
    digests += sha1_hex(*piece);
  }
  return sha1_hex(digests);
}

Result<Version> look_at(const std::string& folder, const std::string& path, Version known) {
  Result<std::unique_ptr<OpenFile>> file = platform_open_beneath(folder, path);
  if (!file.ok()) return file.failure();
  const FileFacts& facts = (*file)->facts();
  if (facts.kind != FileKind::regular) return Failure(Errc::denied, "it is no file");
  if (!known.hash.empty() && known.modified == facts.modified && known.size == facts.size) return known;
  Result<std::string> hash = hash_of(**file);
  if (!hash.ok()) return hash.failure();
  return Version{facts.modified, facts.size, std::move(*hash)};
}

}  // namespace

// ---- on the loop

Future<std::string> StaticVersions::version_of(std::string path) {
  const auto found = known_.find(path);
  Version known = found != known_.end() ? found->second : Version();
  Result<Version> version = co_await IOLoop::current().run_in_executor(&look_at, folder_, path, std::move(known));
  if (!version.ok()) {
    log(LogLevel::warning, "static_url: '" + printable(path) + "': " + version.failure().message());
    co_return std::string();
  }
  if (known_.size() >= kMostVersions) known_.clear();
  known_.insert_or_assign(std::move(path), *version);
  co_return std::move(version->hash);
}

}  // namespace detail

Future<std::string> RequestHandler::static_url(std::string path, StaticUrlOptions options) {
  if (settings().static_path().empty()) {
    co_return Failure(Errc::not_supported, "static_url: the application's settings have no static path");
  }
  std::string url = settings().static_url_prefix() + url_escape(path, false);
  if (options.host()) url = request().protocol() + "://" + std::string(request().host()) + url;
  if (!options.version()) co_return url;
  const std::string version = co_await state_->application.static_versions().version_of(std::move(path));
  if (!version.empty()) url += "?v=" + version;
  co_return url;
}

}  // namespace twinloop
