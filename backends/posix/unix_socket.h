// unix: addresses, and the file that a listening one leaves in the file system.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>

#include "backends/posix/socket.h"

namespace twinloop::detail {

Result<Address> unix_address(std::string_view path);
// "/run/app.sock", "relative.sock", or with "@name" a name that no file system holds (Linux).  Fails with invalid_url for a path that
// is empty or too long for the system.

// The file of a listening socket, removed by whoever made it: not by a forked child, and not when another has taken its place.
class SocketFile {
 public:
  SocketFile() noexcept = default;
  explicit SocketFile(std::string path) noexcept;
  SocketFile(SocketFile&& other) noexcept { *this = std::move(other); }
  SocketFile& operator=(SocketFile&& other) noexcept {
    std::swap(path_, other.path_);
    device_ = other.device_;
    number_ = other.number_;
    maker_ = other.maker_;
    return *this;
  }
  ~SocketFile() { remove(); }

  void remove() noexcept;

 private:
  std::string path_;
  dev_t device_{};
  ino_t number_{};
  pid_t maker_{};
};

Result<SocketFile> bind_unix(int fd, const Address& address, const std::string& path, unsigned mode);
// Binds it, giving the file this mode.  A file that a dead server has left is replaced; where somebody listens, or the file is no
// socket, it fails with in_use.

}  // namespace twinloop::detail
