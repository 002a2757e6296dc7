#include "backends/posix/unix_socket.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "backends/posix/errno_code.h"

namespace twinloop::detail {
namespace {

// Nobody listens on the socket that this file was made for.
bool is_left_over(const Address& address, const std::string& path) {
  struct stat file{};
  if (::lstat(path.c_str(), &file) != 0 || !S_ISSOCK(file.st_mode)) return false;
  Result<Descriptor> probe = open_stream_socket(address);
  return probe.ok() && ::connect(probe->get(), address.get(), address.length()) != 0 && errno == ECONNREFUSED;
}

bool bind_once(int fd, const Address& address) noexcept { return ::bind(fd, address.get(), address.length()) == 0; }

}  // namespace

Result<Address> unix_address(std::string_view path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty()) return Failure(Errc::invalid_url, "it names no socket; write unix:/path or unix:@name");
  if (path.size() >= sizeof address.sun_path) {
    return Failure(Errc::invalid_url, "its path is longer than the " + std::to_string(sizeof address.sun_path - 1) +
                                          " bytes that the system allows");
  }
  path.copy(address.sun_path, path.size());
  const bool abstract = path.starts_with('@');
  if (abstract) address.sun_path[0] = '\0';
  const std::size_t length = offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1);
  return Address(reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(length));
}

SocketFile::SocketFile(std::string path) noexcept : path_(std::move(path)), maker_(::getpid()) {
  struct stat file{};
  if (::lstat(path_.c_str(), &file) != 0) path_.clear();
  device_ = file.st_dev;
  number_ = file.st_ino;
}

void SocketFile::remove() noexcept {
  const std::string path = std::exchange(path_, {});
  struct stat file{};
  if (path.empty() || maker_ != ::getpid() || ::lstat(path.c_str(), &file) != 0) return;
  if (file.st_dev == device_ && file.st_ino == number_) ::unlink(path.c_str());
}

Result<SocketFile> bind_unix(int fd, const Address& address, const std::string& path, unsigned mode) {
  const bool abstract = path.starts_with('@');
  bool bound = bind_once(fd, address);
  if (!bound && errno == EADDRINUSE && !abstract && is_left_over(address, path)) {
    ::unlink(path.c_str());
    bound = bind_once(fd, address);
  }
  if (!bound) return Failure(from_errno(errno));
  if (abstract) return SocketFile();
  if (::chmod(path.c_str(), mode) != 0) return Failure(from_errno(errno));  // nobody can connect before listen()
  return SocketFile(path);
}

}  // namespace twinloop::detail
