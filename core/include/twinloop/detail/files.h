// Files, as far as serving them needs it; the platform brings them.  Opening and reading blocks: that is for the loop's executor.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "twinloop/future.h"
#include "twinloop/transport.h"

namespace twinloop {

class IOStream;

namespace detail {

enum class FileKind : unsigned char { regular, directory, other };

struct FileFacts {
  FileKind kind = FileKind::other;
  std::uint64_t size = 0;
  std::chrono::system_clock::time_point modified;
};

class OpenFile {
 public:
  virtual ~OpenFile() = default;

  const FileFacts& facts() const noexcept { return facts_; }
  // When it was opened.
  virtual Result<std::size_t> read_at(std::uint64_t offset, std::span<char> into) noexcept = 0;
  // Fills `into`; fewer bytes only at the file's end.

  virtual IoResult send_to(int socket, std::uint64_t offset, std::size_t most) noexcept = 0;
  // Never waits, so it is for the loop: what the system sends by itself.  Else as Transport::write_file().

 protected:
  explicit OpenFile(const FileFacts& facts) noexcept : facts_(facts) {}

 private:
  FileFacts facts_;
};

Result<std::unique_ptr<OpenFile>> platform_open_beneath(const std::string& folder, std::string_view path) noexcept;
// Opens a file or directory for reading.  No `..`, absolute path or symbolic link leads out of the folder, whoever changes what is
// below it meanwhile; links that stay inside are followed.  Fails with denied where one would, and with not_found, denied or
// descriptors_exhausted.  Does not wait for a FIFO's other end.

Result<std::string> read_piece(OpenFile& file, std::uint64_t offset, std::uint64_t size);
// In the executor.  Fails with truncated where the file is not that long (any more).

Future<void> send_file(IOStream& stream, std::shared_ptr<OpenFile> file, std::uint64_t offset, std::uint64_t size);
// Writes that part of the file behind what was accepted before, no faster than it is taken, and completes when all of it was accepted.
// Where the stream is a plain socket, the system can and the bytes are in its memory, they never come here; the others are read in the
// executor, the next piece while the last is being sent.  Fails with truncated where the file is not that long (any more).
//
// The stream must outlive it, and nothing else be written meanwhile.  Dropped in the middle it has sent a part.

}  // namespace detail
}  // namespace twinloop
