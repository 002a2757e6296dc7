#include "backends/posix/errno_code.h"

#include <cerrno>

#include "twinloop/error.h"

namespace twinloop::detail {

std::error_code from_errno(int error) noexcept {
  switch (error) {
    case ECONNREFUSED:
      return Errc::refused;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
      return Errc::reset;
    case ETIMEDOUT:
      return Errc::timeout;
    case EHOSTUNREACH:
    case ENETUNREACH:
      return Errc::unreachable;
    case EADDRINUSE:
      return Errc::in_use;
    case EACCES:
    case EPERM:
      return Errc::denied;
    case ENOENT:
    case ENOTDIR:
      return Errc::not_found;
    case EMFILE:
    case ENFILE:
      return Errc::descriptors_exhausted;
    case EBADF:
      return Errc::bad_descriptor;
    default:
      return {error, std::system_category()};
  }
}

}  // namespace twinloop::detail
