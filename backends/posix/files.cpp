#include "twinloop/detail/files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <vector>

#include "backends/posix/descriptor.h"
#include "backends/posix/errno_code.h"
#include "backends/posix/send_file.h"

namespace twinloop::detail {
namespace {

constexpr int kMaxLinks = 40;  // as Linux
constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;

Failure failure_from(int error) noexcept {
  if (error == ENOTDIR || error == ENAMETOOLONG) return Errc::not_found;
  return from_errno(error);
}

// Goes down a path one component at a time, each opened in the directory before it: what somebody renames meanwhile cannot lead
// elsewhere.
class Walk {
 public:
  Walk(Descriptor root, std::string_view path) {
    folders_.push_back(std::move(root));
    put_in_front(path);
  }

  Result<Descriptor> to_end() {
    while (!rest_.empty()) {
      const std::string name = std::move(rest_.back());
      rest_.pop_back();
      if (name == "..") {
        if (folders_.size() == 1) return Failure(Errc::denied);
        folders_.pop_back();
      } else if (const Result<> step = enter(name); !step.ok()) {
        return step.failure();
      }
    }
    return std::move(folders_.back());
  }

 private:
  void put_in_front(std::string_view path) {
    std::vector<std::string> names;
    while (!path.empty()) {
      const std::string_view name = path.substr(0, path.find('/'));
      path.remove_prefix(std::min(path.size(), name.size() + 1));
      if (!name.empty() && name != ".") names.emplace_back(name);
    }
    rest_.insert(rest_.end(), std::make_move_iterator(names.rbegin()), std::make_move_iterator(names.rend()));
  }

  Result<> enter(const std::string& name) {
    const int folder = folders_.back().get();
    Descriptor next(::openat(folder, name.c_str(), rest_.empty() ? kFlags : kFlags | O_DIRECTORY));
    const int error = errno;
    if (next) {
      folders_.push_back(std::move(next));
      return Unit{};
    }
    std::array<char, PATH_MAX> target;
    const ssize_t size = ::readlinkat(folder, name.c_str(), target.data(), target.size());
    if (size < 0) return failure_from(error);
    const std::string_view link(target.data(), static_cast<std::size_t>(size));
    if (link.starts_with('/') || ++links_ > kMaxLinks) return Failure(Errc::denied);
    put_in_front(link);
    return Unit{};
  }

  std::vector<Descriptor> folders_;  // from the root to where we are
  std::vector<std::string> rest_;    // the next one last
  int links_ = 0;
};

FileKind kind_of(mode_t mode) noexcept {
  if (S_ISREG(mode)) return FileKind::regular;
  return S_ISDIR(mode) ? FileKind::directory : FileKind::other;
}

// POSIX calls it st_mtim, macOS st_mtimespec.
template <class Status>
const timespec& modification(const Status& status) noexcept {
  if constexpr (requires { status.st_mtim; }) {
    return status.st_mtim;
  } else {
    return status.st_mtimespec;
  }
}

FileFacts facts_of(const struct stat& status) noexcept {
  using Clock = std::chrono::system_clock;
  const timespec& time = modification(status);
  const auto since_epoch = std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  return {kind_of(status.st_mode), static_cast<std::uint64_t>(status.st_size),
          Clock::time_point(std::chrono::duration_cast<Clock::duration>(since_epoch))};
}

class PosixFile final : public OpenFile {
 public:
  PosixFile(Descriptor fd, const FileFacts& facts) noexcept : OpenFile(facts), fd_(std::move(fd)) {}

  IoResult send_to(int socket, std::uint64_t offset, std::size_t most) noexcept override {
    return send_from_file(socket, fd_.get(), offset, most);
  }

  Result<std::size_t> read_at(std::uint64_t offset, std::span<char> into) noexcept override {
    std::size_t total = 0;
    while (total < into.size()) {
      const ssize_t count =
          ::pread(fd_.get(), into.data() + total, into.size() - total, static_cast<off_t>(offset + total));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return Failure(from_errno(errno));
      if (count == 0) break;
      total += static_cast<std::size_t>(count);
    }
    return total;
  }

 private:
  Descriptor fd_;
};

Result<std::unique_ptr<OpenFile>> open_beneath(const std::string& folder, std::string_view path) {
  if (path.find('\0') != std::string_view::npos) return Failure(Errc::not_found);
  Descriptor root(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return failure_from(errno);
  Result<Descriptor> end = Walk(std::move(root), path).to_end();
  if (!end.ok()) return end.failure();
  struct stat status{};
  if (::fstat(end->get(), &status) != 0) return failure_from(errno);
  return std::unique_ptr<OpenFile>(std::make_unique<PosixFile>(std::move(*end), facts_of(status)));
}

}  // namespace

Result<std::unique_ptr<OpenFile>> platform_open_beneath(const std::string& folder, std::string_view path) noexcept {
  try {
    return open_beneath(folder, path);
  } catch (...) {  // out of memory
    return Failure(std::current_exception());
  }
}

}  // namespace twinloop::detail
