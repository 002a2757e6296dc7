#include "twinloop/cares.h"
#include "twinloop/error.h"

namespace twinloop {

std::shared_ptr<Resolver> cares_resolver(const std::string&) {
  throw Error(Errc::not_supported,
              "cares_resolver: this build has no c-ares (on Debian libc-ares-dev); system_resolver() needs none");
}

}  // namespace twinloop
