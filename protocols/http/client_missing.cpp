// twinloop/httpclient.h in a build without llhttp and zlib.
#include "twinloop/detail/http_engine.h"

namespace twinloop::detail {

std::shared_ptr<HTTPEngine> make_http_engine(const HTTPClientOptions&) {
  throw Error(Errc::not_supported, "http: this build has no llhttp or no zlib");
}

}  // namespace twinloop::detail
