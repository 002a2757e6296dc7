#include <algorithm>

#include "stream_impl.h"
#include "twinloop/detail/files.h"
#include "twinloop/executor.h"

namespace twinloop::detail {
namespace {

using File = std::shared_ptr<OpenFile>;

constexpr std::uint64_t kPiece = 64 * 1024;
constexpr std::uint64_t kLongestStep = 1024 * 1024;

Future<Result<std::string>> read_later(const File& file, std::uint64_t offset, std::uint64_t end) {
  const auto read = [](const File& from, std::uint64_t at, std::uint64_t size) { return read_piece(*from, at, size); };
  return IOLoop::current().run_in_executor(read, file, offset, std::min(kPiece, end - offset));
}

// The next piece is read while the one before it goes out.
Future<void> copy_file(IOStream& stream, File file, std::uint64_t offset, std::uint64_t end) {
  Future<Result<std::string>> next = read_later(file, offset, end);
  while (offset < end) {
    Result<std::string> piece = co_await std::move(next);
    if (!piece.ok()) co_await Fail(piece.failure());
    offset += piece->size();
    next = Future<Result<std::string>>();
    if (offset < end) next = read_later(file, offset, end);
    const Result<void> written = co_await as_result(stream.write(std::move(*piece)));
    if (!written.ok()) co_await Fail(written.failure());
  }
}

}  // namespace

Result<std::string> read_piece(OpenFile& file, std::uint64_t offset, std::uint64_t size) {
  std::string piece(static_cast<std::size_t>(size), '\0');
  const Result<std::size_t> count = file.read_at(offset, piece);
  if (!count.ok()) return count.failure();
  if (count.peek() != piece.size()) return Failure(Errc::truncated, "the file became shorter while it was sent");
  return piece;
}

// The steps grow as long as they succeed; what a file on a disk lacks in memory is at most one of them.
Future<void> send_file(IOStream& stream, File file, std::uint64_t offset, std::uint64_t size) {
  const std::uint64_t end = offset + size;
  std::uint64_t step = kPiece;
  while (offset < end) {
    const std::uint64_t most = std::min(step, end - offset);
    const IoResult sent = stream.impl_->send_file(*file, offset, static_cast<std::size_t>(most));
    if (sent.status == IoStatus::error) {
      co_await Fail(sent.error);
    } else if (sent.status == IoStatus::ok) {
      offset += sent.count;
      step = std::min(2 * step, kLongestStep);
      co_await moment();  // a client that takes everything is not the only one
    } else if (sent.status == IoStatus::would_block) {
      const Result<void> ready = co_await as_result(stream.impl_->may_send());
      if (!ready.ok()) co_await Fail(ready.failure());
    } else {
      const std::uint64_t next = std::min(offset + kLongestStep, end);
      const Result<void> copied = co_await as_result(copy_file(stream, file, offset, next));
      if (!copied.ok()) co_await Fail(copied.failure());
      offset = next;
      step = kPiece;
    }
  }
}

}  // namespace twinloop::detail
