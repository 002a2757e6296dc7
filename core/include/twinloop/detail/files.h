// Files, as far as serving them needs it; the platform brings them.  All of it blocks: it is for the loop's executor.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "twinloop/result.h"

namespace twinloop::detail {

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

 protected:
  explicit OpenFile(const FileFacts& facts) noexcept : facts_(facts) {}

 private:
  FileFacts facts_;
};

Result<std::unique_ptr<OpenFile>> platform_open_beneath(const std::string& folder, std::string_view path) noexcept;
// Opens a file or directory for reading.  No `..`, absolute path or symbolic link leads out of the folder, whoever changes what is
// below it meanwhile; links that stay inside are followed.  Fails with denied where one would, and with not_found, denied or
// descriptors_exhausted.  Does not wait for a FIFO's other end.

}  // namespace twinloop::detail
